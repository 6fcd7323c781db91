"""Apply one prompt to every PDF page and image in a folder: `batch_pdf.py FOLDER --prompt TEXT | --schema FILE`.

Every page of a PDF file and every image becomes a line of JSON; a summary in Markdown is written beside. A second run
continues where the first one stopped, and retries failures. An error in a page or file becomes a line with `error`, and
the exit status is 1 in the end, as for other errors. Wrong usage is status 2. Ctrl-C keeps the results so far and is
status 130.
"""

import argparse
import hashlib
import json
import sys
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import mimo_vl

INTERRUPTED = 130
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"}
FATAL = (mimo_vl.CheckpointError, mimo_vl.DeviceError, mimo_vl.OptionError, mimo_vl.TensorError)
"""Errors that every item would raise."""

Job: TypeAlias = argparse.Namespace
"""The arguments of the command line, with the attributes that `complete` adds."""
Record: TypeAlias = dict[str, Any]
"""The result of a page or an image: a line of the results."""
Outcome: TypeAlias = mimo_vl.Answer | mimo_vl.MimoVlError


class UsageError(Exception):
    """The program cannot run with these arguments and files; the message has the reason."""


class Item(NamedTuple):
    """An image, or a page of a PDF file: path relative to the folder, and page number from 1 on, 0 for an image."""

    file: str
    page: int = 0

    @property
    def id(self) -> str:
        return f"{self.file}#{self.page}" if self.page else self.file


def main() -> int:
    return run(parser("batch_pdf.py"), work)


def parser(program: str) -> argparse.ArgumentParser:
    description = "Apply one prompt to every PDF page and image in a folder."
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="PDF files and images, searched recursively")
    parser.add_argument("--prompt", metavar="TEXT", help="prompt for each page and image")
    parser.add_argument("--schema", type=Path, metavar="FILE", help="JSON schema of the answers")
    parser.add_argument("--output", type=Path, metavar="FILE", help="file of the results (default: FOLDER.jsonl)")
    parser.add_argument("--model", type=Path, metavar="PATH", help="checkpoint (default: mimo-vl-tiny of the package)")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, ndarray or cuda:0 (default: cpu)")
    parser.add_argument("--weights", default="native", metavar="FORMAT", help="native, f32, f16, bf16, int8 or int4")
    parser.add_argument("--max-pages", type=int, metavar="N", help="only the first N pages of each PDF file")
    parser.add_argument("--batch-size", type=int, default=4, metavar="N", help="items per batch (default: 4)")
    parser.add_argument("--password", metavar="TEXT", help="password of the PDF files")
    parser.add_argument("--no-think", action="store_true", help="answer without thinking")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="maximum tokens of an answer, thinking included")
    return parser


def complete(job: Job) -> None:
    """Resolve paths, read the schema, and collect the settings that results depend on as `run`."""
    job.model = job.model or Path(mimo_vl.__file__).with_name("models") / "mimo-vl-tiny"
    job.folder, job.model = job.folder.resolve(strict=True), job.model.resolve(strict=True)
    job.output = (job.output or Path(f"{job.folder.name}.jsonl")).resolve()
    try:
        job.schema_text = json.dumps(json.loads(job.schema.read_bytes())) if job.schema else None
    except ValueError as error:
        raise UsageError(f"{job.schema} is not JSON: {error}") from None
    job.prompt = job.prompt or f"Answer with JSON that follows this schema: {job.schema_text}"
    job.run = {name: getattr(job, name) for name in ("device", "weights", "prompt", "no_think", "max_tokens")}
    job.run |= {"folder": str(job.folder), "model": fingerprint(job.model), "schema": job.schema_text}


def fingerprint(model: Path) -> str:
    """The name of a checkpoint with a hash of the names, the sizes and the first MiB of its files."""
    digest = hashlib.sha256()
    for path in [model] if model.is_file() else sorted(path for path in model.iterdir() if path.is_file()):
        with path.open("rb") as file:
            digest.update(f"{path.name} {path.stat().st_size} ".encode() + file.read(1 << 20))
    return f"{model.name} {digest.hexdigest()[:16]}"


