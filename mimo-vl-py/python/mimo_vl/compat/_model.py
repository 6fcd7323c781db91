"""The model with the generate() of transformers."""

import os
import random
from collections.abc import Callable
from itertools import accumulate
from types import SimpleNamespace
from typing import Any, TypeAlias

from .._native import Model, Patches
from ..errors import DeviceError
from ._arrays import PATCH_VALUES, Array, Pixels, float_bytes, like, to_list
from ._checkpoint import hub_options, read_json
from ._media import check_exhausted, next_item

MediaItem: TypeAlias = tuple[Patches, float | None]
"""Patches, and for a video the seconds between two steps of its grid in time."""

DEFAULT_NEW_TOKENS = 20
"""Default maximum tokens of an answer."""

DEFAULT_TOP_K = 50
"""Default of top_k."""

SAMPLING = {"temperature", "top_k", "top_p", "min_p", "typical_p"}
"""Options that apply with do_sample only."""

OPTIONS = {*SAMPLING, "do_sample", "repetition_penalty", "max_new_tokens", "max_length", "eos_token_id", "pad_token_id"}

FIXED = {
    "num_beams": 1,
    "num_return_sequences": 1,
    "return_dict_in_generate": False,
    "output_scores": False,
    "output_logits": False,
}
"""Options with only one supported value."""

IGNORED = {"use_cache", "bos_token_id", "transformers_version", "_from_model_config"}
"""Options, and entries of generation_config.json, without effect on answers."""

WEIGHTS = {None: "native", "auto": "native", "float32": "f32", "float16": "f16", "bfloat16": "bf16"}
ATTENTION = (None, "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")


