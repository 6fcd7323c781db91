"""Put one question to every page and picture in a folder: `batch_pdf.py FOLDER --question TEXT | --schema FILE`.

Every page of a PDF file and every picture becomes a line of JSON; a summary in Markdown lies beside the file of lines.
A second run goes on where the first stopped, and tries again what failed. What is wrong with a page or a file becomes a
line, too, and status 1 in the end, as other errors do. Wrong usage is status 2. Ctrl-C keeps what is done: status 130.
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
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"}
FATAL = (mimo_vl.CheckpointError, mimo_vl.DeviceError, mimo_vl.OptionError, mimo_vl.TensorError)
"""Errors of a question that all others would meet, too."""

Job: TypeAlias = argparse.Namespace
"""The command line, and what `complete` adds to it."""
Record: TypeAlias = dict[str, Any]
"""What became of a page or a picture: a line of the results."""
Outcome: TypeAlias = mimo_vl.Answer | mimo_vl.MimoVlError


class Refused(Exception):
    """The program cannot do what is asked for; the message says why."""


class Item(NamedTuple):
    """A picture, or a page of a PDF file: its path in the folder, and its number from 1 on, 0 for a picture."""

    file: str
    page: int = 0

    @property
    def id(self) -> str:
        return f"{self.file}#{self.page}" if self.page else self.file


def main() -> int:
    return carry_out(parser("batch_pdf.py"), work)


def parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description="Put one question to every page in a folder.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="PDF files and pictures, in folders of it too")
    parser.add_argument("--question", metavar="TEXT", help="what is asked about each of them")
    parser.add_argument("--schema", type=Path, metavar="FILE", help="a JSON schema that each answer follows")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where results are written (default: FOLDER.jsonl)")
    parser.add_argument("--model", type=Path, metavar="DIR", help="a checkpoint (default: the package's mimo-vl-tiny)")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, ndarray or cuda:0 (default: cpu)")
    parser.add_argument("--weights", default="native", metavar="KIND", help="native, f32, f16, bf16, int8 or int4")
    parser.add_argument("--pages", type=int, metavar="N", help="only the first N pages of each PDF file")
    parser.add_argument("--together", type=int, default=4, metavar="N", help="answer N at a time (default: 4)")
    parser.add_argument("--password", metavar="TEXT", help="what opens the PDF files")
    parser.add_argument("--no-think", action="store_true", help="answer at once")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of an answer, with thinking")
    return parser


def complete(job: Job) -> None:
    """Add to the command line what follows from it: paths, the schema's text, and all that the results depend on."""
    job.model = job.model or Path(mimo_vl.__file__).with_name("models") / "mimo-vl-tiny"
    job.folder, job.model = job.folder.resolve(strict=True), job.model.resolve(strict=True)
    job.out = (job.out or Path(f"{job.folder.name}.jsonl")).resolve()
    try:
        job.response_format = json.dumps(json.loads(job.schema.read_bytes())) if job.schema else None
    except ValueError as error:
        raise Refused(f"{job.schema} is not JSON: {error}") from None
    job.question = job.question or f"Answer with JSON that follows this schema: {job.form}"
    job.run = {name: getattr(job, name) for name in ("device", "weights", "question", "no_think", "max_tokens")}
    job.run |= {"folder": str(job.folder), "model": fingerprint(job.model), "schema": job.form}


def fingerprint(model: Path) -> str:
    """The name of a checkpoint with a hash of the names, the sizes and the first MiB of its files."""
    digest = hashlib.sha256()
    for path in [model] if model.is_file() else sorted(path for path in model.iterdir() if path.is_file()):
        with path.open("rb") as file:
            digest.update(f"{path.name} {path.stat().st_size} ".encode() + file.read(1 << 20))
    return f"{model.name} {digest.hexdigest()[:16]}"


def load(job: Job, threads: int | None = None) -> mimo_vl.Model:
    return mimo_vl.Model.load(job.model, device=job.device, weights=job.weights, threads=threads)


