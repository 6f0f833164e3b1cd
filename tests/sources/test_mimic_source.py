"""MIMIC-IV-ECG: its record list, its machine measurements, and a record read through them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS
from ecgqa.signals.read import read_ecg
from ecgqa.sources import open_source
from ecgqa.sources.mimic_iv_ecg import MimicIvEcg

_HEADER = "subject_id,study_id,file_name,ecg_time,path"
_ROW = "10000032,40689238,40689238,2180-07-23 08:44:00,files/p1000/p10000032/s40689238/40689238"


def mimic(folder: Path, *rows: str, header: str = _HEADER) -> MimicIvEcg:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record_list.csv").write_text("\n".join([header, *rows]) + "\n")
    source = open_source(folder)
    assert isinstance(source, MimicIvEcg)
    return source


def test_records(tmp_path: Path) -> None:
    source = mimic(tmp_path, _ROW)
    assert source.kind == "mimic-iv-ecg"
    (row,) = source.records().to_dicts()
    assert (row["ecg_id"], row["patient_id"], row["fs_hz"]) == (40689238, 10000032, 500.0)
    assert row["recorded_at"] == datetime(2180, 7, 23, 8, 44)
    assert row["sex"] is None
    assert source.path_of(40689238) == "files/p1000/p10000032/s40689238/40689238"
    with pytest.raises(EcgqaError, match="no records at 100 Hz"):
        source.records("100")


def test_path_by_rule_without_the_column(tmp_path: Path) -> None:
    source = mimic(tmp_path, "10000032,40689238", header="subject_id,study_id")
    assert source.path_of(40689238) == "files/p1000/p10000032/s40689238/40689238"


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    source = mimic(tmp_path, _ROW, "10000033,,5,,", ",41000000,5,,", _ROW)
    assert source.records()["ecg_id"].to_list() == [40689238]
    assert len(source.notes) == 3
    with pytest.raises(EcgqaError, match="1 ids stand in more than one row"):
        mimic(tmp_path / "b", _ROW, _ROW.replace("10000032,", "10000099,")).records()
    with pytest.raises(EcgqaError, match="lacks the column"):
        mimic(tmp_path / "c", "1,2", header="a,b").records()


def test_measurements_are_strings_and_lazy(tmp_path: Path) -> None:
    source = mimic(tmp_path, _ROW)
    with pytest.raises(EcgqaError, match=r"machine_measurements\.csv"):
        source.measurements()
    lines = ["subject_id,study_id,report_0,report_1,rr_interval"]
    lines += [f"1,{number},{number},,659" for number in range(3000)]
    lines += ["1,3000,Sinus rhythm,Possible left atrial abnormality,29999"]
    (tmp_path / "machine_measurements.csv").write_text("\n".join(lines) + "\n")
    frame = source.measurements()
    assert isinstance(frame, pl.LazyFrame)
    last = frame.filter(pl.col("ecg_id") == 3000).collect()
    assert last.select("report_0", "report_1", "rr_interval").row(0) == (
        "Sinus rhythm",
        "Possible left atrial abnormality",
        "29999",
    )


def test_a_record_in_the_order_of_this_data_set(tmp_path: Path) -> None:
    source = mimic(tmp_path, _ROW)
    path = source.absolute_path(40689238)
    path.parent.mkdir(parents=True)
    values = np.random.default_rng(0).integers(-300, 300, (5000, 12))
    path.with_suffix(".dat").write_bytes(values.astype("<i2").tobytes())
    order = ["I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6"]
    lines = ["40689238 12 500 5000 08:44:00 23/07/2180"]
    lines += [f"40689238.dat 16 200.0(0)/mV 16 0 {values[0, i]} 0 0 {lead}" for i, lead in enumerate(order)]
    path.with_suffix(".hea").write_text("\n".join(lines) + "\n")
    ecg = read_ecg(path, expected_fs_hz=500)
    for channel, lead in enumerate(order):
        assert np.array_equal(ecg.digital[LEADS.index(lead)], values[:, channel])
    assert ecg.recorded_at == source.records()["recorded_at"][0]


@pytest.mark.real_data
def test_the_published_rows(real_data: Path) -> None:
    source = open_source(real_data / "mimic-iv-ecg")
    assert isinstance(source, MimicIvEcg)
    assert source.records()["ecg_id"].to_list() == [40689238]
    assert source.metadata()["ecg_id"].to_list() == [40689238]
    row = source.measurements().collect().row(0, named=True)
    assert row["report_0"] == "Sinus rhythm"
    assert row["qrs_axis"] == "77"
