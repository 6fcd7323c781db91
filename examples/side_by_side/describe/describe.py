"""Ask about a picture without thinking: `describe.py MODEL IMAGE QUESTION`."""

import sys

import mimo_vl


def run(model: str, image: str, question: str) -> None:
    picture = mimo_vl.Image.open(image)
    with mimo_vl.Model.load(model).session() as session:
        # The picture goes before the question.
        print(session.ask([picture, question], thinking=False).text)


def main() -> int:
    if len(sys.argv) != 4:
        print("usage: describe MODEL IMAGE QUESTION", file=sys.stderr)
        return 2
    try:
        run(*sys.argv[1:])
    except mimo_vl.MimoVlError as error:
        print(f"describe: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
