"""Example questions with every run's answer, and drawings of their ECGs where the signals are at hand."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgqa.evaluation.metrics import exact_match
from ecgqa.evaluation.outcomes import STATUSES
from ecgqa.evaluation.report.findings import Example
from ecgqa.evaluation.score import Measured, Scorer
from ecgqa.records import NONE

if TYPE_CHECKING:
    from ecgqa.store import Store

PER_KIND = 2
MAX_DRAWINGS = 6
DPI = 96


def pick(
    scorer: Scorer,
    measured: Mapping[str, Measured],
    model: str,
    baseline: str | None,
    *,
    seed: int,
    store: Store | None,
) -> list[Example]:
    """Questions that tell runs apart: only the model right, only the baseline right, both wrong, both right.

    Chosen by seed, question types in turn. ECGs are drawn when `store` is given and matplotlib is installed, at most
    MAX_DRAWINGS in all.
    """
    right = {run: exact_match(scorer.asked, found.answered) for run, found in measured.items()}
    mine = right[model]
    theirs = right[baseline] if baseline else None
    kinds: list[tuple[str, NDArray[np.bool_]]]
    if theirs is None:
        kinds = [(f"{model} is right", mine), (f"{model} is wrong", ~mine)]
    else:
        kinds = [
            (f"{model} is right, {baseline} is wrong", mine & ~theirs),
            (f"{baseline} is right, {model} is wrong", theirs & ~mine),
            (f"{model} and {baseline} are wrong", ~mine & ~theirs),
        ]
    types = scorer.asked.frame["question_type"].to_physical().to_numpy()
    rng = np.random.default_rng(seed)
    examples, left = [], MAX_DRAWINGS if store is not None else 0
    for kind, which in kinds:
        order = rng.permutation(np.flatnonzero(which))
        seen: set[int] = set()
        chosen = [row for row in order if types[row] not in seen and not seen.add(int(types[row]))][:PER_KIND]  # type: ignore[func-returns-value]
        for row in chosen:
            drawings = _drawings(store, scorer.asked.frame["ecg_id"][int(row)].to_list(), left) if store else ()
            left -= len(drawings)
            examples.append(_example(scorer, measured, right, int(row), kind, drawings))
    return examples


def _example(
    scorer: Scorer,
    measured: Mapping[str, Measured],
    right: Mapping[str, NDArray[np.bool_]],
    row: int,
    kind: str,
    drawings: tuple[tuple[int, str], ...],
) -> Example:
    sample = scorer.asked.frame.row(row, named=True)
    sample = {name: value for name, value in sample.items() if name not in ("attribute", "ecg_row")}
    answers = []
    for run, found in measured.items():
        status = STATUSES[found.answered.status[row]]
        given = found.answered.answer[row]
        said = sorted(given.to_list()) if given is not None else []
        shown = "; ".join(said or [NONE]) if status == "ok" else f"({status})"
        is_right = bool(right[run][row])
        answers.append({"run": run, "answer": shown, "right": is_right, "why": "wrong" if status == "ok" else status})
    return Example(kind, sample, answers, drawings)


def _drawings(store: Store | None, ecg_ids: list[int], at_most: int) -> tuple[tuple[int, str], ...]:
    """(ECG id, PNG as data URI) of each ECG; none without matplotlib or where they would exceed `at_most`."""
    if store is None or len(ecg_ids) > at_most:
        return ()
    try:
        import matplotlib  # noqa: F401

        from ecgqa.signals.draw import draw_ecg
    except ImportError:
        return ()
    drawn = []
    row_of = {ecg_id: row for row, ecg_id in enumerate(store.records["ecg_id"].to_list())}
    for ecg_id in ecg_ids:
        row = row_of.get(ecg_id)
        if row is None:
            return ()
        figure = draw_ecg(store.ecg_at(row), ecg_id=ecg_id)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
        drawn.append((ecg_id, "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()))
    return tuple(drawn)
