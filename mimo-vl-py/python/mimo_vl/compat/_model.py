"""The model with the generate() of transformers."""

import os
import random
from collections.abc import Callable
from itertools import accumulate
from types import SimpleNamespace
from typing import Any, TypeAlias

from .._native import Model, Patches
from ..errors import DeviceError
from ._arrays import VALUES, Array, Pixels, floats, like, listed
from ._checkpoint import hub, read
from ._media import next_of, none_left

Medium: TypeAlias = tuple[Patches, float | None]
"""Patches, and for a video the seconds between two steps in time."""

NEW_TOKENS = 20
"""Most tokens of an answer where nothing is said."""

TOP_K = 50
"""Most tokens to draw from where nothing is said."""

DRAWING = {"temperature", "top_k", "top_p", "min_p", "typical_p"}
"""Options that count with do_sample only."""

OPTIONS = {*DRAWING, "do_sample", "repetition_penalty", "max_new_tokens", "max_length", "eos_token_id", "pad_token_id"}

ONLY = {
    "num_beams": 1,
    "num_return_sequences": 1,
    "return_dict_in_generate": False,
    "output_scores": False,
    "output_logits": False,
}
"""Options that have one value here."""

WITHOUT_EFFECT = {"use_cache", "bos_token_id", "transformers_version", "_from_model_config"}
"""Options, and entries of generation_config.json, on which no answer depends."""

WEIGHTS = {None: "native", "auto": "native", "float32": "f32", "float16": "f16", "bfloat16": "bf16"}
ATTENTION = (None, "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")