def find(job: Job) -> Iterator[Item | Record]:
    """The items of the folder, and the results of files that cannot be read."""
    for path in sorted(path for path in job.folder.rglob("*") if path.is_file()):
        item = Item(path.relative_to(job.folder).as_posix())
        if path.suffix.lower() in PICTURES:
            yield item
        elif path.suffix.lower() == ".pdf":
            try:
                pages = count_pages(path, job.password)
            except mimo_vl.MimoVlError as error:
                yield record(job, error, item)
            else:
                yield from (Item(item.file, page) for page in range(1, min(pages, job.pages or pages) + 1))


def count_pages(path: Path, password: str | None) -> int:
    def tell(_: int, pages: int) -> None:
        raise StopIteration(pages)  # Before the first page is drawn: one that is damaged fails when its turn comes.

    try:
        return len(mimo_vl.open_pdf(path, dpi=1, max_pages=sys.maxsize, password=password, progress=tell))
    except StopIteration as told:
        return int(told.value)


def work(job: Job, items: list[Item]) -> Iterator[Record]:
    model = load(job)
    for start in range(0, len(items), job.together):
        yield from answers(model, job, items[start : start + job.together])


def answers(model: mimo_vl.Model, job: Job, items: Iterable[Item]) -> Iterator[Record]:
    """Ask about all items together. What fails with one harms no other."""
    opened = []
    for item in items:
        path = job.folder / item.file
        try:
            if item.page:
                [page] = mimo_vl.open_pdf(path, first=item.page, last=item.page, password=job.password)
                opened.append((item, page.image))
            else:
                opened.append((item, mimo_vl.Image.open(path)))
        except mimo_vl.MimoVlError as error:
            yield record(job, error, item)
    outcomes = ask(model, job, [image for _, image in opened])
    yield from (record(job, outcome, *parts) for outcome, parts in zip(outcomes, opened, strict=True))


def ask(model: mimo_vl.Model, job: Job, images: list[mimo_vl.Image]) -> list[Outcome]:
    thinking = False if job.no_think else None
    prompts = [[image, job.question] for image in images]
    try:
        return [*model.batch(prompts, most=job.together, thinking=thinking, max_tokens=job.max_tokens, schema=job.form)]
    except FATAL:
        raise
    except mimo_vl.MimoVlError as error:
        # A batch does not tell which of its questions failed.
        return [error] if len(images) == 1 else [outcome for image in images for outcome in ask(model, job, [image])]


def record(job: Job, outcome: Outcome, item: Item, image: mimo_vl.Image | None = None) -> Record:
    found: Record = {"id": item.id, "file": item.file, "page": item.page or None}
    found |= dict.fromkeys(("size", "answer", "json", "regions", "stop", "tokens", "seconds", "error"))
    if isinstance(outcome, mimo_vl.Answer):
        timings = outcome.timings
        found |= {
            "answer": outcome.text,
            "json": json.loads(outcome.text) if outcome.complete and job.form else None,
            "regions": [place(region) for region in outcome.regions],
            "stop": outcome.stop_reason.value,
            "tokens": outcome.tokens,
            "seconds": round(timings.preprocess + timings.encode + timings.prefill + timings.decode, 3),
        }
    else:
        found["error"] = f"{type(outcome).__name__}: {' '.join(str(outcome).split())}"
    return {**found, "size": image and (image.width, image.height), "run": job.run}


def place(region: mimo_vl.Region) -> Record:
    """A box (left, top, right, bottom) or spots (x, y), in pixels of the picture and in points of the page."""
    found: Record = {"label": region.label, "text": region.text}
    if region.box:
        return {**found, "box": region.box.pixels, "box_in_points": region.box.page}
    spots = [point.pixels for point in region.points]
    return {**found, "spots": spots, "spots_in_points": region.page and [point.page for point in region.points]}


