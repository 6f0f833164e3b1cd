"""What a report says: the scores, the comparisons, the runs in focus, the examples; no markup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from ecgqa.evaluation.baselines import BASELINES
from ecgqa.evaluation.breakdowns import OVERALL
from ecgqa.evaluation.compare import Comparison
from ecgqa.evaluation.scores import Scores

MAIN = "em_candidates"
"""The metric a report leads with: the published exact match."""
MAX_IN_PLOT = 5


@dataclass(frozen=True)
class Example:
    """One question with every run's answer; `kind` says why it was picked, `drawings` are data URIs of its ECGs."""

    kind: str
    sample: dict[str, Any]
    answers: list[dict[str, Any]]
    drawings: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Findings:
    """Everything the page shows."""

    scores: Scores
    comparisons: list[Comparison]
    """Each model against the best baseline."""
    examples: list[Example]
    expected_chance: float
    """Mean exact match of one candidate drawn at random."""
    title: str
    command: str

    @property
    def ranked(self) -> list[str]:
        """All runs, best first."""
        return sorted(self.scores.runs, key=lambda run: (-(self.scores.value(run, MAIN) or 0.0), run))

    @property
    def models(self) -> list[str]:
        return [run for run in self.ranked if run not in BASELINES]

    @property
    def baselines(self) -> list[str]:
        return [run for run in self.ranked if run in BASELINES]

    @property
    def series(self) -> dict[str, int]:
        """Runs shown in plots and their series: up to four models and, as series 4, the best baseline."""
        if not self.models:
            return {run: number for number, run in enumerate(self.baselines[:MAX_IN_PLOT])}
        shown = {run: number for number, run in enumerate(self.models[: MAX_IN_PLOT - 1])}
        return shown | dict.fromkeys(self.baselines[:1], MAX_IN_PLOT - 1)

    @property
    def focus(self) -> str:
        """The run that tables of one run are about: the best model, else the best baseline."""
        return (self.models or self.baselines)[0]

    @property
    def headline(self) -> Comparison | None:
        """Best model against best baseline, where there are both."""
        return self.comparisons[0] if self.comparisons else None

    def groups(self, breakdown: str) -> list[dict[str, Any]]:
        """Groups of a breakdown in order, each {group, n_questions, n_ecgs}."""
        found = self.scores.table.filter(pl.col("breakdown") == breakdown, pl.col("metric") == MAIN)
        return list(
            found.select("group", "n_questions", "n_ecgs")
            .unique(subset="group", maintain_order=True)
            .iter_rows(named=True)
        )

    def outcome_counts(self, run: str) -> dict[str, int]:
        """Questions per status, over all questions."""
        rows = self.scores.outcomes.filter(pl.col("run") == run, pl.col("breakdown") == OVERALL)
        return dict(rows.select("status", "n_questions").iter_rows())
