import os
import pathlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Literal, NoReturn, Protocol, TypeAlias, TypedDict, final

from typing_extensions import Buffer, Unpack

from .answer import Action, Answer, Event, Plan, Region

class _PilImage(Protocol):
    @property
    def mode(self) -> str: ...
    @property
    def size(self) -> tuple[int, int]: ...
    def tobytes(self) -> bytes: ...

class _BinaryFile(Protocol):
    def read(self) -> bytes: ...
    def seek(self, offset: int, /) -> int: ...

class _Array(Protocol):
    def __array__(self) -> Any: ...

class _Tensor(Protocol):
    def __dlpack__(self) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

class _PydanticModel(Protocol):
    @classmethod
    def model_json_schema(cls) -> dict[str, Any]: ...

class _Choosing(TypedDict, total=False):
    max_tokens: int | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    typical_p: float | None
    repetition_penalty: float | None
    seed: int | None

class _Options(_Choosing, total=False):
    frequency_penalty: float | None
    presence_penalty: float | None
    logit_bias: dict[int, float] | None
    num_draft_tokens: int | None
    stop: str | Sequence[str] | None
    loop_window: int | None
    logprobs: int | None
    timeout: float | None
    best_of: int | None
    thinking_budget: int | None
    keep_thinking: bool | None
    schema: str | dict[str, Any] | type[_PydanticModel] | None
    regex: str | None
    lark: str | None
    choices: Sequence[str] | None
    response_format: Literal["boxes", "points", "action"] | Task | None

_ImageLike: TypeAlias = Image | os.PathLike[str] | Buffer | _BinaryFile | _PilImage | _Array | _Tensor
_Part: TypeAlias = str | Video | _ImageLike
_Asked: TypeAlias = _Part | Sequence[_Part] | Prompt

class _Message(TypedDict):
    role: Literal["system", "user", "assistant"]
    content: _Part | Sequence[_Part]

__all__ = [
    "Image",
    "Model",
    "Patches",
    "PdfPage",
    "Processor",
    "Prompt",
    "Server",
    "Session",
    "Stream",
    "Task",
    "Video",
    "__version__",
    "answer_field",
    "draw",
    "open_pdf",
    "quantize",
    "score_anls",
    "score_choice",
    "score_count",
    "score_exact",
    "score_relaxed",
    "score_time_span",
    "set_log",
    "smart_resize",
]

__version__: Final[str]

@final
class Image:
    @staticmethod
    def open(
        path: str | os.PathLike[str], *, min_pixels: int | None = None, max_pixels: int | None = None
    ) -> Image: ...
    @staticmethod
    def from_bytes(
        data: Buffer | _Array, *, min_pixels: int | None = None, max_pixels: int | None = None
    ) -> Image: ...
    @staticmethod
    def from_array(
        array: Buffer | _Array | _Tensor, *, min_pixels: int | None = None, max_pixels: int | None = None
    ) -> Image: ...
    @staticmethod
    def from_pil(image: _PilImage, *, min_pixels: int | None = None, max_pixels: int | None = None) -> Image: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def orientation(self) -> int: ...
    @property
    def min_pixels(self) -> int | None: ...
    @property
    def max_pixels(self) -> int | None: ...
    def tobytes(self) -> bytes: ...
    def crop(self, left: int, top: int, width: int, height: int) -> Image: ...
    def zoom_crop(self, x: float, y: float, zoom: float) -> Image: ...
    def resize(self, width: int, height: int) -> Image: ...
    def to_png(self) -> bytes: ...
    def _repr_png_(self) -> bytes: ...
    def __reduce__(self) -> NoReturn: ...

