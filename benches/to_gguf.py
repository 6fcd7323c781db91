#!/usr/bin/env python3
"""Convert a Hugging Face checkpoint to GGUF files, to run other programs on the same weights.

    pip install gguf numpy
    python benches/to_gguf.py CHECKPOINT OUT

OUT/model-q4_0.gguf is the language model (matrices in Q4_0, the output layer in Q8_0, norms and biases in F32);
OUT/mmproj-model-f16.gguf is the vision tower and the projector in F16. Only one tensor is in memory at a time.
"""
import argparse
import json
import struct
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFWriter, quants
from gguf.constants import GGML_QUANT_SIZES

LANGUAGE = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
            "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
            "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
VISION = {"norm1": "ln1", "norm2": "ln2", "attn.proj": "attn_out", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
          "mlp.down_proj": "ffn_down"}


class Checkpoint:
    """Tensors of safetensors files, read on demand."""

    def __init__(self, folder):
        self.entries = {}
        for file in sorted(folder.glob("*.safetensors")):
            with open(file, "rb") as stream:
                size = struct.unpack("<Q", stream.read(8))[0]
                header = json.loads(stream.read(size))
            for name, entry in header.items():
                if name != "__metadata__":
                    start = 8 + size + entry["data_offsets"][0]
                    self.entries[name] = file, start, entry["dtype"], tuple(entry["shape"])

    def shape(self, name):
        return self.entries[name][3]

    def __call__(self, name):
        file, start, dtype, shape = self.entries[name]
        assert dtype == "BF16", f"{name} is {dtype}"
        words = np.memmap(file, np.uint16, "r", start, (int(np.prod(shape)),))
        return (words.astype(np.uint32) << 16).view(np.float32).reshape(shape)


