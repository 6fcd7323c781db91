"""Messages, text, images and videos to what a model takes, and token ids back to text."""

import json
import os
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from .._native import Patches, Processor
from ._arrays import Array, BatchFeature, Pixels, converted, listed
from ._checkpoint import hub, read
from ._media import IMAGE_KEYS, IMAGE_PIXELS, VIDEO_KEYS, Message, fetch_video, films, first, is_image, next_of
from ._media import none_left, picture, pictures, rates, shown, split

OPTIONS = {"padding", "padding_side", "max_length", "return_tensors", "min_pixels", "max_pixels", "do_sample_frames"}
"""Keywords of apply_chat_template() that are the processor's; others are for the template."""

MARK = "\uf8ff"
"""A character of no meaning: where the text of a message that is to go on ends."""


class Tokenizer:
    """Text to token ids and back."""

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
        return self._native.token_id(tokens) if isinstance(tokens, str) else [self._native.token_id(one) for one in tokens]

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """The ids of a text; these tokenizers have no special tokens to add."""
        return self._native.encode(text)

    def decode(
        self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> str:
        if clean_up_tokenization_spaces:
            raise ValueError("clean_up_tokenization_spaces=True is not supported")
        ids = listed(token_ids)
        return self._native.decode([ids] if isinstance(ids, int) else list(ids), skip_special_tokens)

    def batch_decode(
        self, sequences: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> list[str]:
        return [self.decode(ids, skip_special_tokens, clean_up_tokenization_spaces) for ids in sequences]

    def pad(self, rows: Sequence[list[int]], side: str | None = None, length: int = 0) -> dict[str, Array]:
        """Rows of one length, at least `length`, and which of their tokens are not padding."""
        side, filler = side or self.padding_side, self.pad_token_id
        if side not in ("left", "right"):
            raise ValueError(f"padding_side={side!r} is none of 'left', 'right'")
        length = max([length, *map(len, rows)])
        ids, mask = Array(), Array()
        for row in rows:
            gap = length - len(row)
            before, after = (gap, 0) if side == "left" else (0, gap)
            ids.append(Array([filler] * before + row + [filler] * after))
            mask.append(Array([0] * before + [1] * len(row) + [0] * after))
        return {"input_ids": ids, "attention_mask": mask}


class Qwen2_5_VLProcessor:
    """Messages, text, images and videos to what generate() takes."""

    def __init__(self, native: Processor, min_pixels: int | None = None, max_pixels: int | None = None) -> None:
        config = read(native.path / "preprocessor_config.json")
        size = config.get("size") or {}
        self._native = native
        self.tokenizer = Tokenizer(native, read(native.path / "tokenizer_config.json"))
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
        """Read the tokenizer, chat template and limits of pixels of a checkpoint: a folder, a GGUF file or an id on the hub."""
        source = hub(revision, token, cache_dir, local_files_only)
        processor = cls(Processor.load(pretrained_model_name_or_path, **source), min_pixels, max_pixels)
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
        """Cut images and videos into patches, and give each a token for every feature in the rendered text."""
        if do_sample_frames:
            raise ValueError("do_sample_frames=True is not supported: frames are picked where a video is opened")
        limits = self.image_processor
        least, most = min_pixels or limits.min_pixels, max_pixels or limits.max_pixels
        seen = [self._native.patches(image, min_pixels=least, max_pixels=most) for image in pictures(images)]
        shots = films(videos)
        clips = [self._native.patches(film) for film in shots]
        rows = self._rows([text] if isinstance(text, str) else list(text or []), seen, clips)
        if padding in (True, "longest", "max_length"):
            length = max_length or 0 if padding == "max_length" else 0
            data: dict[str, Array | Pixels] = {**self.tokenizer.pad(rows, padding_side, length)}
        elif padding not in (False, "do_not_pad"):
            raise ValueError(f"padding={padding!r} is none of True, False, 'longest', 'max_length', 'do_not_pad'")
        elif return_tensors and len(set(map(len, rows))) > 1:
            raise ValueError("the prompts have different lengths: padding=True makes one tensor of them")
        else:
            data = {"input_ids": Array(map(Array, rows)), "attention_mask": Array(Array([1] * len(row)) for row in rows)}
        if seen:
            data["pixel_values"] = Pixels(seen)
            data["image_grid_thw"] = Array(Array(medium.grid) for medium in seen)
        if clips:
            data["pixel_values_videos"] = Pixels(clips)
            data["video_grid_thw"] = Array(Array(medium.grid) for medium in clips)
            data["second_per_grid_ts"] = Array(2 / rate for rate in rates(fps, shots))
        return BatchFeature({name: converted(value, return_tensors) for name, value in data.items()})

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
        """The text of a conversation, or of each of several; with `tokenize` what the processor makes of it and its media.

        Options that are not the processor's are for the template: `tools`, `add_vision_id` and so on.
        """
        conversations, several = split(conversation)
        sampling = {"fps": options.pop("fps", None), "nframes": options.pop("num_frames", None)} if tokenize else {}
        own = {name: options.pop(name) for name in OPTIONS & options.keys()} if tokenize else {}
        if any(callable(tool) for tool in options.get("tools") or ()):
            raise TypeError("tools: give the JSON schema of each as a dict; functions are not read")
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
            return texts if several else texts[0]
        parts = [part for messages in conversations for part in shown(messages)]
        images = [picture(first(part, IMAGE_KEYS)) for part in parts if is_image(part)]
        videos = [fetch_video({"video": first(part, VIDEO_KEYS), **sampling}) for part in parts if not is_image(part)]
        inputs = self(images, texts, videos, **own)
        return inputs if return_dict else inputs["input_ids"]

    def post_process_image_text_to_text(
        self,
        generated_outputs: Any,
        skip_special_tokens: bool = True,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> list[str]:
        return self.batch_decode(generated_outputs, skip_special_tokens, clean_up_tokenization_spaces)

    def _render(self, messages: list[Message], template: str | None, go_on: bool, context: dict[str, Any]) -> str:
        context = {**context, "messages": marked(messages) if go_on else messages}
        # A template looks for the keys of media, not at what they hold.
        text = self._native.render(json.dumps(context, ensure_ascii=False, default=lambda _: None), template)
        return text[: text.rindex(MARK)] if go_on else text

    def _rows(self, texts: list[str], seen: list[Patches], clips: list[Patches]) -> list[list[int]]:
        """The token ids of each text, with a token for every feature."""
        waiting = {self.image_token_id: iter(seen), self.video_token_id: iter(clips)}
        rows = []
        for text in texts:
            row: list[int] = []
            for token in self._native.encode(text):
                row += [token] * (next_of(waiting[token], "the text").tokens if token in waiting else 1)
            rows.append(row)
        none_left(waiting.values(), "the text")
        return rows


def marked(messages: Sequence[Message]) -> list[Message]:
    """A conversation with a mark behind its last text."""
    *before, last = messages
    content = last["content"]
    if isinstance(content, str):
        return [*before, {**last, "content": content + MARK}]
    parts = [dict(part) for part in content]
    for part in reversed(parts):
        if "text" in part:
            part["text"] += MARK
            return [*before, {**last, "content": parts}]
    raise ValueError("continue_final_message: the last message has no text")
