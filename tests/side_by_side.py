"""examples/side_by_side: every program does the same in Rust, C, C++ and Python.

    cargo build --release -p mimo-vl-ffi -p mimo-vl-examples --lib --examples --features mimo-vl-examples/pdf
    python -m pytest tests/side_by_side.py

The wheel must be installed in the Python that runs this. MIMO_VL_LIB names the folder of libmimo_vl; without it that is
target/release.
"""

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

try:
    import mimo_vl
except ImportError as error:
    need = "build it with maturin build --release -m mimo-vl-py/Cargo.toml, and install it with pip"
    raise ImportError(f"the wheel mimo_vl is missing in {sys.executable}: {need}") from error

ROOT = Path(__file__).resolve().parents[1]
RELEASE = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release"
LIBRARY = ROOT / os.environ.get("MIMO_VL_LIB", RELEASE)
MODEL = ROOT / "examples/models/mimo-vl-tiny"
PICTURE = ROOT / "examples/images/shapes-1.png"

QUESTION = "How many circles are there?"
ANSWER = "2\n"

# What follows the model and the file.
MORE = {
    "describe": [QUESTION],
    "grounding": ["Detect all stars. Answer in JSON.", "out.png"],
    "video": [QUESTION],
    "gui": ["Click the red circle"],
    "ocr_pdf": [],
    "chat_stream": [QUESTION, "How many stars are there?", "Is there a square?"],
    "structured": [],
}
LANGUAGES = ["Rust", "C", "C++", "Python"]

Commands = dict[str, dict[str, list[str]]]
"""The command line of each program, by its name and the language."""


