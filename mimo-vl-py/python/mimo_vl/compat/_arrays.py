"""Numbers as processors give them and models take them: tensors where they are wanted, else lists that are indexed as tensors."""

import importlib
from array import array
from collections import UserDict
from collections.abc import Sequence
from itertools import chain
from typing import Any

from .._native import Patches

VALUES = 3 * 2 * 14 * 14
"""Values of a patch."""


class Array(list[Any]):
    """Numbers, or rows of them: a list with the `shape`, the slices (`ids[:, 5:]`) and the `tolist()` of a tensor."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), len(self[0])) if self and isinstance(self[0], list) else (len(self),)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):
            rows, columns = index
            rows = slice(None) if rows is ... else rows
            return Array(row[columns] for row in self[rows]) if isinstance(rows, slice) else self[rows][columns]
        item = super().__getitem__(index)
        return Array(item) if isinstance(index, slice) else item

    def tolist(self) -> list[Any]:
        return [item.tolist() if isinstance(item, Array) else item for item in self]

    def cpu(self) -> "Array":
        return self

    def to(self, *_: Any, **__: Any) -> "Array":
        return self


class Pixels:
    """Normalised pixel values, `[patches, 1176]`, worked out only where they are looked at: a model takes the patches."""

    def __init__(self, media: Sequence[Patches]) -> None:
        self.media = tuple(media)

    @property
    def shape(self) -> tuple[int, int]:
        return (sum(4 * medium.tokens for medium in self.media), VALUES)

    def tobytes(self) -> bytes:
        """The values as 32-bit floats, row by row."""
        return b"".join(medium.values() for medium in self.media)

    def tolist(self) -> list[list[float]]:
        values = array("f", self.tobytes()).tolist()
        return [values[start : start + VALUES] for start in range(0, len(values), VALUES)]

    def __getitem__(self, index: Any) -> Any:
        return Array(map(Array, self.tolist()))[index]

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        values = importlib.import_module("numpy").frombuffer(self.tobytes(), "float32").reshape(self.shape)
        return values if dtype is None else values.astype(dtype)

    def cpu(self) -> "Pixels":
        return self

    def to(self, *_: Any, **__: Any) -> "Pixels":
        return self


class BatchFeature(UserDict[str, Any]):
    """What a processor gives and generate() takes: its entries are items and attributes."""

    def __getattr__(self, name: str) -> Any:
        if name == "data" or name not in self.data:
            raise AttributeError(name)
        return self.data[name]

    def to(self, *_: Any, **__: Any) -> "BatchFeature":
        """The same: a model takes its inputs from wherever they are."""
        return self


def converted(value: Array | Pixels, tensors: str | None) -> Any:
    """A value as the tensor that is asked for, or as it is where there is no such library."""
    if tensors not in (None, "pt", "np"):
        raise ValueError(f"return_tensors={tensors!r} is none of 'pt', 'np'")
    try:
        library = importlib.import_module("torch" if tensors == "pt" else "numpy") if tensors else None
    except ImportError:
        library = None
    if library is None:
        return value
    if tensors == "np":
        return library.array(value)
    if isinstance(value, Pixels):
        return library.frombuffer(bytearray(value.tobytes()), dtype=library.float32).reshape(value.shape)
    return library.tensor(value.tolist())


def listed(values: Any) -> Any:
    """The numbers of a tensor as lists; lists and single numbers as they are."""
    return values.tolist() if hasattr(values, "tolist") else values


def like(source: Any, ids: Array) -> Any:
    """Token ids of the type that others have."""
    if hasattr(source, "new_tensor"):
        return source.new_tensor(ids.tolist())
    return importlib.import_module("numpy").array(ids) if hasattr(source, "astype") else ids


def floats(values: Any) -> bytes:
    """Pixel values that are a tensor, an array or lists, as 32-bit floats."""
    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()
    if hasattr(values, "astype"):
        return bytes(values.astype("float32").tobytes())
    return array("f", chain.from_iterable(values)).tobytes()
