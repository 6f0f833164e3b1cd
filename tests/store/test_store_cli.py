"""`ecgqa store build` and `ecgqa store info` as a user types them."""

from __future__ import annotations

import json

import pytest
from store_dataset import Dataset

from ecgqa.cli.main import main


def test_build_and_info(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    dest = dataset.base / "störe"
    words = ["store", "build", str(dataset.questions), str(dest), "--records", str(dataset.records)]
    assert main([*words, "--splits", "train, valid", "--versions", "template"]) == 0
    out = capsys.readouterr().out
    assert "4 ECGs (100 samples at 500 Hz), 8 questions" in out
    assert f"next: ecgqa store info '{dest}'" in out
    assert main(["store", "info", str(dest)]) == 0
    out = capsys.readouterr().out
    assert "single-query" in out
    assert "source       wfdb" in out
    assert main(["store", "info", str(dest), "--json", "true"]) == 0
    description = json.loads(capsys.readouterr().out)
    assert description["ecgs"] == 4
    assert sum(row["questions"] for row in description["by_type"]) == 8


def test_what_is_left_out_is_told(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset.records / "30.dat").unlink()
    words = ["store", "build", str(dataset.questions), str(dataset.base / "s"), "--records", str(dataset.records)]
    assert main(words) == 1
    assert "1 of 4 ECGs cannot be read" in capsys.readouterr().err
    assert main([*words, "--missing", "skip"]) == 0
    assert "left out: 1 ECGs and 6 questions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--splits", "dev"], "dev"),
        (["--records", "nowhere"], "nowhere"),
        (["--versions", "spoken"], "spoken"),
        (["--samples", "0"], "samples"),
        (["--workers", "0"], "workers"),
    ],
)
def test_wrong_options_are_plain_errors(
    dataset: Dataset, capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    words = ["store", "build", str(dataset.questions), str(dataset.base / "s"), "--records", str(dataset.records)]
    assert main([*words, *change]) != 0
    error = capsys.readouterr().err
    assert message in error
    assert "fault of ecgqa" not in error
    assert not (dataset.base / "s").exists()


@pytest.mark.parametrize("command", ["build", "info"])
def test_help_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", command, "--help"]) == 0
    assert f"ecgqa store {command}" in capsys.readouterr().out
