"""Building a store: what is packed, what is refused, and what a killed run leaves for the next."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_dataset import N_SAMPLES, TRAIN, Dataset, sample

from ecgqa.errors import EcgqaError
from ecgqa.records import INVALID_SAMPLE
from ecgqa.store import open_store, packing
from ecgqa.store.build import build_store


def test_each_distinct_ecg_is_packed_once_without_losing_a_bit(dataset: Dataset) -> None:
    store = open_store(dataset.build())
    assert store.records["ecg_id"].to_list() == [7, 11, 30, 50]
    assert store.records["signal_row"].to_list() == [0, 1, 2, 3]
    assert store.signals.shape == (4, 12, N_SAMPLES)
    assert store.signals.dtype == np.int16
    for row, ecg_id in enumerate([7, 11, 30, 50]):
        assert np.array_equal(store.signals[row], dataset.signals[ecg_id])
    assert store.records["gain_per_mv"].to_list() == [[1000.0] * 12] * 4
    assert store.records["fs_hz"].to_list() == [500.0] * 4
    assert np.load(store.folder / "signals.npy", mmap_mode="r").shape == (4, 12, N_SAMPLES)


def test_questions_point_to_the_rows_of_their_ecgs(dataset: Dataset) -> None:
    store = open_store(dataset.build())
    frame = store.questions("train", "paraphrased")
    assert frame["sample_id"].to_list() == [question["sample_id"] for question in TRAIN]
    ids = store.records["ecg_id"].to_list()
    assert [[ids[row] for row in rows] for rows in frame["ecg_row"]] == [question["ecg_id"] for question in TRAIN]
    assert frame["candidates"].to_list()[5] == ["sinus rhythm", "pacing", "none"]
    assert store.answers == ["no", "not sure", "yes", "lead I", "lead II", "sinus rhythm", "pacing"]


def test_splits_and_versions_choose_what_is_packed(dataset: Dataset) -> None:
    store = open_store(dataset.build(splits=["valid"], versions=["template"]))
    assert store.records["ecg_id"].to_list() == [50]
    assert store.questions().height == 1


def test_building_again_is_free_and_other_settings_need_overwrite(dataset: Dataset) -> None:
    folder = dataset.build()
    before = (folder / "signals.npy").stat().st_mtime_ns
    dataset.build()
    assert (folder / "signals.npy").stat().st_mtime_ns == before
    with pytest.raises(EcgqaError, match="other inputs or settings"):
        dataset.build(splits=["valid"])
    assert open_store(dataset.build(splits=["valid"], overwrite=True)).n_ecgs == 1


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_any_executor_packs_the_same_store(dataset: Dataset, pool: type[Executor]) -> None:
    expected = (dataset.build("a") / "signals.npy").read_bytes()
    with pool(2) as executor:  # type: ignore[call-arg]
        assert (dataset.build("b", executor=executor) / "signals.npy").read_bytes() == expected
        assert executor.submit(int, 3).result() == 3  # still the caller's to use


def test_missing_ecgs_stop_the_build_and_leave_nothing(dataset: Dataset) -> None:
    (dataset.records / "30.hea").unlink()
    with pytest.raises(EcgqaError) as caught:
        dataset.build()
    assert "1 of 4 ECGs are missing" in str(caught.value)
    assert "30 (" in str(caught.value)
    assert "--missing skip" in str(caught.value)
    assert not list(dataset.base.glob("*store*[!k]"))


@pytest.mark.parametrize("damage", ["no header", "truncated", "unknown lead", "no data"])
def test_unreadable_ecgs_are_refused_or_left_out_with_their_questions(dataset: Dataset, damage: str) -> None:
    header, data = dataset.records / "30.hea", dataset.records / "30.dat"
    if damage == "no header":
        header.unlink()
    elif damage == "truncated":
        data.write_bytes(data.read_bytes()[:-50])
    elif damage == "unknown lead":
        header.write_text(header.read_text().replace(" V1\n", " X1\n"))
    else:
        data.unlink()
    with pytest.raises(EcgqaError, match="1 of 4 ECGs"):
        dataset.build()
    assert not (dataset.base / ".store.partial").exists()
    store = open_store(dataset.build(missing="skip"))
    assert store.records["ecg_id"].to_list() == [7, 11, 50]
    for row, ecg_id in enumerate([7, 11, 50]):
        assert np.array_equal(store.signals[row], dataset.signals[ecg_id])
    frame = store.questions("train", "template")
    assert frame["sample_id"].to_list() == [0, 1, 2, 4]
    assert frame["ecg_row"].to_list() == [[1], [0], [0, 1], [1]]
    counts = store.manifest["counts"]
    assert (counts["ecgs_skipped"], counts["questions_skipped"]) == (1, 6)
    assert (store.folder / "skipped.csv").read_text().startswith("ecg_id,reason\n30,")
    assert not (store.folder / packing.JOURNAL).exists()


def test_nothing_left_to_pack_is_an_error_even_when_skipping(dataset: Dataset) -> None:
    shutil.rmtree(dataset.records)
    dataset.write_ecgs(1)
    with pytest.raises(EcgqaError, match="nothing is left to pack"):
        dataset.build(missing="skip")
    assert not (dataset.base / "store").exists()


def test_another_sampling_rate_is_named_and_never_skipped(dataset: Dataset) -> None:
    dataset.write_ecgs(30, fs_hz=250)
    for missing in ("error", "skip"):
        with pytest.raises(EcgqaError, match="sampling rate or length") as caught:
            dataset.build(missing=missing)
        assert caught.value.found == "100 samples at 250 Hz"
        assert "ECG 30" in caught.value.message


def test_shorter_ecgs_are_padded_only_when_asked_to(dataset: Dataset) -> None:
    dataset.write_ecgs(11, n_samples=80)
    with pytest.raises(EcgqaError, match="sampling rate or length") as caught:
        dataset.build()
    assert "--samples 100" in str(caught.value)
    store = open_store(dataset.build(samples=100))
    assert store.records["n_samples"].to_list() == [100, 80, 100, 100]
    assert np.array_equal(store.signals[1, :, :80], dataset.signals[11])
    assert (store.signals[1, :, 80:] == INVALID_SAMPLE).all()
    with pytest.raises(EcgqaError, match="sampling rate or length"):  # nothing is ever cut off
        dataset.build("shorter", samples=90)


def test_a_mapped_data_set_needs_no_records_folder(dataset: Dataset) -> None:
    expected = (dataset.build(versions=["template"], splits=["train"]) / "signals.npy").read_bytes()
    mapped = [one | {"ecg_path": [str(dataset.records / str(i)) for i in one["ecg_id"]]} for one in TRAIN]
    dataset.write("train", mapped)
    folder = dataset.build("mapped", records_root=None, versions=["template"], splits=["train"])
    assert (folder / "signals.npy").read_bytes() == expected
    mapped[0]["ecg_path"] = [str(dataset.records / "99")]
    dataset.write("train", mapped)
    with pytest.raises(EcgqaError, match="ECG 11 stands for more than one recording"):
        dataset.build("twice", records_root=None, versions=["template"], splits=["train"])


def test_samples_that_disagree_about_their_number_are_refused(dataset: Dataset) -> None:
    dataset.write("train", [*TRAIN, sample(3, 1, "Is there noise?", ["no"], [7])])
    with pytest.raises(EcgqaError, match="different samples with the same number"):
        dataset.build()
    dataset.write("train", [*TRAIN, TRAIN[3]])
    assert open_store(dataset.build()).questions("train", "template").height == len(TRAIN)


def test_a_second_run_on_the_same_folder_is_refused(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = packing.pack

    def pack_and_try_again(*args: Any, **options: Any) -> Any:
        with pytest.raises(EcgqaError, match="another run"):
            build_store(dataset.base / "store", questions_root=dataset.questions, records_root=dataset.records)
        return whole(*args, **options)

    monkeypatch.setattr("ecgqa.store.build.pack", pack_and_try_again)
    dataset.build()


def test_a_killed_build_does_not_read_finished_ecgs_again(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHUNK", 1)
    monkeypatch.setattr(packing, "SYNC_EVERY_S", 0.0)
    whole, read = packing.pack_chunk, []

    def stop_at_third(chunk: packing.Chunk) -> list[packing.Packed]:
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(chunk.rows[0])
        return whole(chunk)

    monkeypatch.setattr(packing, "pack_chunk", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        dataset.build(workers=1)
    assert not (dataset.base / "store").exists()
    journal = dataset.base / ".store.partial" / packing.JOURNAL
    with journal.open("a") as stream:
        stream.write("[2, 100, [10")  # what a kill in the middle of a line leaves
    again: list[int] = []
    monkeypatch.setattr(packing, "pack_chunk", lambda chunk: (again.append(chunk.rows[0]), whole(chunk))[1])
    store = open_store(dataset.build(workers=1))
    assert read == [0, 1]
    assert again == [2, 3]
    for row, ecg_id in enumerate([7, 11, 30, 50]):
        assert np.array_equal(store.signals[row], dataset.signals[ecg_id])
    assert store.records["n_samples"].to_list() == [N_SAMPLES] * 4


def test_a_journal_of_other_files_is_not_trusted(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    (dataset.records / "50.hea").rename(dataset.base / "50.hea")
    monkeypatch.setattr("ecgqa.store.build.close_gaps", _killed)
    with pytest.raises(KeyboardInterrupt):
        dataset.build(missing="skip")  # rows: 7, 11, 30
    monkeypatch.undo()
    (dataset.base / "50.hea").rename(dataset.records / "50.hea")
    (dataset.records / "7.hea").unlink()
    store = open_store(dataset.build(missing="skip"))  # rows: 11, 30, 50
    assert store.records["ecg_id"].to_list() == [11, 30, 50]
    for row, ecg_id in enumerate([11, 30, 50]):
        assert np.array_equal(store.signals[row], dataset.signals[ecg_id])


def _killed(*args: Any, **options: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["_allocate", "_write_all"])
def test_a_full_disk_is_told_and_the_next_run_goes_on(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(packing, where, full)
    with pytest.raises(EcgqaError, match="is full"):
        dataset.build()
    assert not (dataset.base / "store").exists()
    monkeypatch.undo()
    assert open_store(dataset.build()).n_ecgs == 4


def test_too_little_room_is_seen_before_work_begins(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(shutil.disk_usage(dataset.base))
    monkeypatch.setattr("ecgqa.store.build.shutil.disk_usage", lambda path: usage(100, 99, 1))
    with pytest.raises(EcgqaError, match="not enough room"):
        dataset.build()
    assert not (dataset.base / ".store.partial").exists()


def test_a_build_killed_by_the_system_is_completed_by_the_next(dataset: Dataset) -> None:
    script = (
        "import sys, time; from pathlib import Path; from ecgqa.store import packing; from ecgqa.store.build import *\n"
        "packing.CHUNK = 1; packing.SYNC_EVERY_S = 0.0; whole = packing.pack_chunk\n"
        "packing.pack_chunk = lambda chunk: (time.sleep(0.2 if chunk.rows[0] < 2 else 60), whole(chunk))[1]\n"
        "build_store(Path(sys.argv[1]), questions_root=sys.argv[2], records_root=sys.argv[3], workers=1)\n"
    )
    dest = dataset.base / "store"
    arguments = [sys.executable, "-c", script, str(dest), str(dataset.questions), str(dataset.records)]
    journal = dataset.base / ".store.partial" / packing.JOURNAL
    with subprocess.Popen(arguments) as process:
        deadline = time.monotonic() + 30
        while not (journal.is_file() and journal.read_text().count("\n") >= 3) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not dest.exists()
    lines = journal.read_text().splitlines()
    assert [json.loads(line)[0] for line in lines[1:]] == [0, 1]
    store = open_store(dataset.build())
    for row, ecg_id in enumerate([7, 11, 30, 50]):
        assert np.array_equal(store.signals[row], dataset.signals[ecg_id])


@pytest.mark.real_data
def test_real_shards_and_records(real_data: Path, tmp_path: Path) -> None:
    import wfdb

    folder = build_store(
        tmp_path / "store",
        questions_root=real_data / "ecgqa/ptbxl",
        records_root=real_data / "ptbxl",
        missing="skip",
        versions=["template"],
    )
    store = open_store(folder)
    assert store.answers[0] == "no"
    assert len(store.answers) == 103
    assert store.manifest["counts"]["ecgs_skipped"] > 0
    for row in range(0, store.n_ecgs, max(1, store.n_ecgs // 5)):
        record = store.records.row(row, named=True)
        signal_mv, fields = wfdb.rdsamp(str(real_data / "ptbxl" / record["path"]))
        order = [[name.upper() for name in fields["sig_name"]].index(lead.upper()) for lead in _leads()]
        ours = store.signals[row] / np.array(record["gain_per_mv"])[:, None]
        np.testing.assert_allclose(ours, signal_mv.T[order], atol=1e-9)
    sizes = store.manifest["files"]
    assert sizes["signals.npy"] / store.n_ecgs <= 125_000
    overhead = 20_000  # schema and footer of the file, which few questions cannot carry
    assert sizes["questions.parquet"] <= 100 * store.questions().height + overhead


def _leads() -> tuple[str, ...]:
    from ecgqa.records import LEADS

    return LEADS
