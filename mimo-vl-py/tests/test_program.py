"""The console program `mimo-vl`, except `ask` (test_bundled.py) and `serve` (test_server.py)."""

import json
import pathlib
import subprocess
import sys

import mimo_vl


def run(*words: str | pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mimo_vl", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_usage_and_version() -> None:
    for words, status in [([], 0), (["--help"], 0), (["--version"], 0), (["dance"], 2), (["ask"], 2)]:
        assert run(*words).returncode == status, words
    assert "serve" in run("--help").stdout
    assert run("--version").stdout == f"mimo-vl {mimo_vl.__version__}\n"


def test_info_prints_the_configuration(checkpoint: pathlib.Path) -> None:
    done = run("info", "--model", checkpoint)
    assert done.returncode == 0
    values = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    config = json.loads((checkpoint / "config.json").read_text())
    assert values["hidden_size"] == str(config["hidden_size"])
    assert values["context"] == str(mimo_vl.Model.load(checkpoint).max_context)


def test_a_closed_pipe_is_no_error(checkpoint: pathlib.Path) -> None:
    command = [sys.executable, "-m", "mimo_vl", "info", "--model", str(checkpoint)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout and program.stderr
        program.stdout.close()
        assert program.stderr.read() == ""
        assert program.wait(timeout=60) == 0


def test_quantize_writes_a_checkpoint(
    checkpoint: pathlib.Path, image_path: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    done = run("quantize", checkpoint, tmp_path / "small", "--weights", "int8", "--prompt", "What is this?")
    assert done.returncode == 0, done.stderr
    assert "top-1 agreement" in done.stdout
    with mimo_vl.Model.load(tmp_path / "small").session() as session:
        assert session.ask([image_path, "what?"], max_tokens=4).prompt_tokens > 0
    again = run("quantize", checkpoint, tmp_path / "small")
    assert again.returncode == 1 and again.stderr.count("mimo-vl: ") == 1


def test_eval_scores_and_resumes(tmp_path: pathlib.Path) -> None:
    shapes = str(pathlib.Path(__file__).parents[2] / "examples/images/shapes-1.png")
    rows = [
        {"image": shapes, "question": "How many circles are there?", "answer": 2, "kind": "count"},
        {"image": shapes, "question": "How many circles?", "answer": "7", "kind": "exact"},
        {"image": "none.png", "question": "What?", "answer": [0, 0, 9, 9], "kind": "box", "id": "lost"},
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    done = run("eval", file, "--no-think")
    assert done.returncode == 0, done.stderr
    assert "| count | 1 | 100.0 % | 0 |" in done.stdout
    assert "| exact | 1 | 0.0 % | 0 |" in done.stdout
    assert "| box | 1 | 0.0 % | 1 |" in done.stdout
    assert (tmp_path / "questions.report.md").read_text() == done.stdout
    # A second run answers only the questions without a complete result.
    results = tmp_path / "questions.results.jsonl"
    lines = results.read_text().splitlines(keepends=True)
    assert [json.loads(line).get("id") for line in lines] == [None, "1", "2", "lost"]
    results.write_text("".join(lines[:3]) + lines[3][:9])
    changed = lines[1].replace('"score": 1.0', '"score": 0.5')
    results.write_text(results.read_text().replace(lines[1], changed))
    again = run("eval", file, "--no-think")
    assert "| count | 1 | 50.0 % | 0 |" in again.stdout
    assert len(results.read_text().splitlines()) == 4
    wrong = run("eval", file, "--temperature", "-1", "--max-tokens", "9")
    assert wrong.returncode == 1 and "other options" in wrong.stderr
    results.unlink()
    wrong = run("eval", file, "--temperature", "-1")
    assert wrong.returncode == 1 and "temperature" in wrong.stderr
    results.unlink()
    options = ["--top-p", "0.9", "--seed", "4", "--max-context", "999", "--max-frames", "8", "--video-tokens", "300"]
    assert run("eval", file, "--no-think", "--temperature", "0.5", *options).returncode == 0
    conflict = run("eval", file)
    assert conflict.returncode == 1 and "another model or with other options" in conflict.stderr


def test_eval_reports_invalid_questions(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "questions.jsonl"
    for text, part in [
        ("{", "questions.jsonl:1"),
        ('{"question": "x"}', "question, answer, kind"),
        ('{"question": "x", "answer": "y", "kind": "z"}', "'z'"),
    ]:
        file.write_text(text)
        done = run("eval", file)
        assert done.returncode == 1 and part in done.stderr
    assert run("eval", tmp_path / "none.jsonl").returncode == 1
