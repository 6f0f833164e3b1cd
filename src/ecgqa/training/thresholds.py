"""From which probability on a model is taken to say yes, per attribute, chosen on held-out items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ecgqa.artefacts import write_json
from ecgqa.errors import EcgqaError

THRESHOLDS = "thresholds.json"
NEUTRAL = 0.5
FEWEST = 5
"""Items of each label below which nothing is chosen."""
PRIOR = 10
"""Items of the rarer label that weigh as much as the neutral threshold does."""

Criterion = Literal["accuracy", "f1", "youden"]


def choose_thresholds(
    attribute: NDArray[np.int64],
    probability: NDArray[np.floating[Any]],
    label: NDArray[np.bool_],
    n_attributes: int,
    criterion: Criterion = "accuracy",
) -> NDArray[np.float64]:
    """The threshold of each attribute, (n_attributes,); attribute, probability, label: (n_items,).

    The best cut by the criterion on the items is drawn towards 0.5, by PRIOR items against those of the rarer label: a
    cut that rests on a few items is mostly their noise. With fewer than FEWEST items of either label it is 0.5.
    criterion: "accuracy" (of the items as they are), "f1", or "youden" (sensitivity + specificity - 1; Youden, Cancer
    3, 1950), which does not depend on how many of the items are positive.
    """
    chosen = np.full(n_attributes, NEUTRAL)
    order = np.argsort(attribute, kind="stable")
    bounds = np.searchsorted(attribute[order], np.arange(n_attributes + 1))
    for number in range(n_attributes):
        mine = order[bounds[number] : bounds[number + 1]]
        fewer = min(int(label[mine].sum()), int((~label[mine]).sum()))
        if fewer >= FEWEST:
            best = best_cut(probability[mine].astype(np.float64), label[mine], criterion)
            chosen[number] = (fewer * best + PRIOR * NEUTRAL) / (fewer + PRIOR)
    return chosen


def best_cut(score: NDArray[np.float64], label: NDArray[np.bool_], criterion: Criterion) -> float:
    """The cut, midway between two neighbouring scores, above which "yes" is best by the criterion.

    Of several equally good ones, that nearest to 0.5. score, label: (n,), both labels among them.
    """
    values, place = np.unique(score, return_inverse=True)
    yes = np.bincount(place, weights=label, minlength=len(values))
    no = np.bincount(place, weights=~label, minlength=len(values))
    # Cut k lies below value k (all of them are "yes" for k = 0, none for the last).
    hits = np.append(np.cumsum(yes[::-1])[::-1], 0.0)
    rejected = np.append(0.0, np.cumsum(no))
    n_yes, n_no = yes.sum(), no.sum()
    if criterion == "accuracy":
        gain = hits + rejected
    elif criterion == "youden":
        gain = hits / n_yes + rejected / n_no
    else:
        gain = 2 * hits / (hits + n_no - rejected + n_yes)
    edges = np.concatenate([[0.0], values, [1.0]])
    cuts = (edges[:-1] + edges[1:]) / 2
    good = np.flatnonzero(gain >= gain.max() - 1e-12)
    return float(cuts[good[np.argmin(np.abs(cuts[good] - NEUTRAL))]])


def write_thresholds(folder: Path, criterion: str, update: int, attributes: dict[str, dict[str, Any]]) -> None:
    """Write thresholds.json: for each attribute its `threshold` and what else is known of it on the held-out items."""
    write_json(folder / THRESHOLDS, {"criterion": criterion, "update": update, "attributes": attributes})


def read_thresholds(folder: Path, classes: list[str]) -> NDArray[np.float32]:
    """Threshold of each class of the run in `folder`, 0.5 where it has none (an imported model)."""
    path = folder / THRESHOLDS
    if not path.is_file():
        return np.full(len(classes), NEUTRAL, dtype=np.float32)
    try:
        known = json.loads(path.read_text(encoding="utf-8"))["attributes"]
        return np.array([known[name]["threshold"] if name in known else NEUTRAL for name in classes], dtype=np.float32)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EcgqaError(
            f"{path} is damaged: {error}", fix="delete it (every threshold is 0.5 then), or train again"
        ) from None
