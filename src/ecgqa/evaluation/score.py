"""Scores: a pure function of question rows and prediction rows, with an interval beside every number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from ecgqa.curves import ClassCurves, class_curves
from ecgqa.errors import EcgqaError
from ecgqa.evaluation.breakdowns import CURVE_BREAKDOWNS, MACRO, Breakdown, break_down, macro_name
from ecgqa.evaluation.metrics import METRICS, PROPORTIONS, Ratio, ratios
from ecgqa.evaluation.outcomes import STATUSES, Answered, Asked, answer, ask
from ecgqa.evaluation.resampling import LEVEL, EcgResampler, certain, interval
from ecgqa.evaluation.scores import ROWS, Scores, described
from ecgqa.evaluation.side_tables import calibration, class_table, confusion
from ecgqa.records import PREDICTIONS
from ecgqa.tables import conform

Averages = dict[str, tuple[NDArray[np.float64], NDArray[np.int64], NDArray[Any]]]
Key = tuple[str, str, str]
"""(breakdown, group, metric)."""


@dataclass
class Measured:
    """One run's values: for each (breakdown, group, metric) the estimate and its value in every resample."""

    answered: Answered
    estimate: dict[Key, float] = field(default_factory=dict)
    samples: dict[Key, NDArray[np.float64]] = field(default_factory=dict)
    n_used: dict[Key, int] = field(default_factory=dict)
    """Questions that the metric could be computed on."""
    n_parts: dict[Key, int] = field(default_factory=dict)
    """Answer classes (or question types) averaged, for the macro metrics."""


class _Pending:
    """Sums waiting for the resampling weights, so that one pass over the weights serves them all."""

    def __init__(self, resampler: EcgResampler) -> None:
        self._resampler = resampler
        self._rows: list[sparse.csr_matrix] = []
        self._waiting: list[tuple[int, int, Callable[[NDArray[np.float32]], None]]] = []
        self._n_rows = 0

    def add(self, rows: list[sparse.csr_matrix], then: Callable[[NDArray[np.float32]], None]) -> None:
        """`then` will be called with the sums (sum of the rows of `rows`, n_resamples)."""
        start, self._rows = self._n_rows, self._rows + rows
        self._n_rows += sum(matrix.shape[0] for matrix in rows)
        self._waiting.append((start, self._n_rows, then))

    def run(self) -> None:
        sums = self._resampler.sums(sparse.vstack(self._rows).tocsr())
        for start, stop, then in self._waiting:
            then(sums[start:stop])


