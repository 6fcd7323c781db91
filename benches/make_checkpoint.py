#!/usr/bin/env python3
"""Write a checkpoint with the layer shapes of MiMo-VL-7B and random bf16 weights, to measure load time, memory and speed.

Answers mean nothing; shapes, names, types and the files' layout are those of the published checkpoint. Its tokenizer
is not: the tokenizer, chat template and special token ids are those of another checkpoint directory, which leaves
most of the 151680 rows of the token table unused. Needs numpy. Writes a few million weights at a time.

    python benches/make_checkpoint.py OUT                                  # 16.6 GB, 36 and 32 layers
    python benches/make_checkpoint.py OUT --layers 2 --vision-layers 2     # 3.5 GB
    python benches/make_checkpoint.py OUT --tokens-from DIR                # default: examples/models/mimo-vl-tiny
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
SHARD_BYTES = 2_000_000_000
CHUNK = 1 << 22
COPIED = "tokenizer.json tokenizer_config.json chat_template.jinja generation_config.json preprocessor_config.json"
TOKENS = "bos eos vision_start vision_end vision image video"


def tensors(layers, vision_layers):
    """Names and shapes in the order in which they are stored."""
    def linear(name, outputs, inputs, bias):
        return [(name + ".weight", (outputs, inputs)), (name + ".bias", (outputs,))][:1 + bias]

    yield "visual.patch_embed.proj.weight", (V_HIDDEN, 3, 2, 14, 14)
    for block in (f"visual.blocks.{layer}." for layer in range(vision_layers)):
        yield from [(block + "norm1.weight", (V_HIDDEN,)), (block + "norm2.weight", (V_HIDDEN,))]
        for name, outputs, inputs in (
            ("attn.qkv", 3 * V_HIDDEN, V_HIDDEN), ("attn.proj", V_HIDDEN, V_HIDDEN),
            ("mlp.gate_proj", V_INTERMEDIATE, V_HIDDEN), ("mlp.up_proj", V_INTERMEDIATE, V_HIDDEN),
            ("mlp.down_proj", V_HIDDEN, V_INTERMEDIATE),
        ):
            yield from linear(block + name, outputs, inputs, True)
    yield "visual.merger.ln_q.weight", (V_HIDDEN,)
    yield from linear("visual.merger.mlp.0", MERGED, MERGED, True)
    yield from linear("visual.merger.mlp.2", HIDDEN, MERGED, True)
    yield "model.embed_tokens.weight", (VOCAB, HIDDEN)
    for block in (f"model.layers.{layer}." for layer in range(layers)):
        yield from [(block + name, (HIDDEN,)) for name in ("input_layernorm.weight", "post_attention_layernorm.weight")]
        for name, outputs, inputs, bias in (
            ("self_attn.q_proj", HEADS * HEAD_DIM, HIDDEN, True), ("self_attn.k_proj", KV_HEADS * HEAD_DIM, HIDDEN, True),
            ("self_attn.v_proj", KV_HEADS * HEAD_DIM, HIDDEN, True), ("self_attn.o_proj", HIDDEN, HEADS * HEAD_DIM, False),
            ("mlp.gate_proj", INTERMEDIATE, HIDDEN, False), ("mlp.up_proj", INTERMEDIATE, HIDDEN, False),
            ("mlp.down_proj", HIDDEN, INTERMEDIATE, False),
        ):
            yield from linear(block + name, outputs, inputs, bias)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCAB, HIDDEN)


def bf16(values):
    """The upper half of each f32: truncated, which is all that random weights need."""
    return (np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()


def write_values(file, random, name, shape):
    """A matrix keeps the size of what it multiplies; biases are small, norms near one."""
    count, scale = math.prod(shape), 1 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.02
    middle = 1 if "norm" in name or "ln_q" in name else 0
    for start in range(0, count, CHUNK):
        values = random.standard_normal(min(CHUNK, count - start), dtype=np.float32)
        file.write(bf16(values * np.float32(scale) + np.float32(middle)))


def write_shard(path, shard, random):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shard:
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shard:
            write_values(file, random, name, shape)
    return offset


def config(tokens, layers, vision_layers):
    full = [layer for layer in range(vision_layers) if layer % 8 == 7] or [vision_layers - 1]
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl", "torch_dtype": "bfloat16",
        **{f"{name}_token_id": tokens[f"{name}_token_id"] for name in TOKENS.split()}, "vocab_size": VOCAB, "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE, "num_hidden_layers": layers, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 640000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}, "max_position_embeddings": 128000,
        "max_window_layers": layers, "use_sliding_window": False, "sliding_window": None, "attention_dropout": 0.0,
        "tie_word_embeddings": False, "use_cache": True,
        "vision_config": {
            "model_type": "qwen2_5_vl", "depth": vision_layers, "hidden_size": V_HIDDEN, "num_heads": V_HEADS,
            "intermediate_size": V_INTERMEDIATE, "out_hidden_size": HIDDEN, "hidden_act": "silu", "in_chans": 3,
            "patch_size": 14, "spatial_patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
            "window_size": 112, "fullatt_block_indexes": full, "tokens_per_second": 2,
        },
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--layers", type=int, default=36)
    arguments.add_argument("--vision-layers", type=int, default=32)
    tiny = Path(__file__).parent.parent / "examples" / "models" / "mimo-vl-tiny"
    arguments.add_argument("--tokens-from", type=Path, default=tiny, metavar="DIR")
    arguments.add_argument("--seed", type=int, default=0)
    a = arguments.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    for name in COPIED.split():
        shutil.copy(a.tokens_from / name, a.out)
    tokens = json.loads((a.tokens_from / "config.json").read_text())
    (a.out / "config.json").write_text(json.dumps(config(tokens, a.layers, a.vision_layers), indent=1))
    shards = [[]]
    for tensor in tensors(a.layers, a.vision_layers):
        if shards[-1] and sum(2 * math.prod(shape) for _, shape in [*shards[-1], tensor]) > SHARD_BYTES:
            shards.append([])
        shards[-1].append(tensor)
    random, index, total = np.random.default_rng(a.seed), {}, 0
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        total += write_shard(a.out / file, shard, random)
        index |= {name: file for name, _ in shard}
    index = {"metadata": {"total_size": total}, "weight_map": index}
    (a.out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    print(f"{a.out}: {total // 2:,} weights in {len(shards)} files")


if __name__ == "__main__":
    main()
