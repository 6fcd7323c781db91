import os
import pathlib
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Literal, NoReturn, Protocol, TypeAlias, final

from typing_extensions import Buffer

from .answer import Answer, Event

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

_ImageLike: TypeAlias = Image | os.PathLike[str] | Buffer | _BinaryFile | _PilImage | _Array
_Part: TypeAlias = str | Video | _ImageLike

__all__ = ["Image", "Model", "Session", "Stream", "Video", "__version__"]

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
    def __reduce__(self) -> NoReturn: ...

@final
class Video:
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
    ) -> Model: ...
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
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float | None = None,
        seed: int | None = None,
        draft: int | None = None,
    ) -> Answer: ...
    def stream(
        self,
        parts: _Part | Sequence[_Part],
        *,
        system: str | None = None,
        thinking: bool | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float | None = None,
        seed: int | None = None,
        draft: int | None = None,
    ) -> Stream: ...
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
