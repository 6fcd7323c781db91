"""Images and videos of messages, loaded and resized as by qwen-vl-utils 0.0.14."""

import base64
import os
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

from .._native import Image, Video, smart_resize

T = TypeVar("T")

Message: TypeAlias = dict[str, Any]

IMAGE_KEYS = ("image", "image_url", "url", "path", "base64")
VIDEO_KEYS = ("video", "url", "path")

IMAGE_PIXELS = (4 * 28 * 28, 16384 * 28 * 28)
"""Default minimum and maximum pixels of an image."""


def process_vision_info(conversations: Any, return_video_kwargs: bool = False) -> Any:
    """Returns the images and the videos of messages, None if there are none.

    With `return_video_kwargs` also the keywords of the videos for the processor.
    """
    elements = [element for messages in split_batch(conversations)[0] for element in media_parts(messages)]
    images = [fetch_image(element) for element in elements if is_image(element)]
    videos = [fetch_video(element) for element in elements if not is_image(element)]
    media = (images or None, videos or None)
    if not return_video_kwargs:
        return media
    return (*media, {"do_sample_frames": False, "fps": [video.fps for video in videos]})


def fetch_image(element: Message) -> Image:
    """Returns the image of a part of a message, resized for the model."""
    image = load_image(media_source(element, IMAGE_KEYS))
    if "resized_height" in element and "resized_width" in element:
        height, width = smart_resize(element["resized_height"], element["resized_width"])
    else:
        keys = ("min_pixels", "max_pixels")
        min_pixels, max_pixels = (element.get(key) or pixels for key, pixels in zip(keys, IMAGE_PIXELS))
        height, width = smart_resize(image.height, image.width, min_pixels=min_pixels, max_pixels=max_pixels)
    return image.resize(width, height)


def fetch_video(element: Message) -> Video:
    """Returns the video of a part of a message: its frames, or frames sampled from its file."""
    source = media_source(element, VIDEO_KEYS)
    if isinstance(source, Video):
        return source
    if not isinstance(source, (str, os.PathLike)):
        fps = element.get("sample_fps") or element.get("fps") or 2.0
        limits = {name: element.get(name) for name in ("min_pixels", "max_pixels")}
        return Video.from_frames([load_image(frame) for frame in source], fps, **limits)
    if str(source).startswith(("http://", "https://")):
        raise ValueError(f"{source}: download the video first")
    if element.get("min_pixels") is not None:
        raise ValueError("min_pixels is not supported for video files")
    return Video.open(
        str(source).removeprefix("file://"),
        fps=element.get("fps"),
        frames=element.get("nframes"),
        min_frames=element.get("min_frames"),
        max_frames=element.get("max_frames"),
        start=element.get("video_start"),
        end=element.get("video_end"),
        total_pixels=element.get("total_pixels"),
        max_pixels=element.get("max_pixels"),
    )


def split_batch(conversations: Any) -> tuple[list[list[Message]], bool]:
    """Returns a list of conversations, and True if the argument was a batch of them."""
    is_batch = bool(conversations) and isinstance(conversations[0], (list, tuple))
    return (list(conversations), True) if is_batch else ([conversations], False)


def media_parts(messages: Iterable[Message]) -> Iterator[Message]:
    """Yields the parts of a conversation that are images or videos."""
    kinds = {"image", "image_url", "video"}
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, (list, tuple)) else ():
            if part.get("type") in kinds or kinds & part.keys():
                yield part


def is_image(element: Message) -> bool:
    return element.get("type") in ("image", "image_url") or "image" in element or "image_url" in element


def media_source(element: Message, keys: Sequence[str]) -> Any:
    """Returns the value of the first key that the part has."""
    key = next((key for key in keys if element.get(key) is not None), None)
    if key is None:
        raise ValueError(f"a message part needs one of {', '.join(keys)}; it has {', '.join(sorted(element))}")
    source = element[key]
    if key == "image_url" and isinstance(source, dict):
        return source["url"]
    return base64.b64decode(source) if key == "base64" and not source.startswith("data:") else source


def load_image(source: Any) -> Image:
    """Converts or loads an image in any form that messages and processors accept."""
    if isinstance(source, Image):
        return source
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        with urllib.request.urlopen(source, timeout=60) as response:
            return Image.from_bytes(response.read())
    if isinstance(source, str) and source.startswith("data:"):
        return Image.from_bytes(base64.b64decode(source.partition("base64,")[2]))
    if isinstance(source, (str, os.PathLike)):
        return Image.open(str(source).removeprefix("file://"))
    if isinstance(source, (bytes, bytearray)):
        return Image.from_bytes(source)
    return Image.from_pil(source) if hasattr(source, "convert") else Image.from_array(source)


def load_images(images: Any) -> list[Image]:
    """Converts the `images` of a processor: one, several, or a list for each prompt."""
    if images is None:
        return []
    if isinstance(images, (list, tuple)):
        return [image for item in images for image in load_images(item)]
    return [load_image(images)]


def load_videos(videos: Any) -> list[Video]:
    """Converts the `videos` of a processor: one, several, or a list for each prompt. A list of frames is one video."""
    if videos is None:
        return []
    if isinstance(videos, (list, tuple)):
        if any(isinstance(item, (Video, list, tuple)) or getattr(item, "ndim", 0) == 4 for item in videos):
            return [video for item in videos for video in load_videos(item)]
        if not videos:
            return []
    return [fetch_video({"video": videos})]


def frame_rates(fps: Any, videos: Sequence[Video]) -> list[float]:
    """Returns the frames per second of each video: `fps` of the caller, else the video's own."""
    if fps is None:
        return [video.fps for video in videos]
    values = [fps] * len(videos) if isinstance(fps, (int, float)) else list(fps)
    if len(values) != len(videos):
        raise ValueError(f"fps has {len(values)} values for {len(videos)} videos")
    return values


def next_item(media: Iterator[T], argument: str) -> T:
    """Returns the next image or video, or raises a ValueError if there are more placeholders than media items."""
    item = next(media, None)
    if item is None:
        raise ValueError(f"{argument} has placeholders for more images or videos than there are")
    return item


def check_exhausted(media: Iterable[Iterator[object]], argument: str) -> None:
    """Raises a ValueError if there are more media items than placeholders."""
    if any(next(rest, None) is not None for rest in media):
        raise ValueError(f"there are more images or videos than {argument} has placeholders for")
