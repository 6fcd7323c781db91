"""generate() of `mimo_vl.compat`, compared with transformers."""

import pathlib
import random
import re
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import mimo_vl
from conftest import ROOT
from mimo_vl.compat import AutoProcessor, Qwen2_5_VLForConditionalGeneration, TextIteratorStreamer, TextStreamer
from mimo_vl.compat import process_vision_info
from reference import LOSSLESS, Case


@pytest.fixture(scope="module")
def processor(checkpoint: pathlib.Path) -> Any:
    return AutoProcessor.from_pretrained(checkpoint)


@pytest.fixture(scope="module")
def loaded(checkpoint: pathlib.Path) -> Any:
    load = Qwen2_5_VLForConditionalGeneration.from_pretrained
    return load(checkpoint, torch_dtype="float32", device_map="cpu").eval()


@pytest.fixture(scope="module")
def cases(checkpoint: pathlib.Path) -> list[Case]:
    return [Case(checkpoint / "cases" / name) for name in LOSSLESS]


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "torch", None)
    yield


def prepared(processor: Any, cases: list[Case], **options: Any) -> Any:
    """The three calls of programs for transformers: render, load the media, process."""
    conversations = [case.messages for case in cases]
    texts = processor.apply_chat_template(conversations, tokenize=False, add_generation_prompt=True)
    images, videos, rates = process_vision_info(conversations, return_video_kwargs=True)
    return processor(text=texts, images=images, videos=videos, padding=True, **rates, **options)


def answers_of(inputs: Any, generated: Any) -> list[Any]:
    return [out[len(ids) :] for ids, out in zip(inputs.input_ids, generated, strict=True)]


@pytest.mark.parametrize("index", range(len(LOSSLESS)))
def test_greedy_answers_equal_those_of_transformers(
    processor: Any, loaded: Any, cases: list[Case], index: int
) -> None:
    case = cases[index]
    inputs = prepared(processor, [case], return_tensors="np").to("cuda")
    generated = loaded.generate(**inputs, max_new_tokens=len(case.greedy))
    assert generated[:, inputs.input_ids.shape[1] :].tolist() == [case.greedy]
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    texts = processor.batch_decode(answers_of(inputs, generated), **options)
    assert texts == [case.text]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_gives_the_answers_of_single_prompts(processor: Any, loaded: Any, cases: list[Case], side: str) -> None:
    inputs = prepared(processor, cases, padding_side=side)
    longest = max(len(case.tensors["input_ids"]) for case in cases)
    assert inputs.input_ids.shape == inputs.attention_mask.shape == (3, longest)
    for ids, mask, case in zip(inputs.input_ids, inputs.attention_mask, cases, strict=True):
        tokens = case.tensors["input_ids"].tolist()
        padding = [processor.tokenizer.pad_token_id] * (longest - len(tokens))
        tokens_mask, padding_mask = [1] * len(tokens), [0] * len(padding)
        assert ids == (padding + tokens if side == "left" else tokens + padding)
        assert mask == (padding_mask + tokens_mask if side == "left" else tokens_mask + padding_mask)
    generated = loaded.generate(**inputs, max_new_tokens=12)
    assert generated.shape == (3, longest + 12)
    assert answers_of(inputs, generated) == [case.greedy[:12] for case in cases]


def test_the_eos_token_is_part_of_the_answer(processor: Any, loaded: Any, cases: list[Case]) -> None:
    inputs = prepared(processor, cases)
    eos = cases[0].greedy[4]
    generated = loaded.generate(**inputs, max_new_tokens=9, eos_token_id=eos, pad_token_id=480)
    first, second, third = answers_of(inputs, generated)
    assert first == cases[0].greedy[:5] + [480] * 4
    assert (second, third) == (cases[1].greedy[:9], cases[2].greedy[:9])


