#!/usr/bin/env python3
"""Expected values for a checkpoint with an image part, from Hugging Face transformers, as `parity` reads them.

Loads CHECKPOINT_DIR unchanged, model and processor, computes in f32 on the CPU, and writes a directory OUT with
links to the checkpoint's files and one case for each picture with and without thinking. Run by hand:

    pip install torch torchvision 'transformers==4.57.*' 'pillow<13'
    python tests/data/check_transformers.py examples/models/mimo-vl-tiny examples/images/*.png --out OUT
    cargo run --release --bin parity -- OUT

Every stage has to pass. transformers 5 places text after videos differently, and Pillow 13 resizes differently.
"""
import argparse
import json
import shutil
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoImageProcessor, AutoProcessor, Qwen2_5_VLForConditionalGeneration


def conversation(question, picture, suffix):
    """The user's turn: the picture first, what switches thinking off at the very end."""
    content = [{"type": "image", "image": picture}, {"type": "text", "text": question + suffix}]
    return [{"role": "user", "content": content}]


def levels(pixel_values, processor):
    """Undo the normalisation: the resized picture's 8-bit levels in patch order, `[patches, 1176]`."""
    values = pixel_values.shape[1] // 3
    mean, std = (torch.tensor(v).repeat_interleave(values) for v in (processor.image_mean, processor.image_std))
    patches = ((pixel_values * std + mean) * 255).round()
    assert torch.allclose((patches / 255 - mean) / std, pixel_values, atol=1e-5), "pixel values are not 8-bit levels"
    return patches.to(torch.uint8)


def write_case(folder, messages, picture, limits, model, processor, max_tokens):
    prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    inputs = processor(text=[prompt], images=[picture], return_tensors="pt", **limits)
    ids, grid, pixels = inputs["input_ids"], inputs["image_grid_thw"], inputs["pixel_values"]
    positions, delta = model.model.get_rope_index(ids, grid)
    features = torch.cat(list(model.get_image_features(pixels, grid)))
    logits = model(**inputs).logits[0]
    options = {"do_sample": False, "return_dict_in_generate": True, "output_logits": True}
    output = model.generate(**inputs, max_new_tokens=max_tokens, **options)
    greedy = output.sequences[0, ids.shape[1]:]
    steps = torch.cat(output.logits)
    best = steps.topk(2).values
    tensors = {
        "input_ids": ids[0], "position_ids": positions[:, 0], "grid_thw": grid,
        "patches": levels(pixels, processor.image_processor), "vision_embeds": features,
        "logits": logits, "greedy_ids": greedy, "greedy_logits": steps,
    }
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "expected.safetensors")
    text = processor.tokenizer.decode(greedy, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    margin = float((best[:, 0] - best[:, 1]).min())
    expected = {"prompt": prompt, "text": text, "rope_delta": int(delta), "min_margin": margin}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False))
    (folder / "messages.json").write_text(json.dumps({"messages": messages, **limits}, indent=1, ensure_ascii=False))
    print(f"{folder.name}: {ids.shape[1]} tokens, grid {grid.tolist()[0]}, margin {margin:.4f}: {text!r}", flush=True)


@torch.no_grad()
def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("checkpoint", type=Path)
    arguments.add_argument("pictures", type=Path, nargs="+")
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--question", default="How many circles are there?")
    arguments.add_argument("--max-tokens", type=int, default=256)
    a = arguments.parse_args()
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(a.checkpoint, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(a.checkpoint)
    # The one that the checkpoint names, which resizes with Pillow. The fast one differs by one level here and there.
    processor.image_processor = AutoImageProcessor.from_pretrained(a.checkpoint, use_fast=False)
    # Stated in every case and given to the processor, so that neither side uses a default of its own.
    config = json.loads((a.checkpoint / "preprocessor_config.json").read_text())
    limits = {name: config[name] for name in ("min_pixels", "max_pixels")}
    a.out.mkdir(parents=True, exist_ok=True)
    for file in a.checkpoint.iterdir():
        if file.is_file():
            (a.out / file.name).unlink(missing_ok=True)
            (a.out / file.name).symlink_to(file.resolve())
    shutil.rmtree(a.out / "cases", ignore_errors=True)
    for path in a.pictures:
        for name, suffix in (("no_think", " /no_think"), ("thinking", "")):
            folder = a.out / "cases" / f"{path.stem}-{name}"
            folder.mkdir(parents=True)
            shutil.copy(path, folder)
            messages = conversation(a.question, path.name, suffix)
            write_case(folder, messages, Image.open(path).convert("RGB"), limits, model, processor, a.max_tokens)


if __name__ == "__main__":
    main()
