"""Reference cases: conversations, and the results of transformers."""

import json
import pathlib
import struct
from typing import Any

import numpy as np

LOSSLESS = ["text", "two-images-turns", "video-image"]
CASES = ["jpeg", *LOSSLESS]


class Case:
    """A conversation, with its files as paths, and the results of transformers."""

    def __init__(self, folder: pathlib.Path) -> None:
        raw = json.loads((folder / "messages.json").read_text("utf-8"))
        limits = {name: raw[name] for name in ("min_pixels", "max_pixels") if name in raw}
        expected = json.loads((folder / "expected.json").read_text("utf-8"))
        self.messages: list[dict[str, Any]] = raw["messages"]
        self.prompt, self.text = expected["prompt"], expected["text"]
        self.tensors = read_safetensors(folder / "expected.safetensors")
        self.videos = 0
        contents = (message["content"] for message in self.messages)
        for part in (part for content in contents if isinstance(content, list) for part in content):
            if "image" in part:
                part.update(limits, image=str(folder / part["image"]))
            if "video" in part:
                self.videos += 1
                part.update(limits, video=[str(folder / frame) for frame in part["video"]])

    @property
    def greedy(self) -> list[int]:
        return list(self.tensors["greedy_ids"].tolist())

    def pixel_values(self) -> Any:
        """Normalized values, `[patches, 1176]`, of the images and then of the videos."""
        mean = np.repeat([0.48145466, 0.4578275, 0.40821073], 392)
        std = np.repeat([0.26862954, 0.26130258, 0.27577711], 392)
        return (self.tensors["patches"] / 255 - mean) / std


def read_safetensors(path: pathlib.Path) -> dict[str, Any]:
    """The tensors of a safetensors file."""
    data = path.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    dtypes = {"I64": "<i8", "F32": "<f4", "U8": "u1"}
    header = json.loads(data[8:start])
    return {
        name: np.frombuffer(data[start:][slice(*entry["data_offsets"])], dtypes[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
    }
