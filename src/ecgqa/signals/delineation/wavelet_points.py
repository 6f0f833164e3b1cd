"""P, QRS and T boundaries and P and T peaks of one lead, read off its wavelet details around each R peak.

A wave of the signal is a pair of opposite extrema in the details, with its peak at the zero crossing between them; it
begins and ends where the details have fallen to a share of the nearest extremum (Martínez et al. 2004, IEEE TBME
51:570, section III). Which scale, how far to search, and how to choose among several pairs follow the realisation of
that method behind the released questions; it has no search back, and no wave shapes but the upright one.

Positions are in samples at the analysis rate. `None` means not found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ecgqa.signals.delineation.extrema import Indices, Maxima, Samples, first_below, last_below, local_maxima, window
from ecgqa.signals.delineation.wavelet import ANALYSIS_HZ, N_SCALES, WaveletScales

QRS_WIDTH_S: Final = 0.13
P_TO_R_S: Final = 0.2
R_TO_T_S: Final = 0.25
BOUNDARY_S: Final = 0.3
T_ONSET_S: Final = 0.6
"""How far before its peak a T wave may begin, at 60 beats a minute; other boundaries lie within BOUNDARY_S."""

P_SCALE: Final = 2
T_SCALE: Final = 3
BOUNDARY_SCALE: Final = 2
"""Scales for a signal at 250 Hz and 60 beats a minute, counted from 0; `Tempo.scale` adapts them."""

P_SHARE_OF_RMS: Final = 0.02
T_SHARE_OF_RMS: Final = 0.25
SHARE_OF_MAXIMUM: Final = 0.025
BOUNDARY_SHARE: Final = 0.4
T_ONSET_SHARE: Final = 0.6
QRS_SHARE: Final = 0.5

Position = int | None


@dataclass(frozen=True)
class Tempo:
    """The heart rate as far as scales and search times depend on it."""

    beats_per_minute: float
    """Median over the beats; the first beat counts with the mean interval."""

    @classmethod
    def of(cls, r_peaks: Sequence[int]) -> Tempo:
        """Tempo of R peaks (at least two) at the analysis rate."""
        intervals_s = np.diff(r_peaks) / ANALYSIS_HZ
        return cls(float(np.median(60.0 / np.append(intervals_s, intervals_s.mean()))))

    def scale(self, at_60_and_250_hz: int) -> int:
        """Index of the detail that shows at this rate what the given one shows at 60 beats a minute and 250 Hz."""
        finer = (ANALYSIS_HZ / 250) / (self.beats_per_minute / 60)
        return at_60_and_250_hz + int(math.log2(finer))

    def samples(self, seconds_at_60: float) -> int:
        """A search time, shorter in a fast heart, in samples."""
        return int(self.seconds(seconds_at_60) * ANALYSIS_HZ)

    def seconds(self, seconds_at_60: float) -> float:
        """A search time, shorter in a fast heart, to the millisecond."""
        return float(np.round(seconds_at_60 * (60 / self.beats_per_minute), 3))

    @property
    def is_too_slow(self) -> bool:
        """True where the details have no scale as coarse as this tempo asks for."""
        return self.scale(max(P_SCALE, T_SCALE, BOUNDARY_SCALE)) >= N_SCALES


class Details:
    """One detail signal with the extrema and zero crossings that every search needs."""

    def __init__(self, values: Samples) -> None:
        self.values = values
        self.n = values.size
        self.maxima: Maxima = local_maxima(values)
        self.minima: Maxima = local_maxima(-values)


class Peaks:
    """Search for the peak of an upright wave: details positive, then negative, with a zero crossing in between."""

    def __init__(self, values: Samples, signal: Samples) -> None:
        self.values, self.signal = values, signal
        self.magnitude = np.abs(values)
        self.maxima = local_maxima(self.magnitude)
        self.crossings: Indices = np.flatnonzero(np.diff(np.sign(values)))

    def find(self, start: int, stop: int, share_of_rms: float, expected_s: float, *, two_sided: bool) -> Position:
        """The wave in start:stop that is highest after a penalty of 1 mV a second away from `expected_s`.

        `expected_s`: seconds from `start`; with `two_sided` false the penalty becomes a bonus before that time.
        """
        first, end = window(start, stop, self.values.size)
        if first == end:
            return None
        local = self.values[first:end]
        at_least = share_of_rms * math.sqrt(np.mean(np.square(local)))
        extrema = self.maxima.within(first, end)
        heights = self.magnitude[extrema]
        extrema = extrema[(heights >= at_least) & (heights > SHARE_OF_MAXIMUM * local.max())]
        if local[0] > 0:
            extrema = np.append(first, extrema)
        signs = self.values[extrema]
        rising = extrema[:-1][(signs[:-1] > 0) & (signs[1:] < 0)]
        if not rising.size:
            return None
        peaks = self.crossings[np.searchsorted(self.crossings, rising)]
        late_s = (peaks - first) / ANALYSIS_HZ - expected_s
        scores = self.signal[peaks] - (np.abs(late_s) if two_sided else late_s)
        return int(peaks[np.argmax(scores)]) - first + start


def find_peaks(
    signal: Samples, scales: WaveletScales, r_peaks: Sequence[int], tempo: Tempo
) -> tuple[list[Position], list[Position]]:
    """Peaks of the P and T waves, one each per R peak. `signal`: the lead at the analysis rate."""
    beside_qrs = int(0.5 * QRS_WIDTH_S * ANALYSIS_HZ)
    p_to_r_s, r_to_t_s = tempo.seconds(P_TO_R_S), tempo.seconds(R_TO_T_S)
    search = Peaks(scales[tempo.scale(P_SCALE)], signal)
    before = 2 * int(p_to_r_s * ANALYSIS_HZ)
    p_peaks = [search.find(r - before, r - beside_qrs, P_SHARE_OF_RMS, p_to_r_s, two_sided=True) for r in r_peaks]
    search = Peaks(scales[tempo.scale(T_SCALE)], signal)
    after, expected_s = 2 * int(r_to_t_s * ANALYSIS_HZ), r_to_t_s - 0.5 * QRS_WIDTH_S
    t_peaks = [search.find(r + beside_qrs, r + after, T_SHARE_OF_RMS, expected_s, two_sided=False) for r in r_peaks]
    return p_peaks, t_peaks


def find_onset(details: Details, extrema: Maxima, start: int, stop: int, share: float, sign: int) -> Position:
    """Last sample of start:stop at which the details are below `share` of the last of `extrema` there.

    `sign` -1 looks at the details upside down; `extrema` are the maxima of what is looked at.
    """
    first, end = window(start, stop, details.n)
    slopes = extrema.within(first, end)
    if not slopes.size:
        return None
    slope = int(slopes[-1])
    local = details.values[first:slope] * sign
    found = last_below(local, share * sign * float(details.values[slope]))
    return None if found is None else found + start


def find_offset(details: Details, extrema: Maxima, start: int, stop: int, share: float, sign: int) -> Position:
    """First sample of start:stop, from the first of `extrema` on, at which the details are below `share` of it."""
    first, end = window(start, stop, details.n)
    slopes = extrema.within(first, end)
    if not slopes.size:
        return None
    slope = int(slopes[0])
    local = details.values[slope:end] * sign
    found = first_below(local, share * sign * float(details.values[slope]))
    return None if found is None else found + slope - first + start


def find_boundaries(
    details: Details, peaks: Sequence[Position], tempo: Tempo, onset_s: float, onset_share: float
) -> tuple[list[Position], list[Position]]:
    """Onsets and offsets of P or T waves with these peaks."""
    before, after = tempo.samples(onset_s), tempo.samples(BOUNDARY_S)
    onsets = [
        None if peak is None else find_onset(details, details.maxima, peak - before, peak, onset_share, 1)
        for peak in peaks
    ]
    offsets = [
        None if peak is None else find_offset(details, details.minima, peak, peak + after, BOUNDARY_SHARE, -1)
        for peak in peaks
    ]
    return onsets, offsets


def find_qrs_boundaries(
    details: Details, p_peaks: Sequence[Position], r_peaks: Sequence[int], t_peaks: Sequence[Position]
) -> tuple[list[Position], list[Position]]:
    """Onsets between P and R peak, from the last falling slope; offsets between R and T peak, from the first rising."""
    onsets = [
        None if p is None else find_onset(details, details.minima, p, r, QRS_SHARE, -1)
        for p, r in zip(p_peaks, r_peaks, strict=True)
    ]
    offsets = [
        None if t is None else find_offset(details, details.maxima, r, t, QRS_SHARE, 1)
        for r, t in zip(r_peaks, t_peaks, strict=True)
    ]
    return onsets, offsets
