"""What the wave network is shown: each lead at 100 Hz, without its drift, scaled by its own swing."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

RATE_HZ: Final = 100.0
_DRIFT_WINDOW: Final = 81
"""Samples of the moving average that, applied twice, is taken for the drift: longer than any wave."""
_SMALLEST_SWING_MV: Final = 0.02
_GREATEST_SWING_MV: Final = 1e6


def resampled(millivolts: npt.NDArray[np.floating], fs_hz: float) -> npt.NDArray[np.float32]:
    """(n_leads, T) at `RATE_HZ`: sample i is the mean over its span of 10 ms; NaN where that span holds a NaN."""
    n_leads, n_samples = millivolts.shape
    ratio = fs_hz / RATE_HZ
    length = int(n_samples / ratio + 1e-9)
    if length == 0:
        return np.zeros((n_leads, 0), dtype=np.float32)
    whole = round(ratio)
    if whole >= 1 and abs(ratio - whole) < 1e-9:
        blocks = millivolts[:, : length * whole].astype(np.float32, copy=False).reshape(n_leads * length, whole)
        weight = np.full(whole, 1.0 / whole, dtype=np.float32)
        means: npt.NDArray[np.float32] = (blocks @ weight).reshape(n_leads, length)
        return means
    if ratio < 1:
        at = (np.arange(length) + 0.5) * ratio - 0.5
        rows = [np.interp(at, np.arange(n_samples), row) for row in millivolts]
        return np.stack(rows).astype(np.float32)
    missing = ~np.isfinite(millivolts)
    sums = np.zeros((n_leads, n_samples + 1))
    np.cumsum(np.where(missing, 0.0, millivolts), axis=1, out=sums[:, 1:])
    edges = np.minimum(np.arange(length + 1) * ratio, n_samples)
    grid = np.arange(n_samples + 1)
    out = np.stack([np.diff(np.interp(edges, grid, row)) for row in sums]) / ratio
    if missing.any():
        count = np.zeros((n_leads, n_samples + 1))
        np.cumsum(missing, axis=1, out=count[:, 1:])
        out[np.stack([np.diff(np.interp(edges, grid, row)) for row in count]) > 0] = np.nan
    return out.astype(np.float32)


def usable_leads(signal: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """Rows that hold a signal: recorded for at least half of the time, within reason, not flat."""
    if not signal.shape[1]:
        return np.zeros(0, dtype=np.intp)
    low, high = np.fmin.reduce(signal, axis=1), np.fmax.reduce(signal, axis=1)
    with np.errstate(all="ignore"):
        swing = high - low
    moves = (swing > _SMALLEST_SWING_MV / 4) & (swing < _GREATEST_SWING_MV)
    if not np.isfinite(swing).all() or np.isnan(signal.sum()):
        moves &= np.isfinite(signal).mean(axis=1) >= 0.5
    return np.flatnonzero(moves)


def network_input(signal: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n_leads, T) millivolts at `RATE_HZ` -> (n_leads, T) float32, compressed so that P waves and QRS weigh alike."""
    from scipy.ndimage import uniform_filter1d

    length = signal.shape[1]
    if length == 0:
        return signal.astype(np.float32)
    drift = uniform_filter1d(signal, _DRIFT_WINDOW, axis=1, mode="nearest")
    flat: npt.NDArray[np.float32] = signal - uniform_filter1d(drift, _DRIFT_WINDOW, axis=1, mode="nearest")
    swing = np.sqrt(np.einsum("ij,ij->i", flat, flat) / length)
    flat *= (3.0 / np.maximum(swing, _SMALLEST_SWING_MV))[:, None]
    return np.arcsinh(flat, out=flat)
