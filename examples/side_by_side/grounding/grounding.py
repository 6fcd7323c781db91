"""Boxes around what is asked for, as lines and drawn over the picture: `grounding.py MODEL IMAGE QUESTION OUT.png`."""

import sys
from pathlib import Path

import mimo_vl


def run(model: str, image: str, question: str, out: str) -> None:
    picture = mimo_vl.Image.open(image)
    with mimo_vl.Model.load(model).session() as session:
        # The form closes what is open before the tokens are used up.
        answer = session.ask([picture, question], thinking=False, max_tokens=512, response_format="boxes")
    for region in answer.regions:
        if region.box:
            left, top, right, bottom = region.box.pixels
            print(f"{region.label or ''}: {left:.0f} {top:.0f} {right:.0f} {bottom:.0f}")
    Path(out).write_bytes(mimo_vl.draw(picture, answer.regions).to_png())


def main() -> int:
    if len(sys.argv) != 5:
        print("usage: grounding MODEL IMAGE QUESTION OUT.png", file=sys.stderr)
        return 2
    try:
        run(*sys.argv[1:])
    except (mimo_vl.MimoVlError, OSError) as error:
        print(f"grounding: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
