"""`mimo-vl eval`: answers the questions of a JSONL file and scores the answers; see docs/guide/evaluation.md.

The first line of QUESTIONS.results.jsonl holds the settings of the run, each further line one result; a second run
continues where the first one stopped. QUESTIONS.report.md has the scores. A question that fails becomes a result with
its error, and the run continues.
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

from .loading import add_load_options

Row = dict[str, Any]
SETTINGS = {"max_tokens", "max_context", "temperature", "top_p", "seed", "max_frames", "video_tokens"}
KEYS = {"id", "image", "images", "video", "question", "answer", "kind", "choices"}


def add_options(parser: argparse.ArgumentParser) -> None:
    add_load_options(parser)
    parser.add_argument("questions", type=Path, metavar="QUESTIONS.jsonl")
    parser.add_argument("--no-think", action="store_true", help="answer without thinking")
    parser.add_argument("--max-tokens", type=int, default=4096, metavar="N", help="maximum tokens of an answer")
    parser.add_argument("--max-context", type=int, metavar="N", help="maximum tokens of prompt and answer")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="sampling temperature; 0 is greedy")
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P", help="nucleus sampling; 1 is off")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the sampler")
    parser.add_argument("--max-frames", type=int, metavar="N", help="maximum frames of a video, at 2 per second")
    parser.add_argument(
        "--video-tokens", type=int, metavar="N", help="maximum tokens of a video; two frames take at least 134"
    )


def run(arguments: argparse.Namespace) -> int:
    path: Path = arguments.questions
    items = read_questions(path)
    model = mimo_vl.Model.load(
        arguments.model, device=arguments.device, weights=arguments.weights, max_context=arguments.max_context
    )
    thinking = "off" if arguments.no_think else "auto"
    settings = {key: value for key, value in vars(arguments).items() if key in SETTINGS}
    setting_text = f"{model.path} {arguments.device} {arguments.weights} {thinking} {settings}"
    # The questions are part of the settings, because line numbers identify the results.
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    header = {"run": f"{setting_text} {digest}"}
    results = path.with_suffix(".results.jsonl")
    done = {key: row for key, row in read_results(results, header).items() if key in items}
    with results.open("a", encoding="utf-8") as file:
        if results.stat().st_size == 0:
            print(json.dumps(header), file=file, flush=True)
        for key, item in items.items():
            if key not in done:
                done[key] = answer_question(key, item, path.parent, model, arguments)
                print(json.dumps(done[key], ensure_ascii=False), file=file, flush=True)
            mean = sum(row["score"] for row in done.values()) / len(done)
            print(f"\r{len(done)} of {len(items)}, mean {100 * mean:.1f} %", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    text = format_report(path, str(model.path), thinking, items, done)
    path.with_suffix(".report.md").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


def read_questions(path: Path) -> dict[str, Row]:
    items: dict[str, Row] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None
        if not isinstance(item, dict) or not {"question", "answer", "kind"} <= item.keys() <= KEYS:
            keys = f"question, answer, kind and at most {sorted(KEYS)}"
            raise ValueError(f"{path}:{number}: expected an object with {keys}")
        if item["kind"] not in SCORES:
            raise ValueError(f"{path}:{number}: the kind {item['kind']!r} is none of {', '.join(SCORES)}")
        key = str(item.get("id", number))
        if key in items:
            raise ValueError(f"{path}:{number}: duplicate id {key!r}")
        items[key] = item
    return items


def read_results(path: Path, header: Row) -> dict[str, Row]:
    """Reads the results of an earlier run with the same settings; removes a last line that was cut off."""
    if not path.exists():
        return {}
    complete, _, rest = path.read_bytes().rpartition(b"\n")
    if rest:
        path.write_bytes(complete + b"\n" if complete else b"")
    rows = [json.loads(line) for line in complete.splitlines()]
    if rows and rows[0] != header:
        raise ValueError(f"{path} has results of another model or with other options: move it away")
    return {row["id"]: row for row in rows[1:]}


def answer_question(key: str, item: Row, folder: Path, model: mimo_vl.Model, arguments: argparse.Namespace) -> Row:
    start = time.monotonic()
    row: Row = {"id": key, "kind": item["kind"], "score": 0.0, "tokens": 0}
    try:
        images = [item["image"]] if "image" in item else []
        parts: list[Any] = [mimo_vl.Image.open(folder / name) for name in [*images, *item.get("images", [])]]
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
            raise  # An invalid option of the command line would fail every question.
        row["error"] = str(error)
    return row | {"seconds": round(time.monotonic() - start, 3)}


def expected_texts(item: Row) -> list[str]:
    expected = item["answer"]
    return [str(text) for text in expected] if isinstance(expected, list) else [str(expected)]


def center(region: mimo_vl.Region) -> tuple[float, ...]:
    if region.box is None:
        return region.points[0].pixels
    left, top, right, bottom = region.box.pixels
    return ((left + right) / 2, (top + bottom) / 2)


def score_box(answer: mimo_vl.Answer, item: Row) -> bool:
    box = next((region.box for region in answer.regions if region.box is not None), None)
    return box is not None and score.iou(box.pixels, item["answer"]) >= 0.5


def score_time(answer: mimo_vl.Answer, item: Row) -> float:
    span = score.time_span(answer.text)
    start, end = item["answer"]
    return 0.0 if span is None else score.time_iou(span, (start, end))


SCORES: dict[str, Callable[[mimo_vl.Answer, Row], float]] = {
    "exact": lambda answer, item: any(score.exact(answer.text, text) for text in expected_texts(item)),
    "choice": lambda answer, item: score.choice(answer.text, item.get("choices", 4)) in expected_texts(item),
    "anls": lambda answer, item: score.anls(answer.text, expected_texts(item)),
    "relaxed": lambda answer, item: any(score.relaxed(answer.text, text) for text in expected_texts(item)),
    "count": lambda answer, item: score.count(answer.text) == int(item["answer"]),
    "box": score_box,
    "point": lambda answer, item: any(
        score.contains(item["answer"], center(region)) for region in answer.regions[:1]
    ),
    "time": score_time,
}


def format_report(path: Path, model: str, thinking: str, items: dict[str, Row], done: dict[str, Row]) -> str:
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
