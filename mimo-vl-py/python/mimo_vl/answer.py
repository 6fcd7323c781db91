"""Answers of a session, and the events of a stream."""

import enum
import html
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ._native import json_value_range, scroll_as_drag


class StopReason(enum.Enum):
    """Reason why an answer ended."""

    END_OF_TEXT = "end_of_text"
    """The model ended the answer."""
    MAX_TOKENS = "max_tokens"
    """The answer has `max_tokens` tokens."""
    CANCELLED = "cancelled"
    """The caller stopped the stream."""
    CONTEXT_FULL = "context_full"
    """The context is full."""
    STOP_SEQUENCE = "stop_sequence"
    """The answer came to a text of `stop`."""
    LOOP = "loop"
    """The answer repeated itself; see `loop_window`."""
    TIMEOUT = "timeout"
    """The time limit is over."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Duration of the stages of one answer, in seconds. `dataclasses.asdict` makes a dict of it."""

    load: float
    """Loading the model, once for all its sessions."""
    media: float
    """Reading and decoding the files of the prompt's images, videos and pages, before the call."""
    preprocess: float
    """Resizing images and video frames, and cutting them into patches."""
    encode: float
    """Running the vision tower and the projector."""
    prefill: float
    """Prefill of the new part of the conversation."""
    decode: float
    """Decoding the tokens of the answer."""
    sampling: float
    """Sampling the tokens of the answer."""
    cached_tokens: int
    """Tokens of the conversation that were in the KV cache."""
    prefill_tokens_per_second: float
    """Prefilled tokens per second; 0 if none were."""
    decode_tokens_per_second: float
    """Decoded tokens per second; 0 if none were."""


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Memory of a session in bytes. Each session counts what it shares with others."""

    weights: int
    """The model's weights, as far as they are read."""
    cache: int
    """The KV cache, as allocated."""
    pixels: int
    """The pixels of the conversation's images and videos."""
    features: int
    """The vision tower's features of them."""


@dataclass(frozen=True, slots=True)
class Coordinates:
    """A box (left, top, right, bottom) or a point (x, y) in several frames of reference.

    Those of images have their origin at the top left.
    """

    pixels: tuple[float, ...]
    """Pixels of the image as a viewer shows it."""
    normalized: tuple[float, ...]
    """`pixels` divided by the image's size, from 0 to 1."""
    model: tuple[float, ...]
    """Pixels of the resized image that the model saw, as the model wrote them."""
    page: tuple[float, ...] | None
    """Points of the page of a PDF file, y upwards and the smaller values first; None for other images."""
    clamped: bool
    """True if the model's values were outside of the image or in the wrong order, and were corrected."""


@dataclass(frozen=True, slots=True)
class Region:
    """A box, or one or several points, that the answer locates in an image."""

    image: int
    """Index of the image or video in the conversation, from 0."""
    page: int | None
    """Number of the page in its PDF file, from 1; None for other images."""
    label: str | None
    """Label of the object."""
    text: str | None
    """Text in the region."""
    box: Coordinates | None
    """The box; None for points."""
    points: tuple[Coordinates, ...]
    """The points; empty for a box."""
    confidence: float | None
    """Geometric mean of the probabilities of its tokens, not calibrated; None without logprobs."""

    def _row(self) -> str:
        shapes = self.points if self.box is None else (self.box,)
        pixels = "; ".join(", ".join(f"{value:.0f}" for value in shape.pixels) for shape in shapes)
        label = html.escape(self.label or self.text or "")
        return f"<tr><td>{self.image}</td><td>{label}</td><td>{pixels}</td></tr>"


