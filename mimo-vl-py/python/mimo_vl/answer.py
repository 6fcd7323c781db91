"""What a session gives back: the answer as a whole, and the events of a stream."""

import enum
import html
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ._native import answer_field


class StopReason(enum.Enum):
    """Why an answer ended."""

    END_OF_TEXT = "end_of_text"
    """The model said that it is done."""
    MAX_TOKENS = "max_tokens"
    """The caller's limit of tokens is reached."""
    CANCELLED = "cancelled"
    """The caller cancelled."""
    CONTEXT_FULL = "context_full"
    """The context is full."""
    STOP_SEQUENCE = "stop_sequence"
    """One of the caller's texts that end an answer appeared."""
    LOOP = "loop"
    """The answer went round in circles."""
    TIMEOUT = "timeout"
    """The time that the caller allowed is over."""


@dataclass(frozen=True, slots=True)
class Timings:
    """How long the stages of one answer took, in seconds. `dataclasses.asdict` makes a dict of it."""

    load: float
    """Loading the model, once for all its sessions."""
    media: float
    """Reading and decoding the files of the question's pictures, videos and pages, before it was asked."""
    preprocess: float
    """Resizing images and video frames, and cutting them into patches."""
    encode: float
    """Images and videos through the vision tower and the projector."""
    prefill: float
    """The new part of the conversation through the language model, up to the first token of the answer."""
    decode: float
    """The tokens of the answer."""
    sampling: float
    """Choosing the tokens of the answer."""
    cached_tokens: int
    """How many tokens of the conversation earlier turns had computed already."""
    prefill_tokens_per_second: float
    """Tokens of the conversation that went through the language model in one second; 0 when none did."""
    decode_tokens_per_second: float
    """Tokens of the answer that went through the language model in one second; 0 when none did."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a session takes. What sessions share is counted in each."""

    weights: int
    """The model's weights, as far as they are read."""
    cache: int
    """Keys and values of the tokens so far, as they are allocated."""
    pixels: int
    """The pixels of the conversation's pictures and videos."""
    features: int
    """What the vision tower made of them."""


@dataclass(frozen=True, slots=True)
class Coordinates:
    """A box (left, top, right, bottom) or a point (x, y) in several frames; in those of pictures the origin is top left."""

    pixels: tuple[float, ...]
    """Pixels of your picture, as a viewer shows it."""
    normalized: tuple[float, ...]
    """The same over the picture's size: from 0 to 1."""
    model: tuple[float, ...]
    """Pixels of the picture that the model saw, as it wrote them."""
    page: tuple[float, ...] | None
    """Points of the page of a PDF file that the picture shows, y upwards and the smaller values first; None for others."""
    clamped: bool
    """Whether it lay outside and was moved to the edge, or had its sides the wrong way round."""


@dataclass(frozen=True, slots=True)
class Region:
    """A box, or one or several points, that the answer locates in a picture."""

    image: int
    """In which picture or video of the conversation, from 0."""
    page: int | None
    """On which page of its PDF file, from 1; None where the picture shows none."""
    label: str | None
    """What it is called."""
    text: str | None
    """The text that is written there."""
    box: Coordinates | None
    """The box; None for points."""
    points: tuple[Coordinates, ...]
    """The points; none for a box."""
    confidence: float | None
    """The geometric mean of the probabilities of its tokens, not calibrated; None without logprobs."""

    def _row(self) -> str:
        places = self.points if self.box is None else (self.box,)
        pixels = "; ".join(", ".join(f"{value:.0f}" for value in place.pixels) for place in places)
        label = html.escape(self.label or self.text or "")
        return f"<tr><td>{self.image}</td><td>{label}</td><td>{pixels}</td></tr>"


