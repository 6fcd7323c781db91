"""ray_batch.py and ray_serve.py on a local Ray cluster, also when some of their processes are killed.

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

from .conftest import IMAGES, PROMPT, TIMEOUT, Program, lines, run, slow

if missing := [name for name in ("ray", "pyarrow", "aiohttp", "starlette") if not importlib.util.find_spec(name)]:
    raise ImportError(f"{missing} are missing: pip install 'ray[default,data,serve]==2.60.0'")

KEY = "a-key"
ANSWER_AT_ONCE = {"chat_template_kwargs": {"enable_thinking": False}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty images, the last of which is invalid."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(19):
        shutil.copy(IMAGES[number % 5], folder / f"{number:02}.png")
    (folder / "19.png").write_bytes(b"not an image")
    return folder


def expected(folder: Path, tmp_path: Path, *options: str | Path) -> dict[str, Any]:
    """The answers that batch_pdf.py gives."""
    out = tmp_path / "expected.jsonl"
    assert run("batch_pdf.py", folder, "--output", out, *options)[0] == 1
    return {line["id"]: line["answer"] for line in lines(out)}


def test_a_killed_actor_neither_loses_nor_repeats_results(folder: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out.jsonl", slow(tmp_path)
    parts = tmp_path / "out.jsonl.parts"
    with Program("ray_batch.py", folder, "--output", out, "--workers", "2", "--cpus", "1", *options) as program:
        program.wait_until(lambda: len([*parts.glob("*.json")]) >= 3)
        actors = {pid: command for pid, command in program.children().items() if command.startswith("ray::MapWorker")}
        assert len(actors) == 2
        # Preferably an actor that is answering.
        os.kill(max(actors, key=lambda pid: actors[pid].endswith(".submit")), signal.SIGKILL)
        assert len(lines(out)) < 17, "the run was nearly complete"
        assert program.end() == 1, program.output()
    results = lines(out)
    assert sorted(line["id"] for line in results) == [f"{number:02}.png" for number in range(20)]
    assert [line["id"] for line in results if line["error"]] == ["19.png"]
    assert not parts.exists()
    assert {line["id"]: line["answer"] for line in results} == expected(folder, tmp_path, *options)
    assert "20 of 20 pages and images done, 1 failed" in out.with_name("out.jsonl.md").read_text()


def test_a_run_continues_where_it_was_interrupted(folder: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out.jsonl", slow(tmp_path)
    parts = tmp_path / "out.jsonl.parts"
    with Program("ray_batch.py", folder, "--output", out, *options) as program:
        program.wait_until(lambda: [*parts.glob("*.json")] and lines(out))
        assert program.end(by=signal.SIGINT) == 130
        assert "interrupted" in program.output()
    stopped = lines(out)
    assert 1 <= len(stopped) < 20
    assert len({line["id"] for line in stopped}) == len(stopped)
    # A result that was not moved yet, and a temporary file of a worker that died.
    name = next(f"{number:02}.png" for number in range(19) if all(line["id"] != f"{number:02}.png" for line in stopped))
    for path in parts.glob("*.json"):
        path.unlink()
    moved = {**next(line for line in stopped if not line["error"]), "id": name, "file": name, "answer": "moved"}
    (parts / "0.json").write_text(json.dumps(moved) + "\n")
    (parts / "1.json.2.tmp").write_text('{"id": "0')
    # Keep one more item, so that the run is short.
    answered = {name, *(line["id"] for line in stopped)}
    remaining = [path for path in sorted(folder.iterdir()) if path.name not in answered]
    for path in remaining[1:]:
        path.unlink()
    shutil.copy(IMAGES[0], folder / "19.png")
    status, output = run("ray_batch.py", folder, "--output", out, *options)
    assert status == 0, output
    found = {line["id"]: line for line in lines(out)}
    assert len(found) == len(lines(out))
    assert found.keys() == {path.name for path in folder.iterdir()} | {line["id"] for line in stopped}
    assert found[name]["answer"] == "moved" and found["19.png"]["error"] is None
    assert all(found[line["id"]] == line for line in stopped if not line["error"])
    assert not parts.exists()


def test_an_error_of_every_item_ends_the_run(folder: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"type": "nope"}))
    out = tmp_path / "out.jsonl"
    status, output = run("ray_batch.py", folder, "--output", out, "--schema", schema)
    assert status == 1 and "ray_batch.py: grammar: Invalid type: nope\n" in output and "Traceback" not in output
    # The invalid image may fail before the schema does.
    assert all(line["error"] for line in lines(out))
    options = ["--prompt", PROMPT, "--workers", "1000"]
    status, output = run("ray_batch.py", folder, "--output", tmp_path / "b.jsonl", *options)
    assert status == 1 and "1000 workers do not fit" in output
    assert lines(tmp_path / "b.jsonl") == []


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of two replicas."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    with Program("ray_serve.py", "--replicas", "2", "--port", str(port), MIMO_VL_API_KEY=KEY) as program:
        program.wait_until(lambda: f"http://127.0.0.1:{port}/v1\n" in program.output())
        yield port
        assert program.end(by=signal.SIGINT) == 130, program.output()


def request(port: int, path: str, body: dict[str, Any] | None = None, key: str = KEY) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
    return connection.getresponse()


def chat_request(**options: Any) -> dict[str, Any]:
    url = "data:image/png;base64," + base64.b64encode(IMAGES[0].read_bytes()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": PROMPT}]
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
    reply = request(port, "/v1/chat/completions", chat_request(**ANSWER_AT_ONCE))
    assert reply.status == 200 and reply.headers["content-type"] == "application/json"
    [choice] = json.load(reply)["choices"]
    assert choice["message"]["content"] == "2"


def test_stream(port: int) -> None:
    reply = request(port, "/v1/chat/completions", chat_request(stream=True, **ANSWER_AT_ONCE))
    assert reply.status == 200 and reply.headers["content-type"] == "text/event-stream"
    *events, end = [line.removeprefix("data: ") for line in reply.read().decode().split("\n") if line]
    assert end == "[DONE]"
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "2"


def test_errors_are_forwarded(port: int) -> None:
    assert request(port, "/v1/models", key="another").status == 401
    assert request(port, "/v1/nothing").status == 404
    assert request(port, "/v1/models/what%20%3F").status == 404
    error = request(port, "/v1/chat/completions", chat_request(n=99))
    assert error.status == 400 and "from 1 to 8" in json.load(error)["error"]["message"]


def metric(port: int, name: str) -> dict[str | None, float]:
    """A metric of the replica that answers."""
    reply = request(port, "/metrics")
    [value] = [line.split()[1] for line in reply.read().decode().splitlines() if line.startswith(f"mimo_vl_{name} ")]
    return {reply.headers["x-replica"]: float(value)}


def total_tokens(port: int) -> float:
    """The tokens of all finished answers, once both replicas are idle."""
    idle: set[str | None] = set()
    totals: dict[str | None, float] = {}
    end = time.monotonic() + TIMEOUT
    while len(idle & totals.keys()) < 2:
        assert time.monotonic() < end, "a request does not end"
        idle |= {replica for replica, count in metric(port, "num_requests_running").items() if not count}
        generated = metric(port, "generation_tokens_total")
        totals |= {replica: count for replica, count in generated.items() if replica in idle}
    return sum(totals.values())


def disconnect(port: int, stream: bool) -> bool:
    """Disconnect during a long answer. False if the answer ended before that."""
    schema = {"name": "text", "schema": {"type": "string", "minLength": 4000}}
    response_format = {"type": "json_schema", "json_schema": schema}
    body = json.dumps(chat_request(stream=stream, response_format=response_format, **ANSWER_AT_ONCE)).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {KEY}\r\n"
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        if stream:
            start = client.recv(1000)
            assert start.startswith(b"HTTP/1.1 200")
            return b"[DONE]" not in start
        while not select.select([client], [], [], 0)[0]:
            if any(metric(port, "num_requests_running").values()):
                return True
    return False


@pytest.mark.parametrize("stream", [True, False])
def test_a_disconnected_client_ends_its_request(port: int, stream: bool) -> None:
    before = total_tokens(port)
    while not disconnect(port, stream):
        before = total_tokens(port)
    # Only finished answers are counted.
    assert total_tokens(port) == before
    assert request(port, "/v1/chat/completions", chat_request(**ANSWER_AT_ONCE)).status == 200
    assert total_tokens(port) == before + 1
