"""MIMIC-IV-ECG's tables to attribute rows, and questions made of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecgqa.attributes import vocabulary as names
from ecgqa.attributes.build import BuiltAttributes, collect_attributes, read_attributes
from ecgqa.attributes.mimic import statement_attributes
from ecgqa.attributes.statement_rules import statement_rules
from ecgqa.attributes.waveform import with_waveforms
from ecgqa.errors import EcgqaError
from ecgqa.records import ATTRIBUTES
from ecgqa.sources import open_source


def rows_of(*reports: list[str | None]) -> tuple[pl.DataFrame, Counter[str]]:
    notes: Counter[str] = Counter()
    width = max((len(report) for report in reports), default=1)
    frame = pl.DataFrame(
        {
            "ecg_id": range(1, len(reports) + 1),
            **{f"report_{k}": [report[k] if k < len(report) else None for report in reports] for k in range(width)},
        },
        schema_overrides={f"report_{k}": pl.String for k in range(width)},
    )
    return statement_attributes(frame.lazy(), notes).attributes, notes


def values(rows: pl.DataFrame, ecg_id: int, attribute_type: str = "scp_code") -> dict[str, str]:
    mine = rows.filter((pl.col("ecg_id") == ecg_id) & (pl.col("attribute_type") == attribute_type))
    return dict(mine.filter(pl.col("lead").is_null()).select("attribute", pl.col("value").cast(pl.String)).rows())


def test_normal_abnormal_and_unknown() -> None:
    rows, notes = rows_of(
        ["Sinus rhythm", "Normal ECG"],
        ["Sinus rhythm", "Borderline ECG"],
        ["Sinus rhythm", "Abnormal ECG"],
        ["Sinus bradycardia", "Summary: bradycardia - otherwise normal ECG"],
        ["Sinus rhythm", "Strange thing never heard of"],
        [None, "  "],
        ["Sinus rhythm", "--- Recording unsuitable for analysis - please repeat ---"],
        ["Sinus rhythm", "probably normal ECG"],
    )
    judged = [(values(rows, e)[names.NORMAL_ECG], values(rows, e)[names.ANY_ABNORMAL]) for e in range(1, 9)]
    assert judged == [
        ("yes", "no"), ("no", "unknown"), ("no", "yes"), ("no", "yes"), ("no", "unknown"), ("unknown", "unknown"),
        ("unknown", "unknown"), ("uncertain", "no"),
    ]  # fmt: skip
    assert notes["statements that no rule knows"] == 1
    assert notes["ECGs without a statement"] == 1
    assert notes["ECGs that the machine could not read"] == 1
    assert rows.schema == ATTRIBUTES.polars


def test_certain_beats_uncertain_and_superclasses_ignore_certainty() -> None:
    rows, _ = rows_of(["Possible inferior infarct", "Inferior infarct, old", "Possible LVH", "RBBB"])
    shown = values(rows, 1)
    assert shown["Myocardial infarction in inferior leads"] == "yes"
    assert shown["Left ventricular hypertrophy"] == "uncertain"
    assert shown["hypertrophy"] == shown["myocardial infarction"] == shown["conduction disturbance"] == "yes"
    assert "st/t change" not in shown


def test_stage_is_one_per_ecg() -> None:
    rows, notes = rows_of(
        ["Old inferior infarct", "Anterior infarct, acute"],
        ["Sinus rhythm"],
        ["Lateral infarct - age undetermined"],
        ["Inferior infarct - possibly acute"],
        [None],
    )
    stages = [values(rows, ecg_id, "stage_of_infarction") for ecg_id in range(1, 6)]
    assert stages == [
        {names.EARLY: "yes"}, {names.NO_STAGE: "yes"}, {names.UNKNOWN_STAGE: "yes"}, {names.EARLY: "uncertain"}, {},
    ]  # fmt: skip
    assert notes["ECGs with infarctions of several stages, the most recent taken"] == 1


def test_baseline_wander_by_lead() -> None:
    rows, _ = rows_of(["Sinus rhythm", "Baseline wander in lead(s) V3 V4"], ["Sinus rhythm"], [None])
    noise = rows.filter(pl.col("attribute_type") == "noise").select("ecg_id", "attribute", "lead", "value").rows()
    assert noise == [
        (1, "baseline wander", "V3", "yes"),
        (1, "baseline wander", "V4", "yes"),
        (1, names.ANY_NOISE, None, "yes"),
        (2, names.ANY_NOISE, None, "no"),
    ]


def test_listing_of_what_is_not_understood() -> None:
    notes: Counter[str] = Counter()
    frame = pl.DataFrame(
        {
            "ecg_id": [1, 1, 2, None],
            "report_0": ["zyx", "ignored", "zyx", "lost"],
            "report_1": ["abc", None, None, None],
        }
    )
    rows = statement_attributes(frame.lazy(), notes)
    assert rows.not_understood == [("zyx", 2), ("abc", 1)]
    assert notes["rows with a repeated ecg_id"] == 1 and notes["rows without an ecg_id"] == 1
    with pytest.raises(EcgqaError, match="no statements"):
        statement_attributes(pl.DataFrame({"ecg_id": [1]}).lazy(), notes)


def write_source(root: Path, reports: list[list[str]], per_patient: int = 3) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    n = len(reports)
    ids = [40_000_000 + number for number in range(n)]
    frame = pl.DataFrame(
        {
            "subject_id": [10_000_000 + number // per_patient for number in range(n)],
            "study_id": ids,
            "file_name": ids,
            "ecg_time": [f"2180-07-{1 + number % per_patient:02} 08:44:00" for number in range(n)],
        }
    ).with_columns(pl.format("files/p1000/p{}/s{}/{}", "subject_id", "study_id", "study_id").alias("path"))
    frame.write_csv(root / "record_list.csv")
    width = max(map(len, reports))
    said = {f"report_{k}": [report[k] if k < len(report) else None for report in reports] for k in range(width)}
    frame.select("subject_id", "study_id", "ecg_time").with_columns(
        pl.Series(name, cells, dtype=pl.String) for name, cells in said.items()
    ).write_csv(root / "machine_measurements.csv")
    return root


def test_command_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ecgqa.cli.attributes import build

    root = write_source(tmp_path / "mïmic iv", [["Sinus rhythm", "Odd finding"], ["Atrial fibrillation"]] * 5)
    build(root, tmp_path / "made")
    out = capsys.readouterr().out
    assert "10 ECGs" in out and "5 x Odd finding" in out
    table, records, manifest = read_attributes(tmp_path / "made")
    assert manifest["vocabulary"] == "mimic-iv-ecg" and records.height == 10
    assert manifest["not_understood"] == {"statements that no rule knows": [["Odd finding", 5]]}
    assert set(table["origin"].cast(pl.String)) == {"report"}
    with pytest.raises(EcgqaError, match="released pool"):
        collect_attributes(open_source(root), pool="released")
    (root / "machine_measurements.csv").unlink()
    with pytest.raises(EcgqaError, match="machine_measurements"):
        collect_attributes(open_source(root))


def test_ecgs_with_invalid_samples_are_left_out(tmp_path: Path) -> None:
    root = write_source(tmp_path, [["Sinus rhythm"], ["Sinus rhythm"]])
    source = open_source(root)
    for row, ecg_id in enumerate(source.records()["ecg_id"]):
        path = source.absolute_path(ecg_id)
        path.parent.mkdir(parents=True)
        samples = np.zeros((5000, 12), dtype="<i2")
        samples[100, 3] = -32768 if row else 0
        leads = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
        lines = [f"{path.name} 12 500 5000", *(f"{path.name}.dat 16 200.0(0)/mV 16 0 0 0 0 {lead}" for lead in leads)]
        path.with_suffix(".hea").write_text("\n".join(lines) + "\n")
        path.with_suffix(".dat").write_bytes(samples.tobytes())
    built = with_waveforms(collect_attributes(source), source, source.records(), "released")
    assert isinstance(built, BuiltAttributes)
    assert built.ecg_ids == {40_000_000} and set(built.attributes["ecg_id"]) == {40_000_000}
    assert built.notes["ECGs with invalid samples (NaN) are left out"] == 1


@pytest.mark.real_data
def test_questions_stay_inside_the_released_answer_lists(tmp_path: Path, real_data: Path) -> None:
    """Every statement the rules know, over a few hundred ECGs: each template answers with released answers only."""
    from ecgqa.questions.answer_lists import read_answer_lists
    from ecgqa.questions.build import build_questions

    phrases = [" ".join(phrase) for phrase, meaning in statement_rules().phrases.items() if meaning.value]
    places = ("inferior", "lateral", "anterior", "septal", "anteroseptal", "inferior/lateral", "limb", "V1-V3")
    phrases += [f"{place} {what}" for place in places for what in ("infarct", "ST depression", "T wave changes")]
    rng = np.random.default_rng(5)
    chosen = [[phrases[i] for i in rng.choice(len(phrases), 4)] for _ in range(900)]
    extra = [["Sinus rhythm", "Normal ECG"], ["Baseline wander in lead(s) V1", "old inferior infarct"]] * 40
    source = open_source(write_source(tmp_path, chosen + extra))
    built = collect_attributes(source)
    questions = build_questions(built.attributes, source.records(), seed=1, vocabulary=names.mimic_vocabulary())
    released = read_answer_lists(real_data / "ecgqa" / "mimic-iv-ecg").by_template
    assert set(questions.answers.by_template) <= set(released)
    no_grid_limit = set(range(47, 50)) | {61, 62, 63}  # which symptoms turn up in pairs depends on the ECGs
    known = {*names.mimic_vocabulary().symptoms, "none"} - set(names.MIMIC_UNNAMED)
    for template, answers in questions.answers.by_template.items():
        if template in no_grid_limit:
            assert set(answers) <= known
        elif template == 34:
            assert set(answers) <= {*released[34], "lead aVL"}
        else:
            # The machine never states these four without doubt; the bare phrases here do.
            bare = {"AV-junctional rhythm", "ventricular tachycardia", "pericarditis"} if template in (5, 9) else set()
            bare |= {"ST-T change due to ventricular hypertrophy"} if template in (5, 9) else set()
            assert set(answers) - bare <= set(released[template]), template
            if template not in (5, 9, 18):
                assert len(answers) >= 0.5 * len(released[template]), template
    asked = set(questions.questions["template_id"])
    assert asked == set(range(1, 28)) - {20, 21, 22} | {34} | set(range(43, 50)) | set(range(57, 64))
