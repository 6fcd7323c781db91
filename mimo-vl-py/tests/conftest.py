"""Fixtures: a small checkpoint with random weights, an image, and options of an answer without end."""

import math
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

import mimo_vl

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="session")
def checkpoint() -> pathlib.Path:
    return ROOT / "tests/data/tiny"


@pytest.fixture(scope="session")
def model(checkpoint: pathlib.Path) -> mimo_vl.Model:
    return mimo_vl.Model.load(checkpoint)


@pytest.fixture
def session(model: mimo_vl.Model) -> Iterator[mimo_vl.Session]:
    with model.session() as session:
        yield session


@pytest.fixture(scope="session")
def image_path(checkpoint: pathlib.Path) -> pathlib.Path:
    return checkpoint / "cases/two-images-turns/a.png"


@pytest.fixture(scope="session")
def endless(model: mimo_vl.Model) -> dict[str, Any]:
    """Options of an answer that does not end by itself: a call that misses its cancel returns an answer."""
    return {"max_tokens": 30_000, "logit_bias": {token: -math.inf for token in model.eos_token_ids}}
