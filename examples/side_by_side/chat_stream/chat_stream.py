"""Answers several prompts about an image and streams each answer: `chat_stream.py MODEL IMAGE PROMPT...`."""

import sys

import mimo_vl


def run(model: str, image: str, *prompts: str) -> None:
    # Only the first prompt has the image; the session keeps it.
    images = [mimo_vl.Image.open(image)]
    with mimo_vl.Model.load(model).session() as session:
        for prompt in prompts:
            for event in session.stream([*images, prompt]):
                # Prints the answer without its thinking, on one line.
                if isinstance(event, mimo_vl.Text):
                    print(event.text.replace("\n", " "), end="", flush=True)
            print()
            images = []


def main() -> int:
    if len(sys.argv) < 4:
        print("usage: chat_stream MODEL IMAGE PROMPT...", file=sys.stderr)
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