def draw(image: _ImageLike, regions: Iterable[Region]) -> Image: ...
def smart_resize(
    height: int, width: int, factor: int = 28, min_pixels: int = 3136, max_pixels: int = 12845056
) -> tuple[int, int]: ...
@final
class Patches:
    @property
    def grid(self) -> tuple[int, int, int]: ...
    @property
    def tokens(self) -> int: ...
    def values(self) -> bytes: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Processor:
    @staticmethod
    def load(
        path: str | os.PathLike[str],
        *,
        revision: str | None = None,
        token: str | None = None,
        cache: str | os.PathLike[str] | None = None,
        offline: bool | None = None,
    ) -> Processor: ...
    @property
    def path(self) -> pathlib.Path: ...
    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: Sequence[int], skip_special_tokens: bool) -> str: ...
    def token_id(self, token: str) -> int | None: ...
    def render(self, context: str, template: str | None = None) -> str: ...
    def patches(
        self, media: Video | _ImageLike, *, min_pixels: int | None = None, max_pixels: int | None = None
    ) -> Patches: ...
    def patches_of(self, values: Buffer, grid: tuple[int, int, int]) -> Patches: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Prompt:
    @staticmethod
    def from_messages(messages: Iterable[_Message]) -> Prompt: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Task:
    def __new__(cls, goal: str, *, instruction: str | None = None, action_space: Sequence[str] | None = None) -> Task: ...
    def step(self, explanation: str, action: Action) -> Task: ...
    def prompt(self, model: Model, screenshot: _ImageLike) -> Prompt: ...

@final
class PdfPage:
    @property
    def number(self) -> int: ...
    @property
    def image(self) -> Image: ...
    @property
    def size(self) -> tuple[float, float]: ...
    def to_points(self, x: float, y: float) -> tuple[float, float]: ...
    def box_to_points(
        self, left: float, top: float, right: float, bottom: float
    ) -> tuple[float, float, float, float]: ...
    def to_pixels(self, x: float, y: float) -> tuple[float, float]: ...
    def __reduce__(self) -> NoReturn: ...

