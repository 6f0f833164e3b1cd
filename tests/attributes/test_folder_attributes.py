"""Statement columns and header comments of a plain WFDB folder, through a mapping."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgqa.attributes import vocabulary as names
from ecgqa.attributes.build import collect_attributes, read_attributes, vocabulary_of
from ecgqa.attributes.folder import Mapping, _split, built_in_mapping, folder_attributes, read_mapping
from ecgqa.errors import EcgqaError
from ecgqa.sources import open_source

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def header(folder: Path, name: str, *comments: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} 12 500 5000", *(f"{name}.dat 16 1000(0)/mV 16 0 0 0 0 {lead}" for lead in LEADS)]
    (folder / f"{name}.hea").write_text("\n".join([*lines, *(f"#{comment}" for comment in comments)]) + "\n")


def folder_of(root: Path, n: int = 3) -> Path:
    for number in range(1, n + 1):
        header(root, str(number))
    return root


def shown(rows: pl.DataFrame, ecg_id: int) -> dict[str, str]:
    return dict(rows.filter(pl.col("ecg_id") == ecg_id).select("attribute", pl.col("value").cast(pl.String)).rows())


def test_codes_of_header_comments(tmp_path: Path) -> None:
    header(tmp_path, "A0001", "Age: 60", "Dx: 426783006,39732003, 270492004,999999999")
    header(tmp_path, "A0002", "Dx: 164889003")
    header(tmp_path, "A0003", "Dx: Unknown")
    source = open_source(tmp_path)
    built = folder_attributes(source)
    ids = {path: ecg_id for ecg_id, path in source.records().select("ecg_id", "path").iter_rows()}
    first = shown(built.attributes, ids["A0001"])
    assert first["sinus rhythm"] == first["first degree av block"] == first["left axis deviation"] == "yes"
    assert first[names.NORMAL_ECG] == "no" and first[names.ANY_ABNORMAL] == "yes"
    assert "conduction disturbance" not in first  # the release does not count AV blocks for it
    assert shown(built.attributes, ids["A0003"]) == {names.NORMAL_ECG: "unknown"}
    assert built.not_understood == {"statements that no mapping knows": [("999999999", 1)]}
    assert built.notes["ECGs without a statement"] == 1
    assert built.asked is not None and set(built.asked) == {
        "sinus rhythm", "first degree av block", "left axis deviation", "atrial fibrillation",
    }  # fmt: skip


def test_columns_through_a_mapping(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "réc ords", 4)
    statements = tmp_path / "statements.csv"
    statements.write_text(
        'ID,Age,Rhythm,Other\n1,50,"SINUS RHYTHM.","Flutter, typical\nscar?"\n'
        "2,40,sinus rhythm;weird,\n3,40,,\n9,1,AFIB,\n"
    )
    mapping = tmp_path / "map.csv"
    mapping.write_text(
        "code,attribute,value\n"
        '"flutter, typical",AFLT,yes\nscar?,AMI,uncertain\nscar?,old stage of myocardial infarction,yes\n'
    )
    built = collect_attributes(open_source(root), statements=statements, mapping=mapping)
    first, second = shown(built.attributes, 1), shown(built.attributes, 2)
    assert first["atrial flutter"] == "yes" and first["myocardial infarction in anterior leads"] == "uncertain"
    assert first["myocardial infarction"] == "yes"  # the superclass counts whatever the certainty
    assert first[names.OLD] == "yes" and second[names.NO_STAGE] == "yes"
    assert second["sinus rhythm"] == "yes" and second[names.ANY_ABNORMAL] == "unknown"
    assert shown(built.attributes, 3) == shown(built.attributes, 4) == {names.NORMAL_ECG: "unknown"}
    assert built.notes["rows of statements.csv that name no record here"] == 1
    assert built.not_understood == {"statements that no mapping knows": [("Rhythm: weird", 1)]}


def test_columns_named_by_the_mapping_are_the_only_ones(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "records")
    (root / "records.csv").write_text("path,finding,comment\n1,x,AFIB\n2,AFIB,x\n3,SR,\n")
    mapping = tmp_path / "map.csv"
    mapping.write_text("column,code,attribute\nfinding,x,LVH\n")
    built = folder_attributes(open_source(root), mapping=mapping)
    assert "left ventricular hypertrophy" in shown(built.attributes, 1)
    assert "atrial fibrillation" not in shown(built.attributes, 1)
    assert "atrial fibrillation" in shown(built.attributes, 2)  # SCP codes are known by themselves
    mapping.write_text("column,code,attribute\nnowhere,x,LVH\n")
    with pytest.raises(EcgqaError, match="nowhere"):
        folder_attributes(open_source(root), mapping=mapping)


def test_scp_cells_keep_their_likelihood(tmp_path: Path) -> None:
    root = folder_of(tmp_path)
    (root / "records.csv").write_text(
        "path,scp_codes\n1,\"{'NORM': 100.0, 'SR': 0.0}\"\n2,\"{'IMI': 50.0}\"\n3,\"{'NORM': 80.0}\"\n"
    )
    rows = folder_attributes(open_source(root)).attributes
    assert shown(rows, 1) == {"sinus rhythm": "yes", names.NORMAL_ECG: "yes", names.ANY_ABNORMAL: "no"}
    assert shown(rows, 2)["myocardial infarction in inferior leads"] == "uncertain"
    assert shown(rows, 3)[names.NORMAL_ECG] == "uncertain"


def test_extra_systoles_are_unknown_where_never_stated(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "records")
    (root / "records.csv").write_text("path,beats\n1,ventricular extrasystoles\n2,SR\n3,SR\n")
    built = folder_attributes(open_source(root))
    assert shown(built.attributes, 1)[names.ANY_EXTRA_SYSTOLE] == "yes"
    assert shown(built.attributes, 2)[names.ANY_EXTRA_SYSTOLE] == "no"
    (root / "records.csv").write_text("path,beats\n1,AFIB\n2,SR\n3,SR\n")
    rows = folder_attributes(open_source(root)).attributes
    assert names.ANY_EXTRA_SYSTOLE not in shown(rows, 1) and names.NO_STAGE not in shown(rows, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code,attribute\nx,atrial fibrilation\n", "atrial fibrillation"),
        ("code,attribute,value\nx,AFIB,maybe\n", "maybe"),
        ("code,name\nx,AFIB\n", "attribute"),
        ("", "empty"),
    ],
)
def test_bad_mappings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(EcgqaError) as caught:
        read_mapping(tmp_path / "map.csv")
    assert message in f"{caught.value} {caught.value.expected} {caught.value.found}"


def test_bad_statement_files_are_refused(tmp_path: Path) -> None:
    source = open_source(folder_of(tmp_path / "records"))
    table = tmp_path / "table.csv"
    for text, message in (
        ("name,rhythm\n1,SR\n", "which record"),
        ("ecg_id,rhythm\n77,SR\n", "no row names a record"),
        ("ecg_id,rhythm\n1,SR\n1,AFIB\n", "more than one row"),
        ("ecg_id,rhythm\n1,gibberish\n", "statement that is known"),
    ):
        table.write_text(text)
        with pytest.raises(EcgqaError, match=message):
            folder_attributes(source, statements=table)
    with pytest.raises(EcgqaError, match="statement that is known"):
        folder_attributes(source)
    with pytest.raises(EcgqaError, match="no such file"):
        folder_attributes(source, statements=tmp_path / "absent.csv")


def test_built_in_codes_name_real_attributes() -> None:
    vocabulary = names.ptbxl_vocabulary()
    known = {*vocabulary.symptoms, *vocabulary.axes, *vocabulary.extra_systoles, *vocabulary.stages}
    known |= {names.NORMAL_ECG, names.UNKNOWN_STAGE, names.NO_STAGE}
    assert {name for given in built_in_mapping().values() for name, _ in given} <= known
    assert built_in_mapping()["426783006"] == [("sinus rhythm", "yes")]
    assert built_in_mapping()["74390002"] == []


@settings(max_examples=200)
@given(st.text(max_size=60))
def test_any_cell_splits_into_text_of_the_cell(cell: str) -> None:
    for code in _split("column", cell, Mapping()):
        assert code.strip() and code.rstrip("?") in cell


def test_part_of_a_vocabulary() -> None:
    part = names.ptbxl_vocabulary().only({"left anterior fascicular block", "sinus rhythm", "extrasystoles"})
    assert part.symptoms == ("left anterior fascicular block", "sinus rhythm")
    assert part.diagnostic == ("left anterior fascicular block",) and part.rhythm == ("sinus rhythm",)
    assert part.form == part.noises == () and part.superclasses == ("conduction disturbance",)
    assert part.extra_systoles == ("extrasystoles",) and part.features == names.FEATURES


@pytest.mark.real_data
def test_ludb_with_the_mapping_of_the_guide(tmp_path: Path, real_data: Path) -> None:
    from ecgqa.cli.attributes import build
    from ecgqa.questions.build import build_questions

    ludb = real_data / "ludb"
    if not (ludb / "ludb.csv").is_file():
        pytest.skip(f"no LUDB in {real_data}")
    mapping = Path(__file__).parents[2] / "docs" / "examples" / "ludb_mapping.csv"
    build(ludb / "data", tmp_path / "a", waveforms="none", statements=ludb / "ludb.csv", mapping=mapping)
    table, records, manifest = read_attributes(tmp_path / "a")
    assert "not_understood" not in manifest
    axes = table.filter(pl.col("attribute_type") == "heart_axis")["attribute"].value_counts().rows()
    assert sum(count for _, count in axes) > 0.9 * records.height
    vocabulary = vocabulary_of(manifest)
    assert 15 <= len(vocabulary.symptoms) <= 30
    built = build_questions(table, records, seed=0, vocabulary=vocabulary)
    asked = set(built.questions["template_id"])
    assert {1, 3, 4, 8, 10, 11, 13, 16, 20, 21, 22, 35, 36, 57, 61} <= asked
    assert not asked & {17, 18, 19, 26, 32, 43, 47}  # no leads, no noise, one ECG per patient
    named = set(built.answers.classes) - {"none", "no", "yes", "not sure"}
    assert named <= {*vocabulary.symptoms, *vocabulary.superclasses, *vocabulary.axes, *vocabulary.extra_systoles}
