"""The cohort on disk is PTB-XL to everything downstream, and the same seed gives the same bytes."""

from __future__ import annotations

import ast
import itertools
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecgqa import artefacts, tables
from ecgqa.attributes import vocabulary
from ecgqa.attributes.noise import extra_systoles_named, leads_named
from ecgqa.attributes.ptbxl import ptbxl_attributes
from ecgqa.attributes.report import leads_of_forms
from ecgqa.errors import EcgqaError
from ecgqa.records import ATTRIBUTES, LEADS, NORMAL_RANGES_S
from ecgqa.sources import open_source
from ecgqa.sources.synthetic import writer
from ecgqa.sources.synthetic.conditions import CONDITIONS
from ecgqa.sources.synthetic.findings import leads_showing, look
from ecgqa.sources.synthetic.noise import KINDS, column_text
from ecgqa.sources.synthetic.patients import plan_patient
from ecgqa.sources.synthetic.record import heart_of, make_record
from ecgqa.sources.synthetic.statements import STATEMENTS
from ecgqa.sources.synthetic.writer import number_records, write_cohort

N_PATIENTS = 70
SEED = 4


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(
        tmp_path_factory.mktemp("synthetic") / "Kohorte für Übung", n_patients=N_PATIENTS, seed=SEED, workers=1
    )


@pytest.fixture(scope="module")
def metadata(cohort: Path) -> pl.DataFrame:
    return pl.read_csv(cohort / "ptbxl_database.csv", infer_schema_length=None)


@pytest.fixture(scope="module")
def plans() -> list:
    return number_records([plan for patient in range(1, N_PATIENTS + 1) for plan in plan_patient(SEED, patient)])


def digests(root: Path) -> dict[str, str]:
    return {p.relative_to(root).as_posix(): artefacts.digest_file(p) for p in sorted(root.rglob("*")) if p.is_file()}


def test_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    one = write_cohort(tmp_path / "one", n_patients=45, seed=1, workers=1, records100=True)
    two = write_cohort(tmp_path / "two", n_patients=45, seed=1, workers=2, records100=True)
    assert digests(one) == digests(two)
    other = write_cohort(tmp_path / "other", n_patients=45, seed=2, workers=1)
    assert digests(other)["records500/00000/00001_hr.dat"] != digests(one)["records500/00000/00001_hr.dat"]


def test_a_record_does_not_depend_on_the_size_of_the_cohort(plans: list) -> None:
    _, plan = plans[5]
    assert plan_patient(SEED, plan.patient_id)[plan.number] == plan
    np.testing.assert_array_equal(make_record(SEED, plan).digital, make_record(SEED, plan).digital)


def test_wfdb_reads_every_record_and_its_checksums(cohort: Path, metadata: pl.DataFrame) -> None:
    import wfdb

    for name in metadata["filename_hr"].to_list()[:40]:
        record = wfdb.rdrecord(str(cohort / name), physical=False, return_res=16)
        assert record.checksum == record.calc_checksum()
        assert record.init_value == record.d_signal[0].tolist()
        assert (record.fs, record.sig_len, record.adc_gain[0], record.units[0]) == (500, 5000, 1000.0, "mV")
        assert record.sig_name == ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]
        assert record.d_signal.min() > -32768


def test_records_at_100_hz_are_the_same_ecg(tmp_path: Path) -> None:
    import wfdb

    root = write_cohort(tmp_path / "both", n_patients=3, seed=0, workers=1, records100=True)
    fast = wfdb.rdrecord(str(root / "records500/00000/00001_hr")).p_signal
    slow = wfdb.rdrecord(str(root / "records100/00000/00001_lr")).p_signal
    assert slow.shape == (1000, 12)
    mean = fast.reshape(1000, 5, 12).mean(axis=1)
    assert np.corrcoef(slow[20:-20, 1], mean[20:-20, 1])[0, 1] > 0.95


def test_the_source_opens_as_any_other(cohort: Path, metadata: pl.DataFrame) -> None:
    from ecgqa.signals.read import read_ecg

    source = open_source(cohort)
    records = source.records()
    assert records.height == metadata.height
    ecg = read_ecg(source.absolute_path(1))
    assert ecg.fs_hz == 500 and ecg.digital.shape == (12, 5000) and ecg.flags == ()


def test_columns_and_order_are_those_of_ptbxl(metadata: pl.DataFrame, real_data: Path) -> None:
    with (real_data / "ptbxl" / "ptbxl_database.csv").open(encoding="utf-8") as stream:
        assert metadata.columns == stream.readline().strip().split(",")


def test_statements_are_those_of_ptbxl(cohort: Path, real_data: Path) -> None:
    ours = {row[0]: row for row in pl.read_csv(cohort / "scp_statements.csv", infer_schema=False).iter_rows()}
    theirs = {
        row[0]: row for row in pl.read_csv(real_data / "ptbxl" / "scp_statements.csv", infer_schema=False).iter_rows()
    }
    for code, row in ours.items():
        assert [cell or "" for cell in row[1:7]] == [cell or "" for cell in theirs[code][1:7]], code


