"""Every failure is an exception of its kind, and its message names the file or option."""

import errno
import json
import pathlib
import re
import shutil
import struct
from collections.abc import Callable
from typing import Any

import pytest

import mimo_vl
from conftest import ROOT
from mimo_vl.errors import BY_CODE

PROMPT = "What is it?"


@pytest.fixture
def copied(checkpoint: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns("cases"))
    return folder


def test_error_codes_equal_those_of_the_core() -> None:
    source = (ROOT / "mimo-vl-core/src/error.rs").read_text()
    codes = {name: int(code) for name, code in re.findall(r"^    (\w+) = (\d+),$", source, re.MULTILINE)}
    python_codes = {code.name.title().replace("_", ""): code.value for code in mimo_vl.ErrorCode}
    assert python_codes == codes
    assert set(BY_CODE) == set(codes.values())
    for code, error in BY_CODE.items():
        assert (error.code, issubclass(error, mimo_vl.MimoVlError)) == (code, True)
        assert getattr(mimo_vl, error.__name__) is error


def test_a_missing_file_is_an_os_error(session: mimo_vl.Session, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "missing.png"
    with pytest.raises(mimo_vl.IoError) as caught:
        session.ask([path, PROMPT])
    error = caught.value
    assert isinstance(error, OSError)
    assert (error.code, error.errno, error.filename) == (mimo_vl.ErrorCode.IO, errno.ENOENT, path)
    assert str(path) in str(error)


@pytest.mark.parametrize("text", ["photo.jpg", "https://example.com/a", "clip.MP4", "FILE"])
def test_the_name_of_a_file_is_no_text(session: mimo_vl.Session, image_path: pathlib.Path, text: str) -> None:
    text = str(image_path) if text == "FILE" else text
    every: list[tuple[Any, ...]] = [(text,), (image_path, text), ([image_path, text],)]
    for parts in every:
        with pytest.raises(mimo_vl.PromptError, match="would be sent as text: pass pathlib.Path") as caught:
            session.ask(*parts)
        assert text in str(caught.value)
    assert session.ask(f"Describe {text}", max_tokens=2).tokens > 0


def test_parts_may_be_several_arguments_or_one_list(session: mimo_vl.Session, image_path: pathlib.Path) -> None:
    listed = session.plan([image_path, PROMPT]).prompt_tokens
    assert session.plan(image_path, PROMPT).prompt_tokens == listed
    with pytest.raises(TypeError, match="a prompt is required"):
        session.ask()


def test_an_unknown_option_names_the_nearest(session: mimo_vl.Session) -> None:
    for wrong, right in [("max_token", "max_tokens"), ("top_K", "top_k"), ("temprature", "temperature")]:
        options: dict[str, Any] = {wrong: 1}
        with pytest.raises(TypeError, match=f"argument '{wrong}': .*did you mean {right}"):
            session.ask(PROMPT, **options)
    options = {"quantum_flux_capacitance": 1}
    with pytest.raises(TypeError, match="there is no such option$"):
        session.ask(PROMPT, **options)


def test_a_stream_of_several_answers_is_refused(session: mimo_vl.Session) -> None:
    with pytest.raises(mimo_vl.OptionError, match="best_of"):
        session.stream(PROMPT, best_of=2, temperature=1.0)


def test_a_folder_is_no_image_file(tmp_path: pathlib.Path) -> None:
    with pytest.raises(mimo_vl.IoError) as caught:
        mimo_vl.Image.open(tmp_path)
    assert caught.value.errno == errno.EISDIR


def png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + bytes(4)


@pytest.mark.parametrize("damage", ["text", "empty", "truncated", "huge"])
def test_damaged_images(
    session: mimo_vl.Session, image_path: pathlib.Path, tmp_path: pathlib.Path, damage: str
) -> None:
    complete = image_path.read_bytes()
    contents = {
        "text": b"This is not an image.",
        "empty": b"",
        "truncated": complete[: len(complete) // 2],
        "huge": png_header(30_000, 30_000),
    }[damage]
    path = tmp_path / f"{damage}.png"
    path.write_bytes(contents)
    with pytest.raises(mimo_vl.ImageError, match=re.escape(str(path))) as caught:
        session.ask([path, PROMPT])
    assert caught.value.code == mimo_vl.ErrorCode.IMAGE
    with pytest.raises(mimo_vl.ImageError):
        session.ask([contents, PROMPT])


def test_an_extreme_aspect_ratio_is_an_error(session: mimo_vl.Session) -> None:
    with pytest.raises(mimo_vl.ImageError, match="200 times"):
        session.ask([mimo_vl.Image.from_array(memoryview(bytes(3 * 4000)).cast("B", (4000, 1, 3))), PROMPT])


def test_a_missing_checkpoint(tmp_path: pathlib.Path) -> None:
    with pytest.raises((mimo_vl.IoError, mimo_vl.CheckpointError), match=re.escape(str(tmp_path))):
        mimo_vl.Model.load(tmp_path / "missing")
    with pytest.raises((mimo_vl.IoError, mimo_vl.CheckpointError), match=re.escape(str(tmp_path))):
        mimo_vl.Model.load(tmp_path)


def test_a_damaged_checkpoint(copied: pathlib.Path) -> None:
    (copied / "tokenizer.json").write_text("{")
    with pytest.raises(mimo_vl.CheckpointError, match=r"tokenizer\.json") as caught:
        mimo_vl.Model.load(copied)
    assert caught.value.code == mimo_vl.ErrorCode.CHECKPOINT


def test_an_unknown_architecture(copied: pathlib.Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    config["architectures"] = ["SomethingElse"]
    config["model_type"] = "something_else"
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(mimo_vl.CheckpointError, match=r"config\.json"):
        mimo_vl.Model.load(copied)


def test_truncated_weights(copied: pathlib.Path) -> None:
    shard = copied / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1000])
    with pytest.raises(mimo_vl.CheckpointError, match=shard.name):
        mimo_vl.Model.load(copied)


def test_a_tensor_of_another_shape(copied: pathlib.Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    config["intermediate_size"] += 32
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(mimo_vl.TensorError, match="mlp") as caught:
        mimo_vl.Model.load(copied)
    assert caught.value.code == mimo_vl.ErrorCode.TENSOR


@pytest.mark.parametrize("device", ["", "gpu", "cuda:x", "cpu:1"])
def test_an_unknown_device(checkpoint: pathlib.Path, device: str) -> None:
    with pytest.raises(mimo_vl.DeviceError, match=re.escape(f'"{device}"')) as caught:
        mimo_vl.Model.load(checkpoint, device=device)
    assert caught.value.code == mimo_vl.ErrorCode.DEVICE


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", -1),
        ("temperature", -0.5),
        ("temperature", float("nan")),
        ("top_k", -1),
        ("top_p", 1.5),
        ("min_p", -0.1),
        ("repetition_penalty", 0.0),
        ("seed", -1),
        ("seed", 2**64),
        ("num_draft_tokens", 8),
        ("num_draft_tokens", -1),
    ],
)
def test_options_out_of_range(session: mimo_vl.Session, option: str, value: Any) -> None:
    for call in (session.ask, session.stream):
        with pytest.raises(mimo_vl.OptionError, match=option) as caught:
            call(PROMPT, **{option: value})
        assert isinstance(caught.value, ValueError)
        assert caught.value.code == mimo_vl.ErrorCode.OPTION


