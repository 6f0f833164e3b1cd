"""Local extrema and zero crossings of a signal, found once for all the windows that ask for them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


class Tops(NamedTuple):
    """Local maxima (or minima) of a signal in rising order; a flat top counts once, at its middle, rounded down."""

    at: Indices
    first: Indices
    """First sample of the top …"""
    last: Indices
    """… and its last: the same sample unless the top is flat."""

    def within(self, start: Indices, stop: Indices) -> tuple[Indices, Indices]:
        """Bounds, in these arrays, of the tops that each piece start:stop has by itself: its feet lie inside it.

        So defined, they are what scipy.signal.find_peaks finds in the piece. The upper bound may be below the lower.
        """
        return np.searchsorted(self.first, start, side="right"), np.searchsorted(self.last, stop - 1, side="left")


def local_extrema(signal: Samples) -> tuple[Tops, Tops]:
    """Maxima and minima of `signal` (n,): samples, or flat tops, higher (lower) than both neighbours."""
    steps = np.diff(signal)
    if np.count_nonzero(steps) == steps.size:
        rising = steps > 0
        turns = np.flatnonzero(rising[:-1] != rising[1:])
        first = last = turns + 1
    else:
        moves = np.flatnonzero(steps)
        rising = steps[moves] > 0
        turns = np.flatnonzero(rising[:-1] != rising[1:])
        first, last = moves[turns] + 1, moves[turns + 1]
    at, is_top = (first + last) // 2, rising[turns]
    return (
        Tops(at[is_top], first[is_top], last[is_top]),
        Tops(at[~is_top], first[~is_top], last[~is_top]),
    )


def falls_to_zero(signal: Samples) -> Indices:
    """Last sample above zero before the signal is zero or below, wherever that happens."""
    above = signal > 0
    return np.flatnonzero(above[:-1] & ~above[1:])


def window(start: Indices, stop: Indices, n: int) -> tuple[Indices, Indices]:
    """Bounds of the pieces that Python's signal[start:stop] cuts from n samples: negative bounds count from the end."""
    first = np.minimum(np.maximum(np.where(start < 0, start + n, start), 0), n)
    end = np.minimum(np.maximum(np.where(stop < 0, stop + n, stop), 0), n)
    return first, np.maximum(first, end)


def spread(lower: Indices, upper: Indices) -> tuple[Indices, Indices]:
    """The ranges lower:upper one after another, and the number of the range that each element is from."""
    counts = np.maximum(upper - lower, 0)
    owner = np.repeat(np.arange(counts.size), counts)
    return np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts - lower, counts), owner
