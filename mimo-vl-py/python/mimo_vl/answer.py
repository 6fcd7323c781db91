"""What a session gives back: the answer as a whole, and the events of a stream."""

import enum
from dataclasses import dataclass
from typing import TypeAlias


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
    STOP_TEXT = "stop_text"
    """One of the caller's texts that end an answer appeared."""
    LOOP = "loop"
    """The answer went round in circles."""
    DEADLINE = "deadline"
    """The time that the caller allowed is over."""


@dataclass(frozen=True, slots=True)
class Timings:
    """How long the stages of one answer took, in seconds. `dataclasses.asdict` makes a dict of it."""

    load: float
    """Loading the model, once for all its sessions."""
    preprocess: float
    """Resizing images and video frames, and cutting them into patches."""
    encode: float
    """Images and videos through the vision tower and the projector."""
    prefill: float
    """The new part of the conversation through the language model, up to the first token of the answer."""
    decode: float
    """The tokens of the answer."""
    cached_tokens: int
    """How many tokens of the conversation earlier turns had computed already."""
    prefill_tokens_per_second: float
    """Tokens of the conversation that went through the language model in one second; 0 when none did."""
    decode_tokens_per_second: float
    """Tokens of the answer that went through the language model in one second; 0 when none did."""


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

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Thinking:
    """More of the thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """More of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class End:
    """The answer is over; nothing follows."""

    reason: StopReason


Event: TypeAlias = Thinking | Text | End
"""One step of an answer while it is generated."""
