"""Paired comparison of two runs on the same questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ecgqa.errors import EcgqaError
from ecgqa.evaluation.breakdowns import MACRO, OVERALL
from ecgqa.evaluation.metrics import METRICS, exact_match
from ecgqa.evaluation.resampling import LEVEL, interval
from ecgqa.evaluation.score import Key, Measured, Scorer
from ecgqa.records import PREDICTIONS
from ecgqa.tables import conform

TESTED = ("em_candidates", "em_set")
"""Metrics that are right or wrong per question, hence have a paired test; the others get a difference and interval."""
_BLOCK = 256

COLUMNS = {
    "run_a": pl.String(), "run_b": pl.String(), "metric": pl.String(), "breakdown": pl.String(), "group": pl.String(),
    "value_a": pl.Float64(), "value_b": pl.Float64(), "difference": pl.Float64(), "low": pl.Float64(),
    "high": pl.Float64(), "p": pl.Float64(), "p_holm": pl.Float64(), "p_mcnemar": pl.Float64(),
    "n_questions": pl.Int64(), "n_ecgs": pl.Int64(), "n_only_a": pl.Int64(), "n_only_b": pl.Int64(),
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """table: one row per group (overall, macro, each question type), difference = value_a - value_b."""

    table: pl.DataFrame
    about: dict[str, Any]

    def row(self, breakdown: str = OVERALL, group: str | None = None) -> dict[str, Any]:
        """The row of one group; the only one of its breakdown when `group` is None."""
        found = self.table.filter(pl.col("breakdown") == breakdown)
        if group is not None:
            found = found.filter(pl.col("group") == group)
        if found.height != 1:
            raise EcgqaError(f"no single row {breakdown}/{group} in this comparison")
        return found.row(0, named=True)


def compare(
    questions: pl.DataFrame,
    predictions_a: pl.DataFrame,
    predictions_b: pl.DataFrame,
    *,
    metric: str = "em_candidates",
    n_resamples: int = 1000,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Difference of one metric between run A and run B, overall, by question type and averaged over the types.

    The interval comes from the same resamples of ECGs for both runs. p is a two-sided sign-flip test over ECGs: under
    the null hypothesis the two runs are interchangeable on each ECG, so the summed difference of an ECG's questions is
    as likely as its negative (Winkler et al., NeuroImage 123, 2015, exchangeability blocks). A question about two ECGs
    counts in full with both, which keeps the test valid and makes it cautious on comparison questions. p_holm corrects
    the question types for one another (Holm, Scandinavian Journal of Statistics 6, 1979). p_mcnemar treats questions as
    independent, which they are not; it stands beside for readers used to it.

    Raises EcgqaError if a run does not fit the questions or the metric is undefined for one of them.
    """
    scorer = Scorer(questions, n_resamples=n_resamples, seed=seed)
    measured = [scorer.measure(predictions) for predictions in (predictions_a, predictions_b)]
    return compare_measured(scorer, measured[0], measured[1], metric=metric, n_permutations=n_permutations, seed=seed)


def compare_measured(
    scorer: Scorer, a: Measured, b: Measured, *, metric: str, n_permutations: int = 10_000, seed: int = 0
) -> Comparison:
    """`compare` for runs that one Scorer has measured already."""
    if metric not in METRICS:
        raise EcgqaError(f"no such metric: {metric!r}", expected=", ".join(METRICS))
    keys: list[Key] = [
        key
        for key in a.estimate
        if key[2] == metric and key[0] in (OVERALL, MACRO, "question_type") and key in b.estimate
    ]
    if not keys:
        raise EcgqaError(f"{metric} is undefined for one of the two runs", fix="compare by em_candidates or em_set")
    keys.sort(key=lambda key: (OVERALL, MACRO, "question_type").index(key[0]))
    sizes = scorer.group_sizes()
    types = next(breakdown for breakdown in scorer.breakdowns if breakdown.kind == "question_type")
    right = [_right(scorer, run, metric) for run in (a, b)] if metric in TESTED else None
    rows = []
    for key in keys:
        value_a, value_b = a.estimate[key], b.estimate[key]
        low, high = interval(np.array([value_a - value_b]), (a.samples[key] - b.samples[key])[None, :], LEVEL)
        weight = _weights(key, types.names, types.group)
        n_questions, n_ecgs = sizes.get(key[:2], sizes[OVERALL, "all"])
        row: dict[str, Any] = {
            "run_a": a.answered.run, "run_b": b.answered.run, "metric": metric, "breakdown": key[0], "group": key[1],
            "value_a": value_a, "value_b": value_b, "difference": value_a - value_b,
            "low": float(low[0]) if n_ecgs > 1 else None, "high": float(high[0]) if n_ecgs > 1 else None,
            "n_questions": n_questions, "n_ecgs": n_ecgs,
        }  # fmt: skip
        if right is not None:
            inside = weight > 0
            only_a, only_b = right[0] & ~right[1] & inside, right[1] & ~right[0] & inside
            difference = weight * (right[0].astype(float) - right[1])
            row |= {
                "n_only_a": int(only_a.sum()),
                "n_only_b": int(only_b.sum()),
                "p": sign_flip(difference, scorer.resampler.ecgs, n_permutations, seed),
                "p_mcnemar": mcnemar(int(only_a.sum()), int(only_b.sum())),
            }
        rows.append(row)
    table = pl.DataFrame(rows, schema=COLUMNS)
    tested = table["breakdown"] == "question_type"
    corrected = iter(holm([row.get("p") for row in rows if row["breakdown"] == "question_type"]))
    table = table.with_columns(
        pl.Series("p_holm", [next(corrected) if kind else None for kind in tested], dtype=pl.Float64)
    )
    about = {
        "n_permutations": n_permutations,
        "n_resamples": scorer.resampler.n_resamples,
        "seed": seed,
        "level": LEVEL,
    }
    return Comparison(table, about)


