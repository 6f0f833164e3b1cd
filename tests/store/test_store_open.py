"""Opening a store: nothing is read too early, and whatever is wrong with the folder is said."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_dataset import Dataset

from ecgqa.errors import EcgqaError
from ecgqa.store import Store, layout, open_store


def test_signals_are_a_read_only_map(store: Store) -> None:
    assert isinstance(store.signals, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        store.signals[0, 0, 0] = 1
    assert store.scale_mv.dtype == np.float32
    np.testing.assert_allclose(store.scale_mv, 1e-3)


def test_opening_reads_no_table_and_imports_little(store: Store) -> None:
    script = "import sys; from ecgqa.store import open_store; print(open_store(sys.argv[1])); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script, str(store.folder)], capture_output=True, text=True, check=True)
    text, modules = done.stdout.splitlines()
    assert text.endswith("4 ECGs, 16 questions)")
    assert not {"torch", "wfdb", "scipy", "pandas", "rich"} & set(modules.split())


def test_a_pickled_store_carries_its_path_not_its_signals(store: Store) -> None:
    store.signals.sum()
    data = pickle.dumps(store)
    assert len(data) < 1_000
    assert np.array_equal(pickle.loads(data).signals, store.signals)


def test_scan_and_questions_agree_part_by_part(store: Store) -> None:
    whole = store.scan().collect()
    assert store.questions().equals(whole)
    for split in ("train", "valid"):
        for version in ("template", "paraphrased"):
            part = whole.filter((pl.col("split") == split) & (pl.col("version") == version))
            assert store.questions(split, version).equals(part)
    assert store.questions("train").height == 14


def test_asking_for_what_is_not_there(store: Store) -> None:
    with pytest.raises(EcgqaError, match="holds no test questions") as caught:
        store.questions("test")
    assert "train (template)" in str(caught.value)
    with pytest.raises(EcgqaError, match="no split 'dev'"):
        store.questions("dev")


def test_folders_that_are_no_store(store: Store, tmp_path: Path) -> None:
    with pytest.raises(EcgqaError, match="no such folder"):
        open_store(tmp_path / "nowhere")
    with pytest.raises(EcgqaError, match="unfinished"):
        open_store(tmp_path)
    manifest = store.folder / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"kind": "run"}))
    with pytest.raises(EcgqaError, match="is not a store"):
        open_store(store.folder)
    del content["parts"]
    manifest.write_text(json.dumps(content))
    with pytest.raises(EcgqaError, match="no 'parts'"):
        open_store(store.folder)


@pytest.mark.parametrize("name", [layout.SIGNALS, layout.QUESTIONS_FILE, layout.RECORDS_FILE, layout.ANSWERS])
def test_truncated_and_absent_files_are_seen_at_once(store: Store, name: str) -> None:
    path = store.folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(EcgqaError, match="not the file that was written"):
        open_store(store.folder)
    path.unlink()
    with pytest.raises(EcgqaError, match="is missing"):
        open_store(store.folder)


def test_questions_about_rows_that_do_not_exist(dataset: Dataset) -> None:
    store = open_store(dataset.build())
    path = store.folder / layout.QUESTIONS_FILE
    frame = pl.read_parquet(path)
    frame = frame.with_columns(pl.col("ecg_row").list.eval(pl.element() + 2))
    frame.write_parquet(path)
    with pytest.raises(EcgqaError, match="rows that do not exist") as caught:
        store.questions("train")
    assert caught.value.expected == "rows 0 to 3"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_to_the_signal_header_is_an_error_or_harmless(store: Store, data: st.DataObject) -> None:
    path = store.folder / layout.SIGNALS
    whole = path.read_bytes()
    place = data.draw(st.integers(0, 127))
    byte = data.draw(st.integers(0, 255))
    damaged = store.folder / "damaged.npy"
    damaged.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
    try:
        shape, offset = layout.signals_shape(damaged)
    except EcgqaError:
        return
    assert offset + shape[0] * layout.bytes_per_ecg(shape[2]) == len(whole)


def test_the_signal_header_keeps_its_length_when_ecgs_are_left_out() -> None:
    lengths = {len(layout.signals_header(n, 5000)) for n in (1, 9, 10, 16_054, 800_035, 10_000_000)}
    assert lengths == {128}
