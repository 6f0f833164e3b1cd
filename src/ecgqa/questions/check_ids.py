"""Rules of numbering: sample ids within a split, shard names and borders, question ids."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from ecgqa.questions.findings import Findings, Severity
from ecgqa.questions.layout import SHARD_SIZE, ShardFile
from ecgqa.questions.templates import TEMPLATES

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


def check_sample_ids(frame: pl.DataFrame, findings: Findings, *, thinned: bool) -> None:
    """Sample ids: unique in a split, ascending and without gaps in a file (gaps are expected if `thinned`)."""
    ids = frame.select("file", "version", "split", "sample_id")
    twice = ids.filter(pl.struct("version", "split", "sample_id").is_duplicated())
    findings.add_rows(_ERROR, "sample-id-twice", "sample id occurs more than once in its split", twice)
    step = ids.with_columns((pl.col("sample_id") - pl.col("sample_id").shift(1)).over("file").alias("step"))
    findings.add_rows(
        _ERROR, "sample-id-order", "sample ids are not ascending within the file", step.filter(pl.col("step") < 0)
    )
    if not thinned:
        gaps = step.filter(pl.col("step") > 1).with_columns(
            pl.format("{} ids missing before it", pl.col("step") - 1).alias("detail")
        )
        findings.add_rows(_ERROR, "sample-id-gap", "sample ids are not contiguous within the file", gaps, "detail")


def check_shards(files: Sequence[ShardFile], frame: pl.DataFrame, findings: Findings, *, thinned: bool) -> None:
    """Shard names: the first sample id, padded alike in a split; full shards but for the last one of a split."""
    spans = {
        row[0]: row[1:]
        for row in frame.group_by(pl.col("file").cast(pl.String))
        .agg(pl.col("sample_id").min(), pl.col("sample_id").max().alias("last"), pl.len())
        .iter_rows()
    }
    unnumbered, misnamed, outside, short, empty = [], [], [], [], []
    starts = {(file.version, file.split, int(file.path.stem)) for file in files if file.path.stem.isdecimal()}
    for file in files:
        if not file.path.stem.isdecimal():
            unnumbered.append(file.where)
            continue
        start = int(file.path.stem)
        if file.where not in spans:
            empty.append(file.where)
            continue
        first, last, n = spans[file.where]
        if first < start or last >= start + SHARD_SIZE:
            outside.append(f"{file.where}: samples {first} to {last}")
        elif first != start and not thinned:
            misnamed.append(f"{file.where}: first sample {first}")
        if n < SHARD_SIZE and (file.version, file.split, start + SHARD_SIZE) in starts and not thinned:
            short.append(f"{file.where}: {n:,} samples, and a next shard exists")
    findings.add(_WARNING, "shard-name", "file is not named by a number", len(unnumbered), unnumbered)
    findings.add(_ERROR, "shard-first", "file name is not its first sample id", len(misnamed), misnamed)
    findings.add(_ERROR, "shard-border", f"samples outside the {SHARD_SIZE:,} of their file", len(outside), outside)
    findings.add(_ERROR, "shard-short", f"fewer than {SHARD_SIZE:,} samples before the last shard", len(short), short)
    findings.add(_WARNING, "shard-empty", "file without a readable sample", len(empty), empty)
    widths: dict[tuple[str, str], dict[int, str]] = {}
    for file in files:
        if file.path.stem.isdecimal():
            widths.setdefault((file.version, file.split), {}).setdefault(len(file.path.stem), file.where)
    mixed = [" and ".join(found.values()) for found in widths.values() if len(found) > 1]
    findings.add(_WARNING, "shard-padding", "file names of a split have different lengths", len(mixed), mixed)


def check_question_ids(frame: pl.DataFrame, findings: Findings) -> None:
    """A question id stands for one template and, in single questions, for one set of asked attributes."""
    _one_value(
        frame, "question_id", "template_id", "question-id-template", "question id used by several templates", findings
    )
    single = frame.filter(pl.col("attribute_text").is_not_null()).with_columns(
        pl.col("attribute").list.sort().list.join(" | ").alias("attributes")
    )
    _one_value(
        single,
        "question_id",
        "attributes",
        "question-id-attribute",
        "question id used for different attributes",
        findings,
    )
    # Lead names and the order of two options vary under one id; all other wordings are one sentence per id.
    plain = [number for number, template in TEMPLATES.items() if not template.per_lead and template.form != "choose"]
    fixed = frame.filter(pl.col("version") == "template", pl.col("template_id").is_in(plain))
    _one_value(
        fixed,
        "question_id",
        "question",
        "question-id-text",
        "question id with more than one template wording",
        findings,
    )


def _one_value(frame: pl.DataFrame, key: str, value: str, code: str, message: str, findings: Findings) -> None:
    pairs = frame.select(key, value).unique(maintain_order=True)
    several = pairs.filter(pl.col(key).is_duplicated())
    if several.height:
        groups = several.group_by(key, maintain_order=True).agg(pl.col(value).cast(pl.String))
        examples = [f"{key} {row[0]}: " + " / ".join(row[1][:3]) for row in groups.head(3).iter_rows()]
        findings.add(_ERROR, code, message, groups.height, examples)