def test_ids_follow_dates_and_folds_follow_patients(metadata: pl.DataFrame) -> None:
    assert metadata["ecg_id"].to_list() == list(range(1, metadata.height + 1))
    for _, rows in metadata.group_by("patient_id"):
        dates = rows.sort("ecg_id")["recording_date"].to_list()
        assert dates == sorted(set(dates))
        assert rows["strat_fold"].n_unique() == 1 and rows["sex"].n_unique() == 1
        ages = rows.sort("ecg_id")["age"].to_list()
        assert ages == sorted(ages)
    assert metadata.group_by("patient_id").len()["len"].max() > 1


def test_metadata_reads_back_without_notes(metadata: pl.DataFrame) -> None:
    from collections import Counter

    notes: Counter[str] = Counter()
    attributes = ptbxl_attributes(metadata, notes)
    assert {note: n for note, n in notes.items() if n} == {}
    assert set(attributes["attribute_type"].unique()) == {"scp_code", "noise", "stage_of_infarction", "extra_systole"}


def test_codes_follow_the_plan_and_exclude_one_another(metadata: pl.DataFrame, plans: list) -> None:
    rhythms = {"SR", "SBRAD", "STACH", "SARRH", "AFIB", "AFLT", "SVTAC", "PACE"}
    for row, (ecg_id, plan) in zip(metadata.iter_rows(named=True), plans, strict=True):
        codes = ast.literal_eval(row["scp_codes"])
        assert row["ecg_id"] == ecg_id and set(codes) <= set(STATEMENTS)
        assert len(rhythms & set(codes)) == 1 and plan.rhythm in codes
        planned = {finding.code: finding.likelihood for finding in plan.findings if finding.code in STATEMENTS}
        assert planned.items() <= codes.items()
        assert ("NORM" in codes) == plan.is_normal
        if "NORM" in codes:
            assert set(codes) - {"NORM"} <= {"SR", "SBRAD", "STACH", "SARRH"}
        assert bool(row["infarction_stadium1"] or row["infarction_stadium2"]) == any(f.stage for f in plan.findings)
        assert ("PACE" in codes) == (row["pacemaker"] is not None)
        assert not ({"AFIB", "AFLT", "SVTAC", "PACE"} & set(codes) and {"1AVB", "LPR", "LAO/LAE", "PAC"} & set(codes))


def test_reports_name_the_leads_that_show_the_finding(metadata: pl.DataFrame, plans: list) -> None:
    lead_forms = {"STD_", "STE_", "NST_", "INVT", "LOWT", "NDT", "NT_", "TAB_", "QWAVE", "DIG"}
    shared = {"LOWT", "NDT", "NT_", "TAB_", "INVT"}  # any T clause speaks of several of these
    seen_codes = 0
    for row, (_, plan) in zip(metadata.iter_rows(named=True), plans, strict=True):
        codes = frozenset(ast.literal_eval(row["scp_codes"]))
        named = leads_of_forms(row["report"], codes)
        seen = None
        for code in sorted(codes & lead_forms):
            if code in shared and len(codes & shared) > 1:
                continue
            seen = seen or look(heart_of(SEED, plan))
            expected = {LEADS.index(lead) for lead in leads_showing(code, seen)}
            assert named.get(code, frozenset()) == expected, (row["report"], code)
            seen_codes += bool(expected)
    assert seen_codes > 10


def test_extra_beats_are_counted_and_parse(metadata: pl.DataFrame, plans: list) -> None:
    n = 0
    for row, (_, plan) in zip(metadata.iter_rows(named=True), plans, strict=True):
        kinds, _ = extra_systoles_named(row["extra_beats"] or "")
        if plan.n_pvc or plan.n_pac or plan.bigeminy:
            n += 1
            assert kinds
            if "ventricular extrasystoles" in kinds:
                assert plan.n_pvc or plan.bigeminy == "PVC"
        else:
            assert not kinds
    assert n


