"""Inputs of models: tensors of torch or numpy on request, else lists that are indexed like tensors."""

import importlib
from array import array
from collections import UserDict
from collections.abc import Sequence
from itertools import chain
from typing import Any

from .._native import Patches

PATCH_VALUES = 3 * 2 * 14 * 14
"""Values of a patch."""


class Array(list[Any]):
    """Numbers or rows of numbers: a list with the `shape`, the slices (`ids[:, 5:]`) and the `tolist()` of a tensor."""

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
    """Normalized pixel values, `[patches, 1176]`, computed on access only: a model takes the patches."""

    def __init__(self, media: Sequence[Patches]) -> None:
        self.media = tuple(media)

    @property
    def shape(self) -> tuple[int, int]:
        return (sum(4 * item.tokens for item in self.media), PATCH_VALUES)

    def tobytes(self) -> bytes:
        """Returns the values as float32, row by row."""
        return b"".join(item.values() for item in self.media)

    def tolist(self) -> list[list[float]]:
        values = array("f", self.tobytes()).tolist()
        return [values[start : start + PATCH_VALUES] for start in range(0, len(values), PATCH_VALUES)]

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
    """The output of a processor and the input of generate(). Its entries are items and attributes."""

    def __getattr__(self, name: str) -> Any:
        if name == "data" or name not in self.data:
            raise AttributeError(name)
        return self.data[name]

    def to(self, *_: Any, **__: Any) -> "BatchFeature":
        """Returns the same object: a model takes its inputs from any device."""
        return self


def to_tensor(value: Array | Pixels, tensors: str | None) -> Any:
    """Converts a value to a tensor of `return_tensors`; unchanged if that library is not installed."""
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


def to_list(values: Any) -> Any:
    """Converts a tensor to lists; lists and single numbers are unchanged."""
    return values.tolist() if hasattr(values, "tolist") else values


def like(source: Any, ids: Array) -> Any:
    """Converts token ids to the type of `source`."""
    if hasattr(source, "new_tensor"):
        return source.new_tensor(ids.tolist())
    return importlib.import_module("numpy").array(ids) if hasattr(source, "astype") else ids


def float_bytes(values: Any) -> bytes:
    """Converts pixel values, a tensor, an array or lists, to the bytes of float32."""
    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()
    if hasattr(values, "astype"):
        return bytes(values.astype("float32").tobytes())
    return array("f", chain.from_iterable(values)).tobytes()