@pytest.mark.parametrize("convert", [np.array, lambda values: np.asarray(values).tolist()])
def test_pixel_values_of_another_processor(processor: Any, loaded: Any, cases: list[Case], convert: Any) -> None:
    case = cases[2]
    inputs = prepared(processor, [case])
    for name in ("pixel_values", "pixel_values_videos"):
        inputs[name] = convert(inputs[name])
    assert answers_of(inputs, loaded.generate(**inputs, max_new_tokens=12)) == [case.greedy]
    with pytest.raises(ValueError, match="pixel values"):
        loaded.generate(**{**inputs, "image_grid_thw": [[1, 6, 6]]})


def test_tokens_and_media_must_match(processor: Any, loaded: Any, image_path: pathlib.Path) -> None:
    inputs = processor(text="<|image_pad|>a", images=[image_path])
    for ids, reason in [
        (inputs.input_ids[0][1:], "fewer tokens"),
        (inputs.input_ids[0] + [processor.image_token_id], "placeholders for more images"),
        ([1, 2], "more images or videos than input_ids has"),
    ]:
        with pytest.raises(ValueError, match=reason):
            loaded.generate(**{**inputs, "input_ids": [ids], "attention_mask": None})


@pytest.mark.usefixtures("no_torch")
def test_without_torch(processor: Any, loaded: Any, cases: list[Case]) -> None:
    greedy = cases[1].greedy
    inputs = prepared(processor, [cases[1]], return_tensors="pt").to(loaded.device)
    assert inputs.pixel_values.shape == (296, 1176) and len(inputs.pixel_values[2:4, :5][0]) == 5
    generated = loaded.generate(**inputs, max_new_tokens=4)
    assert generated[:, inputs.input_ids.shape[1] :] == [greedy[:4]]
    assert generated[0][-4:].tolist() == generated[0, -4:].tolist() == generated[..., -4:][0] == greedy[:4]
    assert inputs.image_grid_thw[1, 2] == 16


def test_a_streamer_gets_the_prompt_and_each_token(processor: Any, loaded: Any, cases: list[Case]) -> None:
    class Streamer:
        def __init__(self) -> None:
            self.puts: list[Any] = []
            self.ended = False

        def put(self, value: Any) -> None:
            self.puts.append(value.tolist())

        def end(self) -> None:
            self.ended = True

    streamer = Streamer()
    inputs = prepared(processor, [cases[0]])
    loaded.generate(**inputs, max_new_tokens=5, streamer=streamer)
    assert streamer.puts == [inputs.input_ids.tolist(), *[[token] for token in cases[0].greedy[:5]]] and streamer.ended
    with pytest.raises(ValueError, match="one prompt"):
        loaded.generate(**prepared(processor, cases), streamer=streamer)


