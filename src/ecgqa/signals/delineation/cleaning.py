"""The filter that comes before R peaks and waves: baseline wander out, power line out."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

HIGH_PASS_HZ: Final = 0.5
HIGH_PASS_ORDER: Final = 5
POWER_LINE_HZ: Final = 50.0
_EDGE_PER_TAP: Final = 3
"""Samples mirrored at each end per tap of a filter, as zero-phase filtering does by custom."""


def clean(signal: Samples, fs_hz: float) -> Samples:
    """`signal` (n,) without baseline wander and power line hum, zero phase, at its own rate.

    Butterworth high-pass of order 5 at 0.5 Hz, then a moving average over one period of 50 Hz, each run forwards and
    backwards. This is the default cleaning of NeuroKit2 0.2 (Makowski et al. 2021, Behav Res Methods 53:1689).
    """
    from scipy.signal import sosfilt

    sections, state, edge = _high_pass(fs_hz)
    average, settled = _moving_average(fs_hz)

    def forwards(values: Samples) -> Samples:
        filtered: Samples = sosfilt(sections, values, zi=state * values[0])[0]
        return filtered

    def averaged(values: Samples) -> Samples:
        filtered = np.convolve(average, values)[: values.size]
        filtered[: settled.size] += settled * values[0]
        return filtered

    high_passed = _both_ways(forwards, signal, edge)
    return _both_ways(averaged, high_passed, _EDGE_PER_TAP * average.size)


def shortest_signal(fs_hz: float) -> int:
    """Samples that `clean` needs at least: one more than it mirrors at each end."""
    return max(_high_pass(fs_hz)[2], _EDGE_PER_TAP * int(_moving_average(fs_hz)[0].size)) + 1


def _both_ways(run: Any, signal: Samples, edge: int) -> Samples:
    """`signal` through `run` forwards, then backwards, its ends continued by point reflection over `edge` samples."""
    head = 2 * signal[0] - signal[edge:0:-1]
    tail = 2 * signal[-1] - signal[-2 : -edge - 2 : -1]
    once = run(np.concatenate((head, signal, tail)))
    return np.ascontiguousarray(run(once[::-1])[::-1][edge:-edge])


@lru_cache(maxsize=16)
def _high_pass(fs_hz: float) -> tuple[Any, Any, int]:
    from scipy.signal import butter, sosfilt_zi

    sections = butter(HIGH_PASS_ORDER, HIGH_PASS_HZ, btype="highpass", output="sos", fs=fs_hz)
    # Sections without a second-order term have a tap less.
    n_taps = 2 * len(sections) + 1 - min(int((sections[:, 2] == 0).sum()), int((sections[:, 5] == 0).sum()))
    return sections, sosfilt_zi(sections), _EDGE_PER_TAP * n_taps


@lru_cache(maxsize=16)
def _moving_average(fs_hz: float) -> tuple[Samples, Samples]:
    from scipy.signal import lfilter_zi

    n_taps = int(fs_hz / POWER_LINE_HZ) if fs_hz >= 2 * POWER_LINE_HZ else 2
    average = np.ones(n_taps) / n_taps
    return average, lfilter_zi(np.ones(n_taps), np.array([float(n_taps)]))
