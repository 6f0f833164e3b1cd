"""What each run answered to each question of the catalogue, and whether that was right."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ecgqa.errors import EcgqaError
from ecgqa.evaluation.metrics import exact_match
from ecgqa.evaluation.outcomes import KEY, answer, ask
from ecgqa.explorer.filters import Filters
from ecgqa.records import NONE, Status

NOT_ASKED = -1


@dataclass(frozen=True)
class Run:
    """One run beside the questions of the catalogue."""

    name: str
    right: NDArray[np.int8]
    """(n_questions,) 1 right, 0 wrong (unparseable, refused and failed replies included), NOT_ASKED."""
    place: NDArray[np.int32]
    """(n_questions,) row of `predictions`, NOT_ASKED where the run has none."""
    predictions: pl.DataFrame

    @cached_property
    def given(self) -> pl.Series:
        """(n_predictions,) what was answered, as the confusion tables name it."""
        joined = pl.col("answer").list.sort().list.join(" + ").replace("", NONE)
        status = pl.col("status").cast(pl.String)
        told = pl.when(status == Status.OK.value).then(joined).otherwise("(" + status + ")")
        return self.predictions.select(told.alias("given")).to_series()

    def reply(self, row: int) -> dict[str, Any] | None:
        """What the run said to a question: answer, scores, status, raw reply, right; None if it was not asked."""
        place = int(self.place[row])
        if place == NOT_ASKED:
            return None
        found = self.predictions.row(place, named=True)
        return {name: found[name] for name in ("answer", "scores", "status", "raw")} | {"right": bool(self.right[row])}


class Runs:
    """All runs that the page was given."""

    def __init__(self, questions: pl.DataFrame, predictions: pl.DataFrame | None) -> None:
        """`predictions` of any number of runs. Raises EcgqaError if they do not fit the questions."""
        self.runs: dict[str, Run] = {}
        self.n_questions = questions.height
        if predictions is None:
            return
        touched = questions.with_row_index("row").join(
            predictions.select("split", "version").unique(), on=["split", "version"], how="semi", maintain_order="left"
        )
        if touched.is_empty():
            raise EcgqaError(
                "the predictions answer none of the questions of this store",
                found=", ".join(sorted(set(predictions["split"].cast(pl.String)))) + " predicted",
                fix="give the predictions that were made for this store",
            )
        asked = ask(touched)
        row = asked.frame["row"].to_numpy()
        for (name,), found in predictions.group_by("run", maintain_order=True):
            answered = answer(asked, found)
            numbered = found.select(*KEY).with_row_index("place")
            joined = asked.frame.select(KEY).join(numbered, on=KEY, how="left", maintain_order="left")
            place = np.full(self.n_questions, NOT_ASKED, np.int32)
            place[row] = joined["place"].cast(pl.Int32).fill_null(NOT_ASKED).to_numpy()
            right = np.full(self.n_questions, NOT_ASKED, np.int8)
            right[row] = exact_match(asked, answered)
            right[place == NOT_ASKED] = NOT_ASKED
            self.runs[str(name)] = Run(str(name), right, place, found)

    def __getitem__(self, name: str) -> Run:
        try:
            return self.runs[name]
        except KeyError:
            raise EcgqaError(
                f"no run {name[:80]!r}", expected=", ".join(self.runs) or "a page started with predictions"
            ) from None

    def passing(self, filters: Filters) -> NDArray[np.bool_]:
        """(n_questions,) where the runs' answers are as `filters` asks."""
        mask = np.ones(self.n_questions, bool)
        if filters.agreement == "pair":
            mask &= (self[filters.right].right == 1) & (self[filters.wrong].right == 0)
        elif filters.agreement:
            right, wrong = self._any_right_or_wrong
            mask &= {"all_right": right & ~wrong, "all_wrong": wrong & ~right, "disagree": right & wrong}[
                filters.agreement
            ]
        if filters.given:
            run = self[filters.run]
            hit = np.append((run.given == filters.given).to_numpy(), False)  # the last one is NOT_ASKED's
            mask &= hit[run.place]
        return mask

    @cached_property
    def _any_right_or_wrong(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        right, wrong = np.zeros(self.n_questions, bool), np.zeros(self.n_questions, bool)
        for run in self.runs.values():
            right |= run.right == 1
            wrong |= run.right == 0
        return right, wrong

    def marks(self, rows: NDArray[np.int32]) -> list[list[int]]:
        """Per question of `rows`, `right` of every run in turn."""
        return np.stack([run.right[rows] for run in self.runs.values()], axis=1).tolist() if self.runs else []

    def pairs(self, among: NDArray[np.bool_]) -> list[dict[str, Any]]:
        """How often one run was right where another was wrong, for every ordered pair."""
        return [
            {"right": a.name, "wrong": b.name, "n": int(((a.right == 1) & (b.right == 0) & among).sum())}
            for a in self.runs.values()
            for b in self.runs.values()
            if a is not b
        ]
