"""Answers a prompt about a video file, sampled at two frames per second: `video.py MODEL VIDEO_FILE PROMPT`."""

import sys

import mimo_vl


def run(model: str, file: str, prompt: str) -> None:
    # A token covers 28 × 28 pixels of a pair of frames, so that each pair has at most 36 tokens.
    video = mimo_vl.Video.open(file, fps=2.0, max_pixels=36 * 784)
    print(*(f"{time:.2f}" for time in video.timestamps))
    with mimo_vl.Model.load(model).session() as session:
        print(session.ask([video, prompt], thinking=False).text)


def main() -> int:
    if len(sys.argv) != 4:
        print("usage: video MODEL VIDEO_FILE PROMPT", file=sys.stderr)
        return 2
    try:
        run(*sys.argv[1:])
    except mimo_vl.MimoVlError as error:
        print(f"video: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
