"""Small question and prediction tables for tests of scoring."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from ecgqa.questions.templates import TEMPLATES
from ecgqa.records import NONE, PREDICTIONS, QUESTIONS, options_of
from ecgqa.tables import conform

YES_NO = ["no", "yes"]
OPTIONS = ["anterior", "inferior", "lateral", "none", "septal"]


def _candidates(template_id: int) -> list[str]:
    kind = TEMPLATES[template_id].question_type.value
    if kind.endswith("verify"):
        return YES_NO
    return OPTIONS[:1] + OPTIONS[2:4] if kind.endswith("choose") else OPTIONS


def questions_table(n: int, *, n_ecgs: int = 20, seed: int = 0, templates: Sequence[int] = ()) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    ids = list(templates) or [1, 3, 8, 20, 43, 47, 57, 61, 68]
    rows = []
    for sample_id in range(n):
        template = TEMPLATES[ids[sample_id % len(ids)]]
        candidates = _candidates(template.template_id)
        options = options_of(candidates)
        if candidates is YES_NO:
            answer = [YES_NO[rng.integers(2)]]
        else:
            answer = [option for option in options if rng.random() < 0.4] or [NONE]
        ecgs = rng.choice(n_ecgs, template.question_type.n_ecgs, replace=False) + 1
        rows.append(
            {
                "template_id": template.template_id,
                "question_id": template.template_id * 10,
                "sample_id": sample_id,
                "question_type": template.question_type.value,
                "attribute_type": template.attribute_type.value,
                "question": f"wording {template.template_id}?",
                "answer": answer,
                "ecg_id": ecgs.tolist(),
                "attribute": None,
                "split": "test",
                "version": "template",
                "candidates": candidates,
            }
        )
    return conform(pl.DataFrame(rows, schema_overrides={"attribute": pl.List(pl.String)}), QUESTIONS)


def predictions_table(
    questions: pl.DataFrame,
    *,
    run: str = "model",
    skill: float = 0.3,
    seed: int = 1,
    scores: bool = True,
    status: Callable[[int], str] = lambda row: "ok",
) -> pl.DataFrame:
    """skill 1: always right; 0: scores say nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, row in enumerate(questions.iter_rows(named=True)):
        options = options_of(row["candidates"])
        truth = np.array([option in row["answer"] for option in options], float)
        values = skill * truth + (1 - skill) * rng.random(len(options))
        given = [option for option, value in zip(options, values, strict=True) if np.float32(value) > 0.5] or [NONE]
        outcome = status(number)
        rows.append(
            {
                "sample_id": row["sample_id"],
                "split": row["split"],
                "version": row["version"],
                "run": run,
                "answer": given if outcome == "ok" else [],
                "scores": values.tolist() if scores and outcome == "ok" else None,
                "status": outcome,
                "raw": None,
            }
        )
    schema = {"scores": pl.List(pl.Float32), "answer": pl.List(pl.String), "raw": pl.String}
    return conform(pl.DataFrame(rows, schema_overrides=schema), PREDICTIONS)
