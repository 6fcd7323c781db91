"""Boxes, points, actions and forms of answers, with a model that would say anything."""

import json
import math
import pathlib
import pickle
from typing import Any

import pytest

import mimo_vl

QUESTION = "What is it?"


def test_boxes_are_typed_and_drawn(model: mimo_vl.Model, picture: pathlib.Path) -> None:
    image = mimo_vl.Image.open(picture)
    found: list[mimo_vl.Region] = []
    for seed in range(4):
        with model.session() as session, session.stream(
            [image, QUESTION], thinking=False, response_format="boxes", temperature=20.0, seed=seed, max_tokens=200, logprobs=1
        ) as stream:
            streamed = [event.region for event in stream if isinstance(event, mimo_vl.RegionEvent)]
            answer = stream.answer
        assert answer is not None and answer.complete
        assert streamed == list(answer.regions)
        assert len(json.loads(answer.text)) == len(answer.regions)
        assert len(answer.logprobs) == answer.tokens and answer.logprobs[0].logprob <= 0 and len(answer.logprobs[0].top) == 1
        assert pickle.loads(pickle.dumps(answer)) == answer
        found.extend(answer.regions)
    assert found
    for region in found:
        assert region.box is not None and region.points == () and region.label and region.image == 0
        left, top, right, bottom = region.box.pixels
        assert 0 <= left <= right <= image.width and 0 <= top <= bottom <= image.height
        assert region.box.normalized == pytest.approx(
            (left / image.width, top / image.height, right / image.width, bottom / image.height)
        )
        assert region.confidence is not None and 0 < region.confidence <= 1
    drawn = mimo_vl.draw(image, found)
    assert (drawn.width, drawn.height) == (image.width, image.height)
    assert drawn.tobytes() != image.tobytes() and mimo_vl.draw(picture, []).tobytes() == image.tobytes()
    assert drawn._repr_png_().startswith(b"\x89PNG") and mimo_vl.Image.from_bytes(drawn.to_png()).tobytes() == drawn.tobytes()


def test_points_and_actions(session: mimo_vl.Session, picture: pathlib.Path) -> None:
    points = session.ask([picture, QUESTION], thinking=False, response_format="points", temperature=20.0, seed=3, max_tokens=200)
    assert all(region.box is None and len(region.points) == 1 for region in points.regions)
    session.reset()
    answer = session.ask([picture, QUESTION], thinking=False, response_format="action", max_tokens=300)
    assert answer.action is not None and answer.action.name in answer.text
    assert session.ask("And now?", max_tokens=4).action is None


def test_a_part_of_a_picture_is_named_in_the_whole(model: mimo_vl.Model, picture: pathlib.Path) -> None:
    whole = mimo_vl.Image.open(picture)
    part = whole.crop(whole.width // 2, 0, whole.width - whole.width // 2, whole.height)
    with model.session() as session:
        answer = session.ask([part, QUESTION], thinking=False, response_format="boxes", temperature=20.0, seed=1, max_tokens=200)
    for region in answer.regions:
        assert region.box is not None and region.box.pixels[0] >= whole.width // 2
    with pytest.raises(mimo_vl.ImageError, match="part"):
        whole.crop(1, 1, whole.width, 1)


class Bill:
    """Looks like a pydantic model."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"tax": {"type": "integer", "minimum": 0, "maximum": 99}},
            "required": ["tax"],
            "additionalProperties": False,
        }


@pytest.mark.parametrize("schema", [Bill, Bill.model_json_schema(), json.dumps(Bill.model_json_schema())])
def test_schemas(session: mimo_vl.Session, schema: Any) -> None:
    answer = session.ask(QUESTION, thinking=False, schema=schema, max_tokens=60)
    value = json.loads(answer.text)
    assert answer.complete and list(value) == ["tax"] and 0 <= value["tax"] <= 99


def test_other_forms(session: mimo_vl.Session) -> None:
    assert session.ask(QUESTION, thinking=False, choices=["ja", "nein"]).text in ("ja", "nein")
    assert session.ask(QUESTION, thinking=False, regex="a{3}").text == "aaa"
    assert session.ask(QUESTION, thinking=False, lark='start: "x" "y"').text == "xy"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"choices": ["a"], "regex": "b"}, "form of the answer"),
        ({"response_format": "circles"}, "circles"),
        ({"response_format": "boxes"}, "picture"),
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
def test_bad_options(session: mimo_vl.Session, options: dict[str, Any], word: str) -> None:
    with pytest.raises(mimo_vl.OptionError, match=word):
        session.ask(QUESTION, **options)


@pytest.mark.parametrize(
    ("options", "word"), [({"nonsense": 1}, "nonsense"), ({"max_tokens": "3"}, "max_tokens"), ({"stop": [3]}, "stop")]
)
def test_options_of_a_wrong_type(session: mimo_vl.Session, options: dict[str, Any], word: str) -> None:
    with pytest.raises(TypeError, match=word):
        session.ask(QUESTION, **options)


def test_more_options(model: mimo_vl.Model) -> None:
    with model.session() as session:
        best = session.ask(QUESTION, temperature=1.0, best_of=3, max_tokens=8)
        assert best.tokens <= 8
    with model.session() as session:
        text = session.ask(QUESTION, thinking=False, max_tokens=24).text
    middle = text[len(text) // 2 :][:2]
    with model.session() as session:
        stopped = session.ask(QUESTION, thinking=False, max_tokens=24, stop=middle)
    assert stopped.stop_reason == mimo_vl.StopReason.STOP_SEQUENCE and middle not in stopped.text
    with model.session() as session, pytest.raises(mimo_vl.TimedOutError):
        session.ask(QUESTION, timeout=1e-9)
