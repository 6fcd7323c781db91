"""Exceptions, one per kind of error, sorted by what the caller can do about it.

An argument of the wrong type is a `TypeError`; a session that is closed, or busy with another call, is a
`RuntimeError`.
"""

import enum
from typing import Final


class ErrorCode(enum.IntEnum):
    """Kinds of errors; the numbers are the same in Rust, C and Python."""

    IO = 1
    CHECKPOINT = 2
    TENSOR = 3
    IMAGE = 4
    PROMPT = 5
    CONTEXT_TOO_LONG = 6
    OPTION = 7
    DEVICE = 8
    CANCELLED = 9
    INTERNAL = 10
    MEMORY = 11
    TIMEOUT = 12
    ANSWER = 13
    HUB = 14


class MimoVlError(Exception):
    """Base class of all errors of this library; `code` is the kind."""

    code: ErrorCode


class IoError(MimoVlError, OSError):
    """A file could not be opened or read; `errno`, `strerror` and `filename` are set as in every `OSError`."""

    code = ErrorCode.IO


class CheckpointError(MimoVlError):
    """A checkpoint cannot be used: a file is missing, damaged, or has an unsupported value."""

    code = ErrorCode.CHECKPOINT


class TensorError(MimoVlError):
    """A tensor of the checkpoint is missing, or its shape or type does not match the configuration."""

    code = ErrorCode.TENSOR


class ImageError(MimoVlError):
    """An image or a video frame cannot be decoded or used."""

    code = ErrorCode.IMAGE


class PromptError(MimoVlError):
    """The prompt is invalid."""

    code = ErrorCode.PROMPT


class ContextTooLongError(MimoVlError):
    """The conversation does not fit into the context."""

    code = ErrorCode.CONTEXT_TOO_LONG


class OptionError(MimoVlError, ValueError):
    """The value of an option is out of its range."""

    code = ErrorCode.OPTION


class DeviceError(MimoVlError):
    """The device is unknown, not part of this build, or has no usable driver."""

    code = ErrorCode.DEVICE


class CancelledError(MimoVlError):
    """The call was cancelled. The session is as it was before the call."""

    code = ErrorCode.CANCELLED


class InternalError(MimoVlError):
    """A defect of this library. The session must not be used again; the model can be."""

    code = ErrorCode.INTERNAL


class OutOfMemoryError(MimoVlError, MemoryError):
    """The free memory does not suffice; the message has the figures."""

    code = ErrorCode.MEMORY


class TimedOutError(MimoVlError, TimeoutError):
    """The time limit of the call is over. The session is as it was before the call."""

    code = ErrorCode.TIMEOUT


class AnswerError(MimoVlError):
    """The answer of the model cannot be parsed in the required form."""

    code = ErrorCode.ANSWER


class HubError(MimoVlError):
    """A checkpoint cannot be downloaded from the hub."""

    code = ErrorCode.HUB


BY_CODE: Final[dict[int, type[MimoVlError]]] = {
    error.code: error
    for error in (
        IoError,
        CheckpointError,
        TensorError,
        ImageError,
        PromptError,
        ContextTooLongError,
        OptionError,
        DeviceError,
        CancelledError,
        InternalError,
        OutOfMemoryError,
        TimedOutError,
        AnswerError,
        HubError,
    )
}
"""The exception for each code."""
