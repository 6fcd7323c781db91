"""Measures the per-token overhead of streaming in a binding: the same answer with one call and as a stream, in pairs.

    python benches/bindings.py [PAIRS]

Both generate the same tokens in the same session of mimo-vl-tiny with 8-bit weights. The call crosses the language
boundary once, the stream at every token. For C, benches/bindings.c is compiled against target/release.
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import mimo_vl

ROOT = pathlib.Path(__file__).parents[1]
IMAGE = ROOT / "examples/images/shapes-1.png"
MODEL = ROOT / "examples/models/mimo-vl-tiny"
TOKENS = 400


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    model = mimo_vl.Model.load(MODEL, weights="int8")
    # EOS tokens and draft tokens are disabled, so that every token is one decode step.
    eos_bias = {token: float("-inf") for token in model.eos_token_ids}
    options = {"max_tokens": TOKENS, "logit_bias": eos_bias, "num_draft_tokens": 0, "thinking": False}
    ratios, step = [], 0.0
    for _ in range(pairs + 1):
        with model.session() as session:
            start = time.perf_counter()
            answer = session.ask([IMAGE, "What?"], **options)
            call = time.perf_counter() - start
            session.reset()
            start = time.perf_counter()
            with session.stream([IMAGE, "What?"], **options) as stream:
                count = sum(1 for _ in stream)
            streamed = time.perf_counter() - start
        assert answer.tokens == TOKENS and count > TOKENS / 2
        ratios.append(streamed / call)
        step = call / TOKENS
    report("Python", ratios[1:], step)
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "bindings"
        library = ROOT / "target/release"
        source = ROOT / "benches/bindings.c"
        link = ["-L", str(library), "-lmimo_vl", f"-Wl,-rpath,{library}"]
        subprocess.run(["cc", "-O2", "-I", str(ROOT / "include"), str(source), "-o", str(program), *link], check=True)
        command = [str(program), str(MODEL), str(IMAGE), str(pairs + 1), str(TOKENS), *map(str, eos_bias)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    times = [tuple(map(float, line.split())) for line in output.splitlines()][1:]
    report("C", [streamed / call for call, streamed in times], times[0][0] / TOKENS)


def report(language: str, ratios: list[float], step: float) -> None:
    cost = statistics.median(ratios) - 1
    details = f"median of {len(ratios)} pairs; {1e6 * step:.0f} µs per token"
    print(f"{language}: streaming adds {100 * cost:+.2f} % ({details})")


if __name__ == "__main__":
    main()