def write(file, plan):
    """Write the tensors of `plan`: their names, shapes, types, and functions that return the values as f32."""
    for name, shape, kind, _ in plan:
        size, block = GGML_QUANT_SIZES[kind][1], GGML_QUANT_SIZES[kind][0]
        count = int(np.prod(shape)) // block * size
        if kind in (T.F32, T.F16):
            file.add_tensor_info(name, shape, np.dtype(np.float32 if kind == T.F32 else np.float16), count)
        else:
            stored = (*shape[:-1], shape[-1] // block * size)
            file.add_tensor_info(name, stored, np.dtype(np.uint8), count, raw_dtype=kind)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_ti_data_to_file()
    for name, shape, kind, values in plan:
        values = values()
        if kind == T.F16:
            values = values.astype(np.float16)
        elif kind != T.F32:
            parts = np.array_split(values, max(1, len(values) // 4096))
            values = np.concatenate([quants.quantize(part, kind) for part in parts])
        file.write_tensor_data(np.ascontiguousarray(values))
    file.close()


def tokens(file, folder, vocab):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    names, kinds = [f"[PAD{index}]" for index in range(vocab)], [5] * vocab
    for token, index in tokenizer["model"]["vocab"].items():
        names[index], kinds[index] = token, 1
    for added in tokenizer["added_tokens"]:
        names[added["id"]], kinds[added["id"]] = added["content"], 3 if added["special"] else 4
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("qwen2")
    file.add_token_list(names)
    file.add_token_types(kinds)
    file.add_token_merges(merges)
    file.add_eos_token_id(names.index("<|im_end|>"))
    file.add_bos_token_id(names.index("<|endoftext|>"))
    file.add_add_bos_token(False)
    file.add_chat_template((folder / "chat_template.jinja").read_text())


def language(folder, config, tensors, out):
    file = GGUFWriter(out, "qwen2vl")
    file.add_block_count(config["num_hidden_layers"])
    file.add_context_length(config["max_position_embeddings"])
    file.add_embedding_length(config["hidden_size"])
    file.add_feed_forward_length(config["intermediate_size"])
    file.add_head_count(config["num_attention_heads"])
    file.add_head_count_kv(config["num_key_value_heads"])
    file.add_rope_freq_base(float(config["rope_theta"]))
    file.add_rope_dimension_sections([*config["rope_scaling"]["mrope_section"], 0])
    file.add_layer_norm_rms_eps(config["rms_norm_eps"])
    file.add_file_type(2)
    tokens(file, folder, config["vocab_size"])
    plan = []

    def add(name, hub, kind):
        plan.append((name, tensors.shape(hub), T.F32 if len(tensors.shape(hub)) == 1 else kind, lambda: tensors(hub)))

    add("token_embd.weight", "model.embed_tokens.weight", T.Q4_0)
    add("output_norm.weight", "model.norm.weight", T.F32)
    add("output.weight", "lm_head.weight", T.Q8_0)
    for layer in range(config["num_hidden_layers"]):
        for hub, name in LANGUAGE.items():
            for end in ("weight", "bias"):
                if (source := f"model.layers.{layer}.{hub}.{end}") in tensors.entries:
                    add(f"blk.{layer}.{name}.{end}", source, T.Q4_0)
    write(file, plan)


def vision(config, tensors, out):
    file, vision = GGUFWriter(out, "clip"), config["vision_config"]
    file.add_clip_has_vision_encoder(True)
    file.add_clip_projector_type("qwen2.5vl_merger")
    file.add_vision_projection_dim(vision["out_hidden_size"])
    file.add_vision_image_size(560)
    file.add_vision_patch_size(14)
    file.add_vision_embedding_length(vision["hidden_size"])
    file.add_vision_feed_forward_length(vision["intermediate_size"])
    file.add_vision_block_count(vision["depth"])
    file.add_vision_head_count(vision["num_heads"])
    file.add_vision_attention_layernorm_eps(1e-6)
    file.add_vision_image_mean([0.48145466, 0.4578275, 0.40821073])
    file.add_vision_image_std([0.26862954, 0.26130258, 0.27577711])
    file.add_vision_use_silu(True)
    file.add_vision_n_wa_pattern(vision["fullatt_block_indexes"][0] + 1)
    plan = []

    def add(name, hub, part=None):
        """Add a tensor, or third number `part` of it."""
        shape = tensors.shape(hub)
        rows = shape[0] if part is None else shape[0] // 3
        start = 0 if part is None else part * rows
        kind = T.F32 if len(shape) == 1 else T.F16
        plan.append((name, (rows, *shape[1:]), kind, lambda: tensors(hub)[start:start + rows]))

    patches = "visual.patch_embed.proj.weight"
    rows, channels, _, side, _ = tensors.shape(patches)
    for frame, name in enumerate(("v.patch_embd.weight", "v.patch_embd.weight.1")):
        plan.append((name, (rows, channels, side, side), T.F16, lambda frame=frame: tensors(patches)[:, :, frame]))
    add("v.post_ln.weight", "visual.merger.ln_q.weight")
    for block in range(vision["depth"]):
        for hub, name in VISION.items():
            for end in ("weight", "bias"):
                if (source := f"visual.blocks.{block}.{hub}.{end}") in tensors.entries:
                    add(f"v.blk.{block}.{name}.{end}", source)
        for part, letter in enumerate("qkv"):
            for end in ("weight", "bias"):
                add(f"v.blk.{block}.attn_{letter}.{end}", f"visual.blocks.{block}.attn.qkv.{end}", part)
    for number in (0, 2):
        for end in ("weight", "bias"):
            add(f"mm.{number}.{end}", f"visual.merger.mlp.{number}.{end}")
    write(file, plan)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=Path)
    p.add_argument("out", type=Path)
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    config, tensors = json.loads((a.checkpoint / "config.json").read_text()), Checkpoint(a.checkpoint)
    language(a.checkpoint, config, tensors, a.out / "model-q4_0.gguf")
    vision(config, tensors, a.out / "mmproj-model-f16.gguf")


if __name__ == "__main__":
    main()
