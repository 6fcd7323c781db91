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

class _SamplingOptions(TypedDict, total=False):
    max_tokens: int | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    typical_p: float | None
    repetition_penalty: float | None
    seed: int | None
    timeout: float | None

class _Options(_SamplingOptions, total=False):
    frequency_penalty: float | None
    presence_penalty: float | None
    logit_bias: dict[int, float] | None
    num_draft_tokens: int | None
    stop: str | Sequence[str] | None
    loop_window: int | None
    logprobs: int | None
    best_of: int | None
    max_context: int | None
    thinking_budget: int | None
    keep_thinking: bool | None
    prose_regions: bool | None
    schema: str | dict[str, Any] | type[_PydanticModel] | None
    regex: str | None
    lark: str | None
    choices: Sequence[str] | None
    response_format: Literal["boxes", "points", "action"] | Task | None

_ImageLike: TypeAlias = Image | os.PathLike[str] | Buffer | _BinaryFile | _PilImage | _Array | _Tensor
_Part: TypeAlias = str | Video | _ImageLike
_Parts: TypeAlias = _Part | Sequence[_Part] | Prompt

class _Message(TypedDict):
    role: Literal["system", "user", "assistant"]
    content: _Part | Sequence[_Part]

__all__ = [
    "CancelToken",
    "Image",
    "Model",
    "Patches",
    "PdfPage",
    "Processor",
    "Prompt",
    "Screen",
    "Server",
    "Session",
    "Stream",
    "Task",
    "Video",
    "__version__",
    "draw_regions",
    "json_value_range",
    "open_pdf",
    "quantize",
    "score_anls",
    "score_choice",
    "score_contains",
    "score_count",
    "score_exact",
    "score_iou",
    "score_relaxed",
    "score_time_iou",
    "score_time_span",
    "scroll_as_drag",
    "set_log_sink",
    "smart_resize",
]

__version__: Final[str]

@final
class CancelToken:
    def __new__(cls) -> CancelToken: ...
    def cancel(self) -> None: ...
    @property
    def cancelled(self) -> bool: ...
    def child(self) -> CancelToken: ...
    def __reduce__(self) -> NoReturn: ...

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

def draw_regions(image: _ImageLike, regions: Iterable[Region]) -> Image: ...
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
    def preprocess(
        self, media: Video | _ImageLike, *, min_pixels: int | None = None, max_pixels: int | None = None
    ) -> Patches: ...
    def patches_from_values(self, values: Buffer, grid: tuple[int, int, int]) -> Patches: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Prompt:
    @staticmethod
    def from_messages(messages: Iterable[_Message], *, continue_final_message: bool = False) -> Prompt: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Task:
    def __new__(
        cls, goal: str, *, instruction: str | None = None, action_space: Sequence[str] | None = None
    ) -> Task: ...
    def step(self, explanation: str, action: Action) -> Task: ...
    def prompt(self, model: Model, screenshot: _ImageLike) -> Prompt: ...

@final
class Screen:
    def __new__(cls, left: float, top: float, width: int, height: int, scale: float = 1.0) -> Screen: ...
    @property
    def left(self) -> float: ...
    @property
    def top(self) -> float: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def scale(self) -> float: ...
    def to_desktop(self, point: Sequence[float]) -> tuple[float, float]: ...
    def to_pixels(self, point: Sequence[float]) -> tuple[float, float]: ...
    def contains(self, point: Sequence[float]) -> bool: ...
    @staticmethod
    def at(screens: Sequence[Screen], point: Sequence[float]) -> int | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __getnewargs__(self) -> tuple[float, float, int, int, float]: ...

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
    pages: tuple[int, int | None] | None = None,
    dpi: float | None = None,
    max_pixels: int | None = None,
    max_pages: int | None = None,
    password: str | None = None,
    cancel: CancelToken | None = None,
    timeout: float | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[PdfPage]: ...
