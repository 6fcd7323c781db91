"""Prints the boxes of objects and draws them over the image: `grounding.py MODEL IMAGE PROMPT OUT.png`."""

import sys
from pathlib import Path

import mimo_vl


def run(model: str, image: str, prompt: str, out: str) -> None:
    opened = mimo_vl.Image.open(image)
    with mimo_vl.Model.load(model).session() as session:
        # The grammar completes the JSON before max_tokens is reached.
        answer = session.ask([opened, prompt], thinking=False, max_tokens=512, response_format="boxes")
    for region in answer.regions:
        if region.box:
            left, top, right, bottom = region.box.pixels
            print(f"{region.label or ''}: {left:.0f} {top:.0f} {right:.0f} {bottom:.0f}")
    Path(out).write_bytes(mimo_vl.draw_regions(opened, answer.regions).to_png())


def main() -> int:
    if len(sys.argv) != 5:
        print("usage: grounding MODEL IMAGE PROMPT OUT.png", file=sys.stderr)
        return 2
    try:
        run(*sys.argv[1:])
    except (mimo_vl.MimoVlError, OSError) as error:
        print(f"grounding: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
