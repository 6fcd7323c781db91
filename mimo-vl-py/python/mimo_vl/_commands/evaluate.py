"""`mimo-vl eval`: ask the questions of a JSONL file and score the answers, as docs/guide/evaluation.md describes.

Results go to QUESTIONS.results.jsonl, one line for each question; a second run goes on where the first was stopped. At
the end QUESTIONS.report.md has the scores. A question that fails is part of the results and stops nothing.
"""

import argparse
import hashlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mimo_vl
from mimo_vl import score

from .loading import loading

Row = dict[str, Any]
SETTINGS = {"max_tokens", "max_context", "temperature", "top_p", "seed", "max_frames", "video_tokens"}
KEYS = {"id", "image", "images", "video", "question", "answer", "kind", "choices"}


def options(parser: argparse.ArgumentParser) -> None:
    loading(parser)
    parser.add_argument("questions", type=Path, metavar="QUESTIONS.jsonl")
    parser.add_argument("--no-think", action="store_true", help="answer at once")
    parser.add_argument("--max-tokens", type=int, default=4096, metavar="N", help="most tokens of an answer")
    parser.add_argument("--max-context", type=int, metavar="N", help="most tokens of question and answer")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 for the likeliest token")
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P", help="leave out the least likely tokens")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of all answers")
    parser.add_argument("--max-frames", type=int, metavar="N", help="most frames of a video, 2 a second")
    parser.add_argument("--video-tokens", type=int, metavar="N", help="most tokens of a video, but 134 for two frames at least")