@pytest.mark.parametrize("kind", KINDS)
def test_noise_cells_name_exactly_their_leads(kind: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        chosen = tuple(lead for lead in LEADS if rng.random() < rng.choice([0.2, 0.6, 1.0]))
        if chosen:
            cell = column_text(kind, chosen, rng)
            assert leads_named(cell) == frozenset(map(LEADS.index, chosen)), cell


def test_attribute_rows_are_complete(cohort: Path, metadata: pl.DataFrame) -> None:
    attributes = tables.read_table(cohort / "attributes.parquet", ATTRIBUTES)
    assert set(attributes["origin"].unique()) == {"parameters"}
    per_ecg = attributes.group_by("ecg_id").agg(pl.col("attribute_type").cast(pl.String).sort())
    assert per_ecg.height == metadata.height
    assert all(kinds == ["heart_axis"] + ["numeric_feature"] * 6 for kinds in per_ecg["attribute_type"].to_list())
    assert set(attributes.filter(pl.col("attribute_type") == "heart_axis")["attribute"]) <= set(vocabulary.AXES)
    numeric = attributes.filter(pl.col("attribute_type") == "numeric_feature")
    assert set(numeric["attribute"]) == set(vocabulary.FEATURES)
    for row in numeric.iter_rows(named=True):
        low, high = NORMAL_RANGES_S[row["attribute"]]
        if row["number"] is None:
            assert row["value"] == "unknown"
        else:
            assert 0.03 < row["number"] < 2.0 and row["unit"] == "s"
            assert row["value"] == ("yes" if (low or 0) <= row["number"] <= high else "no")


def test_parameters_hold_the_truth_of_every_record(cohort: Path, metadata: pl.DataFrame) -> None:
    parameters = pl.read_parquet(cohort / "parameters.parquet")
    assert parameters["ecg_id"].to_list() == metadata["ecg_id"].to_list()
    for row in parameters.iter_rows(named=True):
        assert len(row["qrs_onset_s"]) == len(row["beat_shape"]) == len(row["t_end_s"])
        assert all(finding["code"] in CONDITIONS for finding in json.loads(row["findings"]))
        assert len(row["st_mv"]) == 12


def test_findings_are_spread_and_conditions_last_and_evolve() -> None:
    plans = [plan_patient(0, patient) for patient in range(1, 1001)]
    records = [record for patient in plans for record in patient]
    assert 1.4 < len(records) / len(plans) < 1.8
    assert 0.27 < sum(record.is_normal for record in records) / len(records) < 0.38
    counts: dict[str, int] = {}
    for record in records:
        for code in {record.rhythm, *(f.code for f in record.findings)}:
            counts[code] = counts.get(code, 0) + 1
    assert min(counts[code] for code in CONDITIONS) >= 10
    stages = [[f.stage for r in patient for f in r.findings if f.stage] for patient in plans if len(patient) > 1]
    order = ["early", "middle", "old"]
    known = [[order.index(stage) for stage in row if stage in order] for row in stages]
    single = [row for row, patient in zip(known, [p for p in plans if len(p) > 1], strict=True)
              if len({f.code for r in patient for f in r.findings if f.stage}) == 1]  # fmt: skip
    assert all(row == sorted(row) for row in single) and any(len(set(row)) > 1 for row in single)
    later = [(a, b) for patient in plans for a, b in itertools.pairwise(patient)]
    assert any(a.rhythm == "SR" and b.rhythm == "AFIB" for a, b in later)
    gone = [{f.code for f in a.findings} - {f.code for f in b.findings} for a, b in later]
    assert any(code.startswith("ISC") for codes in gone for code in codes)


def test_likelihoods_are_ptbxls_and_doubt_weakens() -> None:
    findings = [f for patient in range(1, 400) for record in plan_patient(0, patient) for f in record.findings]
    assert {f.likelihood for f in findings} == {0.0, 15.0, 35.0, 50.0, 80.0, 100.0}
    assert all((f.strength == 1.0) == (f.likelihood in (0.0, 100.0)) for f in findings)


# --- the folder ---------------------------------------------------------------------------------------------------


def test_a_second_run_changes_nothing_and_other_settings_are_refused(tmp_path: Path) -> None:
    dest = write_cohort(tmp_path / "c", n_patients=2, seed=0, workers=1)
    before = {p: p.stat().st_mtime_ns for p in dest.rglob("*") if p.is_file()}
    write_cohort(dest, n_patients=2, seed=0, workers=2)
    assert {p: p.stat().st_mtime_ns for p in dest.rglob("*") if p.is_file()} == before
    with pytest.raises(EcgqaError, match="other inputs or settings"):
        write_cohort(dest, n_patients=3, seed=0)
    write_cohort(dest, n_patients=3, seed=0, workers=1, overwrite=True)
    assert artefacts.read_manifest(dest, kind=writer.KIND)["counts"]["patients"] == 3


@pytest.mark.parametrize("bad", [{"n_patients": 0}, {"n_patients": 10**6}, {"seed": -1}, {"workers": 0}])
def test_numbers_out_of_range_are_refused(tmp_path: Path, bad: dict[str, int]) -> None:
    with pytest.raises(EcgqaError):
        write_cohort(tmp_path / "c", **{"n_patients": 2, **bad})
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(EcgqaError, match="not made by ecgqa"):
        write_cohort(tmp_path / "mine", n_patients=2)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def interrupted(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(writer, "write_wfdb", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_cohort(tmp_path / "c", n_patients=5, workers=1)
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(EcgqaError, match="not enough room"):
        write_cohort(tmp_path / "c", n_patients=5, workers=1)


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ecgqa.cli.main import main

    assert main(["synth", str(tmp_path / "c"), "--patients", "2", "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert "2 synthetic patients" in out and "next: ecgqa" in out
