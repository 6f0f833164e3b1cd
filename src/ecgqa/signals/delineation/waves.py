"""From probabilities to waves: which beats there are, and where in each lead their waves begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ecgqa.signals.delineation.network_input import RATE_HZ
from ecgqa.signals.delineation.peaks import picked

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

WAVES: Final = ("p", "qrs", "t")
PRESENT_MS: Final = {"p": 30.0, "qrs": 35.0, "t": 40.0}
"""A wave is there if the leads together give it at least this much time (probability summed over time) …"""
LEAD_SHARE: Final = 0.35
"""… and is measurable in a lead that gives it at least this share of what all leads give."""
RUN_ABOVE: Final = {"p": 0.3, "qrs": 0.4, "t": 0.3}
"""Mean probability of all leads above which moments belong together."""
REFRACTORY_MS: Final = 200.0
JOIN_MS: Final = 40.0
"""Two pieces of a QRS complex (R and R' of a wide one) are at most this far apart."""
WHOLE_SHARE: Final = 2 / 3
"""A complex at the record's very start or end is a beat if it shows more than this share of the usual duration."""
LONGEST_PR_MS: Final = 480.0
"""A P wave whose middle lies further before the QRS complex did not lead to it (first degree block reaches 400 ms)."""
WEAK_P: Final = 0.12
WEAK_P_MS: Final = 8.0
SAME_PR_MS: Final = 40.0
"""Where most beats have a P wave, runs above this level and mass at the usual PR interval count as one too."""
RARE_P: Final = 0.25
RARE_P_IRREGULAR: Final = 0.5
CLEAR_P: Final = 0.6
"""If a smaller share of beats has a P wave, those must reach this mean probability; the limit is higher where …"""
IRREGULAR: Final = 0.06
"""… the intervals between beats differ from their median by more than this share of it (median over the intervals)."""
STEADY_PR_MS: Final = 40.0
"""Where PR intervals differ from their median by more (median over the beats), no P wave led to its QRS complex."""
FULL_LEVEL: Final = 0.85
"""Bounds of a wave whose probability stays below this are taken from the probability relative to its greatest."""
REACH_MS: Final = {"p": 70.0, "qrs": 70.0, "t": 110.0}
"""How far beyond the consensus a lead's own wave may reach."""


@dataclass(frozen=True, eq=False)
class Waves:
    """What was found, in samples of the network; NaN = not there."""

    onset: Floats
    """(3, 1 + n_leads, n_beats): P, QRS, T; what all leads say first."""
    offset: Floats
    confidence: Floats
    """(3, n_beats): mean probability of all leads over the wave; 0 = not there."""

    @property
    def n_beats(self) -> int:
        return int(self.onset.shape[2])


def find_waves(probability: npt.NDArray[np.float32]) -> Waves:
    """Beats and waves from (n_leads, T, 4) of `wave_probabilities`."""
    level = probability.mean(axis=0).T[1:].astype(np.float64)
    length = level.shape[1]
    mass = np.zeros((3, length + 1))
    np.cumsum(level, axis=1, out=mass[:, 1:])
    first, last = _qrs_spans(level[1], mass[1])
    before = np.maximum(np.concatenate(([0.0], last[:-1])), first - _samples(LONGEST_PR_MS))
    after = np.concatenate((first[1:], [float(length)]))
    # A complex that the record's end cuts off bounds the waves of its neighbour, but is no beat.
    cut = (first == 0) | (last == length)
    whole = ~cut | (last - first > WHOLE_SHARE * _median(last - first)) if cut.any() else ~cut
    first, last, before, after = first[whole], last[whole], before[whole], after[whole]
    if not first.size:
        nothing = np.zeros((3, 1 + len(probability), 0))
        return Waves(nothing, nothing, np.zeros((3, 0)))
    p = _heaviest_spans(level[0], mass[0], before, first, RUN_ABOVE["p"], PRESENT_MS["p"])
    p = _in_rhythm(p, level[0], mass[0], before, first)
    t = _heaviest_spans(level[2], mass[2], last, after, RUN_ABOVE["t"], PRESENT_MS["t"])
    begin, end = np.stack((p[0], first, t[0])), np.stack((p[1], last, t[1]))
    onset, offset = _bounds(probability, level, begin, end)
    return Waves(onset, offset, _mean_level(mass, begin, end))


def _samples(milliseconds: float) -> float:
    return milliseconds / 1000.0 * RATE_HZ


def _runs(above: npt.NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """First sample and one past the last of each run of True."""
    padded = np.zeros(above.size + 2, dtype=np.bool_)
    padded[1:-1] = above
    edges = np.flatnonzero(padded[1:] != padded[:-1])
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


def _heaviest_spans(
    level: Floats, mass: Floats, low: Floats, high: Floats, above: float, least_ms: float
) -> tuple[Floats, Floats]:
    """For each beat the run above a level with the greatest mass whose middle lies between two bounds; NaN = none.

    The intervals of neighbouring beats do not overlap and are in order of time.
    """
    begin, end = np.full(low.size, np.nan), np.full(low.size, np.nan)
    first, last = _runs(level > above)
    weight = mass[last] - mass[first]
    middle = (first + last) / 2
    beat = np.searchsorted(high, middle, side="right")
    fits = (weight >= _samples(least_ms)) & (beat < low.size)
    fits &= middle >= low[np.minimum(beat, low.size - 1)]
    chosen = np.flatnonzero(fits)
    chosen = chosen[np.argsort(weight[chosen], kind="stable")]  # a later assignment to the same beat wins
    begin[beat[chosen]], end[beat[chosen]] = first[chosen], last[chosen]
    return begin, end


def _in_rhythm(
    p: tuple[Floats, Floats], level: Floats, mass: Floats, low: Floats, qrs: Floats
) -> tuple[Floats, Floats]:
    """P waves judged by those of the other beats.

    Where many beats have a P wave, a weak one at the same distance from its QRS complex is believed; where few have
    one, those few must be clear (fibrillation waves now and then look like a P wave). Atria that beat on their own
    (third degree block, a ventricular pacemaker) have P waves at any distance: they belong to no beat.
    """
    begin, end = p
    there = np.isfinite(begin)
    n_there = int(there.sum())
    if n_there == 0:
        return p
    distance = qrs - (begin + end) / 2
    usual = _median(distance[there])
    if _median(np.abs(distance[there] - usual)) > _samples(STEADY_PR_MS):
        return np.full_like(begin, np.nan), np.full_like(end, np.nan)
    interval = qrs[1:] - qrs[:-1]
    irregular = interval.size > 1 and _median(np.abs(interval / _median(interval) - 1)) > IRREGULAR
    if n_there / qrs.size < (RARE_P_IRREGULAR if irregular else RARE_P):
        clear = (mass[end[there].astype(np.intp)] - mass[begin[there].astype(np.intp)]) > CLEAR_P * (end - begin)[there]
        begin[there] = np.where(clear, begin[there], np.nan)
    elif 2 <= n_there < qrs.size:
        reach = _samples(SAME_PR_MS)
        weak = _heaviest_spans(
            level, mass, np.maximum(low, qrs - usual - reach), qrs - usual + reach, WEAK_P, WEAK_P_MS
        )
        begin, end = np.where(there, begin, weak[0]), np.where(there, end, weak[1])
    return begin, end


def _median(values: Floats) -> float:
    """Of finite values, at least one; NumPy's own takes ten times as long for a dozen."""
    ordered = np.sort(values)
    return float(ordered[(values.size - 1) // 2] + ordered[values.size // 2]) / 2


def _mean_level(mass: Floats, begin: Floats, end: Floats) -> Floats:
    """(3, n_beats)"""
    there = np.isfinite(begin)
    first, last = np.where(there, begin, 0).astype(np.intp), np.where(there, end, 1).astype(np.intp)
    row = np.arange(3)[:, None]
    return np.where(there, (mass[row, last] - mass[row, first]) / (last - first), 0.0)


_REACH = np.array([[_samples(REACH_MS[wave])] for wave in WAVES])


def _bounds(probability: npt.NDArray[np.float32], level: Floats, begin: Floats, end: Floats) -> tuple[Floats, Floats]:
    """Onset and offset in every row: half of the row's mass to either side of where half of it is reached.

    `level`, `begin`, `end` have a row for each wave. Where the probability rises from 0 to 1 and falls again, these
    are the expected places of the rise and the fall: no threshold is crossed, and a soft edge counts as its centre.
    """
    n_leads, length, _ = probability.shape
    there = np.isfinite(begin)
    low = np.where(there, begin - _REACH, 0.0).clip(0, length - 1).astype(np.intp)
    high = np.where(there, end + _REACH, 1.0).clip(1, length).astype(np.intp)
    width = int((high - low).max())
    at = low[..., None] + np.arange(width)
    inside = at < high[..., None]
    np.minimum(at, length - 1, out=at)
    wave = np.arange(3)[:, None, None]
    mass = np.empty((n_leads + 1, *at.shape), dtype=np.float32)
    mass[0] = level[wave, at]
    np.take(probability.reshape(n_leads, -1), at * 4 + (wave + 1), axis=1, out=mass[1:], mode="clip")
    mass *= inside
    greatest = mass.max(axis=-1)
    mass = mass @ np.triu(np.ones((width, width), dtype=np.float32))  # cumulative sum, in half of np.cumsum's time
    half = 0.5 * mass[..., -1]
    # The first sample that reaches half of the mass, and which part of it is needed.
    reached = np.minimum((mass < half[..., None]).sum(axis=-1), width - 1)
    upper = picked(mass, reached)
    lower = picked(mass, np.maximum(reached - 1, 0))
    lower[reached == 0] = 0.0
    middle = low - 0.5 + reached + (half - lower) / np.maximum(upper - lower, 1e-9)
    middle[~(there & (half >= LEAD_SHARE * half[0]))] = np.nan
    half *= FULL_LEVEL / greatest.clip(1e-3, FULL_LEVEL)
    return (middle - half).swapaxes(0, 1), (middle + half).swapaxes(0, 1)
