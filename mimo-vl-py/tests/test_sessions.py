"""Sessions: ask(), stream(), conversations, and the objects' guarantees."""

import copy
import dataclasses
import pathlib
import pickle
from typing import Any, Literal

import pytest

import mimo_vl

PROMPT = "What is it?"


def text_of(events: list[mimo_vl.Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, mimo_vl.Text))


def thinking_of(events: list[mimo_vl.Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, mimo_vl.Thinking))


def test_stream_and_ask_give_the_same_answer(model: mimo_vl.Model, image_path: pathlib.Path) -> None:
    options: dict[str, Any] = {"max_tokens": 24, "temperature": 1.2, "top_k": 40, "top_p": 0.95, "seed": 7}
    with model.session() as session:
        expected = session.ask([image_path, PROMPT], **options)
    with model.session() as session, session.stream([image_path, PROMPT], **options) as stream:
        assert stream.answer is None
        events = list(stream)
        answer = stream.answer
    assert answer is not None
    assert dataclasses.replace(answer, timings=expected.timings) == expected
    assert text_of(events) == expected.text
    assert thinking_of(events) == (expected.thinking or "")
    assert events[-1] == mimo_vl.End(expected.stop_reason)
    assert not any(isinstance(event, mimo_vl.End) for event in events[:-1])


def test_an_answer_has_its_counts_and_timings(session: mimo_vl.Session, image_path: pathlib.Path) -> None:
    # An image of no other test, because the model caches features.
    new = mimo_vl.Image.from_array(memoryview(bytes(range(256)) * 27).cast("B", (48, 48, 3)))
    answer = session.ask([image_path, new, "What do you see?"], max_tokens=5)
    assert answer.tokens == 5
    assert answer.prompt_tokens == session.cached_tokens - 4, "the last token of the answer is not cached"
    assert answer.stop_reason is mimo_vl.StopReason.MAX_TOKENS
    assert str(answer) == answer.text
    assert repr(answer).startswith(f"Answer(text={answer.text!r}, thinking=")
    timings = dataclasses.asdict(answer.timings)
    assert timings["load"] > 0 and timings["preprocess"] > 0 and timings["encode"] > 0 and timings["prefill"] > 0
    assert pickle.loads(pickle.dumps(answer)) == answer


def test_options_reach_the_model(model: mimo_vl.Model) -> None:
    def ask(**options: Any) -> str:
        with model.session() as session:
            return session.ask(PROMPT, max_tokens=24, **options).text

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
            return session.ask(PROMPT, max_tokens=1, **options).prompt_tokens

    assert tokens(thinking=True) == tokens()
    assert tokens(thinking=False) > tokens()
    assert tokens(system="Always answer in one word, and in capital letters, whatever the prompt is.") > tokens()


def test_a_single_part_needs_no_list(model: mimo_vl.Model, image_path: pathlib.Path) -> None:
    for part in (PROMPT, image_path):
        with model.session() as session:
            alone = session.ask(part, max_tokens=8).text
        with model.session() as session:
            assert session.ask((part,), max_tokens=8).text == alone


def test_each_call_continues_the_conversation(session: mimo_vl.Session, image_path: pathlib.Path) -> None:
    first = session.ask([image_path, PROMPT], max_tokens=8)
    second = session.ask("And why?", max_tokens=8)
    assert second.prompt_tokens > first.prompt_tokens
    assert second.timings.cached_tokens > 0
    session.reset()
    again = session.ask([image_path, PROMPT], max_tokens=8)
    assert (again.text, again.prompt_tokens, again.timings.cached_tokens) == (first.text, first.prompt_tokens, 0)


@pytest.mark.parametrize("end", ["close", "with", "drop"])
def test_an_unfinished_stream_rolls_back(session: mimo_vl.Session, image_path: pathlib.Path, end: str) -> None:
    session.ask([image_path, PROMPT], max_tokens=8)
    expected = session.ask("And why?", max_tokens=8)
    session.reset()
    session.ask([image_path, PROMPT], max_tokens=8)

    if end == "with":
        with session.stream("Something else entirely", max_tokens=100) as stream:
            next(stream)
        assert list(stream) == []
    else:
        stream = session.stream("Something else entirely", max_tokens=100)
        next(stream)
        if end == "close":
            stream.close()
            assert (list(stream), stream.answer) == ([], None)
        else:
            del stream

    after = session.ask("And why?", max_tokens=8)
    assert (after.text, after.prompt_tokens) == (expected.text, expected.prompt_tokens)


