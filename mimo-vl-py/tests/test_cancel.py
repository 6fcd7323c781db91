"""Calls that end early: cancelled by a token, a task or Ctrl-C, or timed out."""

import asyncio
import os
import pathlib
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import mimo_vl
from test_documents import pdf

PROMPT = "Count."


def random_delays(count: int) -> Iterator[float]:
    """Delays from 0 to 4 ms, around the time from the start of a call to its first tokens."""
    generator = random.Random(7)
    return (generator.uniform(0, 0.004) for _ in range(count))


def after(seconds: float, work: Callable[[], object]) -> threading.Thread:
    """Starts a thread that runs `work` after a delay."""

    def run() -> None:
        time.sleep(seconds)
        work()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


Call = Callable[[mimo_vl.Model, mimo_vl.CancelToken, dict[str, Any]], object]

CALLS: dict[str, Call] = {
    "ask": lambda model, cancel, options: model.session().ask(PROMPT, cancel=cancel, **options),
    "best_of": lambda model, cancel, options: model.session().ask(
        PROMPT, cancel=cancel, best_of=2, temperature=1.0, **options
    ),
    "stream": lambda model, cancel, options: list(model.session().stream(PROMPT, cancel=cancel, **options)),
    "batch": lambda model, cancel, options: model.batch([PROMPT, PROMPT], cancel=cancel, **options),
    "aask": lambda model, cancel, options: asyncio.run(aask(model, cancel, options)),
    "generate_ids": lambda model, cancel, options: model.generate_ids(
        [([1, 2, 3], [])], eos_token_ids=[], max_tokens=30_000, cancel=cancel
    ),
}


async def aask(model: mimo_vl.Model, cancel: mimo_vl.CancelToken, options: dict[str, Any]) -> mimo_vl.Answer:
    return await model.session().aask(PROMPT, cancel=cancel, **options)


@pytest.mark.parametrize("call", CALLS)
def test_no_cancel_of_a_token_is_lost(model: mimo_vl.Model, endless: dict[str, Any], call: str) -> None:
    for delay in random_delays(200):
        token = mimo_vl.CancelToken()
        canceller = after(delay, token.cancel)
        with pytest.raises(mimo_vl.CancelledError) as caught:
            CALLS[call](model, token, endless)
        canceller.join()
        assert caught.value.code == mimo_vl.ErrorCode.CANCELLED


@pytest.mark.parametrize("call", CALLS)
def test_a_cancel_before_the_call_counts(model: mimo_vl.Model, endless: dict[str, Any], call: str) -> None:
    token = mimo_vl.CancelToken()
    token.cancel()
    with pytest.raises(mimo_vl.CancelledError):
        CALLS[call](model, token, endless)


def test_no_cancel_of_a_task_is_lost(model: mimo_vl.Model, endless: dict[str, Any]) -> None:
    async def read_stream(session: mimo_vl.Session) -> None:
        async for _ in session.astream(PROMPT, **endless):
            pass

    async def cancel_tasks() -> None:
        for index, delay in enumerate(random_delays(300)):
            with model.session() as session:
                work = session.aask(PROMPT, **endless) if index % 2 else read_stream(session)
                task = asyncio.create_task(work)
                await asyncio.sleep(delay)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert session.cached_tokens == 0, "the task ends when the session is free and rolled back"

    asyncio.run(cancel_tasks())


def test_a_task_that_is_cancelled_twice_waits_for_its_call(model: mimo_vl.Model, endless: dict[str, Any]) -> None:
    async def cancel_twice() -> None:
        with model.session() as session:
            task = asyncio.create_task(session.aask(PROMPT, **endless))
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert session.cached_tokens == 0

    asyncio.run(cancel_twice())


@pytest.mark.parametrize("is_stream", [False, True])
def test_no_ctrl_c_is_lost(model: mimo_vl.Model, endless: dict[str, Any], is_stream: bool) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threads: list[threading.Thread] = []
    try:
        for delay in random_delays(60):
            with model.session() as session:
                with pytest.raises(KeyboardInterrupt):
                    threads.append(after(delay, lambda: os.kill(os.getpid(), signal.SIGINT)))
                    if is_stream:
                        list(session.stream(PROMPT, **endless))
                    else:
                        session.ask(PROMPT, **endless)
                assert session.cached_tokens == 0
    finally:
        signal.signal(signal.SIGINT, before)
        for thread in threads:
            thread.join()


def test_a_cancelled_call_leaves_the_session_as_it_was(session: mimo_vl.Session, endless: dict[str, Any]) -> None:
    expected = session.ask("Hello", max_tokens=4)
    session.reset()
    token = mimo_vl.CancelToken()
    stream = session.stream(PROMPT, cancel=token, **endless)
    next(stream)
    token.cancel()
    with pytest.raises(mimo_vl.CancelledError):
        list(stream)
    assert (list(stream), stream.answer) == ([], None)
    token = mimo_vl.CancelToken()
    with pytest.raises(mimo_vl.CancelledError):
        session.ask("many words " * 3_000, cancel=token, progress=lambda *_: token.cancel(), **endless)
    answer = session.ask("Hello", max_tokens=4)
    assert (answer.text, answer.prompt_tokens) == (expected.text, expected.prompt_tokens)


def test_a_child_token_is_cancelled_with_its_parent(session: mimo_vl.Session) -> None:
    token = mimo_vl.CancelToken()
    first, second = token.child(), token.child()
    first.cancel()
    assert (token.cancelled, first.cancelled, second.cancelled) == (False, True, False)
    assert session.ask(PROMPT, max_tokens=2, cancel=second).tokens == 2
    token.cancel()
    assert token.cancelled and second.cancelled
    assert repr(token) == "<mimo_vl.CancelToken cancelled>" and repr(mimo_vl.CancelToken()) == "<mimo_vl.CancelToken>"
    with pytest.raises(mimo_vl.CancelledError):
        session.ask(PROMPT, cancel=second)


def test_ctrl_c_does_not_cancel_the_callers_token(session: mimo_vl.Session) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    token = mimo_vl.CancelToken()
    with pytest.raises(KeyboardInterrupt):
        session.ask(PROMPT, cancel=token, progress=interrupt)
    assert not token.cancelled


def test_files_and_checkpoints_are_cancelled(checkpoint: pathlib.Path, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "film.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=duration=1:size=64x48:rate=10"]
    subprocess.run(["ffmpeg", "-v", "error", *source, str(file)], check=True)
    calls: list[Callable[..., object]] = [
        lambda **call: mimo_vl.Model.load(checkpoint, **call),
        lambda **call: mimo_vl.Video.open(file, **call),
        lambda **call: mimo_vl.open_pdf(pdf(3), **call),
        lambda **call: mimo_vl.quantize(checkpoint, tmp_path / "quantized", weights="int8", **call),
    ]
    token = mimo_vl.CancelToken()
    token.cancel()
    for call in calls:
        with pytest.raises(mimo_vl.CancelledError):
            call(cancel=token)
        with pytest.raises(mimo_vl.TimedOutError):
            call(timeout=0.0)
        with pytest.raises(mimo_vl.OptionError, match="timeout"):
            call(timeout=-1.0)
