"""Rules between samples: template against paraphrased wording, duplicates, contradictions."""

from __future__ import annotations

import polars as pl

from ecgqa.questions.findings import Findings, Severity

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE

_FIELDS = (
    "template_id",
    "question_id",
    "question_type",
    "attribute_type",
    "answer_set",
    "first",
    "second",
    "attribute_text",
)


def check_versions(frame: pl.DataFrame, findings: Findings) -> None:
    """Both versions hold the same samples and agree in all but the question (answers as sets)."""
    versions = frame["version"].cast(pl.String).unique().to_list()
    if len(versions) < 2:
        if versions:
            findings.add(_NOTE, "one-version", f"only the {versions[0]} version is there")
        return
    keys = ["split", "sample_id"]
    template = frame.filter(pl.col("version") == "template")
    other = frame.filter(pl.col("version") == "paraphrased")
    for present, absent, name in ((template, other, "paraphrased"), (other, template, "template")):
        alone = present.join(absent.select(keys), on=keys, how="anti", maintain_order="left")
        findings.add_rows(_WARNING, f"only-not-{name}", f"sample without its {name} version", alone)
    pairs = template.select("file", *keys, *_FIELDS).join(
        other.select(*keys, *_FIELDS), on=keys, how="inner", suffix="_other", maintain_order="left"
    )
    for name in _FIELDS:
        differ = pairs.filter(pl.col(name).ne_missing(pl.col(f"{name}_other")))
        shown = {
            "answer_set": "answer",
            "first": "ecg_id (first)",
            "second": "ecg_id (second)",
            "attribute_text": "attribute",
        }.get(name, name)
        differ = differ.with_columns(pl.format("{} / {}", _shown(name), _shown(f"{name}_other")).alias("detail"))
        findings.add_rows(
            _ERROR,
            f"versions-{name.replace('_', '-')}",
            f"template and paraphrased disagree about {shown}",
            differ,
            "detail",
        )


def _shown(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).str.replace_all("\x1f", ", ", literal=True).fill_null("null")


def check_duplicates(frame: pl.DataFrame, findings: Findings) -> None:
    """No two samples of a version ask the same of the same ECGs, least of all with different answers."""
    asked = ["version", "split", "question", "first", "second"]
    columns = frame.select("file", "sample_id", *asked, "answer_set")
    # A hash finds the few candidates quickly; they are then compared in full.
    hashed = columns.select(pl.struct("version", "split", "question", "first", "second").hash(seed=0).alias("key"))
    repeated = columns.filter(hashed["key"].is_duplicated())
    groups = repeated.with_columns(
        pl.len().over(asked).alias("n"), pl.col("answer_set").n_unique().over(asked).alias("n_answers")
    ).filter(pl.col("n") > 1)
    findings.add_rows(
        _ERROR,
        "contradiction",
        "same question and ECG, different answers",
        groups.filter(pl.col("n_answers") > 1),
        "question",
    )
    same = repeated.filter(pl.struct(*asked, "answer_set").is_duplicated())
    extra = same.filter(~pl.struct(*asked, "answer_set").is_first_distinct())
    findings.add_rows(_WARNING, "duplicate", "sample repeats an earlier one", extra, "question")
