"""What can go wrong: one exception per kind of error, sorted by what the caller can do about it.

Wrong types of arguments are a `TypeError`, as everywhere in Python; a session that is closed, or busy with another
call, is a `RuntimeError`.
"""

import enum
from typing import Final


class ErrorCode(enum.IntEnum):
    """The kind of an error, as a number that is the same in Rust, C and Python."""

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
    """Every failure of this library; `code` says which kind."""

    code: ErrorCode


class IoError(MimoVlError, OSError):
    """A file could not be opened or read; `errno`, `strerror` and `filename` are set as in every `OSError`."""

    code = ErrorCode.IO


class CheckpointError(MimoVlError):
    """A folder is not a usable checkpoint: a file is missing, broken, or has a value that is not supported."""

    code = ErrorCode.CHECKPOINT


class TensorError(MimoVlError):
    """A tensor of the checkpoint is missing, or has another shape or type than the configuration asks for."""

    code = ErrorCode.TENSOR


class ImageError(MimoVlError):
    """An image or a video frame cannot be decoded or used."""

    code = ErrorCode.IMAGE


class PromptError(MimoVlError):
    """The prompt cannot be put to the model as it is."""

    code = ErrorCode.PROMPT


class ContextTooLongError(MimoVlError):
    """Prompt and answer do not fit into the context."""

    code = ErrorCode.CONTEXT_TOO_LONG


class OptionError(MimoVlError, ValueError):
    """An option has a value out of its range."""

    code = ErrorCode.OPTION


class DeviceError(MimoVlError):
    """The device is unknown, is not part of this build, or has no usable driver."""

    code = ErrorCode.DEVICE


class CancelledError(MimoVlError):
    """The caller cancelled the work. The session is as it was before the call."""

    code = ErrorCode.CANCELLED


class InternalError(MimoVlError):
    """A defect of this library. The session that met it must not be used again; the model can be."""

    code = ErrorCode.INTERNAL


class OutOfMemoryError(MimoVlError, MemoryError):
    """There is not enough free memory; the message has the figures."""

    code = ErrorCode.MEMORY


class TimedOutError(MimoVlError, TimeoutError):
    """The time that the caller allowed is over. The session is as it was before the call."""

    code = ErrorCode.TIMEOUT


class AnswerError(MimoVlError):
    """What the model answered cannot be read as what was asked of it."""

    code = ErrorCode.ANSWER


class HubError(MimoVlError):
    """A checkpoint cannot be had from a model hub."""

    code = ErrorCode.HUB


BY_CODE: Final[dict[int, type[MimoVlError]]] = {
    kind.code: kind
    for kind in (
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
"""The exception of every code."""
