"""PTB-XL's metadata as it was published in several versions, and as it looks when it is damaged."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from ecgqa.errors import EcgqaError
from ecgqa.records import RECORDS
from ecgqa.sources import open_source
from ecgqa.sources.ptbxl import Ptbxl

_COLUMNS = "ecg_id,patient_id,age,sex,recording_date,scp_codes,validated_by_human,filename_lr,filename_hr"


def row(ecg_id: object, patient: object = 7, age: object = 56, sex: object = 0, paths: bool = True) -> str:
    name = f"00000/{int(float(str(ecg_id))):05d}" if paths else ""
    files = f"records100/{name}_lr,records500/{name}_hr" if paths else ","
    return f"{ecg_id},{patient},{age},{sex},1984-11-09 09:17:34,\"{{'NORM': 100.0, 'SR': 0.0}}\",True,{files}"


def ptbxl(folder: Path, *rows: str, columns: str = _COLUMNS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ptbxl_database.csv").write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return folder


def test_records_of_both_rates(tmp_path: Path) -> None:
    source = open_source(ptbxl(tmp_path, row(2, sex=1), row(1)))
    assert source.kind == "ptbxl"
    high, low = source.records(), source.records("100")
    assert high.schema == RECORDS.polars
    assert high["ecg_id"].to_list() == [1, 2]
    assert high["sex"].to_list() == ["male", "female"]
    assert high["recorded_at"][0] == datetime(1984, 11, 9, 9, 17, 34)
    assert (high["fs_hz"][0], low["fs_hz"][0]) == (500, 100)
    assert source.path_of(2) == "records500/00000/00002_hr"
    assert source.path_of(2, "100") == "records100/00000/00002_lr"
    assert source.absolute_path(1) == tmp_path / "records500/00000/00001_hr"
    assert high["n_samples"].null_count() == 2


def test_earlier_versions_write_whole_numbers_as_floats(tmp_path: Path) -> None:
    """1.0.1 and 1.0.2 say 15709.0 where 1.0.3 says 15709."""
    early = open_source(ptbxl(tmp_path / "a", row(1, "15709.0", "56.0", "1.0"))).records()
    late = open_source(ptbxl(tmp_path / "b", row(1, "15709", "56", "1"))).records()
    assert early.equals(late)
    assert early["patient_id"].to_list() == [15709]


def test_columns_are_found_by_name_wherever_they_stand(tmp_path: Path) -> None:
    order = [8, 3, 0, 6, 1, 2, 4, 7]
    names = _COLUMNS.split(",")
    values = ["3", "9", "41", "1", "1984-11-09 09:17:34", "{}", "True", "l/3_lr", "h/3_hr"]
    source = open_source(ptbxl(tmp_path, ",".join(values[i] for i in order), columns=",".join(names[i] for i in order)))
    assert source.path_of(3) == "h/3_hr"
    assert source.records()["age"].to_list() == [41]


@pytest.mark.parametrize(
    ("written", "age"),
    [("300", 90.0), ("300.0", 90.0), ("89", 89.0), ("0", 0.0), ("", None), ("-4", None), ("x", None)],
)
def test_ages(tmp_path: Path, written: str, age: float | None) -> None:
    assert open_source(ptbxl(tmp_path, row(1, age=written))).records()["age"].to_list() == [age]


def test_paths_by_rule_where_the_columns_are_blank_or_absent(tmp_path: Path) -> None:
    source = open_source(ptbxl(tmp_path / "a", row(21837, paths=False), row(5, paths=False)))
    assert source.path_of(21837) == "records500/21000/21837_hr"
    assert source.path_of(5, "100") == "records100/00000/00005_lr"
    bare = open_source(ptbxl(tmp_path / "b", "12000", columns="ecg_id"))
    assert bare.path_of(12000) == "records500/12000/12000_hr"
    assert bare.records()["patient_id"].to_list() == [None]
    assert "lacks the columns patient_id, age, sex" in bare.notes[0]


def test_metadata_keeps_every_column_as_it_is_written(tmp_path: Path) -> None:
    frame = open_source(ptbxl(tmp_path, row(1, age="300"))).metadata()
    assert frame["scp_codes"].to_list() == ["{'NORM': 100.0, 'SR': 0.0}"]
    assert frame["age"].to_list() == ["300"]
    assert frame.schema["ecg_id"] == frame.schema["patient_id"] == pl.Int64()


def test_rows_without_id_and_verbatim_repetitions_are_counted(tmp_path: Path) -> None:
    source = open_source(ptbxl(tmp_path, row(1), row(1), row(2), ",8,56,0,,,True,,"))
    assert source.records()["ecg_id"].to_list() == [1, 2]
    assert any("1 of 4 rows have no ecg_id" in note for note in source.notes)
    assert any("1 rows are verbatim repetitions" in note for note in source.notes)


def test_one_id_for_two_ecgs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EcgqaError, match="1 ids stand in more than one row"):
        open_source(ptbxl(tmp_path, row(1), row(1, patient=8))).records()


@pytest.mark.parametrize("path", ["../../etc/x_hr", "/etc/x_hr", "records500/../../x_hr", "C:\\x_hr", "~/x_hr"])
def test_paths_that_lead_outside_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(EcgqaError, match="lead out of the folder"):
        open_source(ptbxl(tmp_path, f"1,7,56,0,,,True,,{path}")).records()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"ecg_id,patient_id\n", "holds no ECG"),
        (b"id,patient\n1,2\n", "lacks the column ecg_id"),
        (b"ecg_id,patient_id,age\n1,2,3\n4,5", "cut off in its last row"),
        (b"ecg_id,age\n1,2,3,4,5\n", "cannot be read as csv"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG|csv"),
    ],
)
def test_damaged_csv(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "ptbxl_database.csv").write_bytes(content)
    with pytest.raises(EcgqaError, match=message):
        open_source(tmp_path).records()


def test_unknown_ecg_and_rate(tmp_path: Path) -> None:
    source = open_source(ptbxl(tmp_path, row(3)))
    for wrong in (2, 4, -1):
        with pytest.raises(EcgqaError, match=f"no ECG {wrong} "):
            source.path_of(wrong)
    with pytest.raises(EcgqaError, match="no records at 250 Hz"):
        source.records("250")


def test_digest_follows_the_metadata(tmp_path: Path) -> None:
    one = open_source(ptbxl(tmp_path / "a", row(1))).digest()
    assert one == open_source(ptbxl(tmp_path / "b é", row(1))).digest()
    assert one != open_source(ptbxl(tmp_path / "c", row(1, age=57))).digest()


def test_a_synthetic_cohort_is_named_so(tmp_path: Path) -> None:
    source = open_source(ptbxl(tmp_path / "a", row(1)))
    (tmp_path / "a" / "manifest.json").write_text('{"kind": "synthetic-cohort", "config": {"seed": 1}}')
    assert source.kind == "ptbxl"
    assert source.name == "synthetic"
    assert source.records()["source"].to_list() == ["synthetic"]
    other = open_source(ptbxl(tmp_path / "b", row(1)))
    assert other.records()["source"].to_list() == ["ptbxl"]
    assert other.digest() != source.digest()
    (tmp_path / "b" / "manifest.json").write_text('{"kind": "download"}')
    assert open_source(tmp_path / "b").name == "ptbxl"


# -- finding out what a folder is --------------------------------------------------------------------------------------


def test_hint_when_the_data_set_is_a_level_deeper_or_higher(tmp_path: Path) -> None:
    inner = ptbxl(tmp_path / "download" / "ptb-xl-1.0.3", row(1))
    with pytest.raises(EcgqaError) as caught:
        open_source(tmp_path)
    assert f"did you mean {inner} ?" in str(caught.value)
    (inner / "records500" / "00000").mkdir(parents=True)
    with pytest.raises(EcgqaError) as caught:
        open_source(inner / "records500")
    assert f"did you mean {inner.resolve()} ?" in str(caught.value)


def test_wrong_folders(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(EcgqaError) as caught:
        open_source(tmp_path)
    text = str(caught.value)
    assert "ptbxl_database.csv or record_list.csv or *.hea" in text
    assert "notes.txt" in text
    for wrong in (tmp_path / "none", tmp_path / "notes.txt"):
        with pytest.raises(EcgqaError, match="no such folder"):
            open_source(wrong)
    with pytest.raises(EcgqaError, match="no source of the kind 'edf'"):
        open_source(tmp_path, "edf")
    with pytest.raises(EcgqaError, match="no ECG source"):
        open_source(tmp_path, "mimic-iv-ecg")


@pytest.mark.real_data
def test_the_published_metadata(real_data: Path) -> None:
    source = open_source(real_data / "ptbxl")
    assert isinstance(source, Ptbxl)
    frame = source.records()
    assert frame.height == 21_799
    assert frame["patient_id"].n_unique() == 18_869
    assert frame["sex"].value_counts().sort("sex").rows() == [("female", 10_445), ("male", 11_354)]
    assert (frame["age"] == 90).sum() >= 200
    assert frame["age"].max() == 90
    assert source.notes == ()
    assert source.statements().height == 71
    for ecg_id, path in frame.sample(500, seed=0).select("ecg_id", "path").rows():
        assert path == f"records500/{ecg_id // 1000 * 1000:05d}/{ecg_id:05d}_hr"
    on_disk = sorted((real_data / "ptbxl" / "records500").rglob("*.dat"))
    assert on_disk
    for file in on_disk[:20]:
        assert source.absolute_path(int(file.name[:5])).with_suffix(".dat") == file
