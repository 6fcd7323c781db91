"""What the tests share: a small checkpoint with random weights, and a picture."""

import pathlib
from collections.abc import Iterator

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
def picture(checkpoint: pathlib.Path) -> pathlib.Path:
    return checkpoint / "cases/two-images-turns/a.png"