def carry_out(parser: argparse.ArgumentParser, work: Callable[[Job, list[Item]], Iterator[Record]]) -> int:
    """Do what is not done yet. `work` gives the results of items, in any order."""
    job = parser.parse_args()
    if not (job.question or job.schema) or min(job.together, 1 if job.pages is None else job.pages) < 1:
        parser.error("a --question or a --schema is needed, and --together and --pages are 1 or more")
    try:
        complete(job)
        job.out.touch()
        results = {found["id"]: found for found in read(job.out, job) if not found["error"]}
        write(job.out, results.values())
        found = [*find(job)]
        todo = [item for item in found if isinstance(item, Item) and item.id not in results]
        failures = [failure for failure in found if not isinstance(failure, Item)]
        try:
            with job.out.open("a") as file:
                for result in chain(failures, work(job, todo) if todo else ()):
                    file.write(json.dumps(result) + "\n")
                    file.flush()
                    results[result["id"]] = result
                    show(len(results), len(found))
        finally:
            failed = summarize(job, list(results.values()), len(found))
        return int(failed > 0 or any(item.id not in results for item in todo))
    except (mimo_vl.MimoVlError, OSError, Refused) as error:
        print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; run it again to go on", file=sys.stderr)
        return INTERRUPTED


def read(path: Path, job: Job) -> Iterator[Record]:
    """The results in a file. A last line that was cut off counts as nothing; those of other options are refused."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith("\n") and line[:6] == '{"id":'[: len(line)]:
                return
            try:
                found = json.loads(line)
                run, _, _ = found["run"], found["id"], found["error"]
            except (ValueError, KeyError, TypeError):
                raise Refused(f"{path}, line {number}: not a result of this program; give another --out") from None
            for name, value in job.run.items():
                if run.get(name) != value:
                    raise Refused(f"{path} has results of {name} {run.get(name)!r}, not {value!r}; give another --out")
            yield found


def write(path: Path, results: Iterable[Record]) -> None:
    """Write a file of results. Whoever opens it finds the old one or the whole new one."""
    new = path.with_name(f"{path.name}.{uuid.uuid4().hex}.new")
    new.write_text("".join(json.dumps(result) + "\n" for result in results))
    new.replace(path)


def show(done: int, of: int) -> None:
    if sys.stderr.isatty():
        bar = "#" * min(40, 40 * done // of)
        print(f"\r[{bar:40}] {done} of {of}", end="\n" if done >= of else "", file=sys.stderr, flush=True)


def summarize(job: Job, results: list[Record], count: int) -> int:
    """Write the summary, and its main line to the standard error. Gives the number of failures."""
    files, failures = defaultdict(list), [result for result in results if result["error"]]
    for result in sorted(results, key=lambda result: (result["file"], result["page"] or 0)):
        files[result["file"]].append(result)
    tokens, seconds = (sum(result[key] or 0 for result in results) for key in ("tokens", "seconds"))
    total = f"{len(results)} of {count} pages and pictures are done, {len(failures)} of them failed"
    text = [f"# {cell(job.folder.name)}", "", f"{total}: {tokens} tokens, {seconds:.0f} seconds.", ""]
    text += [f"- {name}: {cell(value)}" for name, value in job.run.items() if value is not None]
    text += ["", "| file | done | failed | first answer |", "|---|---|---|---|"]
    for name, of in files.items():
        failed = sum(result["error"] is not None for result in of)
        text.append(f"| {cell(name)} | {len(of) - failed} | {failed} | {cell(of[0]['answer'])} |")
    text += ["", *(f"- {cell(failure['id'])}: {cell(failure['error'])}" for failure in failures)]
    job.out.with_name(f"{job.out.name}.md").write_text("\n".join(text) + "\n", encoding="utf-8", errors="replace")
    print(f"{total}: {job.out}", file=sys.stderr)
    return len(failures)


def cell(value: object) -> str:
    text = " ".join(str(value or "").split()).replace("|", "\\|")
    return text if len(text) <= 100 else f"{text[:99]}…"


if __name__ == "__main__":
    sys.exit(main())
