"""Conversations: asking, streaming, turns, and what the objects promise."""

import copy
import dataclasses
import pathlib
import pickle
from typing import Any, Literal

import pytest

import mimo_vl

QUESTION = "What is it?"


def texts(events: list[mimo_vl.Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, mimo_vl.Text))


def thoughts(events: list[mimo_vl.Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, mimo_vl.Thinking))


def test_stream_gives_what_ask_gives(model: mimo_vl.Model, picture: pathlib.Path) -> None:
    options: dict[str, Any] = {"max_tokens": 24, "temperature": 1.2, "top_k": 40, "top_p": 0.95, "seed": 7}
    with model.session() as session:
        asked = session.ask([picture, QUESTION], **options)
    with model.session() as session, session.stream([picture, QUESTION], **options) as stream:
        assert stream.answer is None
        events = list(stream)
        answer = stream.answer
    assert answer is not None
    assert dataclasses.replace(answer, timings=asked.timings) == asked
    assert texts(events) == asked.text
    assert thoughts(events) == (asked.thinking or "")
    assert events[-1] == mimo_vl.End(asked.stop_reason)
    assert not any(isinstance(event, mimo_vl.End) for event in events[:-1])


def test_answer(session: mimo_vl.Session, picture: pathlib.Path) -> None:
    # A picture that no other test shows: features of one that was shown are kept.
    unseen = mimo_vl.Image.from_array(memoryview(bytes(range(256)) * 27).cast("B", (48, 48, 3)))
    answer = session.ask([picture, unseen, QUESTION], max_tokens=5)
    assert answer.tokens <= 5
    assert answer.prompt_tokens > 5
    assert answer.stop_reason in (mimo_vl.StopReason.MAX_TOKENS, mimo_vl.StopReason.END_OF_TEXT)
    assert str(answer) == answer.text
    assert repr(answer).startswith(f"Answer(text={answer.text!r}, thinking=")
    timings = dataclasses.asdict(answer.timings)
    assert timings["load"] > 0 and timings["preprocess"] > 0 and timings["encode"] > 0 and timings["prefill"] > 0
    assert pickle.loads(pickle.dumps(answer)) == answer


def test_options_reach_the_model(model: mimo_vl.Model) -> None:
    def ask(**options: Any) -> str:
        with model.session() as session:
            return session.ask(QUESTION, max_tokens=24, **options).text

    greedy = ask()
    assert ask(temperature=0.0, seed=5) == greedy
    assert ask(num_draft_tokens=0) == ask(num_draft_tokens=7) == greedy
    assert ask(temperature=2.0, seed=1) == ask(temperature=2.0, seed=1)
    assert ask(temperature=2.0, seed=1) != ask(temperature=2.0, seed=2)
    assert ask(temperature=2.0, top_k=1) == greedy
    assert ask(temperature=2.0, top_p=0.0) == greedy
    assert ask(temperature=2.0, min_p=1.0) == greedy
    assert ask(repetition_penalty=5.0) != greedy


def test_thinking_and_system_change_the_prompt(model: mimo_vl.Model) -> None:
    def tokens(**options: Any) -> int:
        with model.session() as session:
            return session.ask(QUESTION, max_tokens=1, **options).prompt_tokens

    assert tokens(thinking=True) == tokens()
    assert tokens(thinking=False) > tokens()
    assert tokens(system="Answer in one word, and in capital letters, always, whatever the question.") > tokens()


def test_one_part_needs_no_list(model: mimo_vl.Model, picture: pathlib.Path) -> None:
    for part in (QUESTION, picture):
        with model.session() as session:
            alone = session.ask(part, max_tokens=8).text
        with model.session() as session:
            assert session.ask((part,), max_tokens=8).text == alone


def test_turns_follow_each_other(session: mimo_vl.Session, picture: pathlib.Path) -> None:
    first = session.ask([picture, QUESTION], max_tokens=8)
    second = session.ask("And why?", max_tokens=8)
    assert second.prompt_tokens > first.prompt_tokens
    assert second.timings.cached_tokens > 0
    session.reset()
    again = session.ask([picture, QUESTION], max_tokens=8)
    assert (again.text, again.prompt_tokens, again.timings.cached_tokens) == (first.text, first.prompt_tokens, 0)


