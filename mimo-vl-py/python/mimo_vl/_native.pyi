import os
import pathlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Literal, NoReturn, Protocol, TypeAlias, TypedDict, final

from typing_extensions import Buffer, Unpack

from .answer import Answer, Event, Plan, Region

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

class _PydanticModel(Protocol):
    @classmethod
    def model_json_schema(cls) -> dict[str, Any]: ...

class _Options(TypedDict, total=False):
    max_tokens: int | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    typical_p: float | None
    repetition_penalty: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    logit_bias: dict[int, float] | None
    seed: int | None
    draft: int | None
    stop: str | Sequence[str] | None
    loop_tokens: int | None
    logprobs: int | None
    deadline: float | None
    best_of: int | None
    thinking_tokens: int | None
    keep_thinking: bool | None
    schema: str | dict[str, Any] | type[_PydanticModel] | None
    regex: str | None
    lark: str | None
    choices: Sequence[str] | None
    form: Literal["boxes", "points", "action"] | None

_ImageLike: TypeAlias = Image | os.PathLike[str] | Buffer | _BinaryFile | _PilImage | _Array
_Part: TypeAlias = str | Video | _ImageLike

__all__ = ["Image", "Model", "Session", "Stream", "Video", "__version__", "draw"]

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
        array: Buffer | _Array, *, min_pixels: int | None = None, max_pixels: int | None = None
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
    def to_png(self) -> bytes: ...
    def _repr_png_(self) -> bytes: ...
    def __reduce__(self) -> NoReturn: ...

def draw(image: _ImageLike, regions: Iterable[Region]) -> Image: ...
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
        kv_cache: Literal["f32", "f16", "int8"] | None = None,
        threads: int | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Model: ...
    def load_session(self, path: str | os.PathLike[str]) -> Session: ...
    def batch(
        self,
        prompts: Iterable[_Part | Sequence[_Part]],
        *,
        most: int = 8,
        system: str | None = None,
        thinking: bool | None = None,
        **options: Unpack[_Options],
    ) -> list[Answer]: ...
    def session(self) -> Session: ...
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
        parts: _Part | Sequence[_Part],
        *,
        system: str | None = None,
        thinking: bool | None = None,
        **options: Unpack[_Options],
    ) -> Answer: ...
    def stream(
        self,
        parts: _Part | Sequence[_Part],
        *,
        system: str | None = None,
        thinking: bool | None = None,
        **options: Unpack[_Options],
    ) -> Stream: ...
    async def aask(
        self,
        parts: _Part | Sequence[_Part],
        *,
        system: str | None = None,
        thinking: bool | None = None,
        **options: Unpack[_Options],
    ) -> Answer: ...
    def astream(
        self,
        parts: _Part | Sequence[_Part],
        *,
        system: str | None = None,
        thinking: bool | None = None,
        **options: Unpack[_Options],
    ) -> AsyncIterator[Event]: ...
    def plan(
        self,
        parts: _Part | Sequence[_Part],
        *,
        system: str | None = None,
        thinking: bool | None = None,
        **options: Unpack[_Options],
    ) -> Plan: ...
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
    def close(self) -> None: ...
    def __enter__(self) -> Stream: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def __reduce__(self) -> NoReturn: ...
