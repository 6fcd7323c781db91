#!/usr/bin/env python3
"""Benchmark mimo-vl, llama.cpp and transformers on the same work, and print medians and ratios.

Each round runs every program once, one after the other, so that all of them see the same changes in machine speed.
Weights are random and have the shapes of MiMo-VL-7B.

    cargo build --release --workspace --bin bench_7b
    python benches/compare.py --int4 target/bench_7b/36-32-int4 --llama DIR_WITH_LLAMA_BENCH_AND_MTMD_CLI \\
        --gguf LLM_Q4_0.gguf --mmproj MMPROJ_F16.gguf --python PYTHON_WITH_TRANSFORMERS
"""
import argparse
import json
import re
import statistics
import struct
import subprocess
import tempfile
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Vision tower and projector of transformers in bf16, with random weights.
TRANSFORMERS = """
import sys, time, torch
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel
torch.set_num_threads(int(sys.argv[1]))
torch.set_default_dtype(torch.bfloat16)
config = Qwen2_5_VLVisionConfig(depth=32, hidden_size=1280, intermediate_size=3456, num_heads=16, out_hidden_size=4096,
                                fullatt_block_indexes=[7, 15, 23, 31], hidden_act="silu", attn_implementation="sdpa")
tower = Qwen2_5_VisionTransformerPretrainedModel._from_config(config).eval()
with torch.inference_mode():
    for side in (112, 448, 1008):
        grid = side // 14
        pixels, shape = torch.randn(grid * grid, 1176), torch.tensor([[1, grid, grid]])
        start = time.perf_counter()
        tower(pixels, grid_thw=shape)
        print(side, time.perf_counter() - start)
"""


def output(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)


def mimo_vl(a):
    """The figures of one run of bench_7b, by name."""
    text = output(ROOT / "target/release/bench_7b", "--model", a.int4, "--threads", a.threads, "--rounds", 1).stdout
    figures = {}
    for line in text.splitlines()[1:]:
        name, value, note = line[:28].strip(), float(line[28:39]), line[50:]
        figures[name] = value
        if share := re.search(r"(\d+) % of the read bandwidth of ([\d.]+)", note):
            figures[f"{name}: share of the read bandwidth"] = float(share[1])
            figures[f"{name}: read bandwidth, GB/s"] = float(share[2])
    return figures


def llama_text(a):
    bench = [a.llama / "llama-bench", "-m", a.gguf, "-t", a.threads, "-fa", 1, "-r", 1, "-o", "json"]
    figures = {}
    for words, name in (
        (["-p", "512,1024", "-n", 0], lambda run: f"prefill {run['n_prompt']}"),
        (["-p", 0, "-n", 24, "-d", "0,1024"], lambda run: f"decode, {run['n_depth']} cached"),
    ):
        for run in json.loads(output(*bench, *words).stdout):
            figures[name(run)] = run["avg_ts"]
    return figures


def llama_images(a, images):
    figures = {}
    for side, image in images.items():
        start = time.perf_counter()
        run = output(a.llama / "llama-mtmd-cli", "-m", a.gguf, "--mmproj", a.mmproj, "-t", a.threads, "-c", 2048,
                     "-n", 1, "--image", image, "-p", " ".join(["a is the on"] * 15))
        if side == 448:
            figures["first token"] = time.perf_counter() - start
        encoded = re.search(r"batch encoding done in (\d+) ms", run.stdout + run.stderr)
        figures[f"image {side}²"] = int(encoded[1]) / 1e3
    return figures


def transformers(a):
    lines = output(a.python, "-c", TRANSFORMERS, a.threads).stdout.split()
    return {f"image {side}²": float(value) for side, value in zip(lines[::2], lines[1::2]) if side != "112"}


def noise_image(path, side):
    """Write a reproducible PNG image of noise."""
    state, rows = 1, bytearray()
    for _ in range(side):
        rows.append(0)
        for _ in range(3 * side):
            state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
            rows.append(state >> 56)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 1)), (b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--int4", type=Path, required=True, help="checkpoint that `quantize` wrote")
    p.add_argument("--llama", type=Path, help="directory of llama-bench and llama-mtmd-cli")
    p.add_argument("--gguf", type=Path, help="language model in Q4_0")
    p.add_argument("--mmproj", type=Path, help="vision tower and projector in f16")
    p.add_argument("--python", type=Path, help="Python interpreter with torch and transformers")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=5)
    a = p.parse_args()
    runs = {"mimo-vl": [], "llama.cpp": [], "transformers": []}
    with tempfile.TemporaryDirectory() as folder:
        images = {side: noise_image(Path(folder) / f"{side}.png", side) for side in (448, 1008)}
        for number in range(a.rounds):
            runs["mimo-vl"].append(mimo_vl(a))
            if a.llama:
                runs["llama.cpp"].append(llama_text(a) | llama_images(a, images))
            if a.python:
                runs["transformers"].append(transformers(a))
            latest = [results[-1] for results in runs.values() if results]
            print(f"round {number + 1} of {a.rounds}", *latest, flush=True)
    print("\n| work | mimo-vl | llama.cpp | ratio | transformers | ratio |\n|---|---:|---:|---:|---:|---:|")
    for name in runs["mimo-vl"][0]:
        mine = [run[name] for run in runs["mimo-vl"]]
        cells = [f"{statistics.median(mine):.4g}"]
        for peer in ("llama.cpp", "transformers"):
            theirs = [run[name] for run in runs[peer] if name in run]
            if not theirs:
                cells += ["", ""]
                continue
            # Higher is better for tokens per second, lower for seconds. Each ratio is of one round.
            is_rate = name.startswith(("prefill", "decode"))
            ratios = [m / t if is_rate else t / m for m, t in zip(mine, theirs)]
            cells += [f"{statistics.median(theirs):.4g}", f"{statistics.median(ratios):.2f}"]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