def run(arguments: argparse.Namespace) -> int:
    path: Path = arguments.questions
    items = read(path)
    model = mimo_vl.Model.load(
        arguments.model, device=arguments.device, weights=arguments.weights, max_context=arguments.max_context
    )
    thinking = "off" if arguments.no_think else "auto"
    settings = {key: value for key, value in vars(arguments).items() if key in SETTINGS}
    words = f"{model.path} {arguments.device} {arguments.weights} {thinking} {settings}"
    # Of the questions, too: results are known by the numbers of lines.
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    header = {"run": f"{words} {digest}"}
    results = path.with_suffix(".results.jsonl")
    done = {key: row for key, row in earlier(results, header).items() if key in items}
    with results.open("a", encoding="utf-8") as file:
        if results.stat().st_size == 0:
            print(json.dumps(header), file=file, flush=True)
        for key, item in items.items():
            if key not in done:
                done[key] = outcome(key, item, path.parent, model, arguments)
                print(json.dumps(done[key], ensure_ascii=False), file=file, flush=True)
            mean = sum(row["score"] for row in done.values()) / len(done)
            print(f"\r{len(done)} of {len(items)}, mean {100 * mean:.1f} %", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    text = report(path, str(model.path), thinking, items, done)
    path.with_suffix(".report.md").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


def read(path: Path) -> dict[str, Row]:
    items: dict[str, Row] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None
        if not isinstance(item, dict) or not {"question", "answer", "kind"} <= item.keys() <= KEYS:
            raise ValueError(f"{path}:{number}: an object with question, answer, kind and at most {sorted(KEYS)}")
        if item["kind"] not in SCORES:
            raise ValueError(f"{path}:{number}: the kind {item['kind']!r} is none of {', '.join(SCORES)}")
        key = str(item.get("id", number))
        if key in items:
            raise ValueError(f"{path}:{number}: the id {key!r} stands there twice")
        items[key] = item
    return items


def earlier(path: Path, header: Row) -> dict[str, Row]:
    """What an earlier run of the same kind found; a last line that was cut short counts as nothing."""
    if not path.exists():
        return {}
    whole, _, cut = path.read_bytes().rpartition(b"\n")
    if cut:
        path.write_bytes(whole + b"\n" if whole else b"")
    rows = [json.loads(line) for line in whole.splitlines()]
    if rows and rows[0] != header:
        raise ValueError(f"{path} has results of another model or with other options: move it away")
    return {row["id"]: row for row in rows[1:]}


def outcome(key: str, item: Row, folder: Path, model: mimo_vl.Model, arguments: argparse.Namespace) -> Row:
    start = time.monotonic()
    row: Row = {"id": key, "kind": item["kind"], "score": 0.0, "tokens": 0}
    try:
        pictures = [item["image"]] if "image" in item else []
        parts: list[Any] = [mimo_vl.Image.open(folder / name) for name in [*pictures, *item.get("images", [])]]
        if "video" in item:
            pixels = arguments.video_tokens and 28 * 28 * arguments.video_tokens
            video = mimo_vl.Video.open(folder / item["video"], max_frames=arguments.max_frames, total_pixels=pixels)
            parts.append(video)
        with model.session() as session:
            thinking = False if arguments.no_think else None
            answer = session.ask(
                [*parts, item["question"]],
                thinking=thinking,
                max_tokens=arguments.max_tokens,
                temperature=arguments.temperature,
                top_p=arguments.top_p,
                seed=arguments.seed,
            )
        row |= {"answer": answer.text, "tokens": answer.tokens, "score": float(SCORES[item["kind"]](answer, item))}
    except (mimo_vl.MimoVlError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, mimo_vl.OptionError) and "video" not in item:
            raise  # An option of the command line, which all other questions would meet, too.
        row["error"] = str(error)
    return row | {"seconds": round(time.monotonic() - start, 3)}


def texts(item: Row) -> list[str]:
    expected = item["answer"]
    return [str(text) for text in expected] if isinstance(expected, list) else [str(expected)]


def middle(region: mimo_vl.Region) -> tuple[float, ...]:
    if region.box is None:
        return region.points[0].pixels
    left, top, right, bottom = region.box.pixels
    return ((left + right) / 2, (top + bottom) / 2)


def found_box(answer: mimo_vl.Answer, item: Row) -> bool:
    box = next((region.box for region in answer.regions if region.box is not None), None)
    return box is not None and score.iou(box.pixels, tuple(item["answer"])) >= 0.5


def found_time(answer: mimo_vl.Answer, item: Row) -> float:
    span = score.time_span(answer.text)
    start, end = item["answer"]
    return 0.0 if span is None else score.time_iou(span, (start, end))


SCORES: dict[str, Callable[[mimo_vl.Answer, Row], float]] = {
    "exact": lambda answer, item: any(score.exact(answer.text, text) for text in texts(item)),
    "choice": lambda answer, item: score.choice(answer.text, item.get("choices", 4)) in texts(item),
    "anls": lambda answer, item: score.anls(answer.text, texts(item)),
    "relaxed": lambda answer, item: any(score.relaxed(answer.text, text) for text in texts(item)),
    "count": lambda answer, item: score.count(answer.text) == int(item["answer"]),
    "box": found_box,
    "point": lambda answer, item: any(
        score.contains(tuple(item["answer"]), middle(region)) for region in answer.regions[:1]
    ),
    "time": found_time,
}


def report(path: Path, model: str, thinking: str, items: dict[str, Row], done: dict[str, Row]) -> str:
    kinds: dict[str, list[Row]] = defaultdict(list)
    for key in items:
        kinds[done[key]["kind"]].append(done[key])
    lines = [
        f"# {path}\n",
        f"Model {model}, thinking {thinking}, {len(done)} of {len(items)} questions.\n",
        "| kind | questions | score | failed | tokens | seconds |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for kind, rows in sorted(kinds.items()):
        count = len(rows)
        mean = {key: sum(row[key] for row in rows) / count for key in ("score", "tokens", "seconds")}
        failed = sum("error" in row for row in rows)
        lines.append(
            f"| {kind} | {count} | {100 * mean['score']:.1f} % | {failed} | {mean['tokens']:.1f} "
            f"| {mean['seconds']:.2f} |"
        )
    return "\n".join(lines) + "\n"