def test_text_streamers_give_the_text(
    processor: Any, loaded: Any, cases: list[Case], capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = prepared(processor, [cases[0]])
    prompt, answer = cases[0].prompt, processor.decode(cases[0].greedy)
    loaded.generate(**inputs, max_new_tokens=len(cases[0].greedy), streamer=TextStreamer(processor))
    assert capsys.readouterr().out == f"{prompt}{answer}\n"
    streamer = TextIteratorStreamer(processor.tokenizer, skip_prompt=True, timeout=60, skip_special_tokens=True)
    options = {**inputs, "max_new_tokens": len(cases[0].greedy), "streamer": streamer}
    thread = threading.Thread(target=loaded.generate, kwargs=options)
    thread.start()
    assert "".join(streamer) == cases[0].text
    thread.join()


def test_streamers_emit_complete_characters() -> None:
    class Bytes:
        def decode(self, ids: list[int]) -> str:
            return bytes(ids).decode(errors="replace")

    streamer = TextIteratorStreamer(Bytes(), skip_prompt=True)
    streamer.put([[0, 1]])
    for byte in "é\nb".encode() + b"\xc3":
        streamer.put([byte])
    streamer.end()
    assert list(streamer) == ["é", "\n", "b", "\ufffd"]


def test_sampling_follows_the_seed_and_its_options(processor: Any, loaded: Any, cases: list[Case]) -> None:
    inputs = prepared(processor, [cases[0]])

    def sampled(seed: int, **options: Any) -> Any:
        random.seed(seed)
        return loaded.generate(**inputs, max_new_tokens=12, do_sample=True, temperature=2.0, **options)

    assert sampled(1) == sampled(1) != sampled(2)
    greedy = loaded.generate(**inputs, max_new_tokens=12)
    assert greedy == sampled(1, top_k=1) != sampled(1, top_k=None)
    assert greedy == loaded.generate(**inputs, max_new_tokens=12, do_sample=False, temperature=0.1, top_p=0.5)
    with pytest.raises(ValueError, match="temperature"):
        loaded.generate(**inputs, do_sample=True, temperature=0.0)


def test_the_length_options(processor: Any, loaded: Any, cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = prepared(processor, [cases[0]])
    tokens = inputs.input_ids.shape[1]
    assert loaded.generate(**inputs).shape[1] == tokens + 20
    assert loaded.generate(**inputs, max_length=tokens + 3).shape[1] == tokens + 3
    generated = loaded.generate(inputs.input_ids, attention_mask=inputs.attention_mask, max_new_tokens=2)
    assert generated.shape[1] == tokens + 2
    monkeypatch.setattr(loaded.generation_config, "max_new_tokens", 4, raising=False)
    assert loaded.generate(**inputs).shape[1] == tokens + 4
    with pytest.raises(ValueError, match="max_tokens"):
        loaded.generate(**inputs, max_new_tokens=0)


def test_unsupported_options_are_errors(
    processor: Any, loaded: Any, checkpoint: pathlib.Path, cases: list[Case]
) -> None:
    inputs = prepared(processor, [cases[0]])
    loaded.generate(**inputs, max_new_tokens=1, num_beams=1, use_cache=True, top_k=None, return_dict_in_generate=False)
    for name, value in [("num_beams", 4), ("num_return_sequences", 2), ("output_scores", True)]:
        with pytest.raises(ValueError, match=name):
            loaded.generate(**inputs, **{name: value})
    with pytest.raises(TypeError, match="stopping_criteria"):
        loaded.generate(**inputs, stopping_criteria=[])
    load: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained
    for option in ({"attn_implementation": "magic"}, {"torch_dtype": "int3"}):
        with pytest.raises(ValueError, match=next(iter(option))):
            load(checkpoint, **option)
    with pytest.raises(TypeError, match="max_memory"):
        load(checkpoint, max_memory={})


def test_devices(checkpoint: pathlib.Path) -> None:
    load = Qwen2_5_VLForConditionalGeneration.from_pretrained
    for device_map in (None, "cpu", {"": "cpu"}):
        model = load(checkpoint, device_map=device_map, torch_dtype="auto")
        assert model.device == "cpu" and model.to("cpu") is model


def test_invalid_arguments_of_generate_ids(model: mimo_vl.Model) -> None:
    with pytest.raises(TypeError, match="num_draft_tokens"):
        model.generate_ids([([1], [])], eos_token_ids=[], num_draft_tokens=1)  # type: ignore[call-arg]
    with pytest.raises(mimo_vl.PromptError, match="token 99999"):
        model.generate_ids([([99999], [])], eos_token_ids=[])
    with pytest.raises(mimo_vl.PromptError, match="no tokens"):
        model.generate_ids([([], [])], eos_token_ids=[])
    with pytest.raises(mimo_vl.ContextTooLongError):
        model.generate_ids([([1] * model.max_context, [])], eos_token_ids=[])
    assert model.generate_ids([], eos_token_ids=[]) == []

    def stop(_prompt: int, _token: int) -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        model.generate_ids([([1], []), ([2], [])], eos_token_ids=[], on_token=stop, max_tokens=2000)


def test_the_code_of_the_guide_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    guide = (ROOT / "docs/guide/transformers.md").read_text("utf-8")
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", guide, re.MULTILINE | re.DOTALL):
        exec(block, names)
    answers = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert answers[-1].strip() == "2"
