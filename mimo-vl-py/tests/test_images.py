"""Images in every form that Python programs use."""

import array
import io
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil

import mimo_vl


class Tensor:
    """A tensor like torch's: no buffer, but convertible to an array."""

    def __init__(self, pixels: Any) -> None:
        self.pixels = pixels

    def __array__(self) -> Any:
        return self.pixels


def rgb(path: pathlib.Path) -> Pil.Image:
    with Pil.open(path) as image:
        return image.convert("RGB")


def with_strides(pixels: Any) -> Any:
    """The same pixels, not contiguous in rows and columns."""
    height, width, channels = pixels.shape
    larger = np.zeros((2 * height, 3 * width, channels), dtype=np.uint8)
    view = larger[::2, ::3]
    view[...] = pixels
    return view


FORMS: dict[str, Callable[[pathlib.Path], Any]] = {
    "Image": mimo_vl.Image.open,
    "Image from str": lambda path: mimo_vl.Image.open(str(path)),
    "bytes": lambda path: path.read_bytes(),
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "array.array": lambda path: array.array("B", path.read_bytes()),
    "flat numpy": lambda path: np.frombuffer(path.read_bytes(), dtype=np.uint8),
    "file": lambda path: io.BytesIO(path.read_bytes()),
    "PIL": rgb,
    "PIL RGBA": lambda path: rgb(path).convert("RGBA"),
    "lazy PIL": Pil.open,
    "numpy": lambda path: np.asarray(rgb(path)),
    "numpy with alpha": lambda path: np.asarray(rgb(path).convert("RGBA")),
    "numpy in Fortran order": lambda path: np.asfortranarray(np.asarray(rgb(path))),
    "numpy with strides": lambda path: with_strides(np.asarray(rgb(path))),
    "numpy backwards": lambda path: np.asarray(rgb(path))[::-1, :, ::-1].copy()[::-1, :, ::-1],
    "tensor": lambda path: Tensor(np.asarray(rgb(path))),
}


@pytest.fixture(scope="module")
def expected(model: mimo_vl.Model, image_path: pathlib.Path) -> str:
    with model.session() as session:
        return session.ask([image_path, "What is it?"], max_tokens=16).text


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_image_gives_the_same_answer(
    session: mimo_vl.Session, image_path: pathlib.Path, expected: str, form: str
) -> None:
    image = FORMS[form](image_path)
    assert session.ask([image, "What is it?"], max_tokens=16).text == expected


def test_another_image_gives_another_answer(session: mimo_vl.Session, image_path: pathlib.Path, expected: str) -> None:
    pixels = 255 - np.asarray(rgb(image_path))
    assert session.ask([pixels, "What is it?"], max_tokens=16).text != expected


def test_image_properties(image_path: pathlib.Path) -> None:
    image = mimo_vl.Image.open(image_path, max_pixels=10_000)
    reference = rgb(image_path)
    assert (image.width, image.height) == reference.size
    assert (image.min_pixels, image.max_pixels, image.orientation) == (None, 10_000, 1)
    assert image.tobytes() == reference.tobytes()
    assert repr(image) == f"<mimo_vl.Image {image.width}x{image.height} max_pixels=10000>"


def test_pixel_limits_change_the_number_of_tokens(session: mimo_vl.Session, image_path: pathlib.Path) -> None:
    def tokens(image: mimo_vl.Image) -> int:
        session.reset()
        return session.ask([image], max_tokens=1).prompt_tokens

    plain = tokens(mimo_vl.Image.open(image_path))
    assert tokens(mimo_vl.Image.open(image_path, max_pixels=3136)) < plain
    assert tokens(mimo_vl.Image.from_bytes(image_path.read_bytes(), min_pixels=200_000)) > plain


def test_the_exif_orientation_of_files_is_applied(image_path: pathlib.Path) -> None:
    exif = Pil.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    rgb(image_path).save(file, "png", exif=exif)
    image = mimo_vl.Image.from_bytes(file.getvalue())
    assert image.orientation == 6
    assert image.tobytes() == rgb(image_path).transpose(Pil.Transpose.ROTATE_270).tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr"])
