"""batch_pdf.py: results of a folder of PDF files and images, with errors in some of them."""

import argparse
import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import batch_pdf
import mimo_vl
import pytest

from .conftest import CIRCLES, IMAGES, PROMPT, Program, album, lines, pdf, run, slow

OPTIONS = ["--prompt", PROMPT, "--no-think"]
COUNT = {
    "type": "object",
    "properties": {"circles": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["circles"],
    "additionalProperties": False,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three images."""
    folder = tmp_path / "in"
    folder.mkdir()
    for path in IMAGES[:3]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def batch(folder: Path, out: Path, *options: str | Path) -> tuple[int, str]:
    return run("batch_pdf.py", folder, "--output", out, *options)


def ids(out: Path) -> list[str]:
    return [line["id"] for line in lines(out)]


def test_pages_and_images(folder: Path, out: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep/album.PDF").write_bytes(album(IMAGES))
    (folder / "notes.txt").write_text("not an image")
    status, output = batch(folder, out, *OPTIONS)
    assert status == 0, output
    names = [path.name for path in IMAGES[:3]]
    assert ids(out) == [*(f"deep/album.PDF#{page}" for page in range(1, 6)), *names]
    pages, images = lines(out)[:5], lines(out)[5:]
    assert [int(line["answer"]) for line in pages] == CIRCLES
    assert [int(line["answer"]) for line in images] == CIRCLES[:3]
    assert [line["page"] for line in pages] == [1, 2, 3, 4, 5] and images[0]["page"] is None
    assert images[0]["size"] == pages[0]["size"] == [194, 167]
    for line in lines(out):
        assert line["error"] is None and line["json"] is None
        assert line["stop_reason"] == "end_of_text" and line["tokens"] >= 1 and line["seconds"] > 0
    summary = out.with_name("out.jsonl.md").read_text()
    assert "8 of 8 pages and images done, 0 failed" in summary
    assert "| deep/album.PDF | 5 | 0 | 2 |" in summary


def test_an_error_in_one_item_does_not_affect_the_others(folder: Path, out: Path) -> None:
    (folder / "a.png").write_bytes(b"not an image")
    (folder / "b.pdf").write_bytes(b"not a PDF file")
    blank = ("/MediaBox[0 0 90 90]", b"")
    (folder / "c.pdf").write_bytes(pdf([blank, ("/MediaBox[0 0 0 0]", b""), blank]))
    status, output = batch(folder, out, *OPTIONS, "--batch-size", "8")
    assert status == 1
    failed = {line["id"]: line["error"] for line in lines(out) if line["error"]}
    assert failed.keys() == {"a.png", "b.pdf", "c.pdf#2"}
    assert all(error.startswith("ImageError: ") for error in failed.values())
    done = {line["id"]: line["answer"] for line in lines(out) if not line["error"]}
    assert done.keys() == {"c.pdf#1", "c.pdf#3", *(path.name for path in IMAGES[:3])}
    assert [int(done[path.name]) for path in IMAGES[:3]] == CIRCLES[:3]
    assert "3 failed" in output
    assert f"- b.pdf: {failed['b.pdf']}" in out.with_name("out.jsonl.md").read_text()


def test_an_error_in_one_prompt_of_a_batch(folder: Path, out: Path) -> None:
    # The third image is the smallest: only with it, the prompt fits into the context.
    model = mimo_vl.Model.load()
    with model.session() as session:
        needed = [session.plan([path, "How?"], thinking=False).prompt_tokens for path in IMAGES[:3]]
    assert needed[2] + 8 < min(needed[:2])
    prompt = "How?" + " a" * (model.max_context + 4 - min(needed[:2]))
    assert batch(folder, out, "--prompt", prompt, "--no-think", "--max-tokens", "2")[0] == 1
    errors = {line["id"]: line["error"] for line in lines(out)}
    assert errors.pop(IMAGES[2].name) is None
    assert len(errors) == 2 and all(error.startswith("ContextTooLongError: ") for error in errors.values())


def test_answers_are_those_of_sessions(folder: Path, out: Path) -> None:
    assert batch(folder, out, "--prompt", PROMPT)[0] == 0
    model = mimo_vl.Model.load()
    for line in lines(out):
        with model.session() as session:
            answer = session.ask([folder / line["file"], PROMPT])
        assert (line["answer"], line["tokens"]) == (answer.text, answer.tokens)


@pytest.mark.parametrize("prompt", [[], ["--prompt", PROMPT]], ids=["alone", "with a prompt"])
def test_schema(folder: Path, out: Path, prompt: list[str]) -> None:
    schema = out.with_name("schema.json")
    schema.write_text(json.dumps(COUNT))
    assert batch(folder, out, "--schema", schema, "--no-think", *prompt)[0] == 0
    for line in lines(out):
        assert line["json"] == json.loads(line["answer"])
        assert line["json"].keys() == {"circles"} and line["json"]["circles"] in range(10)
    # An answer that was cut off has no JSON, and another schema is another run.
    cut = out.with_name("cut.jsonl")
    assert batch(folder, cut, *slow(out.parent))[0] == 0
    assert {(line["stop_reason"], line["json"]) for line in lines(cut)} == {("max_tokens", None)}
    status, output = batch(folder, out, *slow(out.parent), *prompt)
    assert status == 1 and "choose another --output" in output
    schema.write_text("{")
    assert batch(folder, out, "--schema", schema)[0] == 1


def test_an_invalid_schema_ends_the_run(folder: Path, out: Path) -> None:
    schema = out.with_name("schema.json")
    schema.write_text(json.dumps({"type": "nope"}))
    status, output = batch(folder, out, "--schema", schema)
    assert status == 1 and "grammar" in output and "Traceback" not in output
    assert lines(out) == []


def test_regions_in_pixels_and_pdf_points() -> None:
    def coordinates(pixels: tuple[float, ...], points: tuple[float, ...] | None) -> mimo_vl.Coordinates:
        return mimo_vl.Coordinates(pixels, pixels, pixels, points, False)

    edges, edges_pt = (20.0, 30.0, 60.0, 80.0), (30.0, 60.0, 50.0, 85.0)
    box = mimo_vl.Region(0, 4, "total", None, coordinates(edges, edges_pt), (), None)
    without_page = mimo_vl.Region(0, None, "total", None, coordinates(edges, None), (), None)
    points = mimo_vl.Region(0, 4, None, "7", None, (coordinates((0.0, 0.0), (20.0, 100.0)),), None)
    fields = {"label": "total", "text": None, "box": edges}
    assert batch_pdf.region_record(box) == {**fields, "box_pt": edges_pt}
    assert batch_pdf.region_record(without_page) == {**fields, "box_pt": None}
    assert batch_pdf.region_record(points) == {
        "label": None,
        "text": "7",
        "points": [(0.0, 0.0)],
        "points_pt": [(20.0, 100.0)],
    }


def test_max_pages_and_long_files(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    # More pages than the default limit of open_pdf.
    (folder / "long.pdf").write_bytes(pdf([("/MediaBox[0 0 90 90]", b"")] * 70))
    options = argparse.Namespace(folder=folder, password=None, max_pages=None, run={})
    assert [*batch_pdf.find_items(options)] == [batch_pdf.Item("long.pdf", page) for page in range(1, 71)]
    assert batch(folder, out, *OPTIONS, "--max-pages", "2")[0] == 0
    assert ids(out) == ["long.pdf#1", "long.pdf#2"]
    # Further pages are added to the same file.
    assert batch(folder, out, *OPTIONS, "--max-pages", "4")[0] == 0
    assert ids(out) == [f"long.pdf#{page}" for page in range(1, 5)]


def test_password(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    # Encrypted with 40-bit RC4 (version 1, revision 2) by the password "secret".
    content = bytes.fromhex("a641e88996601be477bb06046224f7aa53359c62394e2a269a")
    user = "0c176b04793652103e0dece85fb71f9c2beb3f3a82e5bdb187af770c1e3d0096"
    trailer = "/ID[(0123456789abcdef)(0123456789abcdef)]/Encrypt<</Filter/Standard/V 1/R 2/P -4"
    trailer += f"/O<{'4f' * 32}>/U<{user}>>>"
    (folder / "locked.pdf").write_bytes(pdf([("/MediaBox[0 0 200 100]", content)], trailer))
    assert batch(folder, out, *OPTIONS)[0] == 1
    assert "encrypted" in lines(out)[0]["error"]
    assert batch(folder, out, *OPTIONS, "--password", "secret")[0] == 0
    assert ids(out) == ["locked.pdf#1"]
    assert "secret" not in out.read_text() + out.with_name("out.jsonl.md").read_text()


def test_a_run_continues_where_it_stopped(folder: Path, out: Path) -> None:
    (folder / "a.png").write_bytes(b"not an image")
    assert batch(folder, out, *OPTIONS)[0] == 1
    first, second, third = [line for line in lines(out) if not line["error"]]
    # A changed answer shows that complete results are not repeated.
    first["answer"] = "unchanged"
    last_line = json.dumps(third) + "\n"
    for length in (0, 1, len(last_line) // 2, len(last_line) - 1):
        failure = [json.dumps(line) for line in lines(out) if line["error"]]
        out.write_text("\n".join([json.dumps(first), *failure, json.dumps(second), last_line[:length]]))
        status, output = batch(folder, out, *OPTIONS)
        assert status == 1, output
        assert sorted(ids(out)) == ["a.png", *(path.name for path in IMAGES[:3])]
        answers = {line["id"]: line["answer"] for line in lines(out)}
        assert answers.pop("a.png") is None
        assert answers == {first["id"]: "unchanged", second["id"]: second["answer"], third["id"]: third["answer"]}
    # Failures are retried.
    shutil.copy(IMAGES[3], folder / "a.png")
    assert batch(folder, out, *OPTIONS)[0] == 0
    assert sorted(ids(out)) == ["a.png", *(path.name for path in IMAGES[:3])]
    before = out.read_bytes()
    assert batch(folder, out, *OPTIONS)[0] == 0
    assert out.read_bytes() == before


def test_results_of_other_settings_are_errors(folder: Path, out: Path, tmp_path: Path) -> None:
    assert batch(folder, out, *OPTIONS)[0] == 0
    before = out.read_bytes()
    model = tmp_path / "mimo-vl-tiny"
    shutil.copytree(mimo_vl.Model.load().path, model)
    assert batch(folder, out, *OPTIONS, "--model", model)[0] == 0, "a copy of the model is the same model"
    with (model / "config.json").open("a") as file:
        file.write(" ")
    other = shutil.copytree(folder, tmp_path / "other")
    runs: list[tuple[Path, list[str | Path], str]] = [
        (folder, ["--prompt", "What is it?", "--no-think"], "prompt"),
        (folder, ["--prompt", PROMPT], "no_think"),
        (folder, [*OPTIONS, "--max-tokens", "9"], "max_tokens"),
        (folder, [*OPTIONS, "--weights", "f32"], "weights"),
        (folder, [*OPTIONS, "--model", model], "model"),
        (other, [*OPTIONS], "folder"),
    ]
    for path, options, setting in runs:
        status, output = batch(path, out, *options)
        assert status == 1 and f"has results of {setting} " in output and "choose another --output" in output
        assert out.read_bytes() == before
    for foreign in (b"text", b"text\n", b"{}\n", b"[]\n", b"{}", b'{"id": 1}\n', b"\xff\xfe\n"):
        out.write_bytes(foreign)
        status, output = batch(folder, out, *OPTIONS)
        assert status == 1 and "line 1: not a result of this program" in output
        assert out.read_bytes() == foreign


def test_ctrl_c_keeps_the_results_so_far(folder: Path, out: Path) -> None:
    for number in range(20):
        shutil.copy(IMAGES[0], folder / f"{number}.png")
    with Program("batch_pdf.py", folder, "--output", out, *slow(out.parent)) as program:
        program.wait_until(lambda: out.exists() and out.read_text().endswith("\n"))
        assert program.end(by=signal.SIGINT) == 130
        output = program.output()
    assert "interrupted" in output and "Traceback" not in output
    before = out.read_bytes()
    assert before.endswith(b"\n") and 1 <= len(lines(out)) < 23
    assert f"{len(lines(out))} of 23 pages and images done" in out.with_name("out.jsonl.md").read_text()
    # Remove the other items, so that the second run is short.
    for path in folder.iterdir():
        if path.name not in ids(out):
            path.unlink()
    shutil.copy(IMAGES[0], folder / "last.png")
    assert batch(folder, out, *slow(out.parent))[0] == 0
    assert out.read_bytes().startswith(before) and ids(out)[-1] == "last.png"


@pytest.mark.parametrize("options", [[], [*OPTIONS, "--batch-size", "0"], [*OPTIONS, "--max-pages", "0"]], ids=str)
def test_wrong_usage(folder: Path, out: Path, options: Sequence[str]) -> None:
    assert batch(folder, out, *options)[0] == 2
    assert not out.exists()


def test_file_names_that_are_not_utf_8(folder: Path, out: Path) -> None:
    name = b"\xff \n|.png".decode(errors="surrogateescape")
    shutil.copy(IMAGES[0], folder / name)
    for _ in range(2):
        assert batch(folder, out, *OPTIONS)[0] == 0
        assert [line["answer"] for line in lines(out) if line["file"] == name] == ["2"]
