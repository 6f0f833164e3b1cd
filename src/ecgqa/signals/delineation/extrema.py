"""Local maxima of a signal as scipy.signal.find_peaks defines them, found once for all windows that ask for them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


class Maxima(NamedTuple):
    """Local maxima of a signal in rising order; a flat top counts once, at its middle (rounded down)."""

    at: Indices
    first: Indices
    """First sample of the top …"""
    last: Indices
    """… and its last: the same sample unless the top is flat."""

    def within(self, start: int, stop: int) -> Indices:
        """The maxima that the piece start:stop of the signal has by itself: both feet must lie inside it."""
        low = int(np.searchsorted(self.first, start, side="right"))
        high = int(np.searchsorted(self.last, stop - 1, side="left"))
        return self.at[low:high]


def local_maxima(signal: Samples) -> Maxima:
    """All samples, or flat tops, of `signal` (n,) that are higher than both neighbours."""
    steps = np.diff(signal)
    (moves,) = np.nonzero(steps)
    rising = steps[moves] > 0
    (turns,) = np.nonzero(rising[:-1] & ~rising[1:])
    first, last = moves[turns] + 1, moves[turns + 1]
    return Maxima((first + last) // 2, first, last)


def window(start: int, stop: int, n: int) -> tuple[int, int]:
    """Bounds of the piece that Python's signal[start:stop] cuts from n samples: negative bounds count from the end."""
    first, end, _ = slice(start, stop).indices(n)
    return first, max(first, end)


def last_below(values: Samples, threshold: float) -> int | None:
    """Index of the last of `values` that is below `threshold`, if any is."""
    below = values[::-1] < threshold
    back = int(below.argmax()) if below.size else 0
    return values.size - 1 - back if below.size and below[back] else None


def first_below(values: Samples, threshold: float) -> int | None:
    """Index of the first of `values` that is below `threshold`, if any is."""
    below = values < threshold
    at = int(below.argmax()) if below.size else 0
    return at if below.size and below[at] else None
