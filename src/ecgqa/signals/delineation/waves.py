"""From probabilities to waves: which beats there are, and where in each lead their waves begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ecgqa.signals.delineation.network_input import RATE_HZ

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

PRESENT_MS: Final = {"p": 30.0, "qrs": 35.0, "t": 40.0}
"""A wave is there if the leads together give it at least this much time (probability summed over time) …"""
LEAD_SHARE: Final = 0.35
"""… and is measurable in a lead that gives it at least this share of what all leads give."""
RUN_ABOVE: Final = {"p": 0.3, "qrs": 0.4, "t": 0.3}
"""Mean probability of all leads above which moments belong together."""
REFRACTORY_MS: Final = 200.0
JOIN_MS: Final = 40.0
"""Two pieces of a QRS complex (R and R' of a wide one) are at most this far apart."""
LONGEST_PR_MS: Final = 480.0
"""A P wave whose middle lies further before the QRS complex did not lead to it (first degree block reaches 400 ms)."""
REACH_MS: Final = {"p": 70.0, "qrs": 70.0, "t": 110.0}
"""How far beyond the consensus a lead's own wave may reach."""
CHANNEL: Final = {"p": 1, "qrs": 2, "t": 3}


@dataclass(frozen=True, eq=False)
class Waves:
    """bounds[wave] = onset, offset, each (1 + n_leads, n_beats): consensus first; NaN = not there. Network samples."""

    bounds: dict[str, tuple[Floats, Floats]]
    confidence: npt.NDArray[np.float32]
    n_beats: int


def find_waves(probability: npt.NDArray[np.float32]) -> Waves:
    """Beats and waves from (n_leads, T, 4) of `wave_probabilities`."""
    n_leads, length, _ = probability.shape
    everything = np.empty((3, n_leads + 1, length))
    everything[:, 1:] = probability.transpose(2, 0, 1)[1:]
    everything[:, 0] = everything[:, 1:].mean(axis=1)
    mass = np.zeros((3, n_leads + 1, length + 1))
    np.cumsum(everything, axis=2, out=mass[:, :, 1:])
    level = everything[:, 0]
    qrs = _qrs_spans(level[1], mass[1, 0])
    n_beats = qrs[0].size
    if n_beats == 0:
        return Waves({}, np.zeros((3, 0), dtype=np.float32), 0)
    first, last = qrs
    before = np.maximum(np.concatenate(([0.0], last[:-1])), first - _samples(LONGEST_PR_MS))
    after = np.concatenate((first[1:], [float(length)]))
    spans = (
        _heaviest_spans(level[0], mass[0, 0], before, first, "p"),
        qrs,
        _heaviest_spans(level[2], mass[2, 0], last, after, "t"),
    )
    bounds = {}
    confidence = np.zeros((3, n_beats), dtype=np.float32)
    for row, (wave, span) in enumerate(zip(("p", "qrs", "t"), spans, strict=True)):
        bounds[wave] = _bounds(mass[row], *span, wave)
        confidence[row] = _mean_level(mass[row, 0], *span)
    return Waves(bounds, confidence, n_beats)


def _samples(milliseconds: float) -> float:
    return milliseconds / 1000.0 * RATE_HZ


def _runs(above: npt.NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """First sample and one past the last of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], above, [False])).view(np.int8)))
    return edges[::2], edges[1::2]


def _qrs_spans(level: Floats, mass: Floats) -> tuple[Floats, Floats]:
    first, last = _runs(level > RUN_ABOVE["qrs"])
    if first.size > 1:
        apart = first[1:] - last[:-1] >= _samples(JOIN_MS)
        first, last = first[np.concatenate(([True], apart))], last[np.concatenate((apart, [True]))]
    weight = mass[last] - mass[first]
    there = weight >= _samples(PRESENT_MS["qrs"])
    first, last, weight = first[there], last[there], weight[there]
    # Two complexes within the refractory time: the one with less behind it is none.
    while first.size > 1:
        close = np.flatnonzero(np.diff((first + last) / 2) < _samples(REFRACTORY_MS))
        if not close.size:
            break
        i = int(close[0])
        drop = i if weight[i] < weight[i + 1] else i + 1
        first, last, weight = np.delete(first, drop), np.delete(last, drop), np.delete(weight, drop)
    return first.astype(np.float64), last.astype(np.float64)


def _heaviest_spans(level: Floats, mass: Floats, low: Floats, high: Floats, wave: str) -> tuple[Floats, Floats]:
    """For each beat the run with the greatest mass whose middle lies between `low` and `high`; NaN = none.

    The intervals of neighbouring beats do not overlap and are in order of time.
    """
    begin, end = np.full(low.size, np.nan), np.full(low.size, np.nan)
    first, last = _runs(level > RUN_ABOVE[wave])
    weight = mass[last] - mass[first]
    middle = (first + last) / 2
    beat = np.searchsorted(high, middle, side="right")
    fits = (weight >= _samples(PRESENT_MS[wave])) & (beat < low.size)
    fits &= middle >= low[np.minimum(beat, low.size - 1)]
    chosen = np.flatnonzero(fits)
    chosen = chosen[np.argsort(weight[chosen], kind="stable")]  # a later assignment to the same beat wins
    begin[beat[chosen]], end[beat[chosen]] = first[chosen], last[chosen]
    return begin, end


def _mean_level(mass: Floats, first: Floats, last: Floats) -> Floats:
    there = np.isfinite(first)
    begin, end = np.where(there, first, 0).astype(np.intp), np.where(there, last, 1).astype(np.intp)
    return np.where(there, (mass[end] - mass[begin]) / (end - begin), 0.0)


def _bounds(mass: Floats, first: Floats, last: Floats, wave: str) -> tuple[Floats, Floats]:
    """Onset and offset in every row: half of the row's mass to either side of where half of it is reached.

    Where the probability rises from 0 to 1 and falls again, these are the expected places of the rise and the fall:
    no threshold is crossed, and a soft edge counts as its centre.
    """
    there = np.isfinite(first)
    reach = _samples(REACH_MS[wave])
    length = mass.shape[1] - 1
    low = np.clip(np.where(there, first - reach, 0.0), 0, length).astype(np.intp)
    high = np.clip(np.where(there, last + reach, 1.0), 0, length).astype(np.intp)
    start = mass[:, low]
    half = 0.5 * (mass[:, high] - start)
    known = there & (half >= LEAD_SHARE * half[0])
    middle = _reached(mass, start + half)
    return np.where(known, middle - half - 0.5, np.nan), np.where(known, middle + half - 0.5, np.nan)


def _reached(mass: Floats, target: Floats) -> Floats:
    """Where, as a fractional sample, each row of cumulative `mass` passes each of its targets."""
    n_rows, width = mass.shape
    # One search for all rows: rows are set apart by more than any of them holds.
    lift = np.arange(n_rows)[:, None] * (width + 1.0)
    found = np.interp((target + lift).ravel(), (mass + lift).ravel(), np.arange(n_rows * width, dtype=np.float64))
    samples: Floats = found.reshape(target.shape) - np.arange(n_rows)[:, None] * width
    return samples