@pytest.mark.parametrize("how", ["close", "with", "drop"])
def test_early_end_of_a_stream_rolls_back(session: mimo_vl.Session, picture: pathlib.Path, how: str) -> None:
    session.ask([picture, QUESTION], max_tokens=8)
    expected = session.ask("And why?", max_tokens=8)
    session.reset()
    session.ask([picture, QUESTION], max_tokens=8)

    if how == "with":
        with session.stream("Something else entirely", max_tokens=100) as stream:
            next(stream)
        assert list(stream) == []
    else:
        stream = session.stream("Something else entirely", max_tokens=100)
        next(stream)
        if how == "close":
            stream.close()
            assert (list(stream), stream.answer) == ([], None)
        else:
            del stream

    after = session.ask("And why?", max_tokens=8)
    assert (after.text, after.prompt_tokens) == (expected.text, expected.prompt_tokens)


def test_break_out_of_a_stream(session: mimo_vl.Session) -> None:
    for _ in session.stream(QUESTION, max_tokens=100):
        break
    alone = session.ask(QUESTION, max_tokens=8).prompt_tokens
    session.reset()
    assert session.ask(QUESTION, max_tokens=8).prompt_tokens == alone


def test_a_finished_stream_is_kept(session: mimo_vl.Session) -> None:
    first = session.ask(QUESTION, max_tokens=8).prompt_tokens
    session.reset()
    stream = session.stream(QUESTION, max_tokens=8)
    for event in stream:
        if isinstance(event, mimo_vl.End):
            break
    stream.close()
    assert stream.answer is not None
    assert session.ask(QUESTION, max_tokens=8).prompt_tokens > first + stream.answer.tokens


def test_open_stream_keeps_the_session_busy(session: mimo_vl.Session) -> None:
    stream = session.stream(QUESTION, max_tokens=100)
    next(stream)
    with pytest.raises(RuntimeError, match="busy"):
        session.ask(QUESTION)
    with pytest.raises(RuntimeError, match="busy"):
        session.stream(QUESTION)
    with pytest.raises(RuntimeError, match="busy"):
        session.reset()
    stream.close()
    assert session.ask(QUESTION, max_tokens=2).tokens <= 2


def test_closed_session(model: mimo_vl.Model) -> None:
    with model.session() as session:
        stream = session.stream(QUESTION, max_tokens=100)
        next(stream)
    assert list(stream) == []
    for call in (lambda: session.ask(QUESTION), lambda: session.stream(QUESTION), session.reset):
        with pytest.raises(RuntimeError, match="closed"):
            call()
    session.close()
    session.cancel()


def test_session_outlives_its_model(checkpoint: pathlib.Path, session: mimo_vl.Session) -> None:
    other = mimo_vl.Model.load(checkpoint).session()
    assert other.ask(QUESTION, max_tokens=8).text == session.ask(QUESTION, max_tokens=8).text


def test_model(model: mimo_vl.Model, checkpoint: pathlib.Path) -> None:
    assert (model.path, model.device) == (checkpoint, "cpu")
    assert repr(model) == f'<mimo_vl.Model "{checkpoint}" on cpu>'
    assert mimo_vl.Model.load(str(checkpoint), weights="f32", max_context=64).max_context == 64
    assert model.max_context > 64
    small = mimo_vl.Model.load(checkpoint, weights="f32", kv_cache_dtype="int8", threads=1)
    assert small.session().ask(QUESTION, max_tokens=1).tokens == 1


@pytest.mark.parametrize("weights", ["native", "f32", "f16", "bf16", "int8", "int4"])
def test_types_of_weights(
    checkpoint: pathlib.Path, session: mimo_vl.Session, weights: Literal["native", "f32", "f16", "bf16", "int8", "int4"]
) -> None:
    answer = mimo_vl.Model.load(checkpoint, weights=weights).session().ask(QUESTION, max_tokens=8)
    assert answer.tokens > 0
    if weights in ("native", "f32", "bf16"):  # The checkpoint has bf16, whose values f32 has too.
        assert answer.text == session.ask(QUESTION, max_tokens=8).text


def test_nothing_is_pickled(model: mimo_vl.Model, session: mimo_vl.Session, picture: pathlib.Path) -> None:
    image = mimo_vl.Image.open(picture)
    stream = session.stream(QUESTION)
    for thing in (model, session, stream, image, mimo_vl.Video.from_frames([image], 1.0)):
        name = type(thing).__name__
        with pytest.raises(TypeError, match=rf"cannot pickle a mimo_vl\.{name}: "):
            pickle.dumps(thing)
        with pytest.raises(TypeError, match="cannot pickle"):
            copy.copy(thing)
