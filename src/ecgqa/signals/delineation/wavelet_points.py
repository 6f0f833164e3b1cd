"""P, QRS and T boundaries and P and T peaks of one lead, read off its wavelet details around each R peak.

A wave of the signal is a pair of opposite extrema in the details, with its peak at the zero crossing between them; it
begins and ends where the details have fallen to a share of the nearest extremum (Martínez et al. 2004, IEEE TBME
51:570, section III). Which scale, how far to search, and how to choose among several pairs follow the realisation of
that method behind the released questions; it has no search back, and no wave shapes but the upright one.

Positions are in samples at the analysis rate, one for each R peak; NOWHERE means not found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from ecgqa.signals.delineation.extrema import (
    Indices,
    Samples,
    Tops,
    falls_to_zero,
    local_extrema,
    spread,
    window,
)
from ecgqa.signals.delineation.wavelet import ANALYSIS_HZ, N_SCALES

QRS_WIDTH_S: Final = 0.13
P_TO_R_S: Final = 0.2
R_TO_T_S: Final = 0.25
BOUNDARY_S: Final = 0.3
T_ONSET_S: Final = 0.6
"""How far before its peak a T wave may begin, at 60 beats a minute; other boundaries lie within BOUNDARY_S."""

P_SCALE: Final = 2
T_SCALE: Final = 3
"""Scales for a signal at 250 Hz and 60 beats a minute, counted from 0; `Tempo.scale` adapts them. That of
the P peaks shows all boundaries, too."""

P_SHARE_OF_RMS: Final = 0.02
T_SHARE_OF_RMS: Final = 0.25
SHARE_OF_MAXIMUM: Final = 0.025
BOUNDARY_SHARE: Final = 0.4
T_ONSET_SHARE: Final = 0.6
QRS_SHARE: Final = 0.5

_BESIDE_QRS: Final = int(0.5 * QRS_WIDTH_S * ANALYSIS_HZ)
NOWHERE: Final = int(np.iinfo(np.intp).min // 4)


@dataclass(frozen=True)
class Tempo:
    """The heart rate as far as scales and search times depend on it."""

    beats_per_minute: float
    """Median over the beats; the first beat counts with the mean interval."""

    @classmethod
    def of(cls, r_peaks: Indices) -> Tempo:
        """Tempo of R peaks (at least two) at the analysis rate."""
        intervals_s = np.diff(r_peaks) / ANALYSIS_HZ
        rates = 60.0 / intervals_s
        return cls(median([*rates.tolist(), float(60.0 / intervals_s.mean())]))

    def scale(self, at_60_and_250_hz: int) -> int:
        """Index of the detail that shows at this rate what the given one shows at 60 beats a minute and 250 Hz."""
        finer = (ANALYSIS_HZ / 250) / (self.beats_per_minute / 60)
        return at_60_and_250_hz + int(math.log2(finer))

    def samples(self, seconds_at_60: float) -> int:
        """A search time, shorter in a fast heart, in samples."""
        return int(self.seconds(seconds_at_60) * ANALYSIS_HZ)

    def seconds(self, seconds_at_60: float) -> float:
        """A search time, shorter in a fast heart, to the millisecond."""
        return round(seconds_at_60 * (60 / self.beats_per_minute) * 1000) / 1000

    @property
    def is_too_slow(self) -> bool:
        """True where the details have no scale as coarse as this tempo asks for."""
        return self.scale(max(P_SCALE, T_SCALE)) >= N_SCALES


class Details:
    """One detail signal with its extrema; each search looks at many windows of it at once."""

    def __init__(self, values: Samples) -> None:
        self.values = values
        self.n = values.size
        self.maxima, self.minima = local_extrema(values)

    def find_peaks(
        self,
        signal: Samples,
        start: Indices,
        stop: Indices,
        share_of_rms: float,
        expected_s: float,
        *,
        two_sided: bool,
    ) -> Indices:
        """Peak of the upright wave of `signal` in each start:stop, or NOWHERE.

        A wave is a detail extremum above zero followed by one below; its peak is the zero crossing after the first.
        Extrema count from `share_of_rms` of the window's root mean square on. Among several waves the highest is
        taken, after a penalty of 1 mV for each second away from `expected_s` after `start`; with `two_sided` false
        the penalty is a bonus before that time.
        """
        first, end = window(start, stop, self.n)
        found = np.full(first.size, NOWHERE)
        some = end > first
        at_least, above = np.zeros(first.size), np.zeros(first.size)
        low, high = int(first[some].min(initial=0)), int(end[some].max(initial=0))
        ends = np.stack((first[some], end[some]), axis=1).ravel() - low
        # One sample more than the windows have, for reduceat cannot end at the very end.
        stretch = self.values[low : high + 1] if high < self.n else np.append(self.values[low:], 0.0)
        at_least[some] = share_of_rms * np.sqrt(np.add.reduceat(stretch * stretch, ends)[::2] / (end - first)[some])
        above[some] = SHARE_OF_MAXIMUM * np.maximum.reduceat(stretch, ends)[::2]

        tops = local_extrema(np.abs(self.values))[0]
        lower, upper = tops.within(first, end)
        index, owner = spread(lower, upper)
        at = tops.at[index]
        height = np.abs(self.values[at])
        tall = (height >= at_least[owner]) & (height > above[owner])
        at, owner = at[tall], owner[tall]
        # A window that begins above zero begins with an extremum, as it were.
        head = np.flatnonzero(some & (self.values[np.minimum(first, self.n - 1)] > 0))
        at, owner = np.concatenate((first[head], at)), np.concatenate((head, owner))
        order = np.argsort(owner * self.n + at)
        at, owner = at[order], owner[order]

        positive = self.values[at] > 0
        rising = np.flatnonzero(positive[:-1] & ~positive[1:] & (owner[:-1] == owner[1:]))
        if not rising.size:
            return found
        owner = owner[rising]
        crossings = falls_to_zero(self.values)
        peak = crossings[np.searchsorted(crossings, at[rising])]
        late_s = (peak - first[owner]) / ANALYSIS_HZ - expected_s
        score = signal[peak] - (np.abs(late_s) if two_sided else late_s)
        best = np.full(first.size, -np.inf)
        np.maximum.at(best, owner, score)
        is_best = np.flatnonzero(score == best[owner])[::-1]  # the first of equals is assigned last, and stays
        found[owner[is_best]] = (peak - first[owner] + start[owner])[is_best]
        return found

    def find_onsets(self, tops: Tops, start: Indices, stop: Indices, share: float, sign: int) -> Indices:
        """Last sample of each start:stop at which the details are below `share` of the last of `tops` there.

        NOWHERE without such a sample. `sign` -1 looks at the details upside down.
        """
        first, end = window(start, stop, self.n)
        lower, upper = tops.within(first, end)
        which = np.flatnonzero(upper > lower)
        slope = tops.at[upper[which] - 1]
        return self._walk(which, slope, first[which] - slope, share, sign, start - first)

    def find_offsets(self, tops: Tops, start: Indices, stop: Indices, share: float, sign: int) -> Indices:
        """First sample of each start:stop, from the first of `tops` on, at which the details are below `share` of it.

        NOWHERE without such a sample. `sign` -1 looks at the details upside down.
        """
        first, end = window(start, stop, self.n)
        lower, upper = tops.within(first, end)
        which = np.flatnonzero(upper > lower)
        slope = tops.at[lower[which]]
        return self._walk(which, slope, end[which] - slope, share, sign, start - first)

    def _walk(self, which: Indices, slope: Indices, room: Indices, share: float, sign: int, shift: Indices) -> Indices:
        """From each `slope` on through `room` samples (or, where negative, that many before it) to the first below …

        … its share of the details at the slope. Slopes below zero are at once below their own share.
        `which` numbers the windows that have a slope; `shift` is added to what is found, for all windows.
        """
        found = np.full(shift.size, NOWHERE)
        if not which.size:
            return found
        backwards = int(room.min()) < 0
        paces = -1 - np.arange(-int(room.min())) if backwards else np.arange(int(room.max()))
        along = self.values.take(slope[:, None] + paces, mode="clip")
        limit = share * self.values[slope, None]
        below = (along < limit if sign > 0 else along > limit) & (
            paces >= room[:, None] if backwards else paces < room[:, None]
        )
        # A last column that is always true tells rows without a hit.
        hit = np.column_stack((below, np.ones(which.size, np.bool_))).argmax(axis=1)
        there = hit < paces.size
        found[which[there]] = (slope + (-1 - hit if backwards else hit))[there] + shift[which[there]]
        return found


def find_p_peaks(details: Details, signal: Samples, r_peaks: Indices, tempo: Tempo) -> Indices:
    """Peaks of the P waves. `signal`: the lead at the analysis rate, `details`: those of its P_SCALE."""
    expected_s = tempo.seconds(P_TO_R_S)
    start, stop = r_peaks - 2 * int(expected_s * ANALYSIS_HZ), r_peaks - _BESIDE_QRS
    return details.find_peaks(signal, start, stop, P_SHARE_OF_RMS, expected_s, two_sided=True)


def find_t_peaks(details: Details, signal: Samples, r_peaks: Indices, tempo: Tempo) -> Indices:
    """Peaks of the T waves. `signal`: the lead at the analysis rate, `details`: those of its T_SCALE."""
    expected_s = tempo.seconds(R_TO_T_S)
    start, stop = r_peaks + _BESIDE_QRS, r_peaks + 2 * int(expected_s * ANALYSIS_HZ)
    return details.find_peaks(signal, start, stop, T_SHARE_OF_RMS, expected_s - 0.5 * QRS_WIDTH_S, two_sided=False)


def find_boundaries(
    details: Details, peaks: Indices, tempo: Tempo, onset_s: float, onset_share: float
) -> tuple[Indices, Indices]:
    """Onsets and offsets of P or T waves with these peaks."""
    there = np.flatnonzero(peaks != NOWHERE)
    known = peaks[there]
    onsets, offsets = np.full(peaks.size, NOWHERE), np.full(peaks.size, NOWHERE)
    before, after = known - tempo.samples(onset_s), known + tempo.samples(BOUNDARY_S)
    onsets[there] = details.find_onsets(details.maxima, before, known, onset_share, 1)
    offsets[there] = details.find_offsets(details.minima, known, after, BOUNDARY_SHARE, -1)
    return onsets, offsets


def find_qrs_boundaries(
    details: Details, p_peaks: Indices, r_peaks: Indices, t_peaks: Indices
) -> tuple[Indices, Indices]:
    """Onsets between P and R peak, from the last falling slope; offsets between R and T peak, from the first rising."""
    p, t = np.flatnonzero(p_peaks != NOWHERE), np.flatnonzero(t_peaks != NOWHERE)
    onsets, offsets = np.full(r_peaks.size, NOWHERE), np.full(r_peaks.size, NOWHERE)
    onsets[p] = details.find_onsets(details.minima, p_peaks[p], r_peaks[p], QRS_SHARE, -1)
    offsets[t] = details.find_offsets(details.maxima, r_peaks[t], t_peaks[t], QRS_SHARE, 1)
    return onsets, offsets