def pair_of(predictions: pl.DataFrame, run_a: str, run_b: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of two runs; raises EcgqaError naming the runs there are."""
    predictions = conform(predictions, PREDICTIONS, where="predictions")
    runs = predictions["run"].unique(maintain_order=True).to_list()
    for run in (run_a, run_b):
        if run not in runs:
            raise EcgqaError(f"no run {run!r} among the predictions", found=", ".join(runs))
    return predictions.filter(pl.col("run") == run_a), predictions.filter(pl.col("run") == run_b)


def _right(scorer: Scorer, run: Measured, metric: str) -> NDArray[np.bool_]:
    return exact_match(scorer.asked, run.answered) if metric == "em_candidates" else run.answered.set_right


def _weights(key: Key, types: list[str], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weight of each question in the group's value: zero outside it."""
    if key[0] == OVERALL:
        return np.ones(len(group))
    if key[0] == MACRO:
        return np.asarray(1.0 / np.bincount(group, minlength=len(types))[group], dtype=np.float64)
    return np.equal(group, types.index(key[1])).astype(np.float64)


def sign_flip(
    difference: NDArray[np.float64], ecgs: NDArray[np.int64], n_permutations: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p of a sum of paired differences, flipping the sign of whole ECGs; exactly 1 without differences.

    difference: (n_questions,); ecgs: (2, n_questions), the same ECG twice where a question is about one. The observed
    arrangement counts as one of the permutations, so p is at least 1 / (n_permutations + 1).
    """
    totals = np.bincount(ecgs[0], weights=difference, minlength=int(ecgs.max()) + 1)
    second = np.where(ecgs[0] != ecgs[1], difference, 0.0)
    totals += np.bincount(ecgs[1], weights=second, minlength=len(totals))
    totals = totals[totals != 0]
    observed = abs(float(difference.sum()))
    rng = np.random.default_rng([seed, len(totals)])
    tolerance = 1e-9 * (1 + float(np.abs(totals).sum()))
    as_extreme = 0
    for start in range(0, n_permutations, _BLOCK):
        width = min(_BLOCK, n_permutations - start)
        signs = rng.integers(0, 2, (width, len(totals)), dtype=np.int8) * 2 - 1
        as_extreme += int(np.sum(np.abs(signs.astype(np.float64) @ totals) >= observed - tolerance))
    return (as_extreme + 1) / (n_permutations + 1)


def mcnemar(n_only_a: int, n_only_b: int) -> float:
    """Exact two-sided McNemar test on the discordant questions; 1 without any."""
    from scipy.stats import binomtest

    n = n_only_a + n_only_b
    return 1.0 if n == 0 else float(binomtest(min(n_only_a, n_only_b), n, 0.5).pvalue)


def holm(p_values: list[float | None]) -> list[float | None]:
    """Holm's step-down adjusted p-values, in the given order; None stays None."""
    known = sorted((p, position) for position, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, position) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[position] = highest
    return adjusted


def as_json(comparison: Comparison) -> Mapping[str, Any]:
    """Plain lists and dictionaries."""
    return {"about": comparison.about, "comparisons": comparison.table.to_dicts()}