class Qwen2_5_VLForConditionalGeneration:
    """A loaded model with the generate() of transformers."""

    def __init__(self, load: Callable[[str], Model], device: str) -> None:
        self._load = load
        self._model = load(device)
        self.generation_config = SimpleNamespace(**read_json(self._model.path / "generation_config.json"))

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
        """Loads a checkpoint: a folder, a GGUF file or a repository of the hub.

        Other options are those of mimo_vl.Model.load().
        """
        if attn_implementation not in ATTENTION:
            raise ValueError(f"attn_implementation={attn_implementation!r} is none of {ATTENTION}")
        dtype = torch_dtype if dtype is None else dtype
        name = None if dtype is None else str(dtype).removeprefix("torch.")
        if name not in WEIGHTS:
            raise ValueError(f"torch_dtype={dtype!r} is none of auto, float32, float16, bfloat16")
        hub = hub_options(revision, token, cache_dir, local_files_only)
        load_options = {"weights": WEIGHTS[name], **options, **hub}

        def load(device: str) -> Model:
            return Model.load(pretrained_model_name_or_path, device=device, **load_options)

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
        """Loads the model onto another device. A dtype has no effect: the number format is chosen at loading."""
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
        """Returns each prompt followed by its answer, padded to one length, in the type of `input_ids`.

        Missing options are taken from `generation_config`.
        """
        source = inputs if input_ids is None else input_ids
        rows: list[list[int]] = to_list(source)
        masks = [[1] * len(row) for row in rows] if attention_mask is None else to_list(attention_mask)
        settings = self._settings(options, max(map(len, rows)))
        pad_token = settings.pop("pad_token_id")
        images = self._media(pixel_values, to_list(image_grid_thw) or [])
        videos = self._media(pixel_values_videos, to_list(video_grid_thw) or [])
        seconds = to_list(second_per_grid_ts) or [1.0] * len(videos)
        image_items: list[MediaItem] = [(patches, None) for patches in images]
        prompts = self._prompts(rows, masks, image_items, list(zip(videos, seconds, strict=True)))

        def on_token(_prompt: int, token: int) -> None:
            streamer.put(Array([token]))

        if streamer is not None:
            if len(rows) > 1:
                raise ValueError("a streamer takes one prompt at a time")
            streamer.put(Array(map(Array, rows)))
        try:
            answers = self._model.generate_ids(prompts, on_token=None if streamer is None else on_token, **settings)
        finally:
            # Another thread may wait for the next piece of text.
            if streamer is not None:
                streamer.end()
        length = max(map(len, answers))
        padding = ([pad_token] * (length - len(answer)) for answer in answers)
        sequences = (row + answer + pad for row, answer, pad in zip(rows, answers, padding, strict=True))
        return like(source, Array(map(Array, sequences)))

    def _settings(self, options: dict[str, Any], prompt_tokens: int) -> dict[str, Any]:
        """Converts the options of generate() to those of the native model, with `pad_token_id`."""
        config = {name: value for name, value in vars(self.generation_config).items() if value is not None}
        merged = {**config, **options}
        unknown = sorted(merged.keys() - OPTIONS - FIXED.keys() - IGNORED)
        if unknown:
            raise TypeError(f"generate() got an unexpected keyword argument {unknown[0]!r}")
        for name, value in FIXED.items():
            if merged.get(name, value) not in (value, None):
                raise ValueError(f"{name}={merged[name]!r} is not supported: only {value!r} is")
        sampling: dict[str, Any] = {"temperature": 0.0}
        if merged.get("do_sample"):
            sampling = {"top_k": DEFAULT_TOP_K, **{name: merged[name] for name in SAMPLING & merged.keys()}}
            sampling["seed"] = random.getrandbits(64)
            sampling["temperature"] = 1.0 if sampling.get("temperature") is None else sampling["temperature"]
            if not sampling["temperature"] > 0:
                raise ValueError("temperature must be above 0 if do_sample is true: omit do_sample for greedy answers")
        max_tokens = merged.get("max_new_tokens")
        if max_tokens is None:
            # max_length includes the prompt, except as the default.
            max_length = merged.get("max_length") or DEFAULT_NEW_TOKENS
            includes_prompt = options.get("max_length") or max_length != DEFAULT_NEW_TOKENS
            max_tokens = max_length - prompt_tokens if includes_prompt else max_length
        eos = to_list(merged.get("eos_token_id"))
        eos = self._model.eos_token_ids if eos is None else [eos] if isinstance(eos, int) else list(eos)
        pad_token = merged.get("pad_token_id")
        return {
            "pad_token_id": (eos[0] if eos else 0) if pad_token is None else pad_token,
            "eos_token_ids": eos,
            "max_tokens": max_tokens,
            "repetition_penalty": merged.get("repetition_penalty"),
            **sampling,
        }

    def _media(self, values: Any, grids: list[list[int]]) -> list[Patches]:
        """Converts pixel values of any processor to the patches of each image or video."""
        if isinstance(values, Pixels):
            return list(values.media)
        data = memoryview(b"" if values is None else float_bytes(values))
        sizes = [4 * PATCH_VALUES * t * h * w for t, h, w in grids]
        if sum(sizes) != len(data):
            raise ValueError("pixel values and grids do not match")
        items = zip(accumulate(sizes, initial=0), sizes, grids)
        to_patches = self._model.processor.patches_from_values
        return [to_patches(data[start : start + size], (t, h, w)) for start, size, (t, h, w) in items]

    def _prompts(
        self, rows: list[list[int]], masks: list[list[int]], images: list[MediaItem], videos: list[MediaItem]
    ) -> list[tuple[list[int], list[MediaItem]]]:
        """Returns the tokens of each row, without padding and with one token per media item, and its media items."""
        token_id = self._model.processor.token_id
        pending = {token_id("<|image_pad|>"): iter(images), token_id("<|video_pad|>"): iter(videos)}
        prompts = []
        for row, mask in zip(rows, masks, strict=True):
            ids: list[int] = []
            media: list[MediaItem] = []
            remaining = 0
            for token in (token for token, is_token in zip(row, mask, strict=True) if is_token):
                if remaining and token == ids[-1]:
                    remaining -= 1
                elif remaining:
                    break
                else:
                    ids.append(token)
                    if token in pending:
                        media.append(next_item(pending[token], "input_ids"))
                        remaining = media[-1][0].tokens - 1
            if remaining:
                raise ValueError("input_ids has fewer tokens for an image or video than its grid says")
            prompts.append((ids, media))
        check_exhausted(pending.values(), "input_ids")
        return prompts


def device_name(device: Any) -> str:
    """Converts a device of torch, or its index or name, to a device name of mimo_vl."""
    name = "cpu" if device is None else f"cuda:{device}" if isinstance(device, int) else str(device)
    return "cuda:0" if name == "cuda" else name
