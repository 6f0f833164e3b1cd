"""Any folder of WFDB records: stable ids, what headers and records.csv tell, and what cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS
from ecgqa.sources import open_source
from ecgqa.sources.folder import ecg_id_of


def header(path: Path, *, line: str | None = None, comments: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [line or f"{path.name} 12 500 5000", *(f"{path.name}.dat 16 1000/mV 16 0 0 0 0 {lead}" for lead in LEADS)]
    Path(f"{path}.hea").write_text("\n".join(lines) + "\n" + comments, encoding="utf-8")


def test_numbers_stay_numbers_and_other_names_get_stable_ids(tmp_path: Path) -> None:
    for name in ("100", "sub/00017", "sub/JS00001", "b"):
        header(tmp_path / name)
    source = open_source(tmp_path)
    assert source.kind == "wfdb"
    before = dict(source.records().select("path", "ecg_id").rows())
    assert (before["100"], before["sub/00017"]) == (100, 17)
    assert all(0 <= ecg_id < 2**53 for ecg_id in before.values())
    header(tmp_path / "a")
    header(tmp_path / "sub" / "A0001")
    after = dict(open_source(tmp_path).records().select("path", "ecg_id").rows())
    assert before.items() <= after.items()
    assert len(set(after.values())) == 6


def test_the_id_of_a_path_is_fixed_for_ever() -> None:
    assert ecg_id_of("sub/JS00001") == 6_850_813_852_740_715
    assert ecg_id_of("x/caf\u00e9") == ecg_id_of("x/cafe\u0301")


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1), unique=True, max_size=30))
def test_ids_fit_53_bits(names: list[str]) -> None:
    assert all(0 <= ecg_id_of(name) < 2**53 for name in names)


def test_two_records_of_one_number_are_an_error_not_a_choice(tmp_path: Path) -> None:
    header(tmp_path / "a" / "1")
    header(tmp_path / "b" / "01")
    with pytest.raises(EcgqaError) as caught:
        open_source(tmp_path).records()
    assert "a/1 and b/01" in str(caught.value)
    (tmp_path / "records.csv").write_text("path,ecg_id\na/1,11\nb/01,12\n")
    assert open_source(tmp_path).records()["ecg_id"].to_list() == [11, 12]


@pytest.mark.parametrize(
    ("comments", "sex", "age", "patient"),
    [
        ("#<age>: 46\n#<sex>: F\n", "female", 46.0, None),
        ("# Age: 85\n# Sex: Male\n", "male", 85.0, None),
        ("# age: 81  sex: female\n", "female", 81.0, None),
        ("# Age: NaN\n# Sex: Unknown\n", None, None, None),
        ("# <subject_id>: 10000032\n", None, None, 10000032),
        ("# age: 300\n", None, None, None),
        ("# Average: 5\n", None, None, None),
    ],
)
def test_what_comments_tell(
    tmp_path: Path, comments: str, sex: str | None, age: float | None, patient: int | None
) -> None:
    header(tmp_path / "1", comments=comments)
    (row,) = open_source(tmp_path).records().to_dicts()
    assert (row["sex"], row["age"], row["patient_id"]) == (sex, age, patient)
    assert (row["fs_hz"], row["n_samples"]) == (500.0, 5000)


def test_records_csv_adds_and_overrides(tmp_path: Path) -> None:
    header(tmp_path / "a", comments="#<age>: 46\n")
    header(tmp_path / "b", comments="#<age>: 50\n")
    (tmp_path / "records.csv").write_text("path,patient_id,age,sex,note\na.hea,7,47,F,good\nzz,9,1,M,bad\n")
    source = open_source(tmp_path)
    rows = {row["path"]: row for row in source.records().to_dicts()}
    assert (rows["a"]["patient_id"], rows["a"]["age"], rows["a"]["sex"]) == (7, 47.0, "female")
    assert (rows["b"]["patient_id"], rows["b"]["age"]) == (None, 50.0)
    assert any("1 rows name no record here" in note for note in source.notes)
    notes = dict(source.metadata().select("path", "note").rows())
    assert notes == {"a": "good", "b": None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name\na\n", "lacks the column path"),
        ("path,age\na,old\n", "column age has values"),
        ("path,sex\na,x\n", "column sex has values"),
        ("path,age\na,1\na.dat,2\n", "more than one row"),
    ],
)
def test_records_csv_that_is_wrong(tmp_path: Path, content: str, message: str) -> None:
    header(tmp_path / "a")
    (tmp_path / "records.csv").write_text(content)
    with pytest.raises(EcgqaError, match=message):
        open_source(tmp_path).records()


def test_segments_are_no_records_of_their_own(tmp_path: Path) -> None:
    header(tmp_path / "s" / "part1")
    header(tmp_path / "s" / "part2")
    (tmp_path / "s" / "whole.hea").write_text("whole/2 12 500 10000\npart1 5000\npart2 5000\n")
    source = open_source(tmp_path)
    assert source.records()["path"].to_list() == ["s/whole"]
    assert any("2 records are segments" in note for note in source.notes)


def test_unreadable_headers_stay_in_the_list_and_are_counted(tmp_path: Path) -> None:
    header(tmp_path / "1")
    (tmp_path / "2.hea").write_bytes(b"\0\xff garbage")
    source = open_source(tmp_path)
    assert source.records()["fs_hz"].to_list() == [500.0, None]
    assert any("1 headers cannot be read, e.g. 2.hea" in note for note in source.notes)
    assert source.digest()


def test_names_with_spaces_other_letters_and_looping_links(tmp_path: Path) -> None:
    header(tmp_path / "Ünïcode ø 心" / "my record")
    (tmp_path / "loop").symlink_to(tmp_path)
    source = open_source(tmp_path)
    assert source.records()["path"].to_list() == ["Ünïcode ø 心/my record"]
    (ecg_id,) = source.records()["ecg_id"]
    assert Path(f"{source.absolute_path(ecg_id)}.hea").is_file()


def test_names_that_are_no_text_are_left_out_and_counted(tmp_path: Path) -> None:
    header(tmp_path / "1")
    try:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.hea"))).write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    source = open_source(tmp_path)
    assert source.records().height == 1
    assert "no valid UTF-8" in source.notes[0]


def test_digest_follows_headers_and_names(tmp_path: Path) -> None:
    header(tmp_path / "1")
    one = open_source(tmp_path).digest()
    assert open_source(tmp_path).digest() == one
    header(tmp_path / "1", comments="# x\n")
    two = open_source(tmp_path).digest()
    (tmp_path / "1.hea").rename(tmp_path / "2.hea")
    assert len({one, two, open_source(tmp_path).digest()}) == 3


def test_a_folder_without_headers_asked_for_by_kind(tmp_path: Path) -> None:
    with pytest.raises(EcgqaError, match="no WFDB record below"):
        open_source(tmp_path, "wfdb").records()


@pytest.mark.real_data
def test_ludb(real_data: Path) -> None:
    frame = open_source(real_data / "ludb").records()
    assert frame.height == 100
    assert frame["ecg_id"].is_between(1, 200).all()
    assert frame["sex"].null_count() == 0
    assert set(frame["fs_hz"]) == {500.0}
