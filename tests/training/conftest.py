"""Tiny stores, shared by the training tests, and what the shipped tiny recipes are tried on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ecgqa.sources.synthetic.writer import write_cohort
from ecgqa.store.build import build_store
from support.tiny_findings import build_findings_store
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
def cohort_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic ECGs of forty patients with their reports, without questions."""
    folder = tmp_path_factory.mktemp("synthetic")
    cohort = write_cohort(folder / "cohort", n_patients=40, workers=1)
    return build_store(folder / "store", records_root=cohort)


@pytest.fixture(scope="session")
def data_for_wav2vec2(cohort_store: Path) -> dict[str, Any]:
    return {"data.store": str(cohort_store), "objective.valid_share": 0.2}


data_for_cmsc = data_for_simclr = data_for_3kg = data_for_m3ae = data_for_medvill = data_for_wav2vec2


@pytest.fixture(scope="session")
def data_for_classification(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Ten seconds at 500 Hz, as the shipped recipes expect."""
    store = build_findings_store(tmp_path_factory.mktemp("ten seconds"), fs_hz=500, n_samples=5000)
    return {"data.store": str(store), "data.max_valid_questions": None}
