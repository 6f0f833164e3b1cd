"""The tables of `ecgqa report`, live: scored once per split and wording in a thread, then kept."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Lock
from typing import Any, Final

import numpy as np
import polars as pl

from ecgqa.errors import EcgqaError
from ecgqa.evaluation.breakdowns import BREAKDOWNS, MACRO, OVERALL
from ecgqa.evaluation.load import select
from ecgqa.evaluation.metrics import METRICS
from ecgqa.evaluation.score import score
from ecgqa.evaluation.scores import Scores
from ecgqa.explorer.background import in_background
from ecgqa.explorer.catalogue import Catalogue
from ecgqa.explorer.runs import Runs
from ecgqa.records import Split, Version

GROUPED: Final = tuple(name for name in BREAKDOWNS if name not in (OVERALL, MACRO))
N_RESAMPLES: Final = 1000
_SHOWN: Final = ["run", "group", "metric", "value", "low", "high", "n_questions", "n_ecgs", "n_used"]


class Results:
    """Scores of every run, computed when first asked for."""

    def __init__(self, catalogue: Catalogue, predictions: pl.DataFrame | None) -> None:
        self._catalogue, self._predictions = catalogue, predictions
        self._lock, self._one_at_a_time = Lock(), Lock()
        self._scores: dict[tuple[str, str], Future[Scores]] = {}

    def scores(self, split: str, version: str) -> Future[Scores]:
        """Scores of one split and wording ("" = all predicted), finished or on the way; raises EcgqaError."""
        if self._predictions is None:
            raise EcgqaError(
                "no predictions were given",
                fix="ecgqa explore STORE PREDICTIONS.parquet, made with ecgqa predict or ecgqa baselines",
            )
        for name, value, known in (("split", split, Split), ("version", version, Version)):
            if value and value not in list(known):
                raise EcgqaError(f"no {name} {value[:40]!r}", expected=", ".join(known))
        with self._lock:
            key = (split, version)
            if key not in self._scores:
                self._scores[key] = in_background(lambda: self._score(split, version))
            return self._scores[key]

    def _score(self, split: str, version: str) -> Scores:
        questions, predictions = self._catalogue.frame, self._predictions
        assert predictions is not None
        for name, value in (("split", split), ("version", version)):
            if value:
                kept = pl.col(name).cast(pl.String) == value
                questions, predictions = questions.filter(kept), predictions.filter(kept)
        if predictions.is_empty():
            raise EcgqaError(f"no run has predictions of {split or 'any split'}, {version or 'any wording'}")
        chosen = select(questions, predictions)
        with self._one_at_a_time:
            return score(chosen.questions, chosen.predictions, n_resamples=N_RESAMPLES)

    def tables(self, scores: Scores, runs: Runs, split: str, version: str, breakdown: str, metric: str) -> Any:
        """What the results page shows: overall, by group, confusion, outcomes, disagreements, definitions."""
        if breakdown not in GROUPED:
            raise EcgqaError(f"no breakdown {breakdown[:40]!r}", expected=", ".join(GROUPED))
        if metric not in METRICS:
            raise EcgqaError(f"no metric {metric[:40]!r}", expected=", ".join(METRICS))
        table = scores.table
        overall = table.filter(pl.col("breakdown").is_in([OVERALL, MACRO])).select("breakdown", *_SHOWN)
        groups = table.filter(pl.col("breakdown") == breakdown, pl.col("metric") == metric).select(_SHOWN)
        among = np.ones(len(self._catalogue), bool)
        for name, value in (("split", split), ("version", version)):
            if value:
                among &= self._catalogue.fields[name].matching((value,), len(self._catalogue))
        return {
            "runs": scores.runs,
            "macro": scores.macro,
            "overall": overall.to_dicts(),
            "groups": groups.to_dicts(),
            "breakdowns": {name: BREAKDOWNS[name] for name in GROUPED},
            "metrics": {
                name: {"title": one.title, "definition": one.definition, "formula": one.formula}
                for name, one in METRICS.items()
            },
            "confusion": scores.confusion.to_dicts(),
            "outcomes": scores.outcomes.filter(pl.col("breakdown") == OVERALL).to_dicts(),
            "pairs": runs.pairs(among),
            "about": {name: scores.about[name] for name in ("n_questions", "n_ecgs", "splits", "versions")}
            | {"n_resamples": N_RESAMPLES},
        }
