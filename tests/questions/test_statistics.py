"""Statistics of question sets: against counts by hand, and on real questions."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.evaluation.load import load_questions
from ecgqa.questions.statistics import count_questions
from ecgqa.records import ATTRIBUTES, QUESTIONS, RECORDS
from ecgqa.tables import conform, write_table
from support.answered_questions import questions_table


def _table(rows: list[tuple[str, str, int, int, str, list[str], list[int]]]) -> pl.DataFrame:
    """(split, version, sample_id, template_id, question, answer, ecg_id)"""
    names = ["split", "version", "sample_id", "template_id", "question", "answer", "ecg_id"]
    frame = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        question_id=pl.col("template_id"), question_type=pl.lit("single-query"), attribute_type=pl.lit("noise"),
        attribute=pl.lit(None, dtype=pl.List(pl.String)), candidates=pl.col("answer"),
    )  # fmt: skip
    return conform(frame, QUESTIONS)


SMALL = [
    ("train", "template", 0, 32, "which noise?", ["a", "b"], [1]),
    ("train", "template", 1, 32, "which noise?", ["none"], [1]),
    ("train", "template", 2, 33, "what is here?", ["b", "a", "c"], [2]),
    ("test", "template", 0, 32, "which noise?", ["a"], [2]),
    ("train", "paraphrased", 0, 32, "name the noise", ["b", "a"], [1]),
    ("train", "paraphrased", 1, 32, "tell me of  noise", ["none"], [1]),
    ("test", "paraphrased", 0, 32, "name the noise", ["a"], [2]),
]


def test_counts_agree_with_counting_by_hand():
    records = conform(
        pl.DataFrame({"source": ["x"] * 3, "ecg_id": [1, 2, 3], "patient_id": [7, 7, 8], "path": ["p"] * 3}), RECORDS
    )
    counted = count_questions(_table(SMALL), records=records)
    assert (counted.n_questions, counted.n_samples, counted.n_ecgs, counted.n_patients) == (7, 4, 2, 1)
    assert counted.parts == (
        ("template", "train"), ("template", "test"), ("paraphrased", "train"), ("paraphrased", "test")
    )  # fmt: skip
    templates = {count.name: (count.n, count.by_part) for count in counted.templates}
    assert templates == {"32": (6, (2, 1, 2, 1)), "33": (1, (1, 0, 0, 0))}
    assert {count.name: count.n for count in counted.n_answers} == {"0": 2, "1": 2, "2": 2, "3": 1}
    of_32 = next(answers for answers in counted.answers if answers.template_id == 32)
    assert (of_32.n, of_32.n_none) == (3, 1)  # each sample once, though it stands in both wordings
    assert of_32.answers == (("a", 2), ("b", 1), ("none", 1))
    assert [(pair.first, pair.second, pair.n) for pair in counted.answer_pairs] == [
        ("a", "b", 2), ("a", "c", 1), ("b", "c", 1)
    ]  # fmt: skip
    assert counted.answer_pairs[0].jaccard == pytest.approx(2 / 3)
    assert counted.ecg_reuse["train"].n == 2 and counted.ecg_reuse["train"].quantiles[-1] == 2
    assert counted.words["paraphrased"].mean == pytest.approx((3 + 4 + 3) / 3, abs=1e-3)
    shared = {(one.what, one.first, one.second): (one.n, one.n_second) for one in counted.shared}
    assert shared["ECGs", "train", "test"] == (1, 1)  # ECG 2
    assert shared["patients", "train", "test"] == (1, 1)
    assert shared["texts of paraphrased questions", "train", "test"] == (1, 1)


def test_attributes_that_an_ecg_has_together():
    rows = [(1, "x", "yes"), (1, "y", "yes"), (2, "x", "yes"), (2, "y", "no"), (9, "x", "yes"), (9, "y", "yes")]
    attributes = pl.DataFrame(rows, schema=["ecg_id", "attribute", "value"], orient="row").with_columns(
        attribute_type=pl.lit("scp_code"), origin=pl.lit("metadata")
    )
    counted = count_questions(_table(SMALL), attributes=conform(attributes, ATTRIBUTES))
    assert [(p.first, p.second, p.n, p.n_first, p.n_second) for p in counted.attribute_pairs] == [("x", "y", 1, 2, 1)]
    assert counted.n_patients is None


def test_the_records_of_other_ecgs_are_refused():
    records = conform(pl.DataFrame({"source": ["x"], "ecg_id": [99], "patient_id": [7], "path": ["p"]}), RECORDS)
    with pytest.raises(EcgqaError, match="none of the ECGs"):
        count_questions(_table(SMALL), records=records)
    with pytest.raises(EcgqaError, match="no questions"):
        count_questions(QUESTIONS.empty())


def test_the_command_writes_numbers_and_a_page_that_needs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    hostile = questions_table(60).with_columns(
        pl.when(pl.col("answer").list.first() == "anterior").then(pl.lit(["<script>x</script>"]))
        .otherwise("answer").alias("answer")
    )  # fmt: skip
    path = write_table(hostile, tmp_path / "questions.parquet", QUESTIONS)
    out, html = tmp_path / "stats.json", tmp_path / "stats.html"
    assert main(["stats", str(path), "--out", str(out), "--html", str(html)]) == 0
    told = capsys.readouterr().out
    assert "60 questions" in told and "not for clinical use" in told
    numbers = json.loads(out.read_text(encoding="utf-8"))
    assert sum(row["n"] for row in numbers["question_types"]) == 60
    page = html.read_text(encoding="utf-8")
    assert "<script>x" not in page and "&lt;script&gt;x" in page
    assert "http://" not in page and "https://" not in page and "not for clinical use" in page


@pytest.mark.real_data
def test_real_questions_share_no_ecg_no_patient_and_no_paraphrase(real_data: Path):
    from ecgqa.sources import open_source

    questions = load_questions(real_data / "ecgqa" / "ptbxl")
    counted = count_questions(questions, records=open_source(real_data / "ptbxl").records())
    assert counted.n_samples * 2 == counted.n_questions == questions.height
    leaks = [one for one in counted.shared if one.what in ("ECGs", "patients")]
    assert leaks and not any(one.n for one in leaks)
