"""The model in the package, and `mimo-vl ask`."""

import pathlib
import subprocess
import sys

import pytest
from PIL import Image as Pil
from PIL import ImageDraw

import mimo_vl
from conftest import ROOT

PROMPT = "How many circles are there?"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Two red circles and a blue square."""
    image = Pil.new("RGB", (196, 168), (240, 240, 235))
    draw = ImageDraw.Draw(image)
    draw.ellipse((20, 20, 64, 64), fill="red")
    draw.ellipse((120, 30, 164, 74), fill="red")
    draw.rectangle((60, 100, 104, 144), fill="blue")
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    image.save(path)
    return path


def run(*words: str | pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mimo_vl", "ask", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_answers_are_correct(scene: pathlib.Path) -> None:
    model = mimo_vl.Model.load()
    assert model.path.name == "mimo-vl-tiny"
    with model.session() as session:
        answer = session.ask([scene, PROMPT], thinking=False)
        assert (answer.text.strip(), answer.thinking) == ("2", None)
        session.reset()
        answer = session.ask([scene, "Is there a blue square?"])
        assert answer.text.strip().lower() == "yes"
        assert answer.thinking


def test_ask_prints_the_answer_and_timings(scene: pathlib.Path) -> None:
    done = run(scene, PROMPT, "--no-think", "--stats")
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert [line.split()[0] for line in done.stderr.splitlines()] == [
        "device", "load", "media", "preprocess", "encode", "prefill", "decode",
    ]  # fmt: skip


def test_ask_with_another_model_and_options(
    checkpoint: pathlib.Path, scene: pathlib.Path, model: mimo_vl.Model
) -> None:
    done = run("--model", checkpoint, "--max-tokens", "12", "--temperature=0.8", "--seed", "3", scene, PROMPT)
    with model.session() as session:
        expected = session.ask([scene, PROMPT], max_tokens=12, temperature=0.8, seed=3)
    assert done.returncode == 0
    assert done.stdout == expected.text + "\n"


def test_ask_reports_errors_on_one_line(checkpoint: pathlib.Path) -> None:
    done = run("missing.png", PROMPT, "--model", checkpoint)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mimo-vl: ") and "missing.png" in done.stderr and done.stderr.count("\n") == 1
    assert run().returncode == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["What is \udcff?"], "parts"),
        (["\udcff.png", PROMPT], "No such file"),
        ([PROMPT, "--model", "\udcff"], "no such checkpoint"),
        ([PROMPT, "--device", "\udcff"], "device"),
    ],
)
def test_ask_with_bytes_outside_utf8(checkpoint: pathlib.Path, words: list[str], message: str) -> None:
    done = run("--model", checkpoint, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mimo-vl: ") and message in done.stderr and done.stderr.count("\n") == 1
