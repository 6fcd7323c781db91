"""What a binding costs for each token of a stream: the same answer as one call and as a stream, in pairs.

    python benches/bindings.py [PAIRS]

Both write the same tokens on the same session, of mimo-vl-tiny in eight bits; the one call crosses the border to Python once, the
stream at every token. Compiles benches/bindings.c against target/release for the same in C.
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import mimo_vl

ROOT = pathlib.Path(__file__).parents[1]
PICTURE = ROOT / "examples/images/shapes-1.png"
MODEL = ROOT / "examples/models/mimo-vl-tiny"
TOKENS = 400


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    model = mimo_vl.Model.load(MODEL, weights="int8")
    # Tokens that end an answer are forbidden, and nothing is guessed ahead, so that each token is a step.
    ends = {token: float("-inf") for token in model.eos_token_ids}
    options = {"max_tokens": TOKENS, "logit_bias": ends, "num_draft_tokens": 0, "thinking": False}
    ratios, step = [], 0.0
    for _ in range(pairs + 1):
        with model.session() as session:
            start = time.perf_counter()
            answer = session.ask([PICTURE, "What?"], **options)
            whole = time.perf_counter() - start
            session.reset()
            start = time.perf_counter()
            with session.stream([PICTURE, "What?"], **options) as stream:
                count = sum(1 for _ in stream)
            streamed = time.perf_counter() - start
        assert answer.tokens == TOKENS and count > TOKENS / 2
        ratios.append(streamed / whole)
        step = whole / TOKENS
    report("Python", ratios[1:], step)
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "bindings"
        library = ROOT / "target/release"
        source = ROOT / "benches/bindings.c"
        link = ["-L", str(library), "-lmimo_vl", f"-Wl,-rpath,{library}"]
        subprocess.run(["cc", "-O2", "-I", str(ROOT / "include"), str(source), "-o", str(program), *link], check=True)
        words = [str(program), str(MODEL), str(PICTURE), str(pairs + 1), str(TOKENS), *map(str, ends)]
        done = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    times = [tuple(map(float, line.split())) for line in done.splitlines()][1:]
    report("C", [streamed / whole for whole, streamed in times], times[0][0] / TOKENS)


def report(language: str, ratios: list[float], step: float) -> None:
    cost = statistics.median(ratios) - 1
    print(f"{language}: a stream takes {100 * cost:+.2f} % (median of {len(ratios)} pairs; a token {1e6 * step:.0f} µs)")


if __name__ == "__main__":
    main()