def open_pdf(
    source: str | os.PathLike[str] | bytes,
    *,
    first: int | None = None,
    last: int | None = None,
    dpi: float | None = None,
    max_pixels: int | None = None,
    max_pages: int | None = None,
    password: str | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[PdfPage]: ...
def quantize(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    weights: Literal["int8", "int4"] = "int4",
    questions: Sequence[str] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> str: ...
def set_log(level: int, sink: Callable[[int, str, str], object] | None) -> None: ...
def answer_field(text: str, pointer: str) -> tuple[int, int] | None: ...
def score_anls(answer: str, expected: Sequence[str]) -> float: ...
def score_choice(answer: str, choices: int) -> str | None: ...
def score_count(answer: str) -> int | None: ...
def score_exact(answer: str, expected: str) -> bool: ...
def score_relaxed(answer: str, expected: str) -> bool: ...
def score_time_span(answer: str) -> tuple[float, float] | None: ...
@final
class Server:
    def __new__(
        cls,
        model: Model,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        served_model_name: str | None = None,
        api_key: str | None = None,
        media_root: str | os.PathLike[str] | None = None,
        allow_remote_media: bool = False,
        max_concurrent: int | None = None,
        max_queued: int | None = None,
        max_connections: int | None = None,
        max_body_bytes: int | None = None,
        max_image_pixels: int | None = None,
        max_media_items: int | None = None,
        max_tokens: int | None = None,
        request_timeout: float | None = None,
        completion_timeout: float | None = None,
    ) -> Server: ...
    @property
    def url(self) -> str: ...
    @property
    def port(self) -> int: ...
    def run(self) -> None: ...
    def stop(self) -> None: ...
    def __enter__(self) -> Server: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Video:
    @staticmethod
    def open(
        path: str | os.PathLike[str],
        *,
        fps: float | None = None,
        frames: int | None = None,
        min_frames: int | None = None,
        max_frames: int | None = None,
        start: float | None = None,
        end: float | None = None,
        total_pixels: int | None = None,
        max_pixels: int | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Video: ...
    @property
    def timestamps(self) -> list[float]: ...
    @staticmethod
    def from_frames(
        frames: Iterable[_ImageLike], fps: float, *, min_pixels: int | None = None, max_pixels: int | None = None
    ) -> Video: ...
    @property
    def fps(self) -> float: ...
    def __len__(self) -> int: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Model:
    @staticmethod
    def load(
        path: str | os.PathLike[str] | None = None,
        *,
        device: str = "cpu",
        weights: Literal["native", "f32", "f16", "bf16", "int8", "int4"] = "native",
        max_context: int | None = None,
        kv_cache_dtype: Literal["f32", "f16", "int8"] | None = None,
        threads: int | None = None,
        feature_cache: int | None = None,
        thinking_style: Literal["slash", "tag", "prefill"] | None = None,
        revision: str | None = None,
        token: str | None = None,
        endpoint: str | None = None,
        cache: str | os.PathLike[str] | None = None,
        offline: bool | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Model: ...
    def features(self, image: _ImageLike) -> tuple[bytes, int, int]: ...
    def load_session(self, path: str | os.PathLike[str]) -> Session: ...
    def batch(
        self,
        prompts: Iterable[_Asked],
        *,
        most: int = 8,
        system: str | None = None,
        thinking: bool | None = None,
        **options: Unpack[_Options],
    ) -> list[Answer]: ...
    def continue_ids(
        self,
        prompts: Sequence[tuple[Sequence[int], Sequence[tuple[Patches, float | None]]]],
        *,
        ends: Sequence[int],
        each: Callable[[int, int], object] | None = None,
        **options: Unpack[_Choosing],
    ) -> list[list[int]]: ...
    def session(self) -> Session: ...
    @property
    def processor(self) -> Processor: ...
    @property
    def eos_token_ids(self) -> list[int]: ...
    @property
    def path(self) -> pathlib.Path: ...
    @property
    def device(self) -> str: ...
    @property
    def max_context(self) -> int: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Session:
    def ask(
        self,
        parts: _Asked,
        *,
        system: str | None = None,
        thinking: bool | None = None,
        progress: Callable[[str, int, int], object] | None = None,
        **options: Unpack[_Options],
    ) -> Answer: ...
    def stream(
        self,
        parts: _Asked,
        *,
        system: str | None = None,
        thinking: bool | None = None,
        progress: Callable[[str, int, int], object] | None = None,
        **options: Unpack[_Options],
    ) -> Stream: ...
    async def aask(
        self,
        parts: _Asked,
        *,
        system: str | None = None,
        thinking: bool | None = None,
        progress: Callable[[str, int, int], object] | None = None,
        **options: Unpack[_Options],
    ) -> Answer: ...
    def astream(
        self,
        parts: _Asked,
        *,
        system: str | None = None,
        thinking: bool | None = None,
        progress: Callable[[str, int, int], object] | None = None,
        **options: Unpack[_Options],
    ) -> AsyncIterator[Event]: ...
    def plan(
        self,
        parts: _Asked,
        *,
        system: str | None = None,
        thinking: bool | None = None,
        **options: Unpack[_Options],
    ) -> Plan: ...
    def fit(
        self,
        parts: _Asked,
        *,
        tokens: int | None = None,
        bytes: int | None = None,
        lower_pixels: bool = True,
        system: str | None = None,
        thinking: bool | None = None,
        **options: Unpack[_Options],
    ) -> tuple[Prompt, Plan]: ...
    def fork(self) -> Session: ...
    def save(self, path: str | os.PathLike[str]) -> None: ...
    @property
    def cached_tokens(self) -> int: ...
    def cancel(self) -> None: ...
    def reset(self) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Session: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Stream:
    def __iter__(self) -> Stream: ...
    def __next__(self) -> Event: ...
    @property
    def answer(self) -> Answer | None: ...
    def stop(self) -> None: ...
    def end_thinking(self) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Stream: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def __reduce__(self) -> NoReturn: ...
