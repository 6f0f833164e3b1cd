"""The notebook runs from top to bottom on the synthetic cohort, as a reader would run it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "explore.ipynb"


def test_the_notebook_is_small_and_names_no_place_on_a_disk():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert not any(place in text for place in ("/home/", "/root/", "/work/", "/Users/", "/tmp/"))


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.delenv("ECGQA_PTBXL", raising=False)
    monkeypatch.setenv("ECGQA_WORK", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "2"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = "".join(str(cell.get("outputs", "")) for cell in notebook.cells)
    assert "image/png" in outputs and "question_only" in outputs and "leaks: none" in outputs
    assert (tmp_path / "run" / "manifest.json").is_file()
