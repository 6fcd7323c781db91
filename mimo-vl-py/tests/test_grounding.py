"""Boxes, points, actions and structured answers, with a model of random weights."""

import json
import math
import pathlib
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import mimo_vl

PROMPT = "What is it?"


def located_answers(
    model: mimo_vl.Model, image: mimo_vl.Image | pathlib.Path, response_format: Any
) -> Iterator[mimo_vl.Answer]:
    """Answers that locate regions, sampled at a temperature at which most answers of random weights have some."""
    options: dict[str, Any] = {"response_format": response_format, "temperature": 20.0, "max_tokens": 200}
    for seed in range(8):
        with model.session() as session:
            answer = session.ask([image, PROMPT], thinking=False, seed=seed, **options)
        if answer.complete and answer.regions:
            yield answer


def test_boxes_are_parsed_and_drawn(model: mimo_vl.Model, image_path: pathlib.Path) -> None:
    image = mimo_vl.Image.open(image_path)
    options: dict[str, Any] = {"response_format": "boxes", "temperature": 20.0, "max_tokens": 200, "logprobs": 1}
    regions: list[mimo_vl.Region] = []
    for seed in range(4):
        with (
            model.session() as session,
            session.stream([image, PROMPT], thinking=False, seed=seed, **options) as stream,
        ):
            streamed = [event.region for event in stream if isinstance(event, mimo_vl.RegionEvent)]
            answer = stream.answer
        assert answer is not None and answer.complete != answer.closed_early
        assert streamed == list(answer.regions)
        entries = json.loads(answer.text)
        assert [region.label for region in answer.regions] == [entry["label"] for entry in entries]
        assert len(answer.logprobs) == answer.tokens
        assert answer.logprobs[0].logprob <= 0 and len(answer.logprobs[0].top) == 1
        assert pickle.loads(pickle.dumps(answer)) == answer
        regions.extend(answer.regions)
    assert regions
    for region in regions:
        assert region.box is not None and region.points == () and region.label and region.image == 0
        left, top, right, bottom = region.box.pixels
        assert 0 <= left <= right <= image.width and 0 <= top <= bottom <= image.height
        assert region.box.normalized == pytest.approx(
            (left / image.width, top / image.height, right / image.width, bottom / image.height)
        )
        assert region.confidence is not None and 0 < region.confidence <= 1
    drawn = mimo_vl.draw_regions(image, regions)
    assert (drawn.width, drawn.height) == (image.width, image.height)
    assert drawn.tobytes() != image.tobytes()
    assert mimo_vl.draw_regions(image_path, []).tobytes() == image.tobytes()
    assert drawn._repr_png_().startswith(b"\x89PNG")
    assert mimo_vl.Image.from_bytes(drawn.to_png()).tobytes() == drawn.tobytes()


def test_points_are_parsed(model: mimo_vl.Model, image_path: pathlib.Path) -> None:
    image = mimo_vl.Image.open(image_path)
    with model.session() as session:
        size = session.plan([image, PROMPT]).parts[0].size
    assert size is not None
    answers = list(located_answers(model, image, "points"))
    assert answers
    for answer in answers:
        for region, entry in zip(answer.regions, json.loads(answer.text), strict=True):
            [point] = region.points
            assert region.box is None and region.label == entry["label"]
            x, y = entry["point_2d"]
            assert point.model == (x, y)
            expected = (x * image.width / size[0], y * image.height / size[1])
            assert point.clamped or point.pixels == pytest.approx(expected)


def test_an_action_is_parsed(session: mimo_vl.Session, image_path: pathlib.Path) -> None:
    answer = session.ask([image_path, PROMPT], thinking=False, response_format="action", max_tokens=300)
    assert answer.action is not None
    assert answer.action.name == json.loads(answer.text)["action"]
    assert session.ask("And now?", max_tokens=4).action is None


def test_regions_of_a_crop_are_in_pixels_of_the_full_image(model: mimo_vl.Model, image_path: pathlib.Path) -> None:
    full = mimo_vl.Image.open(image_path)
    left = full.width // 2
    crop = full.crop(left, 0, full.width - left, full.height)
    with model.session() as session:
        size = session.plan([crop, PROMPT]).parts[0].size
    assert size is not None
    answers = list(located_answers(model, crop, "boxes"))
    assert answers
    for region in (region for answer in answers for region in answer.regions):
        assert region.box is not None
        pixels, seen = region.box.pixels, region.box.model
        assert left <= pixels[0] <= pixels[2] <= full.width
        assert region.box.clamped or pixels[0] == pytest.approx(left + seen[0] * crop.width / size[0])
    with pytest.raises(mimo_vl.ImageError, match="part|crop"):
        full.crop(1, 1, full.width, 1)


