"""R peaks of one lead: where the signal is steep for longer than around it, and the most prominent top in there."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

SMOOTHING_S: Final = 0.1
AVERAGING_S: Final = 0.75
STEEPER_THAN_AVERAGE: Final = 1.5
SHORTEST_OF_MEAN: Final = 0.4
REFRACTORY_S: Final = 0.3


def find_r_peaks(cleaned: npt.NDArray[np.float64], fs_hz: float) -> npt.NDArray[np.intp]:
    """Sample numbers of the R peaks of a cleaned lead (n,), rising; empty where nothing stands out.

    The absolute gradient, smoothed over 0.1 s, exceeds 1.5 times its own average over 0.75 s inside a QRS complex.
    Complexes shorter than 0.4 of the mean are dropped, and peaks within 0.3 s of the one before. Method: the default
    detector of NeuroKit2 (Makowski et al. 2021, Behav Res Methods 53:1689).
    """
    from scipy.ndimage import uniform_filter1d

    steepness = np.empty(cleaned.size)
    np.subtract(cleaned[2:], cleaned[:-2], out=steepness[1:-1])
    steepness[1:-1] /= 2
    steepness[0], steepness[-1] = cleaned[1] - cleaned[0], cleaned[-1] - cleaned[-2]
    np.abs(steepness, out=steepness)
    smooth = uniform_filter1d(steepness, int(np.rint(SMOOTHING_S * fs_hz)), mode="nearest")
    average = uniform_filter1d(smooth, int(np.rint(AVERAGING_S * fs_hz)), mode="nearest")
    steep = smooth > STEEPER_THAN_AVERAGE * average
    (starts,) = np.nonzero(~steep[:-1] & steep[1:])
    (stops,) = np.nonzero(steep[:-1] & ~steep[1:])
    if not starts.size:
        return np.empty(0, np.intp)
    stops = stops[stops > starts[0]]
    starts = starts[: stops.size]
    lengths = stops - starts
    if not lengths.size:
        return np.empty(0, np.intp)
    long_enough = lengths >= SHORTEST_OF_MEAN * lengths.mean()
    tops = most_prominent_tops(cleaned, starts[long_enough], stops[long_enough])
    refractory = int(np.rint(REFRACTORY_S * fs_hz))
    peaks: list[int] = []
    for top in tops.tolist():
        if top - (peaks[-1] if peaks else 0) > refractory:
            peaks.append(top)
    return np.array(peaks, np.intp)


def most_prominent_tops(
    signal: npt.NDArray[np.float64], starts: npt.NDArray[np.intp], stops: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """The most prominent local maximum of each piece start:stop, the first of equals; pieces without one drop out."""
    from scipy.signal import find_peaks

    joined, offsets = join_pieces(signal, starts, stops)
    tops, properties = find_peaks(joined, prominence=0)
    if not tops.size:
        return np.empty(0, np.intp)
    piece = np.searchsorted(offsets, tops, side="right") - 1
    # Stable sort by piece, then by falling prominence: the first of each piece is wanted.
    order = np.lexsort((-properties["prominences"], piece))
    first = order[np.unique(piece[order], return_index=True)[1]]
    chosen: npt.NDArray[np.intp] = tops[first] - offsets[piece[first]] + starts[piece[first]]
    return chosen


def join_pieces(
    signal: npt.NDArray[np.float64], starts: npt.NDArray[np.intp], stops: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Pieces start:stop of a signal in one array, NaN after each, and the offset of each piece in it.

    No comparison with NaN holds, so a search for peaks and their prominences sees each piece as a signal of its own.
    """
    lengths = np.maximum(stops - starts, 0)
    ends = np.cumsum(lengths + 1)
    offsets = ends - (lengths + 1)
    take = np.arange(int(ends[-1]) if ends.size else 0) - np.repeat(offsets - starts, lengths + 1)
    joined = signal[np.minimum(take, signal.size - 1)]
    joined[ends - 1] = np.nan
    return joined, offsets
