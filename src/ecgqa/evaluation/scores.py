"""The result of scoring: tidy tables that keep every number, as JSON and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ecgqa.artefacts import write_json
from ecgqa.errors import EcgqaError
from ecgqa.evaluation.metrics import METRICS
from ecgqa.evaluation.outcomes import Asked

ROWS = {
    "run": pl.String(),
    "breakdown": pl.String(),
    "group": pl.String(),
    "metric": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n_questions": pl.Int64(),
    "n_ecgs": pl.Int64(),
    "n_used": pl.Int64(),
    "n_parts": pl.Int64(),
}
"""Columns of `Scores.table`; value, low, high are null where undefined."""

FORMAT = 1


@dataclass(frozen=True)
class Scores:
    """Everything known about some runs on some questions; one row per number.

    table: (run, breakdown, group, metric) -> value, 95 % interval, n_questions and n_ecgs of the group, n_used (the
    questions the metric could be computed on), n_parts (classes or question types averaged).
    outcomes: questions per run, group and status. classes: per run and answer class. calibration: per run and score
    bin. confusion: per run, verify question type, right and given answer. about: what was scored, and how.
    """

    table: pl.DataFrame
    outcomes: pl.DataFrame
    classes: pl.DataFrame
    calibration: pl.DataFrame
    confusion: pl.DataFrame
    about: dict[str, Any]

    @property
    def runs(self) -> list[str]:
        return list(self.table["run"].unique(maintain_order=True))

    @property
    def macro(self) -> str:
        """The group name of the average over question types, macro_7 where all seven occur."""
        return str(self.about["macro"])

    def row(self, run: str, metric: str, breakdown: str = "overall", group: str = "all") -> dict[str, Any]:
        """One number with its interval and counts; value None where it is undefined."""
        found = self.table.filter(
            pl.col("run") == run, pl.col("metric") == metric, pl.col("breakdown") == breakdown, pl.col("group") == group
        )
        return found.row(0, named=True) if found.height else {**dict.fromkeys(ROWS), "run": run, "metric": metric}

    def value(self, run: str, metric: str, breakdown: str = "overall", group: str = "all") -> float | None:
        number = self.row(run, metric, breakdown, group)["value"]
        return None if number is None else float(number)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain lists and dictionaries."""
        return {
            "format": FORMAT,
            "about": self.about,
            "definitions": {
                name: {"definition": metric.definition, "formula": metric.formula} for name, metric in METRICS.items()
            },
            "scores": self.table.to_dicts(),
            "outcomes": self.outcomes.to_dicts(),
            "answer_classes": self.classes.to_dicts(),
            "calibration": self.calibration.to_dicts(),
            "confusion": self.confusion.to_dicts(),
        }

    def write(self, path: str | Path) -> Path:
        """Write scores.json, whole or not at all."""
        return write_json(path, self.to_json())

    @classmethod
    def read(cls, path: str | Path) -> Scores:
        """Read what `write` wrote; raises EcgqaError if it is absent, damaged or something else."""
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise EcgqaError(f"{path} cannot be read: {error}", expected="a scores.json") from None
        if not isinstance(found, Mapping) or found.get("format") != FORMAT:
            raise EcgqaError(f"{path} holds no scores", expected=f"scores.json, format {FORMAT}")
        return cls(
            table=pl.DataFrame(found["scores"], schema=ROWS),
            outcomes=pl.DataFrame(found["outcomes"], infer_schema_length=None),
            classes=pl.DataFrame(found["answer_classes"], infer_schema_length=None),
            calibration=pl.DataFrame(found["calibration"], infer_schema_length=None),
            confusion=pl.DataFrame(found["confusion"], infer_schema_length=None),
            about=dict(found["about"]),
        )


def questions_digest(frame: pl.DataFrame) -> str:
    """SHA-256 over split, version, sample, template, wording, ECGs, right answers and candidates, in sample order."""
    scalars = [pl.col(name).cast(pl.String) for name in ("split", "version", "sample_id", "template_id", "question")]
    lists = [pl.col("ecg_id").cast(pl.List(pl.String)), pl.col("answer").list.sort(), pl.col("candidates")]
    joined = pl.concat_str([*scalars, *(column.list.join("\x1f") for column in lists)], separator="\x1e")
    lines = frame.sort("split", "version", "sample_id").select(joined).to_series()
    return hashlib.sha256("\n".join(lines.to_list()).encode()).hexdigest()


def described(asked: Asked, n_ecgs: int, n_resamples: int, seed: int, level: float, subset: str) -> dict[str, Any]:
    """What was scored: counts, splits, versions, and a digest of the questions and their right answers."""
    frame = asked.frame
    n_types = frame["question_type"].n_unique()
    return {
        "n_questions": frame.height,
        "n_ecgs": n_ecgs,
        "n_templates": frame["template_id"].n_unique(),
        "n_answer_classes": len(asked.classes),
        "macro": f"macro_{n_types}",
        "splits": frame["split"].cast(pl.String).unique().sort().to_list(),
        "versions": frame["version"].cast(pl.String).unique().sort().to_list(),
        "subset": subset,
        "questions_digest": questions_digest(frame),
        "templates": _templates(frame),
        "n_resamples": n_resamples,
        "seed": seed,
        "level": level,
        "resampled": "ECGs, with replacement",
    }


def _templates(frame: pl.DataFrame) -> dict[str, dict[str, str]]:
    """Question type, attribute type and one wording of each template."""
    first = frame.unique(subset="template_id", keep="first", maintain_order=True).sort("template_id")
    columns = ["question_type", "attribute_type", "question"]
    return {str(row["template_id"]): {name: str(row[name]) for name in columns} for row in first.iter_rows(named=True)}