def quantize(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    weights: Literal["int8", "int4"] = "int4",
    prompts: Sequence[str] | None = None,
    cancel: CancelToken | None = None,
    timeout: float | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> str: ...
def set_log_sink(level: int, sink: Callable[[int, str, str], object] | None) -> None: ...
def json_value_range(text: str, pointer: str) -> tuple[int, int] | None: ...
def score_anls(answer: str, expected: Sequence[str]) -> float: ...
def score_choice(answer: str, choices: int) -> str | None: ...
def score_contains(box: Sequence[float], point: Sequence[float]) -> bool: ...
def score_count(answer: str) -> int | None: ...
def score_exact(answer: str, expected: str) -> bool: ...
def score_iou(a: Sequence[float], b: Sequence[float]) -> float: ...
def score_relaxed(answer: str, expected: str) -> bool: ...
def score_time_iou(a: Sequence[float], b: Sequence[float]) -> float: ...
def score_time_span(answer: str) -> tuple[float, float] | None: ...
def scroll_as_drag(
    direction: str, width: float, height: float
) -> tuple[tuple[float, float], tuple[float, float]] | None: ...
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
        allowed_origins: Sequence[str] | None = None,
        media_root: str | os.PathLike[str] | None = None,
        allow_remote_media: bool = False,
        max_concurrent: int | None = None,
        max_queued: int | None = None,
        max_connections: int | None = None,
        max_body_bytes: int | None = None,
        max_image_pixels: int | None = None,
        max_media_items: int | None = None,
        max_choices: int | None = None,
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
        max_missing_frames: float | None = None,
        cancel: CancelToken | None = None,
        timeout: float | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Video: ...
    @property
    def timestamps(self) -> list[float]: ...
    @property
    def replaced_frames(self) -> int: ...
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
        cancel: CancelToken | None = None,
        timeout: float | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Model: ...
    def features(self, image: _ImageLike) -> tuple[bytes, int, int]: ...
    def load_session(self, path: str | os.PathLike[str]) -> Session: ...
    def batch(
        self,
        prompts: Iterable[_Parts],
        *,
        max_concurrent: int = 8,
        system: str | None = None,
        thinking: bool | None = None,
        cancel: CancelToken | None = None,
        **options: Unpack[_Options],
    ) -> list[Answer]: ...
    def generate_ids(
        self,
        prompts: Sequence[tuple[Sequence[int], Sequence[tuple[Patches, float | None]]]],
        *,
        eos_token_ids: Sequence[int],
        on_token: Callable[[int, int], object] | None = None,
        cancel: CancelToken | None = None,
        **options: Unpack[_SamplingOptions],
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
        *parts: _Parts,
        system: str | None = None,
        thinking: bool | None = None,
        cancel: CancelToken | None = None,
        progress: Callable[[str, int, int], object] | None = None,
        **options: Unpack[_Options],
    ) -> Answer: ...
    def stream(
        self,
        *parts: _Parts,
        system: str | None = None,
        thinking: bool | None = None,
        cancel: CancelToken | None = None,
        progress: Callable[[str, int, int], object] | None = None,
        **options: Unpack[_Options],
    ) -> Stream: ...
    async def aask(
        self,
        *parts: _Parts,
        system: str | None = None,
        thinking: bool | None = None,
        cancel: CancelToken | None = None,
        progress: Callable[[str, int, int], object] | None = None,
        **options: Unpack[_Options],
    ) -> Answer: ...
    def astream(
        self,
        *parts: _Parts,
        system: str | None = None,
        thinking: bool | None = None,
        cancel: CancelToken | None = None,
        progress: Callable[[str, int, int], object] | None = None,
        **options: Unpack[_Options],
    ) -> AsyncIterator[Event]: ...
    def plan(
        self,
        *parts: _Parts,
        system: str | None = None,
        thinking: bool | None = None,
        **options: Unpack[_Options],
    ) -> Plan: ...
    def fit(
        self,
        *parts: _Parts,
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
