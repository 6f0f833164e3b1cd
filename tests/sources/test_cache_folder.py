"""Where a source is looked for when no folder is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecgqa.errors import EcgqaError
from ecgqa.sources.cache import cache_folder, is_complete, resolve_root
from ecgqa.sources.ledger import LEDGER


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ECGQA_CACHE", str(tmp_path / "my cache"))
    return tmp_path / "my cache"


def test_one_variable_moves_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder("ptbxl") == cache / "ptbxl"
    monkeypatch.delenv("ECGQA_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("questions") == tmp_path / ".cache" / "ecgqa" / "questions"
    with pytest.raises(EcgqaError, match="nothing of the kind"):
        cache_folder("weights")


@pytest.mark.parametrize("kind", ["ptbxl", "mimic-iv-ecg", "questions"])
def test_an_empty_cache_names_the_command_that_fills_it(cache: Path, kind: str) -> None:
    with pytest.raises(EcgqaError) as caught:
        resolve_root(None, kind)
    assert f"ecgqa fetch {kind}" in str(caught.value)
    assert not cache.exists()


def test_a_finished_download_is_used_an_unfinished_one_is_not(cache: Path) -> None:
    folder = cache / "ptbxl"
    (folder / "records500").mkdir(parents=True)
    (folder / "ptbxl_database.csv").write_text("ecg_id\n")
    assert is_complete("ptbxl")  # put there by hand
    (folder / LEDGER).write_text("# x\n")
    with pytest.raises(EcgqaError, match="not in the cache") as caught:
        resolve_root(None, "ptbxl")
    assert "a download that is not finished" in str(caught.value)
    (folder / "manifest.json").write_text("{}")
    assert resolve_root(None, "ptbxl") == folder


def test_half_of_it_put_there_by_hand_is_not_enough(cache: Path) -> None:
    (cache / "mimic-iv-ecg" / "files").mkdir(parents=True)
    assert not is_complete("mimic-iv-ecg")
    (cache / "questions" / "ptbxl").mkdir(parents=True)
    assert resolve_root(None, "questions") == cache / "questions"


def test_a_given_folder_wins_but_must_exist(cache: Path, tmp_path: Path) -> None:
    assert resolve_root(str(tmp_path), "ptbxl") == tmp_path
    with pytest.raises(EcgqaError, match="no such folder"):
        resolve_root(tmp_path / "none", "ptbxl")
