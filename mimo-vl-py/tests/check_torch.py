"""Tests that need torch: `pip install torch; python -m pytest mimo-vl-py/tests/check_torch.py`."""

from typing import Any

import torch  # type: ignore[import-not-found]

from reference import Case
from test_compat_model import cases, loaded, prepared, processor  # noqa: F401


def test_torch_tensors(processor: Any, loaded: Any, cases: list[Case]) -> None:  # noqa: F811
    inputs = prepared(processor, [cases[1]], return_tensors="pt")
    assert (inputs.input_ids.dtype, inputs.pixel_values.dtype) == (torch.int64, torch.float32)
    generated = loaded.generate(**inputs, max_new_tokens=4)
    assert isinstance(generated, torch.Tensor) and generated[0, -4:].tolist() == cases[1].greedy[:4]
    inputs["pixel_values"] = inputs.pixel_values.to(torch.float16)
    assert loaded.generate(**inputs, max_new_tokens=4).tolist() == generated.tolist()
