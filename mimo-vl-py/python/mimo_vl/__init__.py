"""MiMo-VL, the vision-language model, inside your program: open an image, ask a question, get an answer.

    import pathlib, mimo_vl

    with mimo_vl.Model.load().session() as session:
        answer = session.ask([pathlib.Path("picture.png"), "How many circles are there?"])
        print(answer.text)

`Model.load()` without a path loads mimo-vl-tiny, a small model that comes with the package.
"""

from . import score
from ._log import set_log_level
from ._native import (
    Image,
    Model,
    PdfPage,
    Prompt,
    Server,
    Session,
    Stream,
    Task,
    Video,
    __version__,
    draw,
    open_pdf,
    quantize,
)
from .answer import (
    Action,
    Answer,
    End,
    Event,
    RegionEvent,
    Coordinates,
    Memory,
    Plan,
    PlannedPart,
    Region,
    StopReason,
    Text,
    Thinking,
    Timings,
    TokenLogprob,
)
from .errors import (
    AnswerError,
    CancelledError,
    CheckpointError,
    ContextTooLongError,
    TimedOutError,
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
from .screen import Screen

__all__ = [
    "Action",
    "Answer",
    "AnswerError",
    "CancelledError",
    "CheckpointError",
    "ContextTooLongError",
    "TimedOutError",
    "DeviceError",
    "End",
    "ErrorCode",
    "Event",
    "RegionEvent",
    "HubError",
    "Image",
    "ImageError",
    "InternalError",
    "IoError",
    "Coordinates",
    "Memory",
    "MimoVlError",
    "Model",
    "OptionError",
    "OutOfMemoryError",
    "PdfPage",
    "Plan",
    "PlannedPart",
    "Prompt",
    "PromptError",
    "Region",
    "Screen",
    "Server",
    "Session",
    "StopReason",
    "Stream",
    "Task",
    "TensorError",
    "Text",
    "Thinking",
    "Timings",
    "TokenLogprob",
    "Video",
    "__version__",
    "draw",
    "open_pdf",
    "quantize",
    "score",
    "set_log_level",
]
