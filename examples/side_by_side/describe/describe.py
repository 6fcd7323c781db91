"""Answers a prompt about an image without thinking: `describe.py MODEL IMAGE PROMPT`."""

import sys

import mimo_vl


def run(model: str, image: str, prompt: str) -> None:
    opened = mimo_vl.Image.open(image)
    with mimo_vl.Model.load(model).session() as session:
        # The image comes before the text.
        print(session.ask([opened, prompt], thinking=False).text)


def main() -> int:
    if len(sys.argv) != 4:
        print("usage: describe MODEL IMAGE PROMPT", file=sys.stderr)
        return 2
    try:
        run(*sys.argv[1:])
    except mimo_vl.MimoVlError as error:
        print(f"describe: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
