"""Tiny stores, shared by the training tests, and what the shipped tiny recipes are tried on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.tiny_store import build_tiny_store


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_store(tmp_path_factory.mktemp("tiny é store"))


@pytest.fixture(scope="session")
def data_for_question_answering(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Ten seconds at 500 Hz, as the shipped recipes expect."""
    store = build_tiny_store(tmp_path_factory.mktemp("ten seconds"), fs_hz=500, n_samples=5000)
    return {"data.store": str(store), "data.max_valid_questions": None}