def test_pil_modes(image_path: pathlib.Path, mode: str) -> None:
    source = rgb(image_path).convert(mode)
    assert mimo_vl.Image.from_pil(source).tobytes() == source.convert("RGB").tobytes()


def test_transparent_pixels_are_blended_with_white() -> None:
    clear = Pil.new("RGBA", (30, 40), (200, 10, 10, 0))
    white = bytes([255] * 30 * 40 * 3)
    assert mimo_vl.Image.from_pil(clear).tobytes() == white
    assert mimo_vl.Image.from_array(np.asarray(clear)).tobytes() == white
    palette = Pil.new("P", (30, 40), 0)
    palette.info["transparency"] = 0
    assert mimo_vl.Image.from_pil(palette).tobytes() == white


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((40, 40, 3), dtype=np.float32), "8-bit"),
        (np.zeros((40, 40), dtype=np.uint8), "shape"),
        (np.zeros((40, 40, 2), dtype=np.uint8), "shape"),
        (np.zeros((3, 40, 40), dtype=np.uint8), "shape"),
        (np.zeros((0, 40, 3), dtype=np.uint8), "0"),
        (np.zeros((40, 20_000, 3), dtype=np.uint8), "20000"),
        (Pil.new("I;16", (30, 30)), "mode I;16"),
        (Pil.new("F", (30, 30)), "mode F"),
    ],
)
def test_unsupported_pixels_are_errors(session: mimo_vl.Session, pixels: Any, reason: str) -> None:
    with pytest.raises(mimo_vl.ImageError, match=reason):
        session.ask([pixels, "What is it?"])


def test_wrong_types(session: mimo_vl.Session, image_path: pathlib.Path) -> None:
    with pytest.raises(TypeError, match=r"parts\[1\]: int is not an image"):
        session.ask(["What?", 3])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="flat buffer"):
        mimo_vl.Image.from_bytes(np.zeros((4, 4), dtype=np.uint8))
    with pytest.raises(TypeError, match="binary mode"):
        session.ask([io.StringIO("text")])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"pathlib\.Path"):
        mimo_vl.Video.from_frames([str(image_path)], 1.0)  # type: ignore[list-item]


def test_a_str_of_a_message_is_text(session: mimo_vl.Session, image_path: pathlib.Path) -> None:
    message: Any = {"role": "user", "content": [str(image_path), "What is it?"]}
    as_text = session.plan(mimo_vl.Prompt.from_messages([message])).prompt_tokens
    assert as_text == session.plan(str(image_path) + "What is it?").prompt_tokens


def test_a_video_of_frames(session: mimo_vl.Session, image_path: pathlib.Path) -> None:
    frames = [np.asarray(rgb(image_path).resize((112, 84))) // (index + 1) for index in range(4)]
    video = mimo_vl.Video.from_frames(iter(frames), 2, max_pixels=20_000)
    assert (len(video), video.fps) == (4, 2.0)
    assert repr(video) == "<mimo_vl.Video 4 frames of 112x84 at 2 fps>"
    answer = session.ask([video, "What happens?"], max_tokens=8)
    session.reset()
    again = mimo_vl.Video.from_frames([Pil.fromarray(frame) for frame in frames], 2.0, max_pixels=20_000)
    assert session.ask([again, "What happens?"], max_tokens=8).text == answer.text
    with pytest.raises(mimo_vl.OptionError, match="fps"):
        mimo_vl.Video.from_frames(frames, 0.0)
    with pytest.raises(mimo_vl.ImageError, match="no frames"):
        mimo_vl.Video.from_frames([], 1.0)


def test_the_package_imports_no_other_library() -> None:
    program = """
import sys, mimo_vl
for name in ("numpy", "PIL", "torch"):
    assert name not in sys.modules, name
"""
    subprocess.run([sys.executable, "-c", program], check=True)
