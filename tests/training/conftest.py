"""A tiny store, shared by the training tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.tiny_store import build_tiny_store


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_store(tmp_path_factory.mktemp("tiny é store"))
