"""The ECGs of test questions, and the others of their patients, are not learned from; the user is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from store_dataset import Dataset, sample

from ecgqa.errors import EcgqaError
from ecgqa.store import Store, open_store
from ecgqa.store.build import build_store
from ecgqa.store.pretraining_rows import pretraining_rows

PATIENT = {7: 1, 11: 1, 30: 2, 50: 3, 99: 4, 100: 5, 101: 6, 102: 7}


@pytest.fixture
def tested(dataset: Dataset) -> Dataset:
    """The data set with test questions about ECG 11, whose patient also has ECG 7."""
    dataset.write_ecgs(*PATIENT)
    rows = "".join(f"{ecg_id},{patient}\n" for ecg_id, patient in PATIENT.items())
    (dataset.records / "records.csv").write_text("path,patient_id\n" + rows)
    dataset.write("test", [sample(0, 1, "Any noise?", ["no"], [11])])
    return dataset


def ids(store: Store, rows: np.ndarray) -> set[int]:
    return set(store.records["ecg_id"].gather(rows).to_list())


def test_test_ecgs_and_their_patients_are_left_out(tested: Dataset) -> None:
    store = open_store(tested.build(ecgs="all"))
    rows = pretraining_rows(store, valid_share=0.2)
    assert ids(store, rows.train) | ids(store, rows.valid) == {30, 50, 99, 100, 101, 102}
    assert len(rows.valid) == 1
    assert "1 ECGs of the test questions and 1 others of their patients are left out" in rows.notes
    rows = pretraining_rows(store, leave_out_patients=False, valid_share=0.0)
    assert ids(store, rows.train) == set(PATIENT) - {11}
    assert not len(rows.valid)
    rows = pretraining_rows(store, leave_out="nothing", valid_share=0.0)
    assert ids(store, rows.train) == set(PATIENT)
    assert "flattered" in rows.notes[0]


def test_a_store_of_ecgs_alone_says_that_nothing_is_known(tested: Dataset, tmp_path: Path) -> None:
    store = open_store(build_store(tested.base / "alone", records_root=tested.records))
    rows = pretraining_rows(store)
    assert ids(store, rows.train) | ids(store, rows.valid) == set(PATIENT)
    assert "it is not known which of them a test asks about" in rows.notes[0]
    assert "leave_out FOLDER" in rows.notes[0]
    listed = tmp_path / "list.txt"
    listed.write_text("11\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "test_ecgs.tsv").write_text("0\t11\n")
    for leave_out in (listed, tmp_path / "folder", tested.questions, tested.build(), str(listed)):
        rows = pretraining_rows(store, leave_out=leave_out)
        assert ids(store, rows.train) | ids(store, rows.valid) == {30, 50, 99, 100, 101, 102}


def test_patients_are_on_one_side(tested: Dataset) -> None:
    store = open_store(build_store(tested.base / "alone", records_root=tested.records))
    drawn = set()
    for seed in range(12):
        rows = pretraining_rows(store, valid_share=0.4, seed=seed)
        train, valid = ({PATIENT[ecg_id] for ecg_id in ids(store, part)} for part in (rows.train, rows.valid))
        assert not train & valid
        assert len(valid) == 3
        drawn.add(frozenset(valid))
    assert len(drawn) > 3
    assert np.array_equal(rows.valid, pretraining_rows(store, valid_share=0.4, seed=11).valid)


def test_lists_that_help_nothing(tested: Dataset, tmp_path: Path) -> None:
    store = open_store(build_store(tested.base / "alone", records_root=tested.records))
    listed = tmp_path / "list.txt"
    listed.write_text("12345\n")
    assert "none of the 1 ECGs" in pretraining_rows(store, leave_out=listed).notes[0]
    listed.write_text("".join(f"{ecg_id}\n" for ecg_id in PATIENT))
    with pytest.raises(EcgqaError, match="no ECG to learn from"):
        pretraining_rows(store, leave_out=listed)
    with pytest.raises(EcgqaError, match="holds no test questions"):
        pretraining_rows(store, leave_out=store.folder)
    with pytest.raises(EcgqaError, match="no such file"):
        pretraining_rows(store, leave_out=tmp_path / "nowhere")


def test_a_store_without_test_questions(dataset: Dataset) -> None:
    store = open_store(dataset.build())
    assert "holds no test questions" in pretraining_rows(store).notes[0]
