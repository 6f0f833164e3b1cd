"""The wavelet transform of Martínez et al. 2004: a quadratic spline, à trous, on the signal resampled to 2 kHz."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

ANALYSIS_HZ: Final = 2000
N_SCALES: Final = 9
"""Scales 2^1 to 2^9; the slowest delineates heart rates down to 7.5 beats a minute."""

Samples = npt.NDArray[np.float64]


def to_analysis_rate(signal: Samples, fs_hz: float) -> Samples:
    """`signal` (n,) resampled to ANALYSIS_HZ by the cubic spline through its samples.

    The first and the last sample stay the first and the last, so time is stretched by a part of a sample.
    """
    n_out = int(np.round(signal.size * ANALYSIS_HZ / fs_hz))
    if n_out == signal.size:
        return signal
    from scipy.ndimage import spline_filter1d

    resampled: Samples = _spline(signal.size, n_out) @ spline_filter1d(signal, order=3, mode="mirror")
    return resampled


@lru_cache(maxsize=4)
def _spline(n_in: int, n_out: int) -> Any:
    """Sparse matrix (n_out, n_in) from cubic B-spline coefficients to evenly spaced samples, end on end."""
    from scipy.sparse import csr_array

    at = np.arange(n_out) * ((n_in - 1) / (n_out - 1))
    base = np.floor(at)
    x = at - base
    y = 1 - x
    weights = np.empty((n_out, 4))
    weights[:, 0] = y * y * y / 6
    weights[:, 1] = (x * x * (x - 2) * 3 + 4) / 6
    weights[:, 2] = (y * y * (y - 2) * 3 + 4) / 6
    weights[:, 3] = 1 - weights[:, 0] - weights[:, 1] - weights[:, 2]
    # Where rounding puts the last position beyond the last sample, the original reads the zero out there.
    weights[at > n_in - 1] = 0.0
    columns = np.abs(base.astype(np.int32)[:, None] + np.arange(-1, 3, dtype=np.int32))
    columns = np.where(columns < n_in, columns, 2 * (n_in - 1) - columns)  # mirrored at both ends
    return csr_array((weights.ravel(), columns.ravel(), np.arange(0, 4 * n_out + 1, 4)), shape=(n_out, n_in))


class WaveletScales:
    """Detail signals W[0], W[1], … (scale 2^(index + 1)) of a signal; each is worked out when first asked for.

    Between scales the signal is smoothed by (1, 3, 3, 1)/8 whose taps lie 2^index apart; its difference over 2^index
    samples, doubled, is the detail. Details are aligned so that the step from plus to minus lies at a peak of the
    signal. Source: Martínez et al. 2004, IEEE TBME 51:570, eq. 1 to 6.

    Beyond its ends the signal is zero. The smoothed signal is kept beyond the last sample, three taps longer at each
    scale, with its last 2^index samples counted twice: that is what the pipeline behind the released questions does,
    and it moves points of the last beat.
    """

    def __init__(self, signal: Samples) -> None:
        self.n = signal.size
        self._smoothed = [signal]
        """The signal smoothed for each scale, 8^index times too large: powers of two cost no precision."""

    def __getitem__(self, index: int) -> Samples:
        """Detail (n,) of scale 2^(index + 1), 0 <= index < N_SCALES."""
        if not 0 <= index < N_SCALES:
            raise IndexError(index)
        while len(self._smoothed) <= index:
            self._smoothed.append(_smoothed(self._smoothed[-1], 1 << len(self._smoothed) - 1))
        n, step, smoothed = self.n, 1 << index, self._smoothed[index]
        detail = -smoothed[:n]
        ahead = smoothed[step : step + n]
        detail[: ahead.size] += ahead
        detail *= 2.0 / 8.0**index
        return detail


def _smoothed(signal: Samples, step: int) -> Samples:
    """`signal` (n,) through (1, 3, 3, 1), taps `step` apart, `step` samples early, end kept: (n + 3 step,)."""
    n = signal.size
    # The sum of two samples one step apart, three times over; the last one begins a step later.
    once = np.empty(n + step)
    np.add(signal[step:], signal[:-step], out=once[step:n])
    once[:step], once[n:] = signal[:step], signal[n - step :]
    twice = np.empty(n + 2 * step)
    np.add(once[step:], once[:-step], out=twice[step : n + step])
    twice[:step], twice[n + step :] = once[:step], once[n:]
    thrice = np.empty(n + 3 * step)
    np.add(twice[step:], twice[:-step], out=thrice[: n + step])
    thrice[n + step : n + 2 * step] = twice[n + step :]
    # The last tap's worth once more, see above.
    thrice[n + 2 * step :] = twice[n + step :]
    return thrice
