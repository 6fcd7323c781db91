#!/usr/bin/env python3
"""Write a checkpoint with MiMo-VL-7B's layer shapes and random bf16 weights, to measure loading, memory and speed.

Answers mean nothing: only names, shapes, types and the layout of the files are those of the published checkpoint.
Tokenizer, chat template and special tokens are those of mimo-vl-tiny. Needs numpy.

    python benches/make_checkpoint.py OUT                                  # 16.6 GB
    python benches/make_checkpoint.py OUT --layers 2 --vision-layers 2     # 3.4 GB
"""
import argparse
import json
import math
import shutil
import struct
from pathlib import Path

import numpy as np

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, INTERMEDIATE, VOCAB = 4096, 32, 8, 128, 11008, 151680
V_HIDDEN, V_HEADS, V_INTERMEDIATE, MERGED = 1280, 16, 3456, 4 * 1280
VISION_LINEAR = {"attn.qkv": (3 * V_HIDDEN, V_HIDDEN), "attn.proj": (V_HIDDEN, V_HIDDEN),
                 "mlp.gate_proj": (V_INTERMEDIATE, V_HIDDEN), "mlp.up_proj": (V_INTERMEDIATE, V_HIDDEN),
                 "mlp.down_proj": (V_HIDDEN, V_INTERMEDIATE)}
TEXT_LINEAR = {"self_attn.q_proj": (HEADS * HEAD_DIM, HIDDEN), "self_attn.k_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
               "self_attn.v_proj": (KV_HEADS * HEAD_DIM, HIDDEN), "self_attn.o_proj": (HIDDEN, HEADS * HEAD_DIM),
               "mlp.gate_proj": (INTERMEDIATE, HIDDEN), "mlp.up_proj": (INTERMEDIATE, HIDDEN),
               "mlp.down_proj": (HIDDEN, INTERMEDIATE)}
COPIED = "tokenizer.json tokenizer_config.json chat_template.jinja generation_config.json"
SHARD_BYTES, PIECE = 2_000_000_000, 1 << 22


def tensors(layers, vision_layers):
    """Names and shapes in the order in which they are stored."""
    yield "visual.patch_embed.proj.weight", (V_HIDDEN, 3, 2, 14, 14)
    for block in (f"visual.blocks.{layer}." for layer in range(vision_layers)):
        yield from ((f"{block}norm{number}.weight", (V_HIDDEN,)) for number in (1, 2))
        for name, shape in VISION_LINEAR.items():
            yield from ((f"{block}{name}.weight", shape), (f"{block}{name}.bias", shape[:1]))
    yield "visual.merger.ln_q.weight", (V_HIDDEN,)
    for name, rows in (("visual.merger.mlp.0", MERGED), ("visual.merger.mlp.2", HIDDEN)):
        yield from ((f"{name}.weight", (rows, MERGED)), (f"{name}.bias", (rows,)))
    yield "model.embed_tokens.weight", (VOCAB, HIDDEN)
    for block in (f"model.layers.{layer}." for layer in range(layers)):
        yield from ((f"{block}{norm}_layernorm.weight", (HIDDEN,)) for norm in ("input", "post_attention"))
        for name, shape in TEXT_LINEAR.items():
            yield f"{block}{name}.weight", shape
            if name.startswith("self_attn.") and name != "self_attn.o_proj":
                yield f"{block}{name}.bias", shape[:1]
    yield from (("model.norm.weight", (HIDDEN,)), ("lm_head.weight", (VOCAB, HIDDEN)))


def write_values(file, random, name, shape):
    """Matrices keep the size of what they multiply, biases are small, norms near one. f32 is cut to its upper half."""
    count, middle = math.prod(shape), "norm" in name or "ln_q" in name
    scale = 1 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.02
    for start in range(0, count, PIECE):
        values = random.standard_normal(min(PIECE, count - start), np.float32) * np.float32(scale) + np.float32(middle)
        file.write((values.view(np.uint32) >> 16).astype("<u2").tobytes())


def write_shard(path, shard, random):
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shard:
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header)
    text += " " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text.encode())
        for name, shape in shard:
            write_values(file, random, name, shape)


def config(special, layers, vision_layers):
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl", "torch_dtype": "bfloat16",
        **{name: value for name, value in special.items() if name.endswith("_token_id")}, "vocab_size": VOCAB,
        "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE, "num_hidden_layers": layers, "use_cache": True,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "rope_theta": 640000.0, "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "max_position_embeddings": 128000, "max_window_layers": layers, "use_sliding_window": False,
        "sliding_window": None, "attention_dropout": 0.0, "tie_word_embeddings": False, "vision_config": {
            "temporal_patch_size": 2, "model_type": "qwen2_5_vl", "depth": vision_layers, "hidden_size": V_HIDDEN,
            "num_heads": V_HEADS, "intermediate_size": V_INTERMEDIATE, "out_hidden_size": HIDDEN, "hidden_act": "silu",
            "in_chans": 3, "patch_size": 14, "spatial_patch_size": 14, "spatial_merge_size": 2, "window_size": 112,
            "tokens_per_second": 2, "fullatt_block_indexes": list(range(7, vision_layers, 8)) or [vision_layers - 1]}}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--layers", type=int, default=36)
    arguments.add_argument("--vision-layers", type=int, default=32)
    a = arguments.parse_args()
    small = Path(__file__).resolve().parents[1] / "examples" / "models" / "mimo-vl-tiny"
    a.out.mkdir(parents=True, exist_ok=True)
    for name in COPIED.split():
        shutil.copy(small / name, a.out)
    pixels = json.loads((small / "preprocessor_config.json").read_text()) | {"min_pixels": 3136, "max_pixels": 3211264}
    (a.out / "preprocessor_config.json").write_text(json.dumps(pixels, indent=1))
    special = json.loads((small / "config.json").read_text())
    (a.out / "config.json").write_text(json.dumps(config(special, a.layers, a.vision_layers), indent=1))
    shards, filled, random, files = [[]], 0, np.random.default_rng(0), {}
    for name, shape in tensors(a.layers, a.vision_layers):
        if filled + 2 * math.prod(shape) > SHARD_BYTES:
            shards, filled = [*shards, []], 0
        shards[-1].append((name, shape))
        filled += 2 * math.prod(shape)
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_shard(a.out / file, shard, random)
        files.update((name, file) for name, _ in shard)
    size = sum(2 * math.prod(shape) for shard in shards for _, shape in shard)
    index = {"metadata": {"total_size": size}, "weight_map": files}
    (a.out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))


if __name__ == "__main__":
    main()
