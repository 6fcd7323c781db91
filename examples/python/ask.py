"""Ask a question about a picture: `ask.py IMAGE QUESTION [--no-think]`. The program `mimo-vl ask` can do more."""

import sys
from pathlib import Path

import mimo_vl


def main() -> int:
    words = [word for word in sys.argv[1:] if word != "--no-think"]
    if len(words) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    picture, question = words
    try:
        model = mimo_vl.Model.load()  # mimo-vl-tiny, which comes with the package
        with model.session() as session:
            thinking = False if "--no-think" in sys.argv else None
            for event in session.stream([Path(picture), question], thinking=thinking):
                if isinstance(event, mimo_vl.Text):
                    print(event.text, end="", flush=True)
        print()
    except mimo_vl.MimoVlError as error:
        print(f"ask.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