def load(job: Job, threads: int | None = None) -> mimo_vl.Model:
    return mimo_vl.Model.load(job.model, device=job.device, weights=job.weights, threads=threads)


def find_items(job: Job) -> Iterator[Item | Record]:
    """Yield the items of the folder, and the results of files that cannot be read."""
    for path in sorted(path for path in job.folder.rglob("*") if path.is_file()):
        item = Item(path.relative_to(job.folder).as_posix())
        if path.suffix.lower() in IMAGE_SUFFIXES:
            yield item
        elif path.suffix.lower() == ".pdf":
            try:
                pages = count_pages(path, job.password)
            except mimo_vl.MimoVlError as error:
                yield record(job, error, item)
            else:
                yield from (Item(item.file, page) for page in range(1, min(pages, job.max_pages or pages) + 1))


def count_pages(path: Path, password: str | None) -> int:
    def progress(_: int, pages: int) -> None:
        raise StopIteration(pages)  # Before a page is rendered: a damaged page fails later, as an item of its own.

    try:
        return len(mimo_vl.open_pdf(path, dpi=1, max_pages=sys.maxsize, password=password, progress=progress))
    except StopIteration as stopped:
        return int(stopped.value)


def work(job: Job, items: list[Item]) -> Iterator[Record]:
    model = load(job)
    for start in range(0, len(items), job.batch_size):
        yield from answer_items(model, job, items[start : start + job.batch_size])


def answer_items(model: mimo_vl.Model, job: Job, items: Iterable[Item]) -> Iterator[Record]:
    """Answer items in one batch. An error in one item does not affect the others."""
    opened = []
    for item in items:
        path = job.folder / item.file
        try:
            if item.page:
                [page] = mimo_vl.open_pdf(path, pages=(item.page, item.page), password=job.password)
                opened.append((item, page.image))
            else:
                opened.append((item, mimo_vl.Image.open(path)))
        except mimo_vl.MimoVlError as error:
            yield record(job, error, item)
    outcomes = answer_images(model, job, [image for _, image in opened])
    yield from (record(job, outcome, *parts) for outcome, parts in zip(outcomes, opened, strict=True))


def answer_images(model: mimo_vl.Model, job: Job, images: list[mimo_vl.Image]) -> list[Outcome]:
    thinking = False if job.no_think else None
    prompts = [[image, job.prompt] for image in images]
    options: dict[str, Any] = {"thinking": thinking, "max_tokens": job.max_tokens, "schema": job.schema_text}
    try:
        return [*model.batch(prompts, max_concurrent=job.batch_size, **options)]
    except FATAL:
        raise
    except mimo_vl.MimoVlError as error:
        # A batch does not report which of its prompts failed.
        if len(images) == 1:
            return [error]
        return [outcome for image in images for outcome in answer_images(model, job, [image])]


def record(job: Job, outcome: Outcome, item: Item, image: mimo_vl.Image | None = None) -> Record:
    fields: Record = {"id": item.id, "file": item.file, "page": item.page or None}
    fields |= dict.fromkeys(("size", "answer", "json", "regions", "stop_reason", "tokens", "seconds", "error"))
    if isinstance(outcome, mimo_vl.Answer):
        timings = outcome.timings
        fields |= {
            "answer": outcome.text,
            "json": json.loads(outcome.text) if outcome.complete and job.schema_text else None,
            "regions": [region_record(region) for region in outcome.regions],
            "stop_reason": outcome.stop_reason.value,
            "tokens": outcome.tokens,
            "seconds": round(timings.preprocess + timings.encode + timings.prefill + timings.decode, 3),
        }
    else:
        fields["error"] = f"{type(outcome).__name__}: {' '.join(str(outcome).split())}"
    return {**fields, "size": image and (image.width, image.height), "run": job.run}


def region_record(region: mimo_vl.Region) -> Record:
    """A box (left, top, right, bottom) or points (x, y): in pixels of the image, with `_pt` in PDF points."""
    fields: Record = {"label": region.label, "text": region.text}
    if region.box:
        return {**fields, "box": region.box.pixels, "box_pt": region.box.page}
    points = [point.pixels for point in region.points]
    return {**fields, "points": points, "points_pt": region.page and [point.page for point in region.points]}


