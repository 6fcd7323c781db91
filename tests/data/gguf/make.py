#!/usr/bin/env python3
"""Write the GGUF files of the tests, and what they stand for, with PyPI's `gguf` (0.19) and numpy.

    python tests/data/gguf/make.py

A small random model: `model.gguf` has the language model with every supported type, `mmproj-model.gguf` the vision
tower and the projector. `hub/` has the files that the hub would have beside the weights, and `expected.json` a hash of
each tensor as `gguf` dequantises it, under the hub's names.
"""
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFWriter, quants
from gguf.constants import GGML_QUANT_SIZES

HERE = Path(__file__).resolve().parent
TINY = HERE.parent / "tiny"
sys.path.append(str(HERE.parents[2] / "benches"))
from to_gguf import tokens  # noqa: E402

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, INTERMEDIATE, VOCAB, LAYERS = 256, 8, 4, 32, 256, 512, 2
V_HIDDEN, V_HEADS, V_INTERMEDIATE, V_BLOCKS, PATTERN = 64, 2, 96, 4, 2
random = np.random.default_rng(11)


def k_blocks(kind, rows, width):
    """Random blocks of a kind that `gguf` cannot quantise to, with scales that give weights of a usual size."""
    size = GGML_QUANT_SIZES[kind][1]
    blocks = random.integers(0, 256, (rows * width // 256, size), dtype=np.uint8)

    def scale(value):
        return np.frombuffer(np.float16(value).tobytes(), np.uint8)

    if kind == T.Q4_K:
        blocks[:, 0:2], blocks[:, 2:4] = scale(1.5e-4), scale(1.1e-3)
    else:
        blocks[:, 208:210] = scale(3e-5)
    return blocks.reshape(rows, -1)


def fnv(values):
    """64-bit FNV-1a over the values' 32-bit words."""
    state = 0xCBF29CE484222325
    for word in np.ascontiguousarray(values, np.float32).view(np.uint32).ravel().tolist():
        state = (state ^ word) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{state:016x}"


class Writer:
    def __init__(self, path, architecture):
        self.file, self.values = GGUFWriter(path, architecture), {}

    def tensor(self, name, shape, kind):
        scale = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.05
        norm = "norm" in name or "ln" in name
        values = (random.standard_normal(shape) * scale + norm).astype(np.float32)
        if kind in (T.Q4_K, T.Q6_K):
            stored = k_blocks(kind, *shape)
        elif kind == T.F32:
            stored = values
        elif kind == T.F16:
            stored = values.astype(np.float16)
        else:
            stored = quants.quantize(values, kind)
        if kind in (T.F32, T.F16):
            self.file.add_tensor(name, stored)
            self.values[name] = stored.astype(np.float32)
        else:
            self.file.add_tensor(name, stored, raw_dtype=kind)
            self.values[name] = quants.dequantize(stored, kind)

    def close(self):
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()


def language():
    writer = Writer(HERE / "model.gguf", "qwen2vl")
    file = writer.file
    file.add_block_count(LAYERS)
    file.add_context_length(4096)
    file.add_embedding_length(HIDDEN)
    file.add_feed_forward_length(INTERMEDIATE)
    file.add_head_count(HEADS)
    file.add_head_count_kv(KV_HEADS)
    file.add_rope_freq_base(640000.0)
    file.add_rope_dimension_sections([4, 6, 6, 0])
    file.add_layer_norm_rms_eps(1e-5)
    tokens(file, TINY, VOCAB)
    writer.tensor("token_embd.weight", (VOCAB, HIDDEN), T.Q4_K)
    writer.tensor("output_norm.weight", (HIDDEN,), T.F32)
    writer.tensor("output.weight", (VOCAB, HIDDEN), T.Q6_K)
    # The second layer mixes types within products, as the usual quantiser does.
    mixes = ((T.Q4_0, T.Q4_0, T.Q4_0, T.Q8_0, T.Q4_0, T.Q4_0, T.Q8_0), (T.Q4_K, T.Q4_K, T.Q6_K, T.BF16, T.F16, T.Q4_0, T.Q6_K))
    for layer, mix in enumerate(mixes):
        name, keys = f"blk.{layer}.", KV_HEADS * HEAD_DIM
        for norm in ("attn_norm", "ffn_norm"):
            writer.tensor(f"{name}{norm}.weight", (HIDDEN,), T.F32)
        parts = (("attn_q", HIDDEN), ("attn_k", keys), ("attn_v", keys), ("attn_output", HIDDEN), ("ffn_gate", INTERMEDIATE),
                 ("ffn_up", INTERMEDIATE), ("ffn_down", HIDDEN))
        for (part, rows), kind in zip(parts, mix):
            writer.tensor(f"{name}{part}.weight", (rows, HIDDEN), kind)
            if part in ("attn_q", "attn_k", "attn_v"):
                writer.tensor(f"{name}{part}.bias", (rows,), T.F32)
    writer.close()
    return writer.values


def vision():
    writer = Writer(HERE / "mmproj-model.gguf", "clip")
    file = writer.file
    file.add_clip_has_vision_encoder(True)
    file.add_clip_projector_type("qwen2.5vl_merger")
    file.add_vision_projection_dim(HIDDEN)
    file.add_vision_image_size(560)
    file.add_vision_patch_size(14)
    file.add_vision_embedding_length(V_HIDDEN)
    file.add_vision_feed_forward_length(V_INTERMEDIATE)
    file.add_vision_block_count(V_BLOCKS)
    file.add_vision_head_count(V_HEADS)
    file.add_vision_attention_layernorm_eps(1e-6)
    file.add_vision_image_mean([0.48145466, 0.4578275, 0.40821073])
    file.add_vision_image_std([0.26862954, 0.26130258, 0.27577711])
    file.add_vision_use_silu(True)
    file.add_vision_n_wa_pattern(PATTERN)
    for name in ("v.patch_embd.weight", "v.patch_embd.weight.1"):
        writer.tensor(name, (V_HIDDEN, 3, 14, 14), T.F16)
    writer.tensor("v.post_ln.weight", (V_HIDDEN,), T.F32)
    for block in range(V_BLOCKS):
        name, kind = f"v.blk.{block}.", T.Q8_0 if block % 2 else T.F16
        for norm in ("ln1", "ln2"):
            writer.tensor(f"{name}{norm}.weight", (V_HIDDEN,), T.F32)
        for part, rows, width in (("attn_q", V_HIDDEN, V_HIDDEN), ("attn_k", V_HIDDEN, V_HIDDEN),
                                  ("attn_v", V_HIDDEN, V_HIDDEN), ("attn_out", V_HIDDEN, V_HIDDEN),
                                  ("ffn_gate", V_INTERMEDIATE, V_HIDDEN), ("ffn_up", V_INTERMEDIATE, V_HIDDEN),
                                  ("ffn_down", V_HIDDEN, V_INTERMEDIATE)):
            writer.tensor(f"{name}{part}.weight", (rows, width), kind)
            writer.tensor(f"{name}{part}.bias", (rows,), T.F32)
    for name, rows in (("mm.0", 4 * V_HIDDEN), ("mm.2", HIDDEN)):
        writer.tensor(f"{name}.weight", (rows, 4 * V_HIDDEN), T.F16)
        writer.tensor(f"{name}.bias", (rows,), T.F32)
    writer.close()
    return writer.values


NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head", "attn_norm": "input_layernorm",
    "attn_output": "self_attn.o_proj", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "v.post_ln": "visual.merger.ln_q",
    "mm.0": "visual.merger.mlp.0", "mm.2": "visual.merger.mlp.2", "ln1": "norm1", "ln2": "norm2", "attn_out": "attn.proj",
}


def hub_values(text, picture):
    """The tensors under the hub's names and in its shapes."""
    values = {}
    for name, value in text.items():
        if name.startswith("blk."):
            _, layer, part, end = name.split(".")
            values[f"model.layers.{layer}.{NAMES[part]}.{end}"] = value
        else:
            part, end = name.rsplit(".", 1)
            values[f"{NAMES[part]}.{end}"] = value
    for name, value in picture.items():
        if name.startswith("v.patch_embd"):
            continue
        if not name.startswith("v.blk."):
            part, end = name.rsplit(".", 1)
            values[f"{NAMES[part]}.{end}"] = value
            continue
        _, _, block, part, end = name.split(".")
        if part in ("attn_q", "attn_k", "attn_v"):
            if part == "attn_q":
                parts = [picture[f"v.blk.{block}.attn_{letter}.{end}"] for letter in "qkv"]
                values[f"visual.blocks.{block}.attn.qkv.{end}"] = np.concatenate(parts)
            continue
        values[f"visual.blocks.{block}.{NAMES[part]}.{end}"] = value
    frames = [picture["v.patch_embd.weight"], picture["v.patch_embd.weight.1"]]
    values["visual.patch_embed.proj.weight"] = np.stack(frames, axis=2)
    return values


def hub_files():
    hub = HERE / "hub"
    hub.mkdir(exist_ok=True)
    for name in ("tokenizer.json", "chat_template.jinja"):
        shutil.copy(TINY / name, hub)
    config = json.loads((TINY / "config.json").read_text())
    special = {key: value for key, value in config.items() if key.endswith("_token_id") and key != "eos_token_id"}
    (hub / "config.json").write_text(json.dumps({
        "architectures": config["architectures"], "vocab_size": VOCAB, "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 640000.0,
        "rope_scaling": {"mrope_section": [4, 6, 6]}, "tie_word_embeddings": False, **special, "vision_config": {
            "depth": V_BLOCKS, "hidden_size": V_HIDDEN, "intermediate_size": V_INTERMEDIATE, "num_heads": V_HEADS,
            "out_hidden_size": HIDDEN, "patch_size": 14, "window_size": 112,
            "fullatt_block_indexes": list(range(PATTERN - 1, V_BLOCKS, PATTERN))}}, indent=1) + "\n")


if __name__ == "__main__":
    values = hub_values(language(), vision())
    hashes = {name: {"shape": list(value.shape), "fnv": fnv(value)} for name, value in sorted(values.items())}
    (HERE / "expected.json").write_text(json.dumps(hashes, indent=0) + "\n")
    hub_files()
