"""Fixtures of the store's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from store_dataset import TRAIN, VALID, Dataset

from ecgqa.store import Store, open_store


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Seven train and one valid question, both wordings, about ECGs 7, 11, 30 and 50; ECG 99 is asked about by none."""
    made = Dataset(tmp_path / "päth with spaces")
    for version in ("template", "paraphrased"):
        made.write("train", TRAIN, version)
        made.write("valid", VALID, version)
    made.write_ecgs(7, 11, 30, 50, 99)
    return made


@pytest.fixture
def store(dataset: Dataset) -> Store:
    return open_store(dataset.build())


@pytest.fixture
def encode() -> Callable[[list[str]], list[list[int]]]:
    """A tokenizer whose ids are the lengths of the words."""
    return lambda texts: [[2, *(len(word) + 4 for word in text.split()), 3] for text in texts]
