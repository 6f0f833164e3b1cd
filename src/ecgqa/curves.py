"""Areas under ROC and precision-recall curves per answer class, with each score's influence on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClassCurves:
    """Areas of many (group, answer class) cells at once; arrays (n_cells,), nan where undefined."""

    cell: NDArray[np.int64]
    """Code of each cell, ascending."""
    n_positive: NDArray[np.int64]
    n_negative: NDArray[np.int64]
    auroc: Floats
    auprc: Floats
    """Average precision; 0 where no option is right."""
    position: NDArray[np.int64]
    """(n_scores,) cell index of each score."""
    auroc_influence: Floats
    """(n_scores,) change of the cell's AUROC per unit of extra weight on this score; sums to 0 within a cell."""
    auprc_influence: Floats


def class_curves(
    cell: NDArray[np.int64],
    score: NDArray[np.float32],
    positive: NDArray[np.bool_],
    by_score: NDArray[np.int64] | None = None,
) -> ClassCurves:
    """AUROC and average precision within each cell, ties counted half (AUROC) or as one threshold (AUPRC).

    cell, score, positive: (n_scores,), cells numbered from 0; by_score: the order that sorts `score`, if known.
    AUROC = P(score of a right option > of a wrong one) + half P(equal): Hanley and McNeil, Radiology 143, 1982. Its
    influences are the placement values of DeLong et al., Biometrics 44, 1988. Average precision = mean over right
    options of the precision at their score (as scikit-learn defines it).
    """
    occurs = np.bincount(cell) > 0  # codes are small: far quicker than sorting them
    cells = np.flatnonzero(occurs)
    position = (np.cumsum(occurs) - 1)[cell]
    n_cells = len(cells)
    order = (
        np.lexsort((score, position)) if by_score is None else by_score[np.argsort(position[by_score], kind="stable")]
    )
    at, sorted_score, is_positive = position[order], score[order], positive[order]
    n_positive = np.bincount(at, weights=is_positive, minlength=n_cells)
    n_negative = np.bincount(at, weights=~is_positive, minlength=n_cells)

    # Scores that tie within a cell form a block; every count below is per block.
    opens = np.ones(len(at), bool)
    opens[1:] = (at[1:] != at[:-1]) | (sorted_score[1:] != sorted_score[:-1])
    block = np.cumsum(opens) - 1
    first = np.flatnonzero(opens)
    block_cell = at[first]
    n_blocks = len(first)
    positive_in = np.bincount(block, weights=is_positive, minlength=n_blocks)
    negative_in = np.bincount(block, weights=~is_positive, minlength=n_blocks)
    positive_below = _below(positive_in, block_cell)
    negative_below = _below(negative_in, block_cell)

    with np.errstate(divide="ignore", invalid="ignore"):
        beats = (negative_below + negative_in / 2) / n_negative[block_cell]
        beaten = 1 - (positive_below + positive_in / 2) / n_positive[block_cell]
        auroc = np.bincount(block_cell, weights=np.nan_to_num(beats) * positive_in, minlength=n_cells) / n_positive
        both = (n_positive > 0) & (n_negative > 0)
        auroc = np.where(both, auroc, np.nan)
        placement = np.where(is_positive, beats[block], beaten[block])
        share = np.where(is_positive, n_positive[at], n_negative[at])
        auroc_influence = np.where(both[at], (placement - auroc[at]) / share, 0.0)

        positive_up = n_positive[block_cell] - positive_below
        total_up = positive_up + n_negative[block_cell] - negative_below
        precision = positive_up / total_up
        auprc = np.bincount(block_cell, weights=precision * positive_in, minlength=n_cells) / n_positive
        auprc = np.where(n_positive > 0, auprc, 0.0)
        per_total = _below(positive_in / total_up, block_cell) + positive_in / total_up
        lost = _below(positive_in * precision / total_up, block_cell) + positive_in * precision / total_up
        direct = np.where(is_positive, precision[block] - auprc[at] + per_total[block], 0.0)
        auprc_influence = np.where(n_positive[at] > 0, (direct - lost[block]) / n_positive[at], 0.0)

    back = np.empty(len(at), np.int64)
    back[order] = np.arange(len(at))
    return ClassCurves(
        cells,
        n_positive.astype(np.int64),
        n_negative.astype(np.int64),
        auroc,
        auprc,
        position,
        auroc_influence[back],
        auprc_influence[back],
    )


def _below(value: NDArray[Any], cell: NDArray[np.int64]) -> Floats:
    """Sum of `value` over the earlier blocks of the same cell."""
    before = np.cumsum(value) - value
    opens = np.ones(len(cell), bool)
    opens[1:] = cell[1:] != cell[:-1]
    opening = np.repeat(before[opens], np.diff(np.append(np.flatnonzero(opens), len(cell))))
    return np.asarray(before - opening, dtype=np.float64)
