"""Q and S peaks of one lead: the dips next to each R peak in a window that follows the heart rate."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ecgqa.signals.delineation.r_peaks import join_pieces

BEFORE_R_S: Final = 0.35
AFTER_R_S: Final = 0.5
"""Window of a beat at 60 beats a minute; it shrinks with the rate …"""
FAST_FROM: Final = 80.0
ADDED_WHEN_FAST_S: Final = 0.1
"""… but from 80 beats a minute on it is that much wider on both sides."""
PROMINENCE_SHARE: Final = 0.05

Indices = npt.NDArray[np.intp]


def find_q_and_s(
    cleaned: npt.NDArray[np.float64], r_peaks: Indices, fs_hz: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Q peaks and S peaks, one each per R peak (n_beats,), NaN where there is no dip.

    Q is the last local minimum before R, S the first after it, in the beat's window, with a prominence of at least
    0.05 of the window's range on that side. Beyond its ends the signal counts as zero.
    """
    before_s, after_s = beat_window(r_peaks, fs_hz, cleaned.size)
    length_s = before_s + after_s
    pad = int(length_s * fs_hz)
    starts = (r_peaks - before_s * fs_hz + pad).astype(np.intp)
    stops = (r_peaks - before_s * fs_hz + length_s * fs_hz + pad).astype(np.intp)
    padded = np.concatenate((np.zeros(pad), cleaned, np.zeros(pad + 1)))

    # The samples of a window are spread evenly over its time, both ends included, so that the sample taken for time
    # zero is not always the R peak itself; the released values depend on it.
    before, upto = np.empty_like(starts), np.empty_like(starts)
    for length in np.unique(stops - starts).tolist():
        times = np.linspace(-before_s, after_s, length)
        same = stops - starts == length
        before[same] = np.searchsorted(times, 0.0, side="right")
        upto[same] = np.searchsorted(times, 0.0, side="left")
    both = np.concatenate((starts, starts + upto)), np.concatenate((starts + before, stops))
    first, last = _first_and_last_top(-padded, *both)
    return last[: r_peaks.size] - before + r_peaks, first[r_peaks.size :] + r_peaks


def _first_and_last_top(
    signal: npt.NDArray[np.float64], starts: Indices, stops: Indices
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """First and last prominent maximum in each piece start:stop, counted from its start; NaN where none is."""
    from scipy.signal import find_peaks

    joined, offsets = join_pieces(signal, starts, stops)
    # Every piece ends with a NaN, which fmax and fmin pass over.
    ranges = np.fmax.reduceat(joined, offsets) - np.fmin.reduceat(joined, offsets)
    tops, properties = find_peaks(joined, prominence=0)
    piece = np.searchsorted(offsets, tops, side="right") - 1
    tall = properties["prominences"] >= PROMINENCE_SHARE * ranges[piece]
    tops, piece = tops[tall], piece[tall]
    first, last = np.full((2, starts.size), np.nan)
    inside = tops - offsets[piece]
    last[piece] = inside  # of repeated indices the last assignment stays
    first[piece[::-1]] = inside[::-1]
    return first, last


def beat_window(r_peaks: Indices, fs_hz: float, n_samples: int) -> tuple[float, float]:
    """Seconds before and after R that belong to a beat, from the heart rate averaged over the whole signal.

    The period between two R peaks stands at the second of them (the mean at the first), is interpolated by a monotone
    cubic and held constant outside.
    """
    # Every operation stays as it is: where a window has 17 k + 1 samples, the last bit of the mean decides which of
    # them is taken for time zero, and with it some Q and S peaks by a sample.
    periods = np.diff(r_peaks) / fs_hz
    periods = np.concatenate(([periods.mean()], periods))
    first, last = int(r_peaks[0]), int(r_peaks[-1])
    period = np.empty(n_samples)
    period[:first] = periods[0]
    period[first : last + 1] = monotone_cubic(r_peaks, periods)
    period[last + 1 :] = period[last]  # as interpolated, which may be the last bit away from the last period
    rate = float(np.mean(60 / period))
    added = ADDED_WHEN_FAST_S if rate >= FAST_FROM else 0.0
    return BEFORE_R_S / (rate / 60) + added, AFTER_R_S / (rate / 60) + added


def monotone_cubic(at: Indices, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Monotone cubic through `values` at the whole numbers `at` (three or more, rising), at every whole number between.

    Slopes inside: weighted harmonic mean of the chords; at the ends: three-point formula, kept monotone (Fritsch and
    Butland 1984, SIAM J Sci Stat Comput 5:300). Equal to scipy.interpolate.PchipInterpolator to the last bit, at a
    third of its time.
    """
    width = np.diff(at).astype(np.float64)
    chord = np.diff(values) / width
    slope = np.zeros(values.size)
    before, after = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    same = np.flatnonzero(np.sign(chord[:-1]) * np.sign(chord[1:]) > 0)
    mean = (before[same] / chord[same] + after[same] / chord[same + 1]) / (before[same] + after[same])
    slope[same + 1] = 1.0 / mean
    slope[0] = _end_slope(width[0], width[1], chord[0], chord[1])
    slope[-1] = _end_slope(width[-1], width[-2], chord[-1], chord[-2])

    bend = (slope[:-1] + slope[1:] - 2 * chord) / width
    powers = np.stack((values[:-1], slope[:-1], (chord - slope[:-1]) / width - bend, bend / width, at[:-1]))
    counts = np.diff(at)
    counts[-1] += 1  # the last piece has both its ends
    constant, linear, square, cube, origin = np.repeat(powers, counts, axis=1)
    x = np.arange(at[0], at[-1] + 1) - origin
    x_squared = x * x
    result: npt.NDArray[np.float64] = constant + linear * x + square * x_squared + cube * (x_squared * x)
    return result


def _end_slope(width: float, next_width: float, chord: float, next_chord: float) -> float:
    slope = ((2 * width + next_width) * chord - width * next_chord) / (width + next_width)
    if np.sign(slope) != np.sign(chord):
        return 0.0
    if np.sign(chord) != np.sign(next_chord) and abs(slope) > 3 * abs(chord):
        return 3 * chord
    return float(slope)