@dataclass(frozen=True, slots=True)
class Action:
    """An action on a screen. Points are in pixels of the screenshot."""

    name: str
    """click, scroll, input, drag, open, press, finished, longpress, hover, select, wait or appswitch."""
    point: tuple[float, float] | None = None
    """Position, or the start of a drag."""
    end_point: tuple[float, float] | None = None
    """End of a drag."""
    text: str | None = None
    """Text to type or select, application to open, or status of a finished task."""
    direction: str | None = None
    """Direction of a scroll: up, down, left or right."""
    keys: tuple[str, ...] = ()
    """Keys to press together."""

    @staticmethod
    def _from_dict(values: dict[str, Any]) -> "Action":
        def point(key: str) -> tuple[float, float] | None:
            pair = values.get(key)
            return None if pair is None else (float(pair[0]), float(pair[1]))

        text = next((values[key] for key in ("text", "app", "status") if key in values), None)
        keys = tuple(values.get("keys", ()))
        return Action(values["action"], point("start_point"), point("end_point"), text, values.get("direction"), keys)

    def _to_dict(self) -> dict[str, Any]:
        """The JSON that the model writes for the action, but in pixels of the screenshot."""
        text = {"open": "app", "appswitch": "app", "finished": "status"}.get(self.name, "text")
        values = {
            "action": self.name,
            "start_point": self.point,
            "end_point": self.end_point,
            text: self.text,
            "direction": self.direction,
            "keys": self.keys or None,
        }
        return {key: value for key, value in values.items() if value is not None}

    def map(self, function: Callable[[tuple[float, float]], tuple[float, float]]) -> "Action":
        """Returns the action with a function applied to its points, such as Screen.to_desktop."""
        point = None if self.point is None else function(self.point)
        return replace(self, point=point, end_point=None if self.end_point is None else function(self.end_point))

    def scroll_as_drag(self, width: float, height: float) -> "Action":
        """Returns the drag that scrolls a screen of width by height pixels alike; other actions unchanged."""
        drag = None
        if self.name == "scroll" and self.direction is not None:
            drag = scroll_as_drag(self.direction, width, height)
        return self if drag is None else Action("drag", *drag)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Log probability of a token of an answer."""

    id: int
    """The token."""
    logprob: float
    """Natural logarithm of its probability."""
    top: tuple[tuple[int, float], ...]
    """The most likely tokens at its position, with their log probabilities."""
    range: tuple[int, int]
    """Start and end of its characters in the answer's text."""


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """A part of a prompt."""

    tokens: int
    """Number of tokens."""
    size: tuple[int, int] | None
    """Width and height in pixels at which the model sees an image; None for text."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Tokens and memory that a prompt needs."""

    fits: bool
    """True if the context and the free memory suffice."""
    prompt_tokens: int
    """Tokens of the conversation with the prompt."""
    cached_tokens: int
    """Tokens of these in the KV cache."""
    answer_tokens: int
    """Largest number of tokens of the answer."""
    cache_bytes: int
    """Bytes of the KV cache for all of them."""
    peak_bytes: int
    """Bytes of the process at its peak, weights included."""
    available_bytes: int | None
    """Free bytes; None if unknown."""
    parts: tuple[PlannedPart, ...]
    """The parts of the prompt, in order."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the model. `str()` of it is the text."""

    text: str
    """The answer without the thinking."""
    thinking: str | None
    """The thinking before the answer; None if the model did not think."""
    stop_reason: StopReason
    """Reason why the answer ended."""
    tokens: int
    """Number of tokens, thinking included."""
    prompt_tokens: int
    """Number of tokens of the conversation before the answer."""
    timings: Timings
    """Duration of each stage."""
    complete: bool
    """True if the model ended the answer, with every list and object in it closed, and it is not empty after a
    thinking."""
    closed_early: bool
    """True if the grammar ended the answer before the model would have, because a limit came near: it fits the grammar,
    and may lack items or text. `stop_reason` is the limit."""
    regions: tuple[Region, ...]
    """The boxes and points in the answer."""
    action: Action | None
    """The action, if the answer is one."""
    logprobs: tuple[TokenLogprob, ...]
    """Log probabilities of the tokens; empty without `logprobs`."""
    memory: MemoryUse
    """Memory of the session after the answer."""

    def field_confidence(self, pointer: str = "") -> float | None:
        """Returns the geometric mean of the probabilities of the tokens of a value, for an answer that is JSON.

        It is not calibrated. `pointer` names the value as in RFC 6901: "/items/0/price", or "" for the whole answer.
        None if there is no such value, and without logprobs.
        """
        value = json_value_range(self.text, pointer)
        if value is None:
            return None
        start, end = value
        spans = ((token.range, token.logprob) for token in self.logprobs)
        logprobs = [logprob for (first, last), logprob in spans if first < last and first < end and last > start]
        return math.exp(sum(logprobs) / len(logprobs)) if logprobs else None

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """The answer in notebooks: thinking folded, and a table of the regions."""
        parts = []
        if self.thinking is not None:
            parts.append(f"<details><summary>Thinking</summary><pre>{html.escape(self.thinking)}</pre></details>")
        parts.append(f'<div style="white-space: pre-wrap">{html.escape(self.text)}</div>')
        if self.regions:
            rows = "".join(region._row() for region in self.regions)
            parts.append(f"<table><tr><th>image</th><th>label</th><th>pixels</th></tr>{rows}</table>")
        parts.append(f"<small>{self.tokens} tokens, {self.timings.decode_tokens_per_second:.1f} tokens/s</small>")
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class Thinking:
    """Text of the thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """Text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class RegionEvent:
    """A region that the answer has completed."""

    region: Region


@dataclass(frozen=True, slots=True)
class End:
    """The end of the answer; no event follows."""

    reason: StopReason


Event: TypeAlias = Thinking | Text | RegionEvent | End
"""An event of an answer while it is generated."""