class Bill:
    """A class with the method of a pydantic model."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"tax": {"type": "integer", "minimum": 0, "maximum": 99}},
            "required": ["tax"],
            "additionalProperties": False,
        }


@pytest.mark.parametrize("schema", [Bill, Bill.model_json_schema(), json.dumps(Bill.model_json_schema())])
def test_json_schemas(session: mimo_vl.Session, schema: Any) -> None:
    answer = session.ask(PROMPT, thinking=False, schema=schema, max_tokens=60)
    value = json.loads(answer.text)
    assert answer.complete and list(value) == ["tax"] and 0 <= value["tax"] <= 99


def test_choices_regex_and_lark(session: mimo_vl.Session) -> None:
    assert session.ask(PROMPT, thinking=False, choices=["ja", "nein"]).text in ("ja", "nein")
    assert session.ask(PROMPT, thinking=False, regex="a{3}").text == "aaa"
    assert session.ask(PROMPT, thinking=False, lark='start: "x" "y"').text == "xy"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"choices": ["a"], "regex": "b"}, "form of the answer"),
        ({"response_format": "circles"}, "circles"),
        ({"response_format": "boxes"}, "boxes, points and actions"),
        ({"regex": "("}, "grammar"),
        ({"schema": "{"}, "JSON"),
        ({"timeout": -1.0}, "timeout"),
        ({"timeout": math.nan}, "timeout"),
        ({"best_of": 0}, "best_of"),
        ({"loop_window": 3}, "loop_window"),
        ({"logit_bias": {1 << 30: 1.0}}, "logit_bias"),
        ({"logprobs": -1}, "logprobs"),
        ({"typical_p": 0.0}, "typical_p"),
    ],
)
def test_invalid_options(session: mimo_vl.Session, options: dict[str, Any], word: str) -> None:
    with pytest.raises(mimo_vl.OptionError, match=word):
        session.ask(PROMPT, **options)


@pytest.mark.parametrize(
    ("options", "word"),
    [({"nonsense": 1}, "nonsense"), ({"max_tokens": "3"}, "max_tokens"), ({"stop": [3]}, "stop")],
)
def test_options_of_a_wrong_type(session: mimo_vl.Session, options: dict[str, Any], word: str) -> None:
    with pytest.raises(TypeError, match=word):
        session.ask(PROMPT, **options)


def test_best_of_keeps_the_answer_with_the_highest_mean_logprob(model: mimo_vl.Model) -> None:
    options: dict[str, Any] = {"temperature": 1.0, "max_tokens": 8}
    candidates: list[tuple[float, str]] = []
    for seed in range(3, 8):
        with model.session() as session:
            answer = session.ask(PROMPT, seed=seed, logprobs=0, **options)
        assert answer.stop_reason is mimo_vl.StopReason.MAX_TOKENS and len(answer.logprobs) == 8
        candidates.append((sum(token.logprob for token in answer.logprobs) / 8, answer.text))
    assert len({text for _, text in candidates}) == len(candidates)
    with model.session() as session:
        best = session.ask(PROMPT, seed=3, best_of=len(candidates), **options)
    assert best.text == max(candidates)[1]


def test_a_stop_sequence_ends_the_answer(model: mimo_vl.Model) -> None:
    with model.session() as session:
        text = session.ask(PROMPT, thinking=False, max_tokens=24).text
    middle = text[len(text) // 2 :][:2]
    with model.session() as session:
        answer = session.ask(PROMPT, thinking=False, max_tokens=24, stop=middle)
    assert answer.stop_reason is mimo_vl.StopReason.STOP_SEQUENCE
    assert answer.text == text[: text.index(middle)]


def test_a_timeout_before_the_answer_is_an_error(session: mimo_vl.Session) -> None:
    with pytest.raises(mimo_vl.TimedOutError):
        session.ask(PROMPT, timeout=1e-9)
