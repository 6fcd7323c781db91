"""ray_batch.py and ray_serve.py on a Ray of this machine, also when some of their processes die.

Needs the wheel of mimo_vl, pytest, and: pip install 'ray[default,data,serve]==2.60.0'
"""

import base64
import http.client
import importlib.util
import json
import os
import select
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import PICTURES, QUESTION, WAIT, Program, lines, run, slow

if missing := [name for name in ("ray", "pyarrow", "aiohttp", "starlette") if not importlib.util.find_spec(name)]:
    raise ImportError(f"{missing} are missing: pip install 'ray[default,data,serve]==2.60.0'")

KEY = "a-key"
ANSWER_AT_ONCE = {"chat_template_kwargs": {"enable_thinking": False}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty pictures, of which the last cannot be read."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(19):
        shutil.copy(PICTURES[number % 5], folder / f"{number:02}.png")
    (folder / "19.png").write_bytes(b"no picture")
    return folder


def expected(folder: Path, tmp_path: Path, *options: str | Path) -> dict[str, Any]:
    """The answers that batch_pdf.py gives."""
    out = tmp_path / "expected.jsonl"
    assert run("batch_pdf.py", folder, "--out", out, *options)[0] == 1
    return {line["id"]: line["answer"] for line in lines(out)}


def test_an_actor_that_is_killed_loses_and_doubles_nothing(folder: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out.jsonl", slow(tmp_path)
    parts = tmp_path / "out.jsonl.parts"
    with Program("ray_batch.py", folder, "--out", out, "--workers", "2", "--cpus", "1", *options) as program:
        program.until(lambda: len([*parts.glob("*.json")]) >= 3)
        actors = {pid: command for pid, command in program.children().items() if command.startswith("ray::MapWorker")}
        assert len(actors) == 2
        # The one that answers something just now, if the other one does not.
        os.kill(max(actors, key=lambda pid: actors[pid].endswith(".submit")), signal.SIGKILL)
        assert len(lines(out)) < 17, "there was little left to do"
        assert program.end() == 1, program.said()
    found = lines(out)
    assert sorted(line["id"] for line in found) == [f"{number:02}.png" for number in range(20)]
    assert [line["id"] for line in found if line["error"]] == ["19.png"]
    assert not parts.exists()
    assert {line["id"]: line["answer"] for line in found} == expected(folder, tmp_path, *options)
    assert "20 of 20 pages and pictures are done, 1 of them failed" in out.with_name("out.jsonl.md").read_text()


def test_goes_on_where_it_was_stopped(folder: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out.jsonl", slow(tmp_path)
    parts = tmp_path / "out.jsonl.parts"
    with Program("ray_batch.py", folder, "--out", out, *options) as program:
        program.until(lambda: [*parts.glob("*.json")] and lines(out))
        assert program.end(by=signal.SIGINT) == 130
        assert "interrupted" in program.said()
    stopped = lines(out)
    assert 1 <= len(stopped) < 20
    assert len({line["id"] for line in stopped}) == len(stopped)
    # A result that a worker had written and the program not yet moved, and what a worker that died may leave.
    name = next(f"{number:02}.png" for number in range(19) if all(line["id"] != f"{number:02}.png" for line in stopped))
    for path in parts.glob("*.json"):
        path.unlink()
    moved = {**next(line for line in stopped if not line["error"]), "id": name, "file": name, "answer": "moved"}
    (parts / "0.json").write_text(json.dumps(moved) + "\n")
    (parts / "1.json.2.new").write_text('{"id": "0')
    # One other is left to do, so that it does not take long.
    left = [path for path in sorted(folder.iterdir()) if path.name not in {name, *(line["id"] for line in stopped)}]
    for path in left[1:]:
        path.unlink()
    shutil.copy(PICTURES[0], folder / "19.png")
    status, said = run("ray_batch.py", folder, "--out", out, *options)
    assert status == 0, said
    found = {line["id"]: line for line in lines(out)}
    assert len(found) == len(lines(out))
    assert found.keys() == {path.name for path in folder.iterdir()} | {line["id"] for line in stopped}
    assert found[name]["answer"] == "moved" and found["19.png"]["error"] is None
    assert all(found[line["id"]] == line for line in stopped if not line["error"])
    assert not parts.exists()


def test_errors_of_all_questions_stop_the_run(folder: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"type": "nope"}))
    out = tmp_path / "out.jsonl"
    status, said = run("ray_batch.py", folder, "--out", out, "--schema", schema)
    assert status == 1 and "ray_batch.py: grammar: Invalid type: nope\n" in said and "Traceback" not in said
    # A file that cannot be read may have been told of before the schema was seen.
    assert all(line["error"] for line in lines(out))
    status, said = run("ray_batch.py", folder, "--out", tmp_path / "b.jsonl", "--question", QUESTION, "--workers", "1000")
    assert status == 1 and "1000 workers do not fit" in said
    assert lines(tmp_path / "b.jsonl") == []


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where two replicas are served."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    with Program("ray_serve.py", "--replicas", "2", "--port", str(port), MIMO_VL_API_KEY=KEY) as program:
        program.until(lambda: f"http://127.0.0.1:{port}/v1\n" in program.said())
        yield port
        assert program.end(by=signal.SIGINT) == 130, program.said()


def request(port: int, path: str, body: dict[str, Any] | None = None, key: str = KEY) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
    return connection.getresponse()


def question(**options: Any) -> dict[str, Any]:
    url = "data:image/png;base64," + base64.b64encode(PICTURES[0].read_bytes()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": QUESTION}]
    return {"model": "mimo-vl-tiny", "messages": [{"role": "user", "content": content}], **options}


def test_both_replicas_answer(port: int) -> None:
    seen: set[str | None] = set()
    for _ in range(100):
        reply = request(port, "/v1/models")
        assert reply.status == 200 and json.load(reply)["data"][0]["id"] == "mimo-vl-tiny"
        seen.add(reply.headers["x-replica"])
        if len(seen) == 2:
            return
    pytest.fail(f"only {seen} answered")


def test_completion(port: int) -> None:
    reply = request(port, "/v1/chat/completions", question(**ANSWER_AT_ONCE))
    assert reply.status == 200 and reply.headers["content-type"] == "application/json"
    [choice] = json.load(reply)["choices"]
    assert choice["message"]["content"] == "2"


def test_stream(port: int) -> None:
    reply = request(port, "/v1/chat/completions", question(stream=True, **ANSWER_AT_ONCE))
    assert reply.status == 200 and reply.headers["content-type"] == "text/event-stream"
    *events, end = [line.removeprefix("data: ") for line in reply.read().decode().split("\n") if line]
    assert end == "[DONE]"
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "2"


def test_refusals_come_through(port: int) -> None:
    assert request(port, "/v1/models", key="another").status == 401
    assert request(port, "/v1/nothing").status == 404
    assert request(port, "/v1/models/what%20%3F").status == 404
    refused = request(port, "/v1/chat/completions", question(n=2))
    assert refused.status == 400 and "only 1 is supported" in json.load(refused)["error"]["message"]


def counted(port: int, name: str) -> dict[str | None, float]:
    """A counter of the server of a replica."""
    reply = request(port, "/metrics")
    [value] = [line.split()[1] for line in reply.read().decode().splitlines() if line.startswith(f"mimo_vl_{name} ")]
    return {reply.headers["x-replica"]: float(value)}


def tokens(port: int) -> float:
    """How many tokens the answers have that are over, when no question is left."""
    idle: set[str | None] = set()
    found: dict[str | None, float] = {}
    end = time.monotonic() + WAIT
    while len(idle & found.keys()) < 2:
        assert time.monotonic() < end, "a question does not end"
        idle |= {replica for replica, count in counted(port, "num_requests_running").items() if not count}
        generated = counted(port, "generation_tokens_total")
        found |= {replica: count for replica, count in generated.items() if replica in idle}
    return sum(found.values())


def leave(port: int, stream: bool) -> bool:
    """Ask for a long answer and go away before it is over; whether it was not over before that."""
    response_format = {"type": "json_schema", "json_schema": {"name": "text", "schema": {"type": "string", "minLength": 4000}}}
    body = json.dumps(question(stream=stream, response_format=form, **ANSWER_AT_ONCE)).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {KEY}\r\n"
    with socket.create_connection(("127.0.0.1", port), WAIT) as client:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        if stream:
            start = client.recv(1000)
            assert start.startswith(b"HTTP/1.1 200")
            return b"[DONE]" not in start
        while not select.select([client], [], [], 0)[0]:
            if any(counted(port, "num_requests_running").values()):
                return True
    return False


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_ends_its_question(port: int, stream: bool) -> None:
    before = tokens(port)
    while not leave(port, stream):
        before = tokens(port)
    # Only answers that are over are counted.
    assert tokens(port) == before
    assert request(port, "/v1/chat/completions", question(**ANSWER_AT_ONCE)).status == 200
    assert tokens(port) == before + 1
