"""batch_pdf.py: a folder of PDF files and pictures becomes a file of results, whatever is wrong with some of them."""

import argparse
import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import batch_pdf
import mimo_vl
import pytest

from .conftest import CIRCLES, PICTURES, QUESTION, Program, album, lines, pdf, run, slow

ASKED = ["--question", QUESTION, "--no-think"]
COUNT = {
    "type": "object",
    "properties": {"circles": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["circles"],
    "additionalProperties": False,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures."""
    folder = tmp_path / "in"
    folder.mkdir()
    for path in PICTURES[:3]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def batch(folder: Path, out: Path, *options: str | Path) -> tuple[int, str]:
    return run("batch_pdf.py", folder, "--out", out, *options)


def ids(out: Path) -> list[str]:
    return [line["id"] for line in lines(out)]


def test_pages_and_pictures(folder: Path, out: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep/album.PDF").write_bytes(album(PICTURES))
    (folder / "notes.txt").write_text("no picture")
    status, said = batch(folder, out, *ASKED)
    assert status == 0, said
    names = [path.name for path in PICTURES[:3]]
    assert ids(out) == [*(f"deep/album.PDF#{page}" for page in range(1, 6)), *names]
    pages, pictures = lines(out)[:5], lines(out)[5:]
    assert [int(line["answer"]) for line in pages] == CIRCLES
    assert [int(line["answer"]) for line in pictures] == CIRCLES[:3]
    assert [line["page"] for line in pages] == [1, 2, 3, 4, 5] and pictures[0]["page"] is None
    assert pictures[0]["size"] == pages[0]["size"] == [194, 167]
    for line in lines(out):
        assert line["error"] is None and line["json"] is None
        assert line["stop"] == "end_of_text" and line["tokens"] >= 1 and line["seconds"] > 0
    summary = out.with_name("out.jsonl.md").read_text()
    assert "8 of 8 pages and pictures are done, 0 of them failed" in summary
    assert "| deep/album.PDF | 5 | 0 | 2 |" in summary


def test_what_fails_harms_no_other(folder: Path, out: Path) -> None:
    (folder / "a.png").write_bytes(b"no picture")
    (folder / "b.pdf").write_bytes(b"no PDF file")
    blank = ("/MediaBox[0 0 90 90]", b"")
    (folder / "c.pdf").write_bytes(pdf([blank, ("/MediaBox[0 0 0 0]", b""), blank]))
    status, said = batch(folder, out, *ASKED, "--together", "8")
    assert status == 1
    failed = {line["id"]: line["error"] for line in lines(out) if line["error"]}
    assert failed.keys() == {"a.png", "b.pdf", "c.pdf#2"}
    assert all(error.startswith("ImageError: ") for error in failed.values())
    done = {line["id"]: line["answer"] for line in lines(out) if not line["error"]}
    assert done.keys() == {"c.pdf#1", "c.pdf#3", *(path.name for path in PICTURES[:3])}
    assert [int(done[path.name]) for path in PICTURES[:3]] == CIRCLES[:3]
    assert "3 of them failed" in said
    assert f"- b.pdf: {failed['b.pdf']}" in out.with_name("out.jsonl.md").read_text()


def test_a_question_that_fails_in_a_batch(folder: Path, out: Path) -> None:
    # The third picture is the smallest: a question is made so long that it fits into the context with this one alone.
    model = mimo_vl.Model.load()
    with model.session() as session:
        needed = [session.plan([path, "How?"], thinking=False).prompt_tokens for path in PICTURES[:3]]
    assert needed[2] + 8 < min(needed[:2])
    question = "How?" + " a" * (model.max_context + 4 - min(needed[:2]))
    assert batch(folder, out, "--question", question, "--no-think", "--max-tokens", "2")[0] == 1
    errors = {line["id"]: line["error"] for line in lines(out)}
    assert errors.pop(PICTURES[2].name) is None
    assert len(errors) == 2 and all(error.startswith("ContextTooLongError: ") for error in errors.values())


def test_answers_are_those_that_each_has_alone(folder: Path, out: Path) -> None:
    assert batch(folder, out, "--question", QUESTION)[0] == 0
    model = mimo_vl.Model.load()
    for line in lines(out):
        with model.session() as session:
            alone = session.ask([folder / line["file"], QUESTION])
        assert (line["answer"], line["tokens"]) == (alone.text, alone.tokens)


@pytest.mark.parametrize("question", [[], ["--question", QUESTION]], ids=["alone", "with a question"])
def test_schema(folder: Path, out: Path, question: list[str]) -> None:
    schema = out.with_name("schema.json")
    schema.write_text(json.dumps(COUNT))
    assert batch(folder, out, "--schema", schema, "--no-think", *question)[0] == 0
    for line in lines(out):
        assert line["json"] == json.loads(line["answer"])
        assert line["json"].keys() == {"circles"} and line["json"]["circles"] in range(10)
    # Cut off, an answer is no JSON; and another schema is another run.
    cut = out.with_name("cut.jsonl")
    assert batch(folder, cut, *slow(out.parent))[0] == 0
    assert {(line["stop"], line["json"]) for line in lines(cut)} == {("max_tokens", None)}
    status, said = batch(folder, out, *slow(out.parent), *question)
    assert status == 1 and "give another --out" in said
    schema.write_text("{")
    assert batch(folder, out, "--schema", schema)[0] == 1


def test_a_schema_that_no_answer_can_follow_stops_the_run(folder: Path, out: Path) -> None:
    schema = out.with_name("schema.json")
    schema.write_text(json.dumps({"type": "nope"}))
    status, said = batch(folder, out, "--schema", schema)
    assert status == 1 and "grammar" in said and "Traceback" not in said
    assert lines(out) == []


def test_regions_in_pixels_and_points() -> None:
    def located(pixels: tuple[float, ...], points: tuple[float, ...] | None) -> mimo_vl.Coordinates:
        return mimo_vl.Coordinates(pixels, pixels, pixels, points, False)

    edges, in_points = (20.0, 30.0, 60.0, 80.0), (30.0, 60.0, 50.0, 85.0)
    box = mimo_vl.Region(0, 4, "total", None, located(edges, in_points), (), None)
    free = mimo_vl.Region(0, None, "total", None, located(edges, None), (), None)
    spots = mimo_vl.Region(0, 4, None, "7", None, (located((0.0, 0.0), (20.0, 100.0)),), None)
    found = {"label": "total", "text": None, "box": edges}
    assert batch_pdf.place(box) == {**found, "box_in_points": in_points}
    assert batch_pdf.place(free) == {**found, "box_in_points": None}
    assert batch_pdf.place(spots) == {
        "label": None,
        "text": "7",
        "spots": [(0.0, 0.0)],
        "spots_in_points": [(20.0, 100.0)],
    }


def test_first_pages_and_many_pages(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    # More pages than open_pdf takes when it is not told.
    (folder / "long.pdf").write_bytes(pdf([("/MediaBox[0 0 90 90]", b"")] * 70))
    options = argparse.Namespace(folder=folder, password=None, pages=None, run={})
    assert [*batch_pdf.find(options)] == [batch_pdf.Item("long.pdf", page) for page in range(1, 71)]
    assert batch(folder, out, *ASKED, "--pages", "2")[0] == 0
    assert ids(out) == ["long.pdf#1", "long.pdf#2"]
    # More of them go into the same file.
    assert batch(folder, out, *ASKED, "--pages", "4")[0] == 0
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
    assert batch(folder, out, *ASKED)[0] == 1
    assert "encrypted" in lines(out)[0]["error"]
    assert batch(folder, out, *ASKED, "--password", "secret")[0] == 0
    assert ids(out) == ["locked.pdf#1"]
    assert "secret" not in out.read_text() + out.with_name("out.jsonl.md").read_text()


def test_goes_on_where_it_stopped(folder: Path, out: Path) -> None:
    (folder / "a.png").write_bytes(b"no picture")
    assert batch(folder, out, *ASKED)[0] == 1
    first, second, third = [line for line in lines(out) if not line["error"]]
    # What is done stays as it is, which this answer shows.
    first["answer"] = "kept"
    whole = json.dumps(third) + "\n"
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        failure = [json.dumps(line) for line in lines(out) if line["error"]]
        out.write_text("\n".join([json.dumps(first), *failure, json.dumps(second), whole[:cut]]))
        status, said = batch(folder, out, *ASKED)
        assert status == 1, said
        assert sorted(ids(out)) == ["a.png", *(path.name for path in PICTURES[:3])]
        answers = {line["id"]: line["answer"] for line in lines(out)}
        assert answers.pop("a.png") is None
        assert answers == {first["id"]: "kept", second["id"]: second["answer"], third["id"]: third["answer"]}
    # And what failed is tried again.
    shutil.copy(PICTURES[3], folder / "a.png")
    assert batch(folder, out, *ASKED)[0] == 0
    assert sorted(ids(out)) == ["a.png", *(path.name for path in PICTURES[:3])]
    before = out.read_bytes()
    assert batch(folder, out, *ASKED)[0] == 0
    assert out.read_bytes() == before


def test_results_of_something_else_are_refused(folder: Path, out: Path, tmp_path: Path) -> None:
    assert batch(folder, out, *ASKED)[0] == 0
    before = out.read_bytes()
    model = tmp_path / "mimo-vl-tiny"
    shutil.copytree(mimo_vl.Model.load().path, model)
    assert batch(folder, out, *ASKED, "--model", model)[0] == 0, "the same model lies elsewhere"
    with (model / "config.json").open("a") as file:
        file.write(" ")
    other = shutil.copytree(folder, tmp_path / "other")
    runs: list[tuple[Path, list[str | Path], str]] = [
        (folder, ["--question", "What is it?", "--no-think"], "question"),
        (folder, ["--question", QUESTION], "no_think"),
        (folder, [*ASKED, "--max-tokens", "9"], "max_tokens"),
        (folder, [*ASKED, "--weights", "f32"], "weights"),
        (folder, [*ASKED, "--model", model], "model"),
        (other, [*ASKED], "folder"),
    ]
    for where, options, what in runs:
        status, said = batch(where, out, *options)
        assert status == 1 and f"has results of {what} " in said and "give another --out" in said
        assert out.read_bytes() == before
    for foreign in (b"text", b"text\n", b"{}\n", b"[]\n", b"{}", b'{"id": 1}\n', b"\xff\xfe\n"):
        out.write_bytes(foreign)
        status, said = batch(folder, out, *ASKED)
        assert status == 1 and "line 1: not a result of this program" in said
        assert out.read_bytes() == foreign


def test_ctrl_c_keeps_what_is_done(folder: Path, out: Path) -> None:
    for number in range(20):
        shutil.copy(PICTURES[0], folder / f"{number}.png")
    with Program("batch_pdf.py", folder, "--out", out, *slow(out.parent)) as program:
        program.until(lambda: out.exists() and out.read_text().endswith("\n"))
        assert program.end(by=signal.SIGINT) == 130
        said = program.said()
    assert "interrupted" in said and "Traceback" not in said
    kept = out.read_bytes()
    assert kept.endswith(b"\n") and 1 <= len(lines(out)) < 23
    assert f"{len(lines(out))} of 23 pages and pictures are done" in out.with_name("out.jsonl.md").read_text()
    # What is left is made small, so that it does not take long.
    for path in folder.iterdir():
        if path.name not in ids(out):
            path.unlink()
    shutil.copy(PICTURES[0], folder / "last.png")
    assert batch(folder, out, *slow(out.parent))[0] == 0
    assert out.read_bytes().startswith(kept) and ids(out)[-1] == "last.png"


@pytest.mark.parametrize("options", [[], [*ASKED, "--together", "0"], [*ASKED, "--pages", "0"]], ids=str)
def test_wrong_usage(folder: Path, out: Path, options: Sequence[str]) -> None:
    assert batch(folder, out, *options)[0] == 2
    assert not out.exists()


def test_names_that_are_no_text(folder: Path, out: Path) -> None:
    name = b"\xff \n|.png".decode(errors="surrogateescape")
    shutil.copy(PICTURES[0], folder / name)
    for _ in range(2):
        assert batch(folder, out, *ASKED)[0] == 0
        assert [line["answer"] for line in lines(out) if line["file"] == name] == ["2"]
