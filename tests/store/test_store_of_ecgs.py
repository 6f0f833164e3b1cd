"""Stores without questions, and stores that hold more ECGs than the questions ask about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from store_dataset import TRAIN, Dataset

from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.store import open_store
from ecgqa.store.build import build_store


def test_ecgs_alone(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    dest = dataset.base / "ecgs alone"
    assert main(["store", "build", str(dest), "--records", str(dataset.records)]) == 0
    assert "5 ECGs (100 samples at 500 Hz), no questions" in capsys.readouterr().out
    store = open_store(dest)
    assert store.records["ecg_id"].to_list() == [7, 11, 30, 50, 99]
    for row, ecg_id in enumerate(store.records["ecg_id"]):
        assert np.array_equal(store.signals[row], dataset.signals[ecg_id])
    with pytest.raises(EcgqaError, match="holds no train questions") as caught:
        store.questions("train")
    assert "ecgqa store build QUESTIONS DEST" in str(caught.value)
    assert main(["store", "info", str(dest)]) == 0
    out = capsys.readouterr().out
    assert "no questions" in out
    assert "question type" not in out


def test_chosen_ecgs(dataset: Dataset, tmp_path: Path) -> None:
    listed = tmp_path / "ids.tsv"
    listed.write_text("0\t99\n1\t30\n")
    for number, ecgs in enumerate((str(listed), "30, 99")):
        dest = dataset.base / f"chosen {number}"
        assert main(["store", "build", "--records", str(dataset.records), f"--ecgs={ecgs}", str(dest)]) == 0
        assert open_store(dest).records["ecg_id"].to_list() == [30, 99]


def test_all_ecgs_beside_the_questions(dataset: Dataset) -> None:
    store = open_store(dataset.build("both", ecgs="all"))
    ids = store.records["ecg_id"].to_list()
    assert ids == [7, 11, 30, 50, 99]
    rows = store.questions("train", "template")["ecg_row"].to_list()
    assert [[ids[row] for row in of] for of in rows] == [question["ecg_id"] for question in TRAIN]
    assert dataset.build("asked") != store.folder
    assert open_store(dataset.base / "asked").records["ecg_id"].to_list() == [7, 11, 30, 50]


def test_ecgs_that_are_missing_or_damaged(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset.records / "99.dat").write_bytes(b"short")
    words = ["store", "build", str(dataset.base / "s"), "--records", str(dataset.records)]
    assert main(words) == 1
    assert "1 of 5 ECGs cannot be read" in capsys.readouterr().err
    assert main([*words, "--ecgs", "11,123"]) == 1
    assert "123 (not listed in the source)" in capsys.readouterr().err
    assert not (dataset.base / "s").exists()
    assert main([*words, "--missing", "skip"]) == 0
    assert open_store(dataset.base / "s").records["ecg_id"].to_list() == [7, 11, 30, 50]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([], "ecgqa store build DEST --records FOLDER"),
        (["--records", "RECORDS", "--splits", "train"], "--splits and --versions choose questions"),
        (["--records", "RECORDS", "--ecgs", "nowhere.txt"], "no such file: nowhere.txt"),
        (["--ecgs", "7"], "no folder of ECGs is named"),
    ],
)
def test_what_lacks_is_told(
    dataset: Dataset, capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    words = [str(dataset.records) if word == "RECORDS" else word for word in change]
    assert main(["store", "build", str(dataset.base / "s"), *words]) == 1
    assert message in capsys.readouterr().err
    assert not (dataset.base / "s").exists()


def test_a_destination_forgotten_harms_nothing(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(dataset.questions.rglob("*"))
    assert main(["store", "build", str(dataset.questions), "--records", str(dataset.records)]) == 1
    assert "was not made by ecgqa" in capsys.readouterr().err
    assert sorted(dataset.questions.rglob("*")) == before


def test_records_of_different_length(dataset: Dataset) -> None:
    dataset.write_ecgs(11, n_samples=60)
    with pytest.raises(EcgqaError, match="differ from the others") as caught:
        build_store(dataset.base / "s", records_root=dataset.records)
    assert "--samples 100" in str(caught.value)
    store = open_store(build_store(dataset.base / "s", records_root=dataset.records, samples=100))
    assert store.records["n_samples"].to_list() == [100, 60, 100, 100, 100]
