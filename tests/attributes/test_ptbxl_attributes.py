"""PTB-XL's metadata as attribute rows, and what happens to cells that cannot be read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgqa.attributes import build_attributes, collect_attributes
from ecgqa.attributes.ptbxl import COLUMNS, ptbxl_attributes, read_scp_codes, stage_of_infarction
from ecgqa.attributes.vocabulary import FEATURES, ptbxl_statements, ptbxl_vocabulary
from ecgqa.errors import EcgqaError
from ecgqa.records import ATTRIBUTES
from ecgqa.tables import write_table


def metadata(**cells: Any) -> pl.DataFrame:
    row = dict.fromkeys(COLUMNS) | {"ecg_id": 1, "scp_codes": "{'SR': 0.0}", "validated_by_human": "True"} | cells
    return pl.DataFrame({name: [value] for name, value in row.items()})


def facts(frame: pl.DataFrame, attribute_type: str) -> set[tuple[str, str | None, str]]:
    rows = frame.filter(pl.col("attribute_type") == attribute_type).select("attribute", "lead", "value")
    return set(rows.iter_rows())


def test_vocabulary_has_the_released_sizes() -> None:
    words = ptbxl_vocabulary()
    assert [len(words.diagnostic), len(words.form), len(words.rhythm), len(words.symptoms)] == [36, 18, 9, 59]
    assert len(words.forms_in_leads) == 13
    assert len(set(words.diagnostic) & set(words.form)) == 4
    assert sum(not statement.kept for statement in ptbxl_statements().values()) == 12  # eleven, and NORM


def test_certain_uncertain_and_not_given_likelihoods() -> None:
    frame = ptbxl_attributes(metadata(scp_codes="{'IMI': 35.0, 'LVH': 100.0, 'NDT': 0.0, 'ANEUR': 100.0, 'SR': 0.0}"))
    assert facts(frame, "scp_code") == {
        ("myocardial infarction in inferior leads", None, "uncertain"),
        ("left ventricular hypertrophy", None, "yes"),
        ("non-diagnostic t abnormalities", None, "yes"),
        ("sinus rhythm", None, "yes"),
        ("myocardial infarction", None, "yes"),  # superclasses do not look at the likelihood
        ("hypertrophy", None, "yes"),
        ("st/t change", None, "yes"),
        ("normal ecg", None, "no"),
        ("any kind of abnormal symptoms", None, "yes"),
    }
    assert frame.filter(pl.col("attribute").str.contains("inferior"))["number"].item() == 35.0


@pytest.mark.parametrize("code", ["NST_", "ISC_", "1AVB"])
def test_underscore_subclasses_count_for_no_superclass(code: str) -> None:
    shown = facts(ptbxl_attributes(metadata(scp_codes=f"{{'{code}': 100.0}}")), "scp_code")
    assert not {name for name, *_ in shown} & {"st/t change", "conduction disturbance"}


@pytest.mark.parametrize(
    ("codes", "normal", "abnormal"),
    [
        ("{'NORM': 100.0, 'SR': 0.0}", "yes", "no"),
        ("{'NORM': 80.0, 'SBRAD': 0.0}", "uncertain", "yes"),
        ("{'SR': 0.0}", "no", "no"),
        ("{'WPW': 100.0}", "no", "yes"),
        ("{}", "no", "no"),
    ],
)
def test_normal_and_abnormal(codes: str, normal: str, abnormal: str) -> None:
    shown = facts(ptbxl_attributes(metadata(scp_codes=codes)), "scp_code")
    assert ("normal ecg", None, normal) in shown
    assert ("any kind of abnormal symptoms", None, abnormal) in shown


def test_noise_that_names_no_lead_is_none() -> None:
    notes: Counter[str] = Counter()
    frame = ptbxl_attributes(metadata(static_noise=" , mittel,  ", baseline_drift=" , V5,V6"), notes)
    assert facts(frame, "noise") == {
        ("baseline drift", "V5", "yes"),
        ("baseline drift", "V6", "yes"),
        ("any kind of noises", None, "yes"),
    }
    assert notes["noise entries that name no lead"] == 1


@pytest.mark.parametrize(
    ("first", "second", "stage", "value"),
    [
        (None, None, "none", "yes"),
        ("Stadium I", None, "early stage", "yes"),
        ("Stadium I-II", None, "early stage", "yes"),
        ("Stadium II-III", None, "middle stage", "yes"),
        ("Stadium I", "Stadium III", "old stage", "yes"),
        ("Stadium III", None, "old stage", "uncertain"),
        ("unknown", None, "unknown stage", "yes"),
    ],
)
def test_stage(first: str | None, second: str | None, stage: str, value: str) -> None:
    assert stage_of_infarction(first, second, Counter()) == (f"{stage} of myocardial infarction", value)


def test_leads_named_in_the_report_come_from_the_report() -> None:
    frame = ptbxl_attributes(metadata(scp_codes="{'STD_': 0.0}", report="st segments are depressed in ii, v6."))
    in_lead = frame.filter(pl.col("lead").is_not_null())
    assert in_lead["lead"].to_list() == ["II", "V6"]
    assert set(in_lead["origin"]) == {"report"}
    assert set(in_lead["attribute"]) == {"non-specific st depression"}


@pytest.mark.parametrize("cell", [None, "", "NORM", "{'NORM': }", "{'NORM': 1e400}", "{'SR': 0.0", "[1]", "{1: 2}"])
def test_malformed_statement_cells_leave_the_ecg_unknown(cell: str | None) -> None:
    notes: Counter[str] = Counter()
    frame = ptbxl_attributes(metadata(scp_codes=cell), notes)
    assert facts(frame, "scp_code") == {("normal ecg", None, "unknown")}
    assert notes["ECGs with unreadable scp_codes"] == 1


def test_unknown_codes_and_stages_are_counted() -> None:
    notes: Counter[str] = Counter()
    frame = ptbxl_attributes(metadata(scp_codes="{'XYZ': 100.0}", infarction_stadium1="Stadium IX"), notes)
    assert notes["unknown statement code XYZ"] == 1
    assert notes["unknown stage of infarction 'Stadium IX'"] == 1
    assert facts(frame, "stage_of_infarction") == set()


@pytest.mark.parametrize("column", COLUMNS[1:])
def test_a_missing_column_leaves_its_attributes_unknown(column: str) -> None:
    notes: Counter[str] = Counter()
    frame = ptbxl_attributes(metadata().drop(column), notes)
    assert notes[f"missing column {column}"] == 1
    types = set(frame["attribute_type"])
    if column.endswith(("drift", "noise", "problems")):
        assert "noise" not in types
    if column.startswith("infarction"):
        assert "stage_of_infarction" not in types
    if column == "extra_beats":
        assert "extra_systole" not in types


@given(st.dictionaries(st.sampled_from(sorted(ptbxl_statements())), st.integers(0, 100), max_size=6))
def test_statement_cells_are_read_back(codes: dict[str, int]) -> None:
    assert read_scp_codes(str({code: float(value) for code, value in codes.items()})) == codes


@given(st.text())
def test_any_statement_cell_is_survived(cell: str) -> None:
    ptbxl_attributes(metadata(scp_codes=cell, extra_beats=cell, static_noise=cell, infarction_stadium1=cell))


# -- a whole source --------------------------------------------------------------------------------------------------


def source(root: Path, frame: pl.DataFrame, kind: str = "ptbxl") -> Any:
    return SimpleNamespace(kind=kind, root=root, metadata=lambda: frame)


def test_released_pool(tmp_path: Path) -> None:
    frame = pl.concat(
        [
            metadata(ecg_id=1, report="sinus rhythm"),
            metadata(ecg_id=2, report="  "),
            metadata(ecg_id=3, report="sinus rhythm", validated_by_human="False"),
        ],
        how="vertical_relaxed",
    )
    assert collect_attributes(source(tmp_path, frame), pool="released").ecg_ids == {1}
    assert collect_attributes(source(tmp_path, frame)).ecg_ids == {1, 2, 3}
    with pytest.raises(EcgqaError, match="validated_by_human"):
        build_attributes(source(tmp_path, frame.drop("validated_by_human")), pool="released")


def test_rows_of_a_cohort_are_added(tmp_path: Path) -> None:
    own = pl.DataFrame(
        [(ecg_id, "numeric_feature", FEATURES[0], None, "yes", 0.8, "s", "parameters") for ecg_id in (1, 99)],
        schema=ATTRIBUTES.polars,
        orient="row",
    )
    write_table(own, tmp_path / "attributes.parquet", ATTRIBUTES)
    built = build_attributes(source(tmp_path, metadata()))
    assert dict(built.schema) == dict(ATTRIBUTES.polars)
    assert set(built["ecg_id"]) == {1}  # ECG 99 is not in the metadata
    assert built.filter(pl.col("origin") == "parameters").height == 1


def test_other_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EcgqaError, match="holter"):
        build_attributes(source(tmp_path, metadata(), kind="holter"))


# -- the published metadata ------------------------------------------------------------------------------------------


@pytest.mark.real_data
def test_pool_is_exactly_the_released_one(real_data: Path) -> None:
    from ecgqa.questions.answer_lists import read_split_ecgs
    from ecgqa.sources import open_source

    built = collect_attributes(open_source(real_data / "ptbxl"), pool="released")
    lists = read_split_ecgs(real_data / "ecgqa" / "ptbxl")
    assert len(built.ecg_ids) == 16_054
    assert built.ecg_ids == {ecg_id for ids in lists.values() for ecg_id in ids}
    assert set(built.notes) == {"noise entries that name no lead"}  # everything else was read


@pytest.mark.real_data
def test_leads_are_found_in_most_reports(real_data: Path) -> None:
    from ecgqa.sources import open_source

    frame = build_attributes(open_source(real_data / "ptbxl"), pool="released")
    of_form = frame.filter(pl.col("attribute") == "non-specific st depression")
    named = of_form.filter(pl.col("lead").is_not_null())["ecg_id"].n_unique()
    assert of_form["ecg_id"].n_unique() == 1009
    assert named >= 980
