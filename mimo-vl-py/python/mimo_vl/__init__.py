"""MiMo-VL, the vision-language model, inside your program: open an image, ask a question, get an answer.

    import pathlib, mimo_vl

    with mimo_vl.Model.load().session() as session:
        answer = session.ask([pathlib.Path("picture.png"), "How many circles are there?"])
        print(answer.text)

`Model.load()` without a path loads mimo-vl-tiny, a small model that comes with the package.
"""

from ._native import Image, Model, Session, Stream, Video, __version__
from .answer import Answer, End, Event, StopReason, Text, Thinking, Timings
from .errors import (
    AnswerError,
    CancelledError,
    CheckpointError,
    ContextTooLongError,
    DeadlineError,
    DeviceError,
    ErrorCode,
    HubError,
    ImageError,
    InternalError,
    IoError,
    MimoVlError,
    OptionError,
    OutOfMemoryError,
    PromptError,
    TensorError,
)

__all__ = [
    "Answer",
    "AnswerError",
    "CancelledError",
    "CheckpointError",
    "ContextTooLongError",
    "DeadlineError",
    "DeviceError",
    "End",
    "ErrorCode",
    "Event",
    "HubError",
    "Image",
    "ImageError",
    "InternalError",
    "IoError",
    "MimoVlError",
    "Model",
    "OptionError",
    "OutOfMemoryError",
    "PromptError",
    "Session",
    "StopReason",
    "Stream",
    "TensorError",
    "Text",
    "Thinking",
    "Timings",
    "Video",
    "__version__",
]
