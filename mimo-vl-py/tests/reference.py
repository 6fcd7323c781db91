"""The reference cases: conversations, and what transformers gives for them."""

import json
import pathlib
import struct
from typing import Any

import numpy as np

LOSSLESS = ["text", "two-images-turns", "video-image"]
CASES = ["jpeg", *LOSSLESS]


class Case:
    """A conversation, with its files as paths, and what transformers gives for it."""

    def __init__(self, folder: pathlib.Path) -> None:
        raw = json.loads((folder / "messages.json").read_text("utf-8"))
        limits = {name: raw[name] for name in ("min_pixels", "max_pixels") if name in raw}
        expected = json.loads((folder / "expected.json").read_text("utf-8"))
        self.messages: list[dict[str, Any]] = raw["messages"]
        self.prompt, self.text = expected["prompt"], expected["text"]
        self.tensors = tensors(folder / "expected.safetensors")
        self.videos = 0
        for part in (part for message in self.messages if isinstance(message["content"], list) for part in message["content"]):
            if "image" in part:
                part.update(limits, image=str(folder / part["image"]))
            if "video" in part:
                self.videos += 1
                part.update(limits, video=[str(folder / frame) for frame in part["video"]])

    @property
    def greedy(self) -> list[int]:
        return list(self.tensors["greedy_ids"].tolist())

    def pixel_values(self) -> Any:
        """Images before videos, `[patches, 1176]`."""
        mean = np.repeat([0.48145466, 0.4578275, 0.40821073], 392)
        std = np.repeat([0.26862954, 0.26130258, 0.27577711], 392)
        return (self.tensors["patches"] / 255 - mean) / std


def tensors(path: pathlib.Path) -> dict[str, Any]:
    """What a safetensors file holds."""
    data = path.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    kinds = {"I64": "<i8", "F32": "<f4", "U8": "u1"}
    header = json.loads(data[8:start])
    return {
        name: np.frombuffer(data[start:][slice(*entry["data_offsets"])], kinds[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
    }
