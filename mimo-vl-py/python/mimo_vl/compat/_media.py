"""Images and videos of messages, as qwen-vl-utils finds and resizes them."""

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
"""Fewest and most pixels of an image for which nothing else is said."""


def process_vision_info(conversations: Any, return_video_kwargs: bool = False) -> Any:
    """The images and the videos of messages, each None if there are none; with their rates, to be passed on, if asked."""
    elements = [element for messages in split(conversations)[0] for element in shown(messages)]
    images = [fetch_image(element) for element in elements if is_image(element)]
    videos = [fetch_video(element) for element in elements if not is_image(element)]
    found = (images or None, videos or None)
    return (*found, {"do_sample_frames": False, "fps": [video.fps for video in videos]}) if return_video_kwargs else found


def fetch_image(element: Message) -> Image:
    """The image of a part of a message, at its size for the model."""
    image = picture(first(element, IMAGE_KEYS))
    if "resized_height" in element and "resized_width" in element:
        height, width = smart_resize(element["resized_height"], element["resized_width"])
    else:
        least, most = (element.get(key) or pixels for key, pixels in zip(("min_pixels", "max_pixels"), IMAGE_PIXELS))
        height, width = smart_resize(image.height, image.width, min_pixels=least, max_pixels=most)
    return image.resize(width, height)


def fetch_video(element: Message) -> Video:
    """The video of a part of a message: the frames that are given, or those that are picked from a file."""
    source = first(element, VIDEO_KEYS)
    if isinstance(source, Video):
        return source
    if not isinstance(source, (str, os.PathLike)):
        rate = element.get("sample_fps") or element.get("fps") or 2.0
        limits = {name: element.get(name) for name in ("min_pixels", "max_pixels")}
        return Video.from_frames([picture(frame) for frame in source], rate, **limits)
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


def split(conversations: Any) -> tuple[list[list[Message]], bool]:
    """Conversations, and whether several were given."""
    several = bool(conversations) and isinstance(conversations[0], (list, tuple))
    return (list(conversations), True) if several else ([conversations], False)


def shown(messages: Iterable[Message]) -> Iterator[Message]:
    """The parts of a conversation that are images or videos."""
    kinds = {"image", "image_url", "video"}
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, (list, tuple)) else ():
            if part.get("type") in kinds or kinds & part.keys():
                yield part


def is_image(element: Message) -> bool:
    return element.get("type") in ("image", "image_url") or "image" in element or "image_url" in element


def first(element: Message, keys: Sequence[str]) -> Any:
    """What is under the first of the keys that there is."""
    key = next((key for key in keys if element.get(key) is not None), None)
    if key is None:
        raise ValueError(f"a part of a message has none of {', '.join(keys)}: it has {', '.join(sorted(element))}")
    source = element[key]
    if key == "image_url" and isinstance(source, dict):
        return source["url"]
    return base64.b64decode(source) if key == "base64" and not source.startswith("data:") else source


def picture(source: Any) -> Image:
    """An image, from whatever messages and processors take as one."""
    if isinstance(source, Image):
        return source
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        with urllib.request.urlopen(source, timeout=60) as answer:
            return Image.from_bytes(answer.read())
    if isinstance(source, str) and source.startswith("data:"):
        return Image.from_bytes(base64.b64decode(source.partition("base64,")[2]))
    if isinstance(source, (str, os.PathLike)):
        return Image.open(str(source).removeprefix("file://"))
    if isinstance(source, (bytes, bytearray)):
        return Image.from_bytes(source)
    return Image.from_pil(source) if hasattr(source, "convert") else Image.from_array(source)


def pictures(images: Any) -> list[Image]:
    """Images as a processor takes them: one, several, or a list of them for each prompt."""
    if images is None:
        return []
    if isinstance(images, (list, tuple)):
        return [image for item in images for image in pictures(item)]
    return [picture(images)]


def films(videos: Any) -> list[Video]:
    """Videos as a processor takes them: one, several, or a list of them for each prompt. Frames in a list are one video."""
    if videos is None:
        return []
    if isinstance(videos, (list, tuple)):
        if any(isinstance(item, (Video, list, tuple)) or getattr(item, "ndim", 0) == 4 for item in videos):
            return [film for item in videos for film in films(item)]
        if not videos:
            return []
    return [fetch_video({"video": videos})]


def rates(asked: Any, videos: Sequence[Video]) -> list[float]:
    """Frames in a second of each video: as the caller says, else its own."""
    if asked is None:
        return [video.fps for video in videos]
    named = [asked] * len(videos) if isinstance(asked, (int, float)) else list(asked)
    if len(named) != len(videos):
        raise ValueError(f"fps has {len(named)} values for {len(videos)} videos")
    return named


def next_of(media: Iterator[T], place: str) -> T:
    """The next of the images or videos for the places that there are."""
    medium = next(media, None)
    if medium is None:
        raise ValueError(f"{place} has places for more images or videos than are given")
    return medium


def none_left(media: Iterable[Iterator[object]], place: str) -> None:
    """Raise a ValueError unless all of them have found a place."""
    if any(next(rest, None) is not None for rest in media):
        raise ValueError(f"more images or videos are given than {place} has places for")