class Qwen2_5_VLForConditionalGeneration:
    """A loaded model with the generate() of transformers."""

    def __init__(self, load: Callable[[str], Model], device: str) -> None:
        self._load = load
        self._model = load(device)
        self.generation_config = SimpleNamespace(**read(self._model.path / "generation_config.json"))

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        torch_dtype: Any = None,
        dtype: Any = None,
        device_map: Any = None,
        attn_implementation: str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        trust_remote_code: bool = False,
        low_cpu_mem_usage: bool | None = None,
        use_safetensors: bool | None = None,
        **options: Any,
    ) -> "Qwen2_5_VLForConditionalGeneration":
        """Load a checkpoint: a folder, a GGUF file or an id on the hub. Other options are those of mimo_vl.Model.load()."""
        if attn_implementation not in ATTENTION:
            raise ValueError(f"attn_implementation={attn_implementation!r} is none of {ATTENTION}")
        kind = torch_dtype if dtype is None else dtype
        name = None if kind is None else str(kind).removeprefix("torch.")
        if name not in WEIGHTS:
            raise ValueError(f"torch_dtype={kind!r} is none of auto, float32, float16, bfloat16")
        source = hub(revision, token, cache_dir, local_files_only)
        own = {"weights": WEIGHTS[name], **options, **source}

        def load(device: str) -> Model:
            return Model.load(pretrained_model_name_or_path, device=device, **own)

        if isinstance(device_map, dict):
            device_map = next(iter(device_map.values()), None)
        if device_map not in ("auto", "balanced", "sequential"):
            return cls(load, device_name(device_map))
        try:
            return cls(load, "cuda:0")
        except DeviceError:
            return cls(load, "cpu")

    @property
    def device(self) -> str:
        return self._model.device

    def to(self, device: Any = None, *_: Any, **__: Any) -> "Qwen2_5_VLForConditionalGeneration":
        """Load it onto another device. A type of numbers is chosen when it is loaded, and stays."""
        is_device = isinstance(device, (str, int)) or type(device).__name__ == "device"
        if is_device and device_name(device) != self.device:
            self._model = self._load(device_name(device))
        return self

    def cuda(self, device: int = 0) -> "Qwen2_5_VLForConditionalGeneration":
        return self.to(device)

    def eval(self) -> "Qwen2_5_VLForConditionalGeneration":
        return self

    def generate(
        self,
        inputs: Any = None,
        *,
        input_ids: Any = None,
        attention_mask: Any = None,
        pixel_values: Any = None,
        image_grid_thw: Any = None,
        pixel_values_videos: Any = None,
        video_grid_thw: Any = None,
        second_per_grid_ts: Any = None,
        streamer: Any = None,
        **options: Any,
    ) -> Any:
        """Each prompt with its answer behind it, filled up to one length; of the type that `input_ids` has.

        Options that are missing are those of `generation_config`.
        """
        source = inputs if input_ids is None else input_ids
        rows: list[list[int]] = listed(source)
        masks = [[1] * len(row) for row in rows] if attention_mask is None else listed(attention_mask)
        settings = self._settings(options, max(map(len, rows)))
        filler = settings.pop("filler")
        images = self._media(pixel_values, listed(image_grid_thw) or [])
        clips = self._media(pixel_values_videos, listed(video_grid_thw) or [])
        seconds = listed(second_per_grid_ts) or [1.0] * len(clips)
        prompts = self._prompts(rows, masks, [(patches, None) for patches in images], list(zip(clips, seconds, strict=True)))

        def tell(_row: int, token: int) -> None:
            streamer.put(Array([token]))

        if streamer is not None:
            if len(rows) > 1:
                raise ValueError("a streamer takes one prompt at a time")
            streamer.put(Array(map(Array, rows)))
        try:
            answers = self._model.continue_ids(prompts, each=None if streamer is None else tell, **settings)
        finally:
            # Another thread may wait for what comes.
            if streamer is not None:
                streamer.end()
        length = max(map(len, answers))
        whole = (row + answer + [filler] * (length - len(answer)) for row, answer in zip(rows, answers, strict=True))
        return like(source, Array(map(Array, whole)))

    def _settings(self, options: dict[str, Any], prompt_tokens: int) -> dict[str, Any]:
        """The options of an answer as the native model has them, the tokens that end it, and what fills up behind it."""
        config = {name: value for name, value in vars(self.generation_config).items() if value is not None}
        asked = {**config, **options}
        unknown = sorted(asked.keys() - OPTIONS - ONLY.keys() - WITHOUT_EFFECT)
        if unknown:
            raise TypeError(f"generate() got an unexpected keyword argument {unknown[0]!r}")
        for name, value in ONLY.items():
            if asked.get(name, value) not in (value, None):
                raise ValueError(f"{name}={asked[name]!r} is not supported: only {value!r} is")
        drawing: dict[str, Any] = {"temperature": 0.0}
        if asked.get("do_sample"):
            drawing = {"top_k": TOP_K, **{name: asked[name] for name in DRAWING & asked.keys()}}
            drawing["seed"] = random.getrandbits(64)
            drawing["temperature"] = 1.0 if drawing.get("temperature") is None else drawing["temperature"]
            if not drawing["temperature"] > 0:
                raise ValueError("temperature must be above 0 where do_sample is true: for greedy answers leave do_sample out")
        most = asked.get("max_new_tokens")
        if most is None:
            # Only a max_length that is asked for counts the prompt's tokens, too.
            whole = asked.get("max_length") or NEW_TOKENS
            most = whole - prompt_tokens if options.get("max_length") or whole != NEW_TOKENS else whole
        ends = listed(asked.get("eos_token_id"))
        ends = self._model.eos_token_ids if ends is None else [ends] if isinstance(ends, int) else list(ends)
        filler = asked.get("pad_token_id")
        return {
            "filler": (ends[0] if ends else 0) if filler is None else filler,
            "ends": ends,
            "max_tokens": most,
            "repetition_penalty": asked.get("repetition_penalty"),
            **drawing,
        }

    def _media(self, values: Any, grids: list[list[int]]) -> list[Patches]:
        """Images or videos that a processor has cut, whoever's it was."""
        if isinstance(values, Pixels):
            return list(values.media)
        data = memoryview(b"" if values is None else floats(values))
        sizes = [4 * VALUES * t * h * w for t, h, w in grids]
        if sum(sizes) != len(data):
            raise ValueError("pixel values and grids do not match")
        each = zip(accumulate(sizes, initial=0), sizes, grids)
        cut = self._model.processor.patches_of
        return [cut(data[start : start + size], (t, h, w)) for start, size, (t, h, w) in each]

    def _prompts(
        self, rows: list[list[int]], masks: list[list[int]], images: list[Medium], videos: list[Medium]
    ) -> list[tuple[list[int], list[Medium]]]:
        """The tokens of each row without its padding, one for each image and video in it, and these."""
        named = self._model.processor.token_id
        waiting = {named("<|image_pad|>"): iter(images), named("<|video_pad|>"): iter(videos)}
        prompts = []
        for row, mask in zip(rows, masks, strict=True):
            ids: list[int] = []
            media: list[Medium] = []
            left = 0
            for token in (token for token, seen in zip(row, mask, strict=True) if seen):
                if left and token == ids[-1]:
                    left -= 1
                elif left:
                    break
                else:
                    ids.append(token)
                    if token in waiting:
                        media.append(next_of(waiting[token], "input_ids"))
                        left = media[-1][0].tokens - 1
            if left:
                raise ValueError("input_ids has fewer tokens for an image or video than its grid says")
            prompts.append((ids, media))
        none_left(waiting.values(), "input_ids")
        return prompts


def device_name(device: Any) -> str:
    """A device of torch, or its number or name, as mimo_vl names it."""
    name = "cpu" if device is None else f"cuda:{device}" if isinstance(device, int) else str(device)
    return "cuda:0" if name == "cuda" else name
