"""Answer a prompt about an image: `ask.py IMAGE PROMPT [--no-think]`. `mimo-vl ask` has more options."""

import sys
from pathlib import Path

import mimo_vl


def main() -> int:
    words = [word for word in sys.argv[1:] if word != "--no-think"]
    if len(words) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    image, prompt = words
    try:
        model = mimo_vl.Model.load()  # mimo-vl-tiny of the package
        with model.session() as session:
            thinking = False if "--no-think" in sys.argv else None
            for event in session.stream([Path(image), prompt], thinking=thinking):
                if isinstance(event, mimo_vl.Text):
                    print(event.text, end="", flush=True)
        print()
    except mimo_vl.MimoVlError as error:
        print(f"ask.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