def test_load_options_out_of_range(checkpoint: pathlib.Path, image_path: pathlib.Path) -> None:
    options: list[dict[str, Any]] = [
        {"weights": "int3"},
        {"max_context": 0},
        {"max_context": -1},
        {"kv_cache_dtype": "bf16"},
        {"threads": 0},
        {"threads": -1},
    ]
    for option in options:
        with pytest.raises(mimo_vl.OptionError, match=next(iter(option))):
            mimo_vl.Model.load(checkpoint, **option)
    with pytest.raises(mimo_vl.OptionError, match="max_pixels: -1 is not between 0 and 4294967295"):
        mimo_vl.Image.open(image_path, max_pixels=-1)


@pytest.mark.parametrize("parts", ["", [], " \n", ["", "\t"]])
def test_an_empty_prompt(session: mimo_vl.Session, parts: str | list[str]) -> None:
    for call in (session.ask, session.stream):
        with pytest.raises(mimo_vl.PromptError, match="prompt") as caught:
            call(parts)
        assert caught.value.code == mimo_vl.ErrorCode.PROMPT


@pytest.mark.parametrize("call", ["ask", "stream"])
def test_invalid_text(session: mimo_vl.Session, call: str) -> None:
    text = "a lone surrogate: \udcff"
    for parts, system, path in (
        (text, None, "parts"),
        ([PROMPT, text], None, r"parts\[1\]"),
        (PROMPT, text, "system"),
    ):
        with pytest.raises(mimo_vl.PromptError, match=f"{path}: .*surrogates"):
            getattr(session, call)(parts, system=system)


def test_invalid_names(checkpoint: pathlib.Path) -> None:
    for option in ("device", "weights", "kv_cache_dtype"):
        names: dict[str, Any] = {option: "\udcff"}
        with pytest.raises(mimo_vl.OptionError, match=f"{option}: .*surrogates"):
            mimo_vl.Model.load(checkpoint, **names)
        names[option] = 1
        with pytest.raises(TypeError):
            mimo_vl.Model.load(checkpoint, **names)


def test_paths_with_invalid_text() -> None:
    with pytest.raises(mimo_vl.IoError) as caught:
        mimo_vl.Image.open("bytes outside UTF-8 \udcff.png")
    assert caught.value.errno == errno.ENOENT
    calls: list[Callable[[str], object]] = [mimo_vl.Image.open, mimo_vl.Model.load]
    for call in calls:
        with pytest.raises(mimo_vl.IoError, match="surrogates"):
            call("no bytes at all \ud800")


def test_a_prompt_longer_than_the_context(checkpoint: pathlib.Path) -> None:
    with mimo_vl.Model.load(checkpoint, max_context=64).session() as session:
        with pytest.raises(mimo_vl.ContextTooLongError, match="64") as caught:
            session.ask("word " * 100)
        assert caught.value.code == mimo_vl.ErrorCode.CONTEXT_TOO_LONG
        assert session.ask("word", max_tokens=1).tokens == 1


def test_special_tokens_in_text_are_text(session: mimo_vl.Session) -> None:
    answer = session.ask("<|vision_start|><|image_pad|><|vision_end|> What is it?", max_tokens=4)
    session.reset()
    assert answer.prompt_tokens > session.ask("What is it?", max_tokens=4).prompt_tokens


def test_a_failed_call_leaves_the_session_as_it_was(session: mimo_vl.Session, image_path: pathlib.Path) -> None:
    first = session.ask([image_path, PROMPT], max_tokens=4)
    with pytest.raises(mimo_vl.ImageError):
        session.ask([b"nothing", PROMPT])
    with pytest.raises(mimo_vl.PromptError):
        session.ask("")
    second = session.ask("And why?", max_tokens=4)
    session.reset()
    assert session.ask([image_path, PROMPT], max_tokens=4).text == first.text
    assert session.ask("And why?", max_tokens=4).text == second.text
