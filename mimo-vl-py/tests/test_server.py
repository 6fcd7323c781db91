"""The server, with the clients that people use: the openai package, and curl."""

import base64
import json
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionContentPartParam

import mimo_vl

PROMPT = "How many circles are there?"
OFF = {"chat_template_kwargs": {"enable_thinking": False}}


@pytest.fixture(scope="module")
def shapes() -> pathlib.Path:
    return pathlib.Path(__file__).parents[2] / "examples/images/shapes-1.png"


@pytest.fixture(scope="module")
def server() -> Iterator[mimo_vl.Server]:
    with mimo_vl.Server(mimo_vl.Model.load(), port=0, api_key="key") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: mimo_vl.Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key="key", max_retries=0) as client:
        yield client


def content(image: pathlib.Path) -> list[ChatCompletionContentPartParam]:
    url = "data:image/png;base64," + base64.b64encode(image.read_bytes()).decode()
    return [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": PROMPT}]


def test_lists_and_retrieves_the_model(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["mimo-vl-tiny"]
    assert client.models.retrieve("mimo-vl-tiny").object == "model"


def test_answer_with_and_without_thinking(client: openai.OpenAI, shapes: pathlib.Path) -> None:
    parts = content(shapes)
    for body, thinks in [(OFF, False), ({}, True)]:
        reply = client.chat.completions.create(
            model="mimo-vl-tiny", messages=[{"role": "user", "content": parts}], extra_body=body
        )
        message = reply.choices[0].message
        assert (message.content, message.role) == ("2", "assistant")
        assert bool(getattr(message, "reasoning_content", None)) is thinks
        assert reply.choices[0].finish_reason == "stop"
        assert reply.usage and reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_stream_after_earlier_messages_equals_the_session(client: openai.OpenAI, shapes: pathlib.Path) -> None:
    stream = client.chat.completions.create(
        model="mimo-vl-tiny",
        messages=[
            {"role": "user", "content": content(shapes)},
            {"role": "assistant", "content": "2"},
            {"role": "user", "content": "How many stars are there?"},
        ],
        stream=True,
        stream_options={"include_usage": True},
        extra_body=OFF,
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    model = mimo_vl.Model.load()
    with model.session() as session:
        session.ask([shapes, PROMPT], thinking=False)
        assert text == session.ask("How many stars are there?", thinking=False).text
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens > 0
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_json_schema_and_logprobs(client: openai.OpenAI, shapes: pathlib.Path) -> None:
    schema = {
        "type": "object",
        "properties": {"count": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["count"],
        "additionalProperties": False,
    }
    reply = client.chat.completions.create(
        model="mimo-vl-tiny",
        messages=[{"role": "user", "content": content(shapes)}],
        response_format={"type": "json_schema", "json_schema": {"name": "count", "schema": schema, "strict": True}},
        max_completion_tokens=64,
        temperature=0.5,
        seed=3,
        logprobs=True,
        top_logprobs=2,
        extra_body=OFF,
    )
    choice = reply.choices[0]
    assert 0 <= json.loads(choice.message.content or "")["count"] <= 9
    assert choice.logprobs and choice.logprobs.content and len(choice.logprobs.content[0].top_logprobs) == 2


def test_errors_are_those_of_the_openai_package(client: openai.OpenAI, server: mimo_vl.Server) -> None:
    with pytest.raises(openai.NotFoundError, match="other"):
        client.chat.completions.create(model="other", messages=[{"role": "user", "content": "x"}])
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(
            model="mimo-vl-tiny", messages=[{"role": "user", "content": "x"}], temperature=-1
        )
    with openai.OpenAI(base_url=server.url, api_key="other", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            stranger.models.list()


def test_responses_and_completions_of_the_openai_package(client: openai.OpenAI, shapes: pathlib.Path) -> None:
    url = "data:image/png;base64," + base64.b64encode(shapes.read_bytes()).decode()
    question = {"type": "input_text", "text": PROMPT}
    messages: Any = [{"role": "user", "content": [{"type": "input_image", "image_url": url}, question]}]
    options: Any = {"model": "mimo-vl-tiny", "input": messages, "reasoning": {"effort": "none"}}
    assert client.responses.create(**options).output_text == "2"
    with client.responses.stream(**options) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert "".join(deltas) == stream.get_final_response().output_text == "2"
    text = client.completions.create(model="mimo-vl-tiny", prompt="There are", max_tokens=4, n=2)
    assert len(text.choices) == 2 and text.usage


def test_several_choices_and_a_seed(client: openai.OpenAI, shapes: pathlib.Path) -> None:
    messages: Any = [{"role": "user", "content": content(shapes)}]
    reply = client.chat.completions.create(
        model="mimo-vl-tiny", messages=messages, n=3, temperature=0.5, max_tokens=8, extra_body=OFF
    )
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert isinstance(reply.model_extra and reply.model_extra["seed"], int)


def test_a_disconnected_client_ends_its_request(client: openai.OpenAI) -> None:
    for _ in range(20):
        stream = client.chat.completions.create(
            model="mimo-vl-tiny", messages=[{"role": "user", "content": "Tell me."}], stream=True
        )
        next(iter(stream))
        stream.close()
    reply = client.chat.completions.create(model="mimo-vl-tiny", messages=[{"role": "user", "content": "x"}])
    assert reply.choices


def test_curl_gets_answer_and_metrics(server: mimo_vl.Server, shapes: pathlib.Path, tmp_path: pathlib.Path) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"messages": [{"role": "user", "content": content(shapes)}], "stream": False} | OFF))

    def curl(*words: str) -> str:
        command = ["curl", "--silent", "--show-error", "--max-time", "120", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    key = ["--header", "Authorization: Bearer key"]
    sent = ["--header", "Content-Type: application/json", "--data", f"@{body}"]
    reply = json.loads(curl(f"{server.url}/chat/completions", *key, *sent))
    assert reply["choices"][0]["message"]["content"] == "2"
    root = server.url.removesuffix("/v1")
    assert 'mimo_vl_requests_total{status="200"}' in curl(f"{root}/metrics", *key)
    assert json.loads(curl(f"{root}/health")) == {"status": "ok"}


def test_stop_ends_the_server_and_misuse_is_refused(model: mimo_vl.Model) -> None:
    server = mimo_vl.Server(model, port=0)
    assert server.url == f"http://127.0.0.1:{server.port}/v1"
    with pytest.raises(mimo_vl.OptionError, match="address"):
        mimo_vl.Server(model, port=server.port)
    with pytest.raises(mimo_vl.OptionError, match="max_concurrent"):
        mimo_vl.Server(model, port=0, max_concurrent=-1)
    thread = threading.Thread(target=server.run)
    thread.start()
    with openai.OpenAI(base_url=server.url, api_key="x", max_retries=5) as client:
        assert len(list(client.models.list())) == 1
    server.stop()
    thread.join(timeout=60)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="started before"):
        server.run()


def test_console_program_serves_until_interrupted(checkpoint: pathlib.Path) -> None:
    options = ["--port", "0", "--model", str(checkpoint), "--served-model-name", "x"]
    command = [sys.executable, "-m", "mimo_vl", "serve", *options]
    # A shell that runs the tests in the background makes them ignore Ctrl-C, which the program would inherit.
    restore_sigint = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=restore_sigint) as program:
        assert program.stdout and program.stderr
        url = program.stdout.readline().split()[-1]
        with openai.OpenAI(base_url=url, api_key="x", max_retries=5) as client:
            assert [model.id for model in client.models.list()] == ["x"]
        program.send_signal(signal.SIGINT)
        assert program.wait(timeout=60) == 130
        logged, *rest = program.stderr.read().splitlines()
        assert 'method=GET path="/v1/models" status="200"' in logged and rest == ["mimo-vl: interrupted"]
