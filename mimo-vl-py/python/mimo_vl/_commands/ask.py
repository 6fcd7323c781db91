"""`mimo-vl ask`: streams the answer to a prompt.

Thinking is dimmed on a terminal and left out elsewhere, unless `--show-thinking` is set.
"""

import argparse
import sys
from pathlib import Path

import mimo_vl

from .loading import add_load_options

VIDEO_SUFFIXES = {".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".webm", ".wmv"}
MEDIA_SUFFIXES = VIDEO_SUFFIXES | {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".pdf"}
DIM, PLAIN = "\x1b[2m", "\x1b[0m"


def add_options(parser: argparse.ArgumentParser) -> None:
    add_load_options(parser)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="an image, a video or a PDF file")
    parser.add_argument("prompt", metavar="PROMPT")
    parser.add_argument("--no-think", action="store_true", help="answer without thinking")
    parser.add_argument(
        "--show-thinking", action="store_true", help="print the thinking even if the output is not a terminal"
    )
    parser.add_argument("--max-tokens", type=int, metavar="N", help="maximum tokens of the answer, thinking included")
    parser.add_argument(
        "--max-context", type=int, metavar="N", help="maximum tokens of the conversation with the answer"
    )
    parser.add_argument("--max-pixels", type=int, metavar="N", help="downscale each image or frame to at most N pixels")
    parser.add_argument("--fps", type=float, metavar="N", help="frames per second of a video (default: 2)")
    parser.add_argument("--max-frames", type=int, metavar="N", help="maximum frames of a video (default: 768)")
    parser.add_argument("--temperature", type=float, metavar="T", help="sampling temperature; 0 is greedy (default: 0)")
    parser.add_argument("--seed", type=int, metavar="S", help="seed of the sampler (default: 0)")
    parser.add_argument(
        "--draw", type=Path, metavar="FILE", help="write the last image with the answer's regions to FILE (PNG)"
    )
    parser.add_argument("--stats", action="store_true", help="print timings to the standard error")


def run(arguments: argparse.Namespace) -> int:
    if Path(arguments.prompt).suffix.lower() in MEDIA_SUFFIXES and " " not in arguments.prompt:
        raise mimo_vl.PromptError(f"there is no prompt: the last argument, {arguments.prompt!r}, is a file")
    ask(arguments)
    return 0


def load_media(arguments: argparse.Namespace) -> list[mimo_vl.Image | mimo_vl.Video]:
    """The images, videos and pages of the files, in order."""
    media: list[mimo_vl.Image | mimo_vl.Video] = []
    for path in arguments.files:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            video = mimo_vl.Video.open(
                path, fps=arguments.fps, max_frames=arguments.max_frames, max_pixels=arguments.max_pixels
            )
            media.append(video)
        elif path.suffix.lower() == ".pdf":
            media += [page.image for page in mimo_vl.open_pdf(path, max_pixels=arguments.max_pixels)]
        else:
            media.append(mimo_vl.Image.open(path, max_pixels=arguments.max_pixels))
    return media


def ask(arguments: argparse.Namespace) -> None:
    media = load_media(arguments)
    images = [item for item in media if isinstance(item, mimo_vl.Image)]
    if arguments.draw and not images:
        raise mimo_vl.OptionError("draw: there is no image to draw on")
    model = mimo_vl.Model.load(arguments.model, device=arguments.device, weights=arguments.weights)
    with model.session() as session:
        with session.stream(
            *media,
            arguments.prompt,
            thinking=False if arguments.no_think else None,
            max_tokens=arguments.max_tokens,
            max_context=arguments.max_context,
            temperature=arguments.temperature,
            seed=arguments.seed,
        ) as stream:
            print_events(stream, arguments.show_thinking)
            answer = stream.answer
    if answer is None:
        return
    if arguments.draw:
        last = max(index for index, item in enumerate(media) if isinstance(item, mimo_vl.Image))
        regions = [region for region in answer.regions if region.image == last]
        arguments.draw.write_bytes(mimo_vl.draw_regions(images[-1], regions).to_png())
    if arguments.stats:
        print_stats(model, answer)
    if answer.stop_reason is mimo_vl.StopReason.MAX_TOKENS:
        print(f"mimo-vl: the answer is cut off at {answer.tokens} tokens", file=sys.stderr)
    elif answer.stop_reason is mimo_vl.StopReason.CONTEXT_FULL:
        print("mimo-vl: the answer is cut off: the context is full", file=sys.stderr)


def print_events(stream: mimo_vl.Stream, show_thinking: bool) -> None:
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


def print_stats(model: mimo_vl.Model, answer: mimo_vl.Answer) -> None:
    timings = answer.timings
    lines = [
        f"device     {model.device}",
        f"load       {timings.load:8.3f} s",
        f"media      {timings.media:8.3f} s",
        f"preprocess {timings.preprocess:8.3f} s",
        f"encode     {timings.encode:8.3f} s",
        f"prefill    {timings.prefill:8.3f} s  {answer.prompt_tokens} tokens, {timings.cached_tokens} cached, "
        f"{timings.prefill_tokens_per_second:.1f} tokens/s",
        f"decode     {timings.decode:8.3f} s  {answer.tokens} tokens, {timings.decode_tokens_per_second:.1f} tokens/s",
    ]
    print("\n".join(lines), file=sys.stderr)
