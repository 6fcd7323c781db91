"""Ask a question about pictures: `ask.py IMAGE... QUESTION`.

The answer is written while it comes. Thinking is dimmed on a terminal, and left out when the output goes elsewhere,
unless it is asked for. Errors are one line on stderr and exit status 1, wrong usage is status 2, Ctrl-C is status 130.
"""

import argparse
import os
import sys

import mimo_vl

INTERRUPTED = 130
DIM, PLAIN = "\x1b[2m", "\x1b[0m"


def main() -> int:
    arguments = parser().parse_intermixed_args()
    try:
        ask(arguments)
    except mimo_vl.MimoVlError as error:
        return complain(" ".join(str(error).split()), 1)
    except KeyboardInterrupt:
        return complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Nobody reads the output any more; keep Python from trying once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ask.py", description="Ask a question about pictures.")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="a png, jpeg, gif, webp, bmp or tiff file")
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument("--model", metavar="DIR", help="checkpoint directory (default: the package's mimo-vl-tiny)")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, ndarray or cuda:0 (default: cpu)")
    parser.add_argument("--no-think", action="store_true", help="answer at once")
    parser.add_argument("--show-thinking", action="store_true", help="write the thinking whatever the output is")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of the answer, thinking included")
    parser.add_argument("--max-pixels", type=int, metavar="N", help="shrink each picture to at most N pixels")
    parser.add_argument("--temperature", type=float, metavar="T", help="0 always takes the most likely token (default)")
    parser.add_argument("--seed", type=int, metavar="S", help="start of the random numbers")
    parser.add_argument("--stats", action="store_true", help="write timings to the standard error")
    return parser


def ask(arguments: argparse.Namespace) -> None:
    images = [mimo_vl.Image.open(path, max_pixels=arguments.max_pixels) for path in arguments.images]
    model = mimo_vl.Model.load(arguments.model, device=arguments.device)
    with model.session() as session:
        with session.stream(
            [*images, arguments.question],
            thinking=False if arguments.no_think else None,
            max_tokens=arguments.max_tokens,
            temperature=arguments.temperature,
            seed=arguments.seed,
        ) as stream:
            write(stream, arguments.show_thinking)
            answer = stream.answer
    if answer is None:
        return
    if arguments.stats:
        write_stats(model, answer)
    if answer.stop_reason is mimo_vl.StopReason.MAX_TOKENS:
        complain(f"the answer is cut off at {answer.tokens} tokens", 0)
    elif answer.stop_reason is mimo_vl.StopReason.CONTEXT_FULL:
        complain("the answer is cut off: the context is full", 0)


def write(stream: mimo_vl.Stream, show_thinking: bool) -> None:
    terminal = sys.stdout.isatty()
    dim, plain = (DIM, PLAIN) if terminal else ("", "")
    gap = ""
    try:
        for event in stream:
            match event:
                case mimo_vl.Thinking(text) if terminal or show_thinking:
                    print(f"{dim}{text}{plain}", end="", flush=True)
                    gap = "\n\n"
                case mimo_vl.Text(text):
                    print(f"{gap}{text}", end="", flush=True)
                    gap = ""
    finally:
        print(flush=True)


def write_stats(model: mimo_vl.Model, answer: mimo_vl.Answer) -> None:
    timings = answer.timings
    lines = [
        f"device     {model.device}",
        f"load       {timings.load:8.3f} s",
        f"preprocess {timings.preprocess:8.3f} s",
        f"encode     {timings.encode:8.3f} s",
        f"prefill    {timings.prefill:8.3f} s  {answer.prompt_tokens} tokens, {timings.cached_tokens} of them cached, "
        f"{timings.prefill_tokens_per_second:.1f} tokens/s",
        f"decode     {timings.decode:8.3f} s  {answer.tokens} tokens, {timings.decode_tokens_per_second:.1f} tokens/s",
    ]
    print("\n".join(lines), file=sys.stderr)


def complain(text: str, status: int) -> int:
    print(f"ask.py: {text}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
