"""The doctor tells what is there from what is not, and the command that gets it."""

from pathlib import Path

import pytest

from ecgqa import doctor
from ecgqa.cli.main import main


def test_what_is_missing_comes_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    cache, hub = tmp_path / "cache", tmp_path / "hub"
    snapshot = hub / f"models--google-bert--{doctor.BERT}" / "snapshots" / "abc"
    (cache / "ptbxl" / "records500").mkdir(parents=True)
    (cache / "ptbxl" / "ptbxl_database.csv").touch()
    monkeypatch.setenv("ECGQA_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(doctor, "EXTRAS", {**doctor.EXTRAS, "plot": (("no-such-package",), "plot")})
    found = {one.name: one for findings in doctor.examine().values() for one in findings}
    assert found["PTB-XL"].present and not found["PTB-XL"].fix
    assert not found["MIMIC-IV-ECG"].present and "ecgqa fetch mimic-iv-ecg" in found["MIMIC-IV-ECG"].fix
    assert found["train"].present and "torch" in found["train"].told
    assert found["plot"].fix == 'pip install "ecgqa[plot]"'
    assert not found[doctor.BERT].present
    snapshot.mkdir(parents=True)
    (snapshot / "vocab.txt").touch()
    again = {one.name: one for one in doctor.examine()["Models"]}
    assert again[doctor.BERT].present and "without weights" in again[doctor.BERT].told
    assert main(["doctor"]) == 0
    assert "ecgqa fetch mimic-iv-ecg" in capsys.readouterr().out