def run(parser: argparse.ArgumentParser, work: Callable[[Job, list[Item]], Iterator[Record]]) -> int:
    """Answer all items that have no result; the exit status. `work` yields the results of items, in any order."""
    job = parser.parse_args()
    if not (job.prompt or job.schema) or min(job.batch_size, 1 if job.max_pages is None else job.max_pages) < 1:
        parser.error("--prompt or --schema is required, and --batch-size and --max-pages must be at least 1")
    try:
        complete(job)
        job.output.touch()
        results = {result["id"]: result for result in read_results(job.output, job) if not result["error"]}
        write_results(job.output, results.values())
        items = [*find_items(job)]
        todo = [item for item in items if isinstance(item, Item) and item.id not in results]
        failures = [failure for failure in items if not isinstance(failure, Item)]
        try:
            with job.output.open("a") as file:
                for result in chain(failures, work(job, todo) if todo else ()):
                    file.write(json.dumps(result) + "\n")
                    file.flush()
                    results[result["id"]] = result
                    show_progress(len(results), len(items))
        finally:
            failed = summarize(job, list(results.values()), len(items))
        return int(failed > 0 or any(item.id not in results for item in todo))
    except (mimo_vl.MimoVlError, OSError, UsageError) as error:
        print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; run it again to continue", file=sys.stderr)
        return INTERRUPTED


def read_results(path: Path, job: Job) -> Iterator[Record]:
    """Yield the results in a file. Ignores an incomplete last line; raises for results of other settings."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith("\n") and line[:6] == '{"id":'[: len(line)]:
                return
            try:
                result = json.loads(line)
                settings, _, _ = result["run"], result["id"], result["error"]
            except (ValueError, KeyError, TypeError):
                message = f"{path}, line {number}: not a result of this program; choose another --output"
                raise UsageError(message) from None
            for name, value in job.run.items():
                if settings.get(name) != value:
                    other = f"{path} has results of {name} {settings.get(name)!r}, not {value!r}"
                    raise UsageError(f"{other}; choose another --output")
            yield result


def write_results(path: Path, results: Iterable[Record]) -> None:
    """Write a file of results atomically."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    temporary.write_text("".join(json.dumps(result) + "\n" for result in results))
    temporary.replace(path)


def show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        bar = "#" * min(40, 40 * done // total)
        print(f"\r[{bar:40}] {done} of {total}", end="\n" if done >= total else "", file=sys.stderr, flush=True)


def summarize(job: Job, results: list[Record], count: int) -> int:
    """Write the summary, and its main line to the standard error; the number of failures."""
    files, failures = defaultdict(list), [result for result in results if result["error"]]
    for result in sorted(results, key=lambda result: (result["file"], result["page"] or 0)):
        files[result["file"]].append(result)
    tokens, seconds = (sum(result[key] or 0 for result in results) for key in ("tokens", "seconds"))
    total = f"{len(results)} of {count} pages and images done, {len(failures)} failed"
    text = [f"# {cell(job.folder.name)}", "", f"{total}: {tokens} tokens, {seconds:.0f} seconds.", ""]
    text += [f"- {name}: {cell(value)}" for name, value in job.run.items() if value is not None]
    text += ["", "| file | done | failed | first answer |", "|---|---|---|---|"]
    for name, pages in files.items():
        failed = sum(page["error"] is not None for page in pages)
        text.append(f"| {cell(name)} | {len(pages) - failed} | {failed} | {cell(pages[0]['answer'])} |")
    text += ["", *(f"- {cell(failure['id'])}: {cell(failure['error'])}" for failure in failures)]
    job.output.with_name(f"{job.output.name}.md").write_text("\n".join(text) + "\n", encoding="utf-8", errors="replace")
    print(f"{total}: {job.output}", file=sys.stderr)
    return len(failures)


def cell(value: object) -> str:
    """A value on one line of at most 100 characters, escaped for a table."""
    text = " ".join(str(value or "").split()).replace("|", "\\|")
    return text if len(text) <= 100 else f"{text[:99]}…"


if __name__ == "__main__":
    sys.exit(main())
