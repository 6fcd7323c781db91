"""Threads and signals: cancelling, Ctrl-C, and the GIL."""

import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

import mimo_vl

# Greedy decoding of the random checkpoint takes two seconds to end this answer: ten times what tests wait.
LASTING = "poem"
LONG = 20_000


def later(work: Callable[[], object], seconds: float = 0.2) -> threading.Timer:
    timer = threading.Timer(seconds, work)
    timer.start()
    return timer


def test_cancel_an_ask(session: mimo_vl.Session) -> None:
    expected = session.ask("Hello", max_tokens=4)
    session.reset()
    timer = later(session.cancel)
    start = time.monotonic()
    with pytest.raises(mimo_vl.CancelledError) as caught:
        session.ask(LASTING, max_tokens=LONG)
    timer.join()
    assert time.monotonic() - start < 5
    assert caught.value.code == mimo_vl.ErrorCode.CANCELLED
    after = session.ask("Hello", max_tokens=4)
    assert (after.text, after.prompt_tokens) == (expected.text, expected.prompt_tokens)


def test_progress_of_a_question(session: mimo_vl.Session, picture: pathlib.Path) -> None:
    told: list[tuple[str, int, int]] = []
    new = mimo_vl.Image.open(picture).resize(61, 47)  # no other test has put it through the vision tower
    session.ask([new, "many words " * 500], max_tokens=1, progress=lambda *step: told.append(step))
    assert [stage for stage, done, of in told if done == of] == ["encode", "prefill"]
    assert all(0 <= done <= of for _, done, of in told)
    first = list(told)
    second: list[tuple[str, int, int]] = []
    session.ask("Hello", max_tokens=1, progress=lambda *step: second.append(step))
    assert told == first and second

    def refuse(stage: str, done: int, of: int) -> None:
        raise ValueError(stage)

    session.reset()
    expected = session.ask("Hello", max_tokens=4)
    session.reset()
    with pytest.raises(ValueError, match="prefill"):
        session.stream("many words " * 3_000, progress=refuse)
    with pytest.raises(ValueError, match="prefill"):
        session.ask("Hi", max_tokens=1, progress=refuse)
    after = session.ask("Hello", max_tokens=4)
    assert (after.text, after.prompt_tokens) == (expected.text, expected.prompt_tokens)


def test_cancel_a_prefill(session: mimo_vl.Session) -> None:
    timer = later(session.cancel)
    with pytest.raises(mimo_vl.CancelledError):
        session.ask("many words " * 3_000, max_tokens=1)
    timer.join()


def test_cancel_a_stream(session: mimo_vl.Session) -> None:
    stream = session.stream(LASTING, max_tokens=LONG)
    next(stream)
    session.cancel()
    with pytest.raises(mimo_vl.CancelledError):
        list(stream)
    assert (list(stream), stream.answer) == ([], None)
    assert session.ask("Hello", max_tokens=4).tokens <= 4


ANSWERED: dict[str, Callable[[mimo_vl.Session], object]] = {
    "ask": lambda session: session.ask(LASTING, max_tokens=LONG),
    "stream": lambda session: list(session.stream(LASTING, max_tokens=LONG)),
}


@pytest.mark.parametrize("work", ANSWERED)
def test_cancel_of_a_call_that_is_just_starting(session: mimo_vl.Session, work: str) -> None:
    outcomes: list[object] = []

    def answer() -> None:
        while True:
            try:
                outcomes.append(ANSWERED[work](session))
            except RuntimeError:
                continue  # The main thread was looking just then.
            except mimo_vl.MimoVlError as error:
                outcomes.append(type(error))
            return

    for turn in range(1, 21):
        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(RuntimeError, match="busy"):
            while True:
                session.reset()
        session.cancel()
        thread.join(timeout=30)
        assert outcomes == turn * [mimo_vl.CancelledError]


def test_cancel_of_an_idle_session_does_nothing(session: mimo_vl.Session) -> None:
    session.cancel()
    assert session.ask("Hello", max_tokens=4).stop_reason is not mimo_vl.StopReason.CANCELLED


def test_other_threads_run_meanwhile(session: mimo_vl.Session) -> None:
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    time.sleep(0.05)
    start = time.monotonic()
    session.ask(LASTING, max_tokens=2_000)
    end = time.monotonic()
    done.set()
    ticker.join()
    during = [start] + [at for at in ticks if start < at < end] + [end]
    longest = max(after - before for before, after in zip(during, during[1:], strict=False))
    assert longest < (end - start) / 2


def test_two_threads_on_one_session(session: mimo_vl.Session) -> None:
    started = threading.Event()
    failures: list[Exception] = []

    def ask() -> None:
        started.set()
        try:
            session.ask(LASTING, max_tokens=LONG)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    started.wait()
    time.sleep(0.1)
    with pytest.raises(RuntimeError, match="another thread"):
        session.ask("Hello")
    session.cancel()
    thread.join()
    assert [type(failure) for failure in failures] == [mimo_vl.CancelledError]
    assert session.ask("Hello", max_tokens=4).tokens <= 4


def test_two_threads_on_one_stream(session: mimo_vl.Session) -> None:
    """Events go to whichever thread asks; a thread that asks while another waits is told so."""
    stream = session.stream(LASTING, max_tokens=300)
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
    assert stream.answer is not None
    assert sum(isinstance(event, mimo_vl.End) for event in events) == 1


def test_closing_ends_what_runs(model: mimo_vl.Model) -> None:
    session = model.session()
    timer = later(session.close)
    with pytest.raises(mimo_vl.CancelledError):
        session.ask(LASTING, max_tokens=LONG)
    timer.join()
    with pytest.raises(RuntimeError, match="closed"):
        session.ask("Hello")


def test_sessions_in_parallel(model: mimo_vl.Model, picture: pathlib.Path) -> None:
    def ask(question: str) -> str:
        with model.session() as session:
            return session.ask([picture, question], max_tokens=12).text

    questions = [f"Question {index}?" for index in range(4)]
    expected = [ask(question) for question in questions]
    found: dict[str, str] = {}
    threads = [
        threading.Thread(target=lambda question=question: found.update({question: ask(question)}))
        for question in questions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[question] for question in questions] == expected


INTERRUPTED = {
    "ask": f"session.ask({LASTING!r}, max_tokens={LONG})",
    "prefill": "session.ask('many words ' * 3_000, max_tokens=1)",
    "for": f"for event in session.stream({LASTING!r}, max_tokens={LONG}): pass",
    "kept": f"stream = session.stream({LASTING!r}, max_tokens={LONG}); list(stream)",
    "list": f"list(session.stream({LASTING!r}, max_tokens={LONG}))",
    "start of a stream": "session.stream('many words ' * 3_000, max_tokens=1)",
}


@pytest.mark.parametrize("work", INTERRUPTED)
def test_ctrl_c(checkpoint: pathlib.Path, work: str) -> None:
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
    print("goes on", flush=True)
else:
    print("nothing was interrupted")
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert time.monotonic() - start < 3
        assert process.stdout.readline() == "goes on\n"
        assert process.wait(timeout=30) == 0


def test_exit_with_an_open_stream(checkpoint: pathlib.Path) -> None:
    program = f"""
import mimo_vl
session = mimo_vl.Model.load({str(checkpoint)!r}).session()
stream = session.stream({LASTING!r}, max_tokens={LONG})
next(stream)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