class Scorer:
    """Questions prepared once: their options, groups and resamples, to measure any number of runs alike."""

    def __init__(self, questions: pl.DataFrame, *, n_resamples: int = 1000, seed: int = 0) -> None:
        self.asked: Asked = ask(questions)
        self.breakdowns: list[Breakdown] = break_down(self.asked.frame, self.asked.n_gold)
        self.resampler = EcgResampler(self.asked.frame["ecg_id"], n_resamples, seed)
        code = np.zeros(len(self.asked), np.int64)
        for breakdown in self.breakdowns:
            code = code * len(breakdown.names) + breakdown.group
        _, example, self.cell = np.unique(code, return_index=True, return_inverse=True)
        self.n_cells = len(example)
        self._cells = np.stack([breakdown.group[example] for breakdown in self.breakdowns])
        """(n_breakdowns, n_cells): group of each cell; a cell holds the questions that share all their groups."""

    def measure(self, predictions: pl.DataFrame) -> Measured:
        """All metrics of one run in every group. Raises EcgqaError if the predictions do not fit the questions."""
        measured = Measured(answer(self.asked, predictions))
        pending = _Pending(self.resampler)
        self._measure_ratios(measured, pending)
        self._measure_class_f1(measured, pending)
        if measured.answered.scored.any():
            self._measure_curves(measured, pending)
        pending.run()
        self._measure_macro(measured)
        return measured

    def group_sizes(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(breakdown, group) -> (number of questions, number of ECGs)."""
        sizes = {}
        n_ecgs = max(self.resampler.n_ecgs, 1)
        for breakdown in self.breakdowns:
            occurs = np.zeros((len(breakdown.names), n_ecgs), bool)
            occurs[np.tile(breakdown.group, 2), self.resampler.ecgs.ravel()] = True
            ecgs = occurs.sum(axis=1)
            questions = np.bincount(breakdown.group, minlength=len(breakdown.names))
            for position, name in enumerate(breakdown.names):
                sizes[breakdown.kind, name] = (int(questions[position]), int(ecgs[position]))
        sizes[MACRO, self.macro] = sizes["overall", "all"]
        return sizes

    @property
    def macro(self) -> str:
        return macro_name(len(self._breakdown("question_type").names))

    def _breakdown(self, kind: str) -> Breakdown:
        return next(breakdown for breakdown in self.breakdowns if breakdown.kind == kind)

    def _members(self, position: int) -> sparse.csr_matrix:
        """(n_groups, n_cells) 0/1: the cells of each group of one breakdown."""
        group = self._cells[position]
        ones = np.ones(self.n_cells)
        shape = (len(self.breakdowns[position].names), self.n_cells)
        return sparse.csr_matrix((ones, (group, np.arange(self.n_cells))), shape=shape)

    def _measure_ratios(self, measured: Measured, pending: _Pending) -> None:
        found = ratios(self.asked, measured.answered)
        columns = [column for pair in found.values() for column in pair]
        matrices = [self.resampler.by_unit(self.cell, column, self.n_cells) for column in columns]
        pending.add(
            matrices, lambda sums: self._ratio_samples(measured, found, sums.reshape(len(columns), self.n_cells, -1))
        )

    def _ratio_samples(self, measured: Measured, found: dict[str, Ratio], sums: NDArray[np.float32]) -> None:
        exact = np.stack(
            [
                np.bincount(self.cell, weights=column, minlength=self.n_cells)
                for pair in found.values()
                for column in pair
            ]
        )
        used = {
            name: np.bincount(self.cell, weights=pair[1] > 0, minlength=self.n_cells) for name, pair in found.items()
        }
        for position, breakdown in enumerate(self.breakdowns):
            members = self._members(position)
            for number, name in enumerate(found):
                top, bottom = members @ sums[2 * number].astype(float), members @ sums[2 * number + 1].astype(float)
                estimate = _divide(members @ exact[2 * number], members @ exact[2 * number + 1])
                samples, n_used = _divide(top, bottom), members @ used[name]
                for index, group in enumerate(breakdown.names):
                    key = (breakdown.kind, group, name)
                    measured.estimate[key] = float(estimate[index])
                    measured.samples[key] = samples[index]
                    measured.n_used[key] = int(n_used[index])

    def _measure_class_f1(self, measured: Measured, pending: _Pending) -> None:
        asked, given = self.asked, measured.answered.given
        n_classes = len(asked.classes)
        hit = (asked.option_gold & given).astype(np.float32)
        either = asked.option_gold.astype(np.float32) + given
        kept = np.flatnonzero(either)
        question = asked.option_question[kept]
        code = self.cell[question] * n_classes + asked.option_class[kept]
        codes, row = np.unique(code, return_inverse=True)
        if not len(codes):
            return
        parts = [self.resampler.by_unit(row, value[kept], len(codes), question) for value in (2 * hit, either)]
        exact = np.stack([np.bincount(row, weights=value[kept], minlength=len(codes)) for value in (2.0 * hit, either)])
        pending.add(parts, lambda sums: self._class_f1_samples(measured, codes, exact, sums.reshape(2, len(codes), -1)))

    def _class_f1_samples(
        self, measured: Measured, codes: NDArray[np.int64], exact: NDArray[Any], sums: NDArray[np.float32]
    ) -> None:
        n_classes = len(self.asked.classes)
        for position, breakdown in enumerate(self.breakdowns):
            group_class = self._cells[position][codes // n_classes] * n_classes + codes % n_classes
            cells, where = np.unique(group_class, return_inverse=True)
            pool = sparse.csr_matrix((np.ones(len(codes)), (where, np.arange(len(codes)))))
            f1 = _divide(pool @ exact[0], pool @ exact[1])
            f1_samples = _divide(pool @ sums[0].astype(float), pool @ sums[1].astype(float))
            n_questions = np.bincount(breakdown.group, minlength=len(breakdown.names))
            for index, group in enumerate(breakdown.names):
                mine = np.flatnonzero(cells // n_classes == index)
                if len(mine):
                    key = (breakdown.kind, group, "option_f1_macro")
                    measured.estimate[key] = float(f1[mine].mean())
                    measured.samples[key] = _nanmean(f1_samples[mine])
                    measured.n_used[key] = int(n_questions[index])
                    measured.n_parts[key] = len(mine)

    def _measure_curves(self, measured: Measured, pending: _Pending) -> None:
        """Areas under curves; their resamples follow from the influence of each question (first order)."""
        asked, answered = self.asked, measured.answered
        kept = np.flatnonzero(answered.scored[asked.option_question])
        question, option_class, right = asked.option_question[kept], asked.option_class[kept], asked.option_gold[kept]
        score, n_classes = answered.score[kept], len(asked.classes)
        by_score = np.argsort(score, kind="stable")
        for breakdown in self.breakdowns:
            if breakdown.kind not in CURVE_BREAKDOWNS:
                continue
            n_groups = len(breakdown.names)
            curves = class_curves(breakdown.group[question] * n_classes + option_class, score, right, by_score)
            averages = class_averages(curves, curves.cell // n_classes, n_groups)
            matrices = []
            for _, _, influence in averages.values():
                per_question = np.bincount(question, weights=influence, minlength=len(asked)).astype(np.float32)
                matrices.append(self.resampler.by_unit(breakdown.group, per_question, n_groups))
            n_used = np.bincount(breakdown.group, weights=answered.scored, minlength=n_groups)
            pending.add(matrices, partial(_curve_samples, measured, breakdown, averages, n_used))

    def _measure_macro(self, measured: Measured) -> None:
        types = self._breakdown("question_type").names
        for name in METRICS:
            keys = [("question_type", group, name) for group in types]
            keys = [key for key in keys if np.isfinite(measured.estimate.get(key, np.nan))]
            if not keys:
                continue
            macro = (MACRO, macro_name(len(keys)), name)
            measured.estimate[macro] = float(np.mean([measured.estimate[key] for key in keys]))
            measured.samples[macro] = np.mean([measured.samples[key] for key in keys], axis=0)
            measured.n_used[macro] = sum(measured.n_used[key] for key in keys)
            measured.n_parts[macro] = len(keys)


def _curve_samples(
    measured: Measured, breakdown: Breakdown, averages: Averages, n_used: NDArray[Any], sums: NDArray[np.float32]
) -> None:
    sums = sums.reshape(len(averages), len(breakdown.names), -1)
    for number, (name, (value, parts, _)) in enumerate(averages.items()):
        samples = np.clip(value[:, None] + sums[number], 0.0, 1.0)
        for index, group in enumerate(breakdown.names):
            if parts[index]:
                key = (breakdown.kind, group, name)
                measured.estimate[key] = float(value[index])
                measured.samples[key] = samples[index]
                measured.n_used[key] = int(n_used[index])
                measured.n_parts[key] = int(parts[index])


def score(
    questions: pl.DataFrame,
    predictions: pl.DataFrame,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
    subset: str = "all",
    about: Mapping[str, object] | None = None,
) -> Scores:
    """Score every run in `predictions` against `questions`.

    questions, predictions: tables 3 and 4; joined on split, version and sample_id. A question without a prediction is
    failed, hence wrong. n_resamples, seed: of the bootstrap over ECGs (see `EcgResampler`). subset: name of the
    selection that `questions` is, if they are not all of a split; about: facts to keep beside the scores.

    Raises EcgqaError for repeated or unknown samples, scores that are no probabilities, questions without options.
    """
    scorer = Scorer(questions, n_resamples=n_resamples, seed=seed)
    return score_runs(scorer, predictions, subset=subset, about=about)[0]


def score_runs(
    scorer: Scorer, predictions: pl.DataFrame, *, subset: str = "all", about: Mapping[str, object] | None = None
) -> tuple[Scores, dict[str, Measured]]:
    """`score` with questions prepared already; also what was measured of each run, for `compare_measured`."""
    predictions = conform(predictions, PREDICTIONS, where="predictions")
    runs = predictions["run"].unique(maintain_order=True).to_list()
    if not runs:
        raise EcgqaError("there are no predictions to score", expected="at least one row of the predictions table")
    sizes = scorer.group_sizes()
    measured = {run: scorer.measure(predictions.filter(pl.col("run") == run)) for run in runs}
    answered = [found.answered for found in measured.values()]
    resampler = scorer.resampler
    facts = described(scorer.asked, resampler.n_ecgs, resampler.n_resamples, resampler.seed, LEVEL, subset)
    run_facts = {
        found.run: {
            "n_missing": found.n_missing,
            "n_outside_candidates": found.n_outside,
            "n_scored": int(found.scored.sum()),
        }
        for found in answered
    }
    scores = Scores(
        table=pl.concat(_rows(run, found, sizes) for run, found in measured.items()),
        outcomes=pl.concat(_outcomes(scorer, found) for found in answered),
        classes=pl.concat(class_table(scorer.asked, found) for found in answered),
        calibration=pl.concat(calibration(scorer.asked, found) for found in answered),
        confusion=pl.concat(confusion(scorer.asked, found) for found in answered),
        about=facts | dict(about or {}) | {"runs": run_facts},
    )
    return scores, measured


def _rows(run: str, measured: Measured, sizes: Mapping[tuple[str, str], tuple[int, int]]) -> pl.DataFrame:
    keys = list(measured.estimate)
    estimate = np.array([measured.estimate[key] for key in keys])
    low, high = interval(estimate, np.stack([measured.samples[key] for key in keys]), LEVEL)
    overall = sizes["overall", "all"]
    table = []
    for key, value, at_least, at_most in zip(keys, estimate, low, high, strict=True):
        breakdown, group, metric = key
        n_questions, n_ecgs = sizes.get((breakdown, group), overall)
        if metric in PROPORTIONS and value in (0.0, 1.0) and measured.n_used[key]:
            at_least, at_most = certain(value, n_ecgs, measured.n_used[key])
        elif n_ecgs < 2:
            at_least = at_most = np.nan
        table.append(
            (
                run,
                *key,
                *map(_number, (value, at_least, at_most)),
                n_questions,
                n_ecgs,
                measured.n_used[key],
                measured.n_parts.get(key),
            )
        )
    return pl.DataFrame(table, schema=ROWS, orient="row")


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def class_averages(curves: ClassCurves, group: NDArray[np.int64], n_groups: int) -> Averages:
    """Plain means over the answer classes of each group.

    group: (n_cells,) group of each cell of `curves`. Returns, by metric: value (n_groups,), number of classes averaged
    (n_groups,), and the influence of each score on its group's value (n_scores,).
    """
    both = (curves.n_positive > 0) & (curves.n_negative > 0)
    averages = {}
    for name, value, influence, kept in (
        ("auroc_macro", curves.auroc, curves.auroc_influence, both),
        ("auprc_macro", curves.auprc, curves.auprc_influence, both),
        ("auprc_published", curves.auprc, curves.auprc_influence, np.ones_like(both)),
    ):
        parts = np.bincount(group, weights=kept, minlength=n_groups)
        total = np.bincount(group, weights=np.where(kept, value, 0.0), minlength=n_groups)
        share = np.where(kept, 1.0, 0.0) / np.maximum(parts, 1)[group]
        averages[name] = (_divide(total, parts), parts.astype(np.int64), influence * share[curves.position])
    return averages


def _outcomes(scorer: Scorer, answered: Answered) -> pl.DataFrame:
    """How many questions ended in which status, overall and by question type."""
    tables = []
    for breakdown in scorer.breakdowns:
        if breakdown.kind not in ("overall", "question_type"):
            continue
        code = breakdown.group * len(STATUSES) + answered.status
        counts = np.bincount(code, minlength=len(breakdown.names) * len(STATUSES)).reshape(-1, len(STATUSES))
        tables += [
            (answered.run, breakdown.kind, group, status, int(counts[index, number]))
            for index, group in enumerate(breakdown.names)
            for number, status in enumerate(STATUSES)
        ]
    return pl.DataFrame(tables, schema=["run", "breakdown", "group", "status", "n_questions"], orient="row")


def _divide(top: NDArray[Any], bottom: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(bottom > 0, top / bottom, np.nan), dtype=np.float64)


def _nanmean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(values)
    return _divide(np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0).astype(float))
