"""Answers with JSON that follows a schema: `structured.py MODEL IMAGE`."""

import sys

import mimo_vl

SCHEMA = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "colour": {"enum": ["red", "green", "blue"]},
    },
    "required": ["count", "colour"],
    "additionalProperties": False,
}


def run(model: str, image: str) -> None:
    opened = mimo_vl.Image.open(image)
    with mimo_vl.Model.load(model).session() as session:
        answer = session.ask([opened, "How many shapes are there?"], thinking=False, schema=SCHEMA)
    if not answer.complete:
        raise mimo_vl.AnswerError("the answer was cut off")
    print(answer.text)


def main() -> int:
    if len(sys.argv) != 3:
        print("usage: structured MODEL IMAGE", file=sys.stderr)
        return 2
    try:
        run(*sys.argv[1:])
    except mimo_vl.MimoVlError as error:
        print(f"structured: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
