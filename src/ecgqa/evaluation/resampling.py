"""The bootstrap over ECGs: how often each ECG, hence each question, counts in each resample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from ecgqa.errors import EcgqaError

LEVEL = 0.95
"""Of every interval."""

WEIGHT_BYTES = 64 * 2**20
"""Memory for one block of resampling weights; bounds the peak whatever the number of ECGs."""


class EcgResampler:
    """Draws ECGs with replacement; a question counts as often as the ECGs it is about were drawn.

    Questions about one ECG succeed and fail together, so resampling questions would give intervals that are too
    narrow. A resample draws n ECGs out of the n that occur, with replacement; an ECG drawn k times gives its
    one-ECG questions the weight k. A question about two ECGs drawn k and m times gets the weight k * m: every copy of
    the one meets every copy of the other. This is the pigeonhole bootstrap (Owen, "The pigeonhole bootstrap", Annals
    of Applied Statistics 1, 2007; for arrays whose two margins are the same population: Davezies, D'Haultfoeuille and
    Guyonvarch, "Empirical process results for exchangeable arrays", Annals of Statistics 49, 2021). It reproduces the
    variance that ECGs cause and overstates what is peculiar to a single pair (at most threefold in variance, where
    ECGs cause nothing), so intervals of comparison questions err on the wide side. Averaging the two weights instead
    would understate the part that ECGs cause fourfold.

    ecg_id: list column, one or two ids per question. Questions about the same ECGs share a "unit"; two orders of one
    pair are the same unit. `unit`: (n_questions,) int64; `n_units`; `n_ecgs`.
    """

    def __init__(self, ecg_id: pl.Series, n_resamples: int, seed: int) -> None:
        if n_resamples < 1:
            raise EcgqaError("the number of resamples must be at least 1", found=str(n_resamples))
        lengths = ecg_id.list.len().to_numpy()
        if len(lengths) and (lengths.min() < 1 or lengths.max() > 2):
            raise EcgqaError("a question must be about one or two ECGs", found=f"{lengths.min()} to {lengths.max()}")
        first, second = ecg_id.list.first().to_numpy(), ecg_id.list.last().to_numpy()
        ids, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
        self.n_ecgs = len(ids)
        self.ecgs = np.sort(codes.reshape(2, -1), axis=0)
        """(2, n_questions) int64: the ECGs of each question, the same twice where there is one."""
        pairs, self.unit = np.unique(self.ecgs[0] * max(self.n_ecgs, 1) + self.ecgs[1], return_inverse=True)
        self._first, self._second = pairs // max(self.n_ecgs, 1), pairs % max(self.n_ecgs, 1)
        self.n_units = len(pairs)
        self.n_resamples, self.seed = n_resamples, seed

    def weights(self) -> Iterator[NDArray[np.float32]]:
        """Blocks of (n_units, some resamples); always the same sequence, however it is cut into blocks."""
        rng = np.random.default_rng(self.seed)
        per_resample = 4 * (self.n_units + 3 * self.n_ecgs) or 1
        width = max(1, min(self.n_resamples, WEIGHT_BYTES // per_resample))
        paired = np.flatnonzero(self._first != self._second)
        for start in range(0, self.n_resamples, width):
            drawn = np.empty((self.n_ecgs, min(width, self.n_resamples - start)), np.float32)
            for column in range(drawn.shape[1]):
                picks = rng.integers(0, self.n_ecgs, self.n_ecgs)
                drawn[:, column] = np.bincount(picks, minlength=self.n_ecgs)
            block = drawn[self._first]
            block[paired] *= drawn[self._second[paired]]
            yield block

    def sums(self, rows: sparse.csr_matrix) -> NDArray[np.float32]:
        """Sums of every row in every resample: rows (n_rows, n_units) -> (n_rows, n_resamples)."""
        rows = rows.astype(np.float32)
        return np.concatenate([rows @ block for block in self.weights()], axis=1)

    def by_unit(
        self, row: NDArray[np.int64], value: NDArray[np.float32], n_rows: int, question: NDArray[np.int64] | None = None
    ) -> sparse.csr_matrix:
        """Matrix (n_rows, n_units) of the sums of `value` over the questions of each unit.

        `row` and `value` have one entry per question, or per entry of `question` (question indices).
        """
        unit = self.unit if question is None else self.unit[question]
        kept = value != 0
        shape = (n_rows, self.n_units)
        return sparse.coo_matrix((value[kept].astype(np.float64), (row[kept], unit[kept])), shape=shape).tocsr()


def interval(
    estimate: NDArray[np.float64], samples: NDArray[np.float64], level: float = LEVEL
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile interval of each row of `samples` (n, n_resamples), widened where needed to hold the estimate.

    Resamples without a value (nan: none of the questions drawn) are left out.
    """
    tail = (1 - level) / 2
    low, high = np.full(len(estimate), np.nan), np.full(len(estimate), np.nan)
    some = np.isfinite(samples).any(axis=1) & np.isfinite(estimate)
    whole = some & np.isfinite(samples).all(axis=1)
    if whole.any():
        low[whole], high[whole] = np.quantile(samples[whole], [tail, 1 - tail], axis=1)
    for row in np.flatnonzero(some & ~whole):
        low[row], high[row] = np.quantile(samples[row][np.isfinite(samples[row])], [tail, 1 - tail])
    return np.fmin(low, estimate), np.fmax(high, estimate)


def certain(value: float, n_ecgs: int, n_questions: int) -> tuple[float, float]:
    """Interval of a fraction seen as 0 or 1: resampling cannot widen it, so take the exact binomial one.

    Clopper and Pearson, Biometrika 26, 1934, with one trial per ECG (per question where those are fewer).
    """
    margin = 1 - ((1 - LEVEL) / 2) ** (1 / min(n_ecgs, n_questions))
    return (1 - margin, 1.0) if value == 1.0 else (0.0, margin)
