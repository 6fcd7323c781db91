"""Threads, progress, Ctrl-C and the GIL."""

import pathlib
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

import mimo_vl

# Greedy decoding of the random checkpoint takes about two seconds for this answer.
PROMPT = "poem"
MAX_TOKENS = 20_000


def test_progress_of_a_prompt(session: mimo_vl.Session, image_path: pathlib.Path) -> None:
    first: list[tuple[str, int, int]] = []
    new = mimo_vl.Image.open(image_path).resize(61, 47)  # not in the feature cache
    session.ask([new, "many words " * 500], max_tokens=1, progress=lambda *step: first.append(step))
    assert [stage for stage, done, total in first if done == total] == ["encode", "prefill"]
    assert all(0 <= done <= total for _, done, total in first)
    count = len(first)
    second: list[tuple[str, int, int]] = []
    session.ask("Hello", max_tokens=1, progress=lambda *step: second.append(step))
    assert len(first) == count, "a callback belongs to one call"
    assert second[-1][0] == "prefill" and second[-1][1] == second[-1][2]


def test_an_exception_of_progress_ends_the_call(session: mimo_vl.Session) -> None:
    def fail(stage: str, done: int, total: int) -> None:
        raise ValueError(stage)

    expected = session.ask("Hello", max_tokens=4)
    session.reset()
    with pytest.raises(ValueError, match="prefill"):
        session.stream("many words " * 3_000, progress=fail)
    with pytest.raises(ValueError, match="prefill"):
        session.ask("Hi", max_tokens=1, progress=fail)
    answer = session.ask("Hello", max_tokens=4)
    assert (answer.text, answer.prompt_tokens) == (expected.text, expected.prompt_tokens)


@pytest.mark.parametrize("is_stream", [False, True])
def test_other_threads_run_during_a_call(
    session: mimo_vl.Session, endless: dict[str, Any], is_stream: bool
) -> None:
    token, running = mimo_vl.CancelToken(), threading.Event()

    def work() -> None:
        running.wait()
        for _ in range(100):
            time.sleep(0)
        token.cancel()

    def progress(*_: object) -> None:
        running.set()

    thread = threading.Thread(target=work)
    # If the call held the GIL, the thread would not come to its cancel before the answer is complete.
    with pytest.raises(mimo_vl.CancelledError):
        if is_stream:
            stream = session.stream(PROMPT, cancel=token, progress=progress, **endless)
            thread.start()
            list(stream)
        else:
            thread.start()
            session.ask(PROMPT, cancel=token, progress=progress, **endless)
    thread.join()


def test_two_threads_on_one_session(session: mimo_vl.Session, endless: dict[str, Any]) -> None:
    expected = session.ask("Hello", max_tokens=4)
    session.reset()
    started, token = threading.Event(), mimo_vl.CancelToken()
    failures: list[Exception] = []

    def ask() -> None:
        try:
            session.ask(PROMPT, cancel=token, progress=lambda *_: started.set(), **endless)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    started.wait()
    with pytest.raises(RuntimeError, match="another thread"):
        session.ask("Hello")
    token.cancel()
    thread.join()
    assert [type(failure) for failure in failures] == [mimo_vl.CancelledError]
    answer = session.ask("Hello", max_tokens=4)
    assert (answer.text, answer.prompt_tokens) == (expected.text, expected.prompt_tokens)


def test_two_threads_on_one_stream(model: mimo_vl.Model) -> None:
    """Each event goes to one thread; a thread that asks while another one waits gets a RuntimeError."""
    with model.session() as session:
        expected = session.ask(PROMPT, max_tokens=300)
    with model.session() as session:
        stream = session.stream(PROMPT, max_tokens=300)
        events: list[mimo_vl.Event] = []

        def drain() -> None:
            while True:
                try:
                    events.append(next(stream))
                except RuntimeError as error:
                    assert "busy" in str(error)
                    time.sleep(0)
                except StopIteration:
                    return

        threads = [threading.Thread(target=drain) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert stream.answer is not None and stream.answer.text == expected.text
    assert sum(isinstance(event, mimo_vl.End) for event in events) == 1
    texts = [event.text for event in events if isinstance(event, mimo_vl.Text)]
    assert sorted("".join(texts)) == sorted(expected.text)


def test_closing_a_session_cancels_its_call(model: mimo_vl.Model, endless: dict[str, Any]) -> None:
    session = model.session()
    started = threading.Event()

    def close() -> None:
        started.wait()
        session.close()

    thread = threading.Thread(target=close)
    thread.start()
    with pytest.raises(mimo_vl.CancelledError):
        session.ask(PROMPT, progress=lambda *_: started.set(), **endless)
    thread.join()
    with pytest.raises(RuntimeError, match="closed"):
        session.ask("Hello")


def test_sessions_in_parallel(model: mimo_vl.Model, image_path: pathlib.Path) -> None:
    def ask(prompt: str) -> str:
        with model.session() as session:
            return session.ask([image_path, prompt], max_tokens=12).text

    prompts = [f"Question {index}?" for index in range(4)]
    expected = [ask(prompt) for prompt in prompts]
    answers: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda prompt=prompt: answers.update({prompt: ask(prompt)})) for prompt in prompts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[prompt] for prompt in prompts] == expected


INTERRUPTED = {
    "ask": f"session.ask({PROMPT!r}, max_tokens={MAX_TOKENS})",
    "prefill": "session.ask('many words ' * 3_000, max_tokens=1)",
    "for": f"for event in session.stream({PROMPT!r}, max_tokens={MAX_TOKENS}): pass",
    "stream in a variable": f"stream = session.stream({PROMPT!r}, max_tokens={MAX_TOKENS}); list(stream)",
    "list": f"list(session.stream({PROMPT!r}, max_tokens={MAX_TOKENS}))",
    "start of a stream": "session.stream('many words ' * 3_000, max_tokens=1)",
}


@pytest.mark.parametrize("work", INTERRUPTED)
def test_ctrl_c_ends_the_call_and_keeps_the_session(checkpoint: pathlib.Path, work: str) -> None:
    program = f"""
import signal, sys, mimo_vl
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with SIGINT ignored
session = mimo_vl.Model.load({str(checkpoint)!r}).session()
expected = session.ask("Hello", max_tokens=4)
session.reset()
print("ready", flush=True)
try:
    {INTERRUPTED[work]}
except KeyboardInterrupt:
    print("interrupted", flush=True)
    after = session.ask("Hello", max_tokens=4)
    assert (after.text, after.prompt_tokens) == (expected.text, expected.prompt_tokens)
    print("usable", flush=True)
else:
    print("not interrupted")
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert process.stdout.readline() == "usable\n"
        assert process.wait(timeout=60) == 0


def test_exit_with_an_open_stream(checkpoint: pathlib.Path) -> None:
    program = f"""
import mimo_vl
session = mimo_vl.Model.load({str(checkpoint)!r}).session()
stream = session.stream({PROMPT!r}, max_tokens={MAX_TOKENS})
next(stream)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
