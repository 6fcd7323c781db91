"""Conversion of messages, text, images and videos to inputs of a model, and of token ids to text."""

import json
import os
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from .._native import Patches, Processor
from ._arrays import Array, BatchFeature, Pixels, to_list, to_tensor
from ._checkpoint import hub_options, read_json
from ._media import (
    IMAGE_KEYS,
    IMAGE_PIXELS,
    VIDEO_KEYS,
    Message,
    check_exhausted,
    fetch_video,
    frame_rates,
    is_image,
    load_image,
    load_images,
    load_videos,
    media_parts,
    media_source,
    next_item,
    split_batch,
)

OPTIONS = {"padding", "padding_side", "max_length", "return_tensors", "min_pixels", "max_pixels", "do_sample_frames"}
"""Keywords of apply_chat_template() for the processor; others are for the template."""

END_MARK = "\uf8ff"
"""A private-use character that marks the end of a message that is to be continued."""


class Tokenizer:
    """Conversion of text to token ids and back."""

    def __init__(self, native: Processor, config: dict[str, Any]) -> None:
        def named(key: str, default: str) -> str:
            token = config.get(key) or default
            return str(token["content"] if isinstance(token, dict) else token)

        self._native = native
        self.eos_token, self.pad_token = named("eos_token", "<|im_end|>"), named("pad_token", "<|endoftext|>")
        self.padding_side: str = config.get("padding_side", "left")

    @property
    def eos_token_id(self) -> int | None:
        return self._native.token_id(self.eos_token)

    @property
    def pad_token_id(self) -> int | None:
        return self._native.token_id(self.pad_token)

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        if isinstance(tokens, str):
            return self._native.token_id(tokens)
        return [self._native.token_id(token) for token in tokens]

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Returns the ids of a text; these tokenizers add no special tokens."""
        return self._native.encode(text)

    def decode(
        self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> str:
        if clean_up_tokenization_spaces:
            raise ValueError("clean_up_tokenization_spaces=True is not supported")
        ids = to_list(token_ids)
        return self._native.decode([ids] if isinstance(ids, int) else list(ids), skip_special_tokens)

    def batch_decode(
        self, sequences: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> list[str]:
        return [self.decode(ids, skip_special_tokens, clean_up_tokenization_spaces) for ids in sequences]

    def pad(self, rows: Sequence[list[int]], side: str | None = None, length: int = 0) -> dict[str, Array]:
        """Pads rows to one length, at least `length`; returns them with their attention mask."""
        side, pad_token = side or self.padding_side, self.pad_token_id
        if side not in ("left", "right"):
            raise ValueError(f"padding_side={side!r} is none of 'left', 'right'")
        length = max([length, *map(len, rows)])
        ids, mask = Array(), Array()
        for row in rows:
            gap = length - len(row)
            before, after = (gap, 0) if side == "left" else (0, gap)
            ids.append(Array([pad_token] * before + row + [pad_token] * after))
            mask.append(Array([0] * before + [1] * len(row) + [0] * after))
        return {"input_ids": ids, "attention_mask": mask}


class Qwen2_5_VLProcessor:
    """Conversion of messages, text, images and videos to inputs of generate()."""

    def __init__(self, native: Processor, min_pixels: int | None = None, max_pixels: int | None = None) -> None:
        config = read_json(native.path / "preprocessor_config.json")
        size = config.get("size") or {}
        self._native = native
        self.tokenizer = Tokenizer(native, read_json(native.path / "tokenizer_config.json"))
        self.image_processor = SimpleNamespace(
            min_pixels=min_pixels or config.get("min_pixels") or size.get("shortest_edge") or IMAGE_PIXELS[0],
            max_pixels=max_pixels or config.get("max_pixels") or size.get("longest_edge") or IMAGE_PIXELS[1],
            patch_size=14,
            temporal_patch_size=2,
            merge_size=2,
        )
        self.chat_template: str | None = None
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id = native.token_id(self.image_token)
        self.video_token_id = native.token_id(self.video_token)
        self.decode, self.batch_decode = self.tokenizer.decode, self.tokenizer.batch_decode

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        padding_side: str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        trust_remote_code: bool = False,
        use_fast: bool | None = None,
    ) -> "Qwen2_5_VLProcessor":
        """Loads the tokenizer, chat template and pixel limits of a folder, a GGUF file or a repository of the hub."""
        hub = hub_options(revision, token, cache_dir, local_files_only)
        processor = cls(Processor.load(pretrained_model_name_or_path, **hub), min_pixels, max_pixels)
        processor.tokenizer.padding_side = padding_side or processor.tokenizer.padding_side
        return processor

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        videos: Any = None,
        *,
        padding: bool | str = False,
        padding_side: str | None = None,
        max_length: int | None = None,
        return_tensors: str | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        fps: Any = None,
        do_sample_frames: bool = False,
    ) -> BatchFeature:
        """Converts images and videos to patches, and their placeholders in the text to one token per feature."""
        if do_sample_frames:
            raise ValueError("do_sample_frames=True is not supported: frames are sampled when a video is opened")
        limits = {
            "min_pixels": min_pixels or self.image_processor.min_pixels,
            "max_pixels": max_pixels or self.image_processor.max_pixels,
        }
        loaded_videos = load_videos(videos)
        image_patches = [self._native.preprocess(image, **limits) for image in load_images(images)]
        video_patches = [self._native.preprocess(video) for video in loaded_videos]
        rows = self._rows([text] if isinstance(text, str) else list(text or []), image_patches, video_patches)
        if padding in (True, "longest", "max_length"):
            length = max_length or 0 if padding == "max_length" else 0
            data: dict[str, Array | Pixels] = {**self.tokenizer.pad(rows, padding_side, length)}
        elif padding not in (False, "do_not_pad"):
            raise ValueError(f"padding={padding!r} is none of True, False, 'longest', 'max_length', 'do_not_pad'")
        elif return_tensors and len(set(map(len, rows))) > 1:
            raise ValueError("the prompts have different lengths: padding=True makes one tensor of them")
        else:
            masks = (Array([1] * len(row)) for row in rows)
            data = {"input_ids": Array(map(Array, rows)), "attention_mask": Array(masks)}
        if image_patches:
            data["pixel_values"] = Pixels(image_patches)
            data["image_grid_thw"] = Array(Array(item.grid) for item in image_patches)
        if video_patches:
            data["pixel_values_videos"] = Pixels(video_patches)
            data["video_grid_thw"] = Array(Array(item.grid) for item in video_patches)
            data["second_per_grid_ts"] = Array(2 / rate for rate in frame_rates(fps, loaded_videos))
        return BatchFeature({name: to_tensor(value, return_tensors) for name, value in data.items()})

    def apply_chat_template(
        self,
        conversation: Any,
        chat_template: str | None = None,
        *,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tokenize: bool = False,
        return_dict: bool = False,
        **options: Any,
    ) -> Any:
        """Returns the rendered text of a conversation, or of each of a batch; with `tokenize` the inputs of the model.

        Options other than the processor's are for the template, such as `tools` and `add_vision_id`.
        """
        conversations, is_batch = split_batch(conversation)
        sampling = {"fps": options.pop("fps", None), "nframes": options.pop("num_frames", None)} if tokenize else {}
        processor_options = {name: options.pop(name) for name in OPTIONS & options.keys()} if tokenize else {}
        if any(callable(tool) for tool in options.get("tools") or ()):
            raise TypeError("tools: pass the JSON schema of each as a dict; functions are not supported")
        if continue_final_message and add_generation_prompt:
            raise ValueError("continue_final_message and add_generation_prompt exclude each other")
        context = {
            "tools": None,
            "documents": None,
            "eos_token": self.tokenizer.eos_token,
            "pad_token": self.tokenizer.pad_token,
            **options,
            "add_generation_prompt": add_generation_prompt,
        }
        template = chat_template or self.chat_template
        texts = [self._render(messages, template, continue_final_message, context) for messages in conversations]
        if not tokenize:
            return texts if is_batch else texts[0]
        parts = [part for messages in conversations for part in media_parts(messages)]
        images = [load_image(media_source(part, IMAGE_KEYS)) for part in parts if is_image(part)]
        video_parts = [part for part in parts if not is_image(part)]
        videos = [fetch_video({"video": media_source(part, VIDEO_KEYS), **sampling}) for part in video_parts]
        inputs = self(images, texts, videos, **processor_options)
        return inputs if return_dict else inputs["input_ids"]

    def post_process_image_text_to_text(
        self,
        generated_outputs: Any,
        skip_special_tokens: bool = True,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> list[str]:
        return self.batch_decode(generated_outputs, skip_special_tokens, clean_up_tokenization_spaces)

    def _render(
        self, messages: list[Message], template: str | None, is_continued: bool, context: dict[str, Any]
    ) -> str:
        context = {**context, "messages": with_end_mark(messages) if is_continued else messages}
        # Templates test for the keys of media parts only, so their values need no JSON form.
        text = self._native.render(json.dumps(context, ensure_ascii=False, default=lambda _: None), template)
        return text[: text.rindex(END_MARK)] if is_continued else text

    def _rows(self, texts: list[str], images: list[Patches], videos: list[Patches]) -> list[list[int]]:
        """Returns the token ids of each text, with one token per feature."""
        pending = {self.image_token_id: iter(images), self.video_token_id: iter(videos)}
        rows = []
        for text in texts:
            row: list[int] = []
            for token in self._native.encode(text):
                row += [token] * (next_item(pending[token], "the text").tokens if token in pending else 1)
            rows.append(row)
        check_exhausted(pending.values(), "the text")
        return rows


def with_end_mark(messages: Sequence[Message]) -> list[Message]:
    """Returns a conversation with END_MARK after its last text."""
    *before, last = messages
    content = last["content"]
    if isinstance(content, str):
        return [*before, {**last, "content": content + END_MARK}]
    parts = [dict(part) for part in content]
    for part in reversed(parts):
        if "text" in part:
            part["text"] += END_MARK
            return [*before, {**last, "content": parts}]
    raise ValueError("continue_final_message: the last message has no text")