@dataclass(frozen=True, slots=True)
class Action:
    """What the model wants done on a screen; points are in pixels of your screenshot."""

    name: str
    """click, scroll, input, drag, open, press, finished, longpress, hover, select, wait or appswitch."""
    point: tuple[float, float] | None = None
    """Where, or where a drag starts."""
    end_point: tuple[float, float] | None = None
    """Where a drag ends."""
    text: str | None = None
    """What is written, chosen or opened, or how a finished task went."""
    direction: str | None = None
    """Of a scroll: up, down, left or right."""
    keys: tuple[str, ...] = ()
    """Keys to press together."""

    @staticmethod
    def _of(values: dict[str, Any]) -> "Action":
        def point(key: str) -> tuple[float, float] | None:
            place = values.get(key)
            return None if place is None else (float(place[0]), float(place[1]))

        text = next((values[key] for key in ("text", "app", "status") if key in values), None)
        keys = tuple(values.get("keys", ()))
        return Action(
            values["action"], point("start_point"), point("end_point"), text, values.get("direction"), keys
        )

    def map(self, to: Callable[[tuple[float, float]], tuple[float, float]]) -> "Action":
        """The action with every point moved, by Screen.to_desktop for example."""
        point = None if self.point is None else to(self.point)
        return replace(self, point=point, end_point=None if self.end_point is None else to(self.end_point))

    def scroll_as_drag(self, width: float, height: float) -> "Action":
        """A scroll as the drag that does the same on a screen of width by height pixels; other actions as they are."""
        ends = {"up": (0.5, 0.8), "down": (0.5, 0.2), "left": (0.8, 0.5), "right": (0.2, 0.5)}
        if self.name != "scroll" or self.direction not in ends:
            return self
        x, y = ends[self.direction]
        return Action("drag", (0.5 * width, 0.5 * height), (x * width, y * height))

    def _values(self) -> dict[str, Any]:
        """The action as the model writes it, but in pixels of your screenshot."""
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


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """How likely a token of an answer was."""

    id: int
    """The token."""
    logprob: float
    """The natural logarithm of its probability."""
    top: tuple[tuple[int, float], ...]
    """The most likely tokens at its place with their logprobs."""
    range: tuple[int, int]
    """What it wrote of the answer's text: from the first character up to the second."""


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """A part of a question."""

    tokens: int
    """Its tokens."""
    size: tuple[int, int] | None
    """Width and height at which the model sees a picture; None for text."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a question will take."""

    fits: bool
    """Whether the context and the memory that is free hold it."""
    prompt_tokens: int
    """Tokens of the whole conversation with the question."""
    cached_tokens: int
    """How many of them the session has seen already."""
    answer_tokens: int
    """Most tokens that the answer can have."""
    cache_bytes: int
    """Bytes of keys and values for all of them."""
    peak_bytes: int
    """Bytes of the process at its peak, weights included."""
    available_bytes: int | None
    """Bytes that are free now; None where that is not known."""
    parts: tuple[PlannedPart, ...]
    """The parts of the question, in order."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said. `str()` of it is the text."""

    text: str
    """The answer, without the thinking."""
    thinking: str | None
    """What the model thought before it answered; None when it did not think."""
    stop_reason: StopReason
    """Why the answer ended."""
    tokens: int
    """How many tokens the answer has, thinking included."""
    prompt_tokens: int
    """How many tokens the whole conversation before it has."""
    timings: Timings
    """How long each stage took."""
    complete: bool
    """Whether the answer came to its own end, with every list and object in it closed."""
    regions: tuple[Region, ...]
    """The boxes and points in the answer."""
    action: Action | None
    """The action that the answer asks for, if it is one."""
    logprobs: tuple[TokenLogprob, ...]
    """How likely its tokens were; empty unless `logprobs` was given."""
    memory: Memory
    """What the session takes after it."""

    def field_confidence(self, pointer: str = "") -> float | None:
        """How sure the model was of a value of an answer in JSON: the geometric mean of its tokens' probabilities.

        It is not calibrated. `pointer` names the value as RFC 6901 says: "/items/0/price", or nothing for the whole.
        None where there is no such value, and without logprobs.
        """
        field = answer_field(self.text, pointer)
        if field is None:
            return None
        start, end = field
        within = [t.logprob for t in self.logprobs if t.range[0] < t.range[1] and t.range[0] < end and t.range[1] > start]
        return math.exp(sum(within) / len(within)) if within else None

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """How notebooks show it: thinking folded, and a table of the regions."""
        parts = []
        if self.thinking is not None:
            parts.append(f"<details><summary>Thinking</summary><pre>{html.escape(self.thinking)}</pre></details>")
        parts.append(f'<div style="white-space: pre-wrap">{html.escape(self.text)}</div>')
        if self.regions:
            rows = "".join(region._row() for region in self.regions)
            parts.append(f"<table><tr><th>picture</th><th>label</th><th>pixels</th></tr>{rows}</table>")
        parts.append(f"<small>{self.tokens} tokens, {self.timings.decode_tokens_per_second:.1f} a second</small>")
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class Thinking:
    """More of the thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """More of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class RegionEvent:
    """A box, or one or several points, closed in the answer."""

    region: Region


@dataclass(frozen=True, slots=True)
class End:
    """The answer is over; nothing follows."""

    reason: StopReason


Event: TypeAlias = Thinking | Text | RegionEvent | End
"""One step of an answer while it is generated."""
