"""Several questions about a picture, each answer written while it comes: `chat_stream.py MODEL IMAGE QUESTION...`."""

import sys

import mimo_vl


def run(model: str, image: str, *questions: str) -> None:
    # Only the first question shows the picture; the session knows it from then on.
    shown = [mimo_vl.Image.open(image)]
    with mimo_vl.Model.load(model).session() as session:
        for question in questions:
            for event in session.stream([*shown, question]):
                # Thinking is left out, and an answer stays on its line.
                if isinstance(event, mimo_vl.Text):
                    print(event.text.replace("\n", " "), end="", flush=True)
            print()
            shown = []


def main() -> int:
    if len(sys.argv) < 4:
        print("usage: chat_stream MODEL IMAGE QUESTION...", file=sys.stderr)
        return 2
    try:
        run(*sys.argv[1:])
    except mimo_vl.MimoVlError as error:
        print(f"chat_stream: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        print("chat_stream: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
