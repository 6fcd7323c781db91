"""Reads the text of each page of a PDF file: `ocr_pdf.py MODEL FILE.pdf`."""

import sys

import mimo_vl


def run(model: str, file: str) -> None:
    pages = mimo_vl.open_pdf(file)
    loaded = mimo_vl.Model.load(model)
    for page in pages:
        # A session of its own for each page.
        with loaded.session() as session:
            answer = session.ask([page.image, "What does the page say?"], thinking=False, max_tokens=24)
        print(f"page {page.number}: {answer.text}")


def main() -> int:
    if len(sys.argv) != 3:
        print("usage: ocr_pdf MODEL FILE.pdf", file=sys.stderr)
        return 2
    try:
        run(*sys.argv[1:])
    except mimo_vl.MimoVlError as error:
        print(f"ocr_pdf: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
