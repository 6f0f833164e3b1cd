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


@pytest.fixture(scope="session")
def reports_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ECGs of a small synthetic cohort with their reports, and no questions."""
    from ecgqa.sources.synthetic import write_cohort
    from ecgqa.store.build import build_store

    root = tmp_path_factory.mktemp("reports")
    write_cohort(root / "cohort", n_patients=60, seed=3, workers=1)
    return build_store(root / "store", records_root=root / "cohort")


@pytest.fixture(scope="session")
def data_for_m3ae(reports_store: Path) -> dict[str, Any]:
    return {"data.store": str(reports_store), "objective.valid_share": 0.2}


@pytest.fixture(scope="session")
def data_for_medvill(data_for_m3ae: dict[str, Any]) -> dict[str, Any]:
    return data_for_m3ae
