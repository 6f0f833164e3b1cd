"""Fixtures that find the real data and the golden cases, and skip plainly where they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared"


def _root(variable: str, default: Path) -> Path:
    return Path(os.environ.get(variable) or default)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Root holding ptbxl/, ecgqa/, ludb/, mimic-iv-ecg/ (ECGQA_REAL_DATA, default ../shared/data)."""
    root = _root("ECGQA_REAL_DATA", _BESIDE / "data")
    if not (root / "ptbxl" / "ptbxl_database.csv").is_file():
        pytest.skip(f"no real data at {root}; set ECGQA_REAL_DATA")
    return root


@pytest.fixture(scope="session")
def parity_cases() -> Path:
    """Root holding the golden cases of the original models (ECGQA_PARITY, default ../shared/parity)."""
    root = _root("ECGQA_PARITY", _BESIDE / "parity")
    if not root.is_dir():
        pytest.skip(f"no golden cases at {root}; set ECGQA_PARITY")
    return root