def test_leaving_the_loop_ends_a_stream(session: mimo_vl.Session) -> None:
    for _ in session.stream(PROMPT, max_tokens=100):
        break
    alone = session.ask(PROMPT, max_tokens=8).prompt_tokens
    session.reset()
    assert session.ask(PROMPT, max_tokens=8).prompt_tokens == alone


def test_a_finished_stream_becomes_part_of_the_conversation(session: mimo_vl.Session) -> None:
    first = session.ask(PROMPT, max_tokens=8).prompt_tokens
    session.reset()
    stream = session.stream(PROMPT, max_tokens=8)
    for event in stream:
        if isinstance(event, mimo_vl.End):
            break
    stream.close()
    assert stream.answer is not None
    assert session.ask(PROMPT, max_tokens=8).prompt_tokens > first + stream.answer.tokens


def test_an_open_stream_keeps_the_session_busy(session: mimo_vl.Session) -> None:
    stream = session.stream(PROMPT, max_tokens=100)
    next(stream)
    with pytest.raises(RuntimeError, match="busy"):
        session.ask(PROMPT)
    with pytest.raises(RuntimeError, match="busy"):
        session.stream(PROMPT)
    with pytest.raises(RuntimeError, match="busy"):
        session.reset()
    stream.close()
    assert session.ask(PROMPT, max_tokens=2).tokens == 2


def test_a_closed_session_refuses_calls(model: mimo_vl.Model) -> None:
    with model.session() as session:
        stream = session.stream(PROMPT, max_tokens=100)
        next(stream)
    assert list(stream) == []
    for call in (lambda: session.ask(PROMPT), lambda: session.stream(PROMPT), session.reset):
        with pytest.raises(RuntimeError, match="closed"):
            call()
    session.close()


def test_a_session_outlives_its_model(checkpoint: pathlib.Path, session: mimo_vl.Session) -> None:
    other = mimo_vl.Model.load(checkpoint).session()
    assert other.ask(PROMPT, max_tokens=8).text == session.ask(PROMPT, max_tokens=8).text


def test_model_properties(model: mimo_vl.Model, checkpoint: pathlib.Path) -> None:
    assert (model.path, model.device) == (checkpoint, "cpu")
    assert repr(model) == f'<mimo_vl.Model "{checkpoint}" on cpu>'
    assert mimo_vl.Model.load(str(checkpoint), weights="f32", max_context=64).max_context == 64
    assert model.max_context > 64
    small = mimo_vl.Model.load(checkpoint, weights="f32", kv_cache_dtype="int8", threads=1)
    assert small.session().ask(PROMPT, max_tokens=1).tokens == 1


@pytest.mark.parametrize("weights", ["native", "f32", "f16", "bf16", "int8", "int4"])
def test_weight_formats(
    checkpoint: pathlib.Path, session: mimo_vl.Session, weights: Literal["native", "f32", "f16", "bf16", "int8", "int4"]
) -> None:
    answer = mimo_vl.Model.load(checkpoint, weights=weights).session().ask(PROMPT, max_tokens=8)
    assert answer.tokens > 0
    if weights in ("native", "f32", "bf16"):  # The checkpoint has bf16.
        assert answer.text == session.ask(PROMPT, max_tokens=8).text


def test_native_objects_are_not_pickled(
    model: mimo_vl.Model, session: mimo_vl.Session, image_path: pathlib.Path
) -> None:
    image = mimo_vl.Image.open(image_path)
    stream = session.stream(PROMPT)
    video = mimo_vl.Video.from_frames([image], 1.0)
    for value in (model, session, stream, image, video, mimo_vl.CancelToken()):
        name = type(value).__name__
        with pytest.raises(TypeError, match=rf"cannot pickle a mimo_vl\.{name}: "):
            pickle.dumps(value)
        with pytest.raises(TypeError, match="cannot pickle"):
            copy.copy(value)