def tool(name: str, package: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing: install {package}"
    return found


def compiled(compiler: str, standard: str, source: Path, program: Path) -> list[str]:
    strict = [f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-I", str(ROOT / "include")]
    link = ["-L", str(LIBRARY), "-lmimo_vl", f"-Wl,-rpath,{LIBRARY}"]
    command = [compiler, *strict, str(source), "-o", str(program), *link]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return [str(program)]


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    cc = tool(os.environ.get("CC", "cc"), "a C compiler, as gcc or clang")
    cxx = tool(os.environ.get("CXX", "c++"), "a C++ compiler, as g++ or clang")
    library = LIBRARY / "libmimo_vl.so"
    assert library.is_file(), f"{library} is missing: cargo build --release -p mimo-vl-ffi"
    folder = tmp_path_factory.mktemp("programs")
    commands: Commands = {}
    for name in MORE:
        rust = RELEASE / "examples" / name
        build = "cargo build --release -p mimo-vl-examples --examples --features pdf"
        assert rust.is_file(), f"{rust} is missing: {build}"
        sources = ROOT / "examples/side_by_side" / name
        commands[name] = {
            "Rust": [str(rust)],
            "C": compiled(cc, "c11", sources / f"{name}.c", folder / f"{name}-c"),
            "C++": compiled(cxx, "c++17", sources / f"{name}.cpp", folder / f"{name}-cpp"),
            "Python": [sys.executable, str(sources / f"{name}.py")],
        }
    return commands


def run(command: list[str], folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    words = [*command, *map(str, arguments)]
    return subprocess.run(words, cwd=folder, capture_output=True, encoding="utf-8", timeout=600)


def output(commands: Commands, name: str, file: Path, folder: Path) -> str:
    """The output of a program for the file, by language. Each language runs in a folder of its own."""
    outputs = {}
    for language in LANGUAGES:
        done = run(commands[name][language], folder / language, MODEL, file, *MORE[name])
        assert (done.returncode, done.stderr) == (0, ""), f"{name} in {language}: {done}"
        outputs[language] = done.stdout
    assert set(outputs.values()) == {outputs["Rust"]}, outputs
    return outputs["Rust"]


def png_size(file: bytes) -> tuple[int, int]:
    assert file.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", file[16:24])
    return width, height


def test_describe(commands: Commands, tmp_path: Path) -> None:
    assert output(commands, "describe", PICTURE, tmp_path) == ANSWER


def test_grounding(commands: Commands, tmp_path: Path) -> None:
    lines = output(commands, "grounding", PICTURE, tmp_path).splitlines()
    width, height = png_size(PICTURE.read_bytes())
    assert lines
    for line in lines:
        found = re.fullmatch(r".*: (\d+) (\d+) (\d+) (\d+)", line)
        assert found, line
        left, top, right, bottom = map(int, found.groups())
        assert left <= right <= width and top <= bottom <= height, line
    drawn = [(tmp_path / language / "out.png").read_bytes() for language in LANGUAGES]
    assert png_size(drawn[0]) == (width, height)
    assert drawn == drawn[:1] * len(LANGUAGES)
    assert mimo_vl.Image.from_bytes(drawn[0]).tobytes() != mimo_vl.Image.open(PICTURE).tobytes()


def test_video(commands: Commands, tmp_path: Path) -> None:
    file = tmp_path / "still.mkv"
    tool("ffprobe", "ffmpeg, 5.1 or later")
    still = ["-loop", "1", "-framerate", "10", "-t", "2", "-i", str(PICTURE), "-vf", "scale=196:168", "-c:v", "ffv1"]
    ffmpeg = [tool("ffmpeg", "ffmpeg, 5.1 or later"), "-v", "error", "-nostdin"]
    subprocess.run([*ffmpeg, *still, str(file)], check=True)
    times, answer = output(commands, "video", file, tmp_path).split("\n", 1)
    # Two a second of 20 frames: those nearest to 0, 6 1/3, 12 2/3 and 19, which are a tenth of a second each.
    assert times == "0.00 0.60 1.30 1.90"
    assert answer.strip()


def test_gui(commands: Commands, tmp_path: Path) -> None:
    action = output(commands, "gui", PICTURE, tmp_path)
    found = re.fullmatch(r"click (\d+) (\d+)\n|press\n|finished\n", action)
    assert found, action
    if action.startswith("click"):
        width, height = png_size(PICTURE.read_bytes())
        x, y = map(int, found.groups())
        assert x <= width and y <= height


def pdf(pages: int) -> bytes:
    """A PDF file whose pages of 200 by 100 points show a black box from (20, 10) to (60, 40), counted from below."""
    content = b"20 10 40 30 re f"
    kids = " ".join(f"{3 + 2 * page} 0 R" for page in range(pages))
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Kids[{kids}]/Count {pages}>>".encode()]
    for page in range(pages):
        where = f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents {4 + 2 * page} 0 R>>"
        objects += [where.encode(), b"<</Length %d>>stream\n%s\nendstream" % (len(content), content)]
    file, places = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(file))
        file += b"%d 0 obj%s endobj\n" % (number, text)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    tail = b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
    return file + tail % (size, table, size, len(file))


def test_ocr_pdf(commands: Commands, tmp_path: Path) -> None:
    file = tmp_path / "two.pdf"
    file.write_bytes(pdf(2))
    pages = output(commands, "ocr_pdf", file, tmp_path)
    # The pages look alike, and neither knows of the other.
    found = re.fullmatch(r"page 1: (.+)\npage 2: (.+)\n", pages, re.DOTALL)
    assert found and found[1] == found[2], pages


def test_chat_stream(commands: Commands, tmp_path: Path) -> None:
    first, *others = MORE["chat_stream"]
    with mimo_vl.Model.load(MODEL).session() as session:
        answers = [session.ask([PICTURE, first])] + [session.ask(question) for question in others]
    expected = "".join(answer.text.replace("\n", " ") + "\n" for answer in answers)
    assert output(commands, "chat_stream", PICTURE, tmp_path) == expected
    assert expected.startswith(ANSWER)


@pytest.mark.parametrize("language", LANGUAGES)
def test_ctrl_c_ends_a_chat(commands: Commands, language: str) -> None:
    many = 40
    command = [*commands["chat_stream"][language], str(MODEL), str(PICTURE), *[QUESTION] * many]
    # In the background of a shell Ctrl-C is ignored, which programs inherit.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    with program:
        assert program.stdout is not None
        line = program.stdout.readline()
        program.send_signal(signal.SIGINT)
        rest, said = program.communicate(timeout=600)
    assert (program.returncode, said) == (130, "chat_stream: interrupted\n")
    assert line == ANSWER
    assert rest.endswith("\n") and rest.count("\n") < many - 1


def test_structured(commands: Commands, tmp_path: Path) -> None:
    value = json.loads(output(commands, "structured", PICTURE, tmp_path))
    assert list(value) == ["count", "colour"]
    assert type(value["count"]) is int and 0 <= value["count"] <= 9
    assert value["colour"] in ("red", "green", "blue")


@pytest.mark.parametrize("name", MORE)
def test_a_missing_file_is_one_line_and_status_1(commands: Commands, name: str, tmp_path: Path) -> None:
    for language, command in commands[name].items():
        done = run(command, tmp_path, MODEL, tmp_path / "no-such-file", *MORE[name])
        assert (done.returncode, done.stdout) == (1, ""), f"{language}: {done}"
        assert done.stderr.startswith(f"{name}: ") and "no-such-file" in done.stderr, f"{language}: {done}"
        assert done.stderr.count("\n") == 1 and done.stderr.endswith("\n"), f"{language}: {done}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", MORE)
def test_wrong_usage_is_status_2(commands: Commands, name: str, tmp_path: Path) -> None:
    for arguments in ([], [MODEL]):
        done = {language: run(command, tmp_path, *arguments) for language, command in commands[name].items()}
        assert {(one.returncode, one.stdout) for one in done.values()} == {(2, "")}, done
        assert {one.stderr for one in done.values()} == {done["Rust"].stderr}, done
        assert done["Rust"].stderr.startswith(f"usage: {name} MODEL "), done
