"""Everything wrong with a question dataset, and which release it looks like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ecgqa.errors import EcgqaError
from ecgqa.progress import progress
from ecgqa.questions.answer_lists import AnswerLists, read_answer_lists
from ecgqa.questions.check_ids import check_question_ids, check_sample_ids, check_shards
from ecgqa.questions.check_samples import SEPARATOR, check_combinations, check_wording
from ecgqa.questions.check_splits import check_pairs, check_patients, check_split_files, check_splits
from ecgqa.questions.check_versions import check_duplicates, check_versions
from ecgqa.questions.errata import ERRATA, case_slips
from ecgqa.questions.findings import Findings, Severity
from ecgqa.questions.layout import ShardFile, dataset_root, shard_files
from ecgqa.questions.releases import Release, completeness, differing_shards, identify
from ecgqa.questions.shards import PATH_KEY, Problem, parse_shard, read_bytes


@dataclass(frozen=True)
class CheckReport:
    """Result of `check_dataset`."""

    root: Path
    release: Release
    n_samples: dict[str, int]
    """Samples by version/split."""
    completeness: list[str]
    findings: Findings

    @property
    def n_errors(self) -> int:
        """Occurrences of errors."""
        return self.findings.count(Severity.ERROR)

    def as_text(self) -> str:
        """The report for a terminal."""
        lines = [f"{self.root} looks like: {self.release.name}"]
        lines += [f"  because {reason}" for reason in self.release.evidence]
        lines += ["", "contents:", *(f"  {line}" for line in self.completeness or ["nothing readable"]), ""]
        if self.findings.items:
            lines += [self.findings.as_text(), ""]
        counts = {severity.value: self.findings.count(severity) for severity in Severity}
        totals = [f"{n:,} {name}{'' if n == 1 else 's'}" for name, n in counts.items()]
        lines.append(f"{sum(self.n_samples.values()):,} samples checked: {', '.join(totals)}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        release = self.release
        return {
            "root": str(self.root),
            "release": {
                "name": release.name,
                "source": release.source,
                "version": release.version,
                "evidence": release.evidence,
            },
            "n_samples": self.n_samples,
            "completeness": self.completeness,
            "counts": {severity.value: self.findings.count(severity) for severity in Severity},
            "findings": self.findings.as_json(),
        }


def check_dataset(root: str | Path, *, records: str | Path | None = None) -> CheckReport:
    """Check a dataset in the published layout; bad contents become findings, never exceptions.

    records: folder of the ECGs' data set; its metadata (patient, time) are then checked against splits and pairs.
    Raises EcgqaError only if `root` is no dataset at all or `records` cannot be opened.
    """
    root = dataset_root(root)
    metadata = _metadata(records)
    findings = Findings()
    files = shard_files(root)
    if not files:
        raise EcgqaError(f"{root} holds no questions", expected="JSON files such as template/train/000000.json")
    answers = _answer_lists(root, findings)
    frame, n_mapped = _read(files, findings)
    release = identify(root, frame, answers, n_mapped)

    check_shards(files, frame, findings, thinned=release.thinned)
    check_sample_ids(frame, findings, thinned=release.thinned)
    check_question_ids(frame, findings)
    check_combinations(frame, answers.by_template if answers else {}, findings)
    check_wording(frame, findings)
    for erratum in ERRATA:
        findings.add_rows(
            Severity.WARNING, f"erratum-{erratum.code}", erratum.message, frame.filter(erratum.rows.fill_null(False))
        )
    check_pairs(frame, findings)
    split_ecgs = check_split_files(root, findings)
    check_splits(frame, split_ecgs, findings)
    if metadata is None:
        findings.add(
            Severity.NOTE,
            "patients-not-checked",
            "patients in splits and pairs were not checked: name the folder of ECGs with --records",
        )
    else:
        check_patients(frame, split_ecgs, metadata, findings)
    check_versions(frame, findings)
    check_duplicates(frame, findings)

    by_file = frame.group_by("file", maintain_order=True).len()
    rows = dict(zip(by_file["file"].cast(pl.String), by_file["len"], strict=True))
    differing = differing_shards(release, files, rows)
    findings.add(
        Severity.WARNING, "shard-size", "number of samples is not that of the release", len(differing), differing
    )
    n_samples: Counter[str] = Counter()
    for file in files:
        n_samples[f"{file.version}/{file.split}"] += rows.get(file.where, 0)
    return CheckReport(root, release, dict(n_samples), completeness(release, files, n_samples), findings)


def _metadata(records: str | Path | None) -> pl.DataFrame | None:
    if records is None:
        return None
    from ecgqa.sources import open_source

    return open_source(Path(records)).records()


def _answer_lists(root: Path, findings: Findings) -> AnswerLists | None:
    try:
        answers = read_answer_lists(root)
    except EcgqaError as error:
        findings.add(Severity.ERROR, "answer-lists", str(error).replace("\n", "; "))
        return None
    classes = set(answers.classes)
    if len(classes) < len(answers.classes):
        twice = [name for name, n in Counter(answers.classes).items() if n > 1]
        findings.add(Severity.ERROR, "class-twice", "answers.csv lists an answer twice", len(twice), twice)
    strangers = [
        f"template {template_id}: {name!r}"
        for template_id, names in answers.by_template.items()
        for name in names
        if name not in classes
    ]
    findings.add(
        Severity.ERROR, "class-unlisted", "a template's answer is not in answers.csv", len(strangers), strangers
    )
    slips = [f"{a!r} and {b!r}" for a, b in case_slips(answers.classes)]
    findings.add(
        Severity.WARNING,
        "erratum-case-slip",
        "two answers that differ in upper and lower case only count as two classes",
        len(slips),
        slips,
    )
    return answers


def _read(files: Sequence[ShardFile], findings: Findings) -> tuple[pl.DataFrame, int]:
    """All readable samples, with columns for the rules; problems of structure become findings."""
    dtype = pl.Enum([file.where for file in files])
    frames: list[pl.DataFrame] = []
    problems: list[Problem] = []
    extra: Counter[str] = Counter()
    reformatted = []
    with progress("reading", len(files), unit="files") as advance:
        for file in files:
            try:
                shard = parse_shard(read_bytes(file.path, file.where), file.where)
            except EcgqaError as error:
                findings.add(Severity.ERROR, "structure", str(error).replace("\n", "; "))
                continue
            problems += shard.problems
            extra.update(shard.extra_keys)
            if not shard.released_format:
                reformatted.append(file.where)
            frames.append(_with_columns(shard.frame, file, dtype))
            advance()
    by_kind: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        place = ", ".join(part for part in (problem.file, problem.sample) if part)
        place += f": {problem.found}" if problem.found else ""
        by_kind.setdefault((problem.key, problem.message), []).append(place)
    for (key, message), places in by_kind.items():
        findings.add(Severity.ERROR, "structure", f"{key!r} {message}" if key else message, len(places), places)
    for key, n in sorted(extra.items()):
        findings.add(Severity.NOTE, "extra-key", f"key {key!r} beside the published ones in {n} files")
    findings.add(
        Severity.NOTE,
        "formatting",
        "not formatted as the release is (json.dump with indent 4)",
        len(reformatted),
        reformatted,
    )
    empty = _with_columns(pl.DataFrame(schema=_schema()), files[0], dtype)
    return pl.concat([*frames, empty], rechunk=False), extra[PATH_KEY]


def _schema() -> pl.Schema:
    from ecgqa.questions.shards import SHARD_SCHEMA

    return SHARD_SCHEMA


def _with_columns(frame: pl.DataFrame, file: ShardFile, files: pl.Enum) -> pl.DataFrame:
    ids = pl.col("ecg_id").list
    return frame.with_columns(
        pl.lit(file.where).cast(files).alias("file"),
        pl.lit(file.version).cast(pl.Enum(["template", "paraphrased"])).alias("version"),
        pl.lit(file.split).cast(pl.Enum(["train", "valid", "test"])).alias("split"),
        pl.col("question_type", "attribute_type").cast(pl.Categorical),
        ids.get(0, null_on_oob=True).alias("first"),
        ids.get(1, null_on_oob=True).alias("second"),
        ids.len().alias("n_ecgs"),
        pl.col("answer").list.join(SEPARATOR).cast(pl.Categorical).alias("answer_text"),
        pl.col("answer").list.sort().list.join(SEPARATOR).cast(pl.Categorical).alias("answer_set"),
        pl.col("attribute").list.join(SEPARATOR).cast(pl.Categorical).alias("attribute_text"),
    ).drop("ecg_id", "answer")
