"""`mimo_vl.compat` up to the model's inputs, compared with transformers."""

import base64
import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil

from mimo_vl import compat
from mimo_vl.compat import AutoProcessor, process_vision_info
from reference import CASES, Case


@pytest.fixture(scope="module")
def processor(checkpoint: pathlib.Path) -> Any:
    return AutoProcessor.from_pretrained(checkpoint)


@pytest.fixture
def case(request: pytest.FixtureRequest, checkpoint: pathlib.Path) -> Case:
    return Case(checkpoint / "cases" / request.param)


def test_a_processor_needs_neither_weights_nor_config(
    processor: Any, checkpoint: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    for name in ("chat_template.jinja", "preprocessor_config.json", "tokenizer.json"):
        shutil.copy(checkpoint / name, tmp_path)
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    expected = processor.apply_chat_template(messages, add_generation_prompt=True)
    alone = AutoProcessor.from_pretrained(tmp_path)
    assert alone.apply_chat_template(messages, add_generation_prompt=True) == expected


def prepared(processor: Any, case: Case, **options: Any) -> Any:
    """The three calls of programs for transformers: render, load the media, process."""
    text = processor.apply_chat_template(case.messages, tokenize=False, add_generation_prompt=True)
    images, videos, rates = process_vision_info(case.messages, return_video_kwargs=True)
    return processor(text=[text], images=images, videos=videos, padding=True, **rates, **options)


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_rendered_prompts(processor: Any, case: Case) -> None:
    assert processor.apply_chat_template(case.messages, tokenize=False, add_generation_prompt=True) == case.prompt
    both = processor.apply_chat_template([case.messages] * 2, add_generation_prompt=True)
    assert both == [case.prompt] * 2
    without_generation_prompt = case.prompt.removesuffix("<|im_start|>assistant\n")
    assert processor.apply_chat_template(case.messages) == without_generation_prompt


def test_chat_templates(processor: Any, checkpoint: pathlib.Path) -> None:
    for case in json.loads((checkpoint.parent / "templates.json").read_text("utf-8")).values():
        if "mm" in case:
            render = processor.apply_chat_template
            assert render(case["messages"], add_generation_prompt=True) == case["mm"]
            assert render(case["messages"], add_generation_prompt=True, add_vision_id=True) == case["mm_vision_id"]


def test_thinking_in_messages_is_kept_as_by_transformers(processor: Any) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nb"}]
    assert "<think>\nhm\n</think>\n\nb<|im_end|>" in processor.apply_chat_template(messages)
    messages[-1]["content"] = "<think>\n</think>\n"
    text = processor.apply_chat_template(messages, continue_final_message=True)
    assert text.endswith("<|im_start|>assistant\n<think>\n</think>\n")


def test_a_template_of_the_caller(processor: Any) -> None:
    messages = [{"role": "tool", "content": "x", "name": "é"}]
    source = "{% for m in messages %}{{ m | tojson }}{{ flag }}{{ tools is none }}{% endfor %}"
    text = processor.apply_chat_template(messages, source, flag=3)
    assert text == '{"role": "tool", "content": "x", "name": "é"}3True'


@pytest.mark.parametrize("tensor_type", [None, "np"])
@pytest.mark.parametrize("case", CASES, indirect=True)
def test_inputs_equal_those_of_transformers(processor: Any, case: Case, tensor_type: str | None) -> None:
    inputs = prepared(processor, case, return_tensors=tensor_type)
    assert inputs.input_ids[0].tolist() == case.tensors["input_ids"].tolist()
    assert inputs["attention_mask"].tolist() == [[1] * len(case.tensors["input_ids"])]
    pairs = [("pixel_values", "image_grid_thw"), ("pixel_values_videos", "video_grid_thw")]
    assert set(inputs) & {name for pair in pairs for name in pair} == {
        name for pair in pairs if pair[0] in inputs for name in pair
    }
    grids = [grid for _, name in pairs if name in inputs for grid in inputs[name].tolist()]
    assert grids == case.tensors["grid_thw"].tolist() if "grid_thw" in case.tensors else grids == []
    if grids:
        values = np.concatenate([np.asarray(inputs[name]) for name, _ in pairs if name in inputs])
        assert values.shape == (sum(t * h * w for t, h, w in grids), 1176) and values.dtype == np.float32
        # Decoders of JPEG differ by some levels of 255.
        assert np.abs(values - case.pixel_values()).max() < (0.13 if "jpg" in json.dumps(case.messages) else 1e-5)
    if case.videos:
        assert inputs.second_per_grid_ts.tolist() == pytest.approx([2 / 1.25])


def test_jpeg_as_transformers_decodes_it(processor: Any, checkpoint: pathlib.Path) -> None:
    case = Case(checkpoint / "cases/jpeg")
    part = case.messages[0]["content"][0]
    part["image"] = Pil.open(part["image"])
    inputs = prepared(processor, case)
    assert np.abs(np.asarray(inputs.pixel_values) - case.pixel_values()).max() < 1e-5


@pytest.mark.parametrize("case", ["text", "two-images-turns"], indirect=True)
def test_tokenize_renders_and_processes_in_one_call(processor: Any, case: Case) -> None:
    options = {"tokenize": True, "add_generation_prompt": True, "return_tensors": "np"}
    inputs = processor.apply_chat_template(case.messages, return_dict=True, **options)
    assert inputs.input_ids.tolist() == [case.tensors["input_ids"].tolist()]
    assert processor.apply_chat_template(case.messages, **options).tolist() == inputs.input_ids.tolist()


def test_every_form_of_an_image_gives_the_same_pixel_values(processor: Any, checkpoint: pathlib.Path) -> None:
    path = checkpoint / "cases/two-images-turns/a.png"
    uri = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    pixels = np.asarray(Pil.open(path).convert("RGB"))
    forms = [str(path), f"file://{path}", path, uri, path.read_bytes(), Pil.open(path), pixels]
    images, _ = process_vision_info([{"role": "user", "content": [{"type": "image", "image": form} for form in forms]}])
    values = {processor(text="<|image_pad|>", images=image).pixel_values.tobytes() for image in images}
    assert len(values) == 1
    element = {"type": "image", "image": path, "resized_height": 100, "resized_width": 57}
    image = compat.fetch_image(element)
    assert (image.height, image.width) == (112, 56)
    assert process_vision_info([{"role": "user", "content": "hm"}]) == (None, None)


def test_pixel_limits(checkpoint: pathlib.Path) -> None:
    folder = checkpoint / "cases/two-images-turns"
    limited = AutoProcessor.from_pretrained(checkpoint, max_pixels=6 * 784)

    def grid(image: Any, **options: Any) -> Any:
        return limited(text="<|image_pad|>", images=[image], **options).image_grid_thw.tolist()

    # Results of smart_resize of transformers for 172 x 106 and 210 x 119 pixels.
    assert grid(folder / "a.png") == grid(folder / "a.png", max_pixels=None) == [[1, 2, 6]]
    assert grid(folder / "b.png", max_pixels=12 * 784) == [[1, 4, 8]]
    assert grid(folder / "b.png", max_pixels=20 * 784) == [[1, 6, 10]]
    # fetch_image() resizes to multiples of 28 first, which changes the result.
    first, second = (compat.fetch_image({"image": str(folder / name)}) for name in ("a.png", "b.png"))
    assert grid(first) == [[1, 4, 6]]
    assert grid(second, max_pixels=20 * 784) == [[1, 6, 12]]
    assert compat.smart_resize(1000, 100, min_pixels=784, max_pixels=784 * 8) == (224, 28)
    with pytest.raises(ValueError, match="max_pixels"):
        compat.smart_resize(100, 100, min_pixels=2000, max_pixels=1000)


def test_media_and_placeholders_must_match(processor: Any, checkpoint: pathlib.Path) -> None:
    path = checkpoint / "cases/two-images-turns/a.png"
    with pytest.raises(ValueError, match="more images or videos than there are"):
        processor(text="<|image_pad|><|image_pad|>", images=[path])
    with pytest.raises(ValueError, match="than the text has placeholders for"):
        processor(text="<|image_pad|>", images=[path, path])
    with pytest.raises(ValueError, match="padding=True"):
        processor(text=["a", "b c d"], return_tensors="np")


def test_tokenizer(processor: Any) -> None:
    ids = processor.tokenizer.encode("<|im_start|>user\nhm<|im_end|>")
    assert ids[0] == processor.tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert processor.decode(ids) == "<|im_start|>user\nhm<|im_end|>"
    assert processor.decode(np.array(ids), skip_special_tokens=True) == "user\nhm"
    assert processor.decode(ids[-1]) == processor.tokenizer.eos_token == "<|im_end|>"
    assert processor.post_process_image_text_to_text([ids]) == ["user\nhm"]
    padded = processor(text=["a", "b c d"], padding="max_length", padding_side="right", max_length=9)
    assert padded.input_ids.shape == (2, 9) and padded.attention_mask[0].tolist() == [1] + [0] * 8
    assert padded.input_ids[0, -1] == processor.tokenizer.pad_token_id


def test_keywords_are_known_or_refused(processor: Any, checkpoint: pathlib.Path) -> None:
    with pytest.raises(TypeError, match="paddding"):
        processor(text="a", paddding=True)
    with pytest.raises(TypeError, match="subfolder"):
        AutoProcessor.from_pretrained(checkpoint, subfolder="a")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="return_tensors"):
        processor(text="a", return_tensors="tf")
    with pytest.raises(ValueError, match="padding="):
        processor(text="a", padding="left")
    with pytest.raises(TypeError, match="tools"):
        processor.apply_chat_template([{"role": "user", "content": "a"}], tools=[print])
