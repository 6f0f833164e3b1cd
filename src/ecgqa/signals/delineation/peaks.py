"""Peaks between two bounds: the extremum against the straight line that joins them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_DEPTH_SHARE: Final = 0.1
LEAST_DEPTH_MV: Final = 0.02
"""Q and S lie below the line from QRS onset to offset by this share of the height of R and at least by this much."""


@dataclass(frozen=True, eq=False)
class _Windows:
    """Values from onset to offset of every wave, minus the line between the two."""

    lifted: npt.NDArray[np.float32]
    """(n_rows, n_beats, width); zero beyond the offset."""
    n_steps: npt.NDArray[np.intp]
    """From onset to offset."""
    first: npt.NDArray[np.intp]
    known: npt.NDArray[np.bool_]


def wave_peaks(signal: npt.NDArray[np.float32], onset: Floats, offset: Floats) -> Floats:
    """Where P or T peaks, up or down; `signal` (n, T), bounds (n, n_beats) in its samples, NaN = no wave."""
    windows = _between(signal, onset, offset)
    if windows is None:
        return np.full(onset.shape, np.nan)
    lifted = windows.lifted
    size = lifted.copy()
    size[..., 1:-1] = 0.5 * lifted[..., 1:-1] + 0.25 * (lifted[..., :-2] + lifted[..., 2:])
    size = np.abs(size, out=size)
    best = size.argmax(axis=-1)
    # A parabola through the greatest value and its neighbours places the peak between samples.
    near = best.clip(1, size.shape[-1] - 2)
    left, here, right = (picked(size, near + k) for k in (-1, 0, 1))
    bend = np.minimum(left - 2 * here + right, -1e-9)
    shift = np.where(near == best, (0.5 * (left - right) / bend).clip(-0.5, 0.5), 0.0)
    return np.where(windows.known, windows.first + best + shift, np.nan)


def qrs_peaks(
    millivolts: npt.NDArray[np.float32], rows: npt.NDArray[np.intp], onset: Floats, offset: Floats
) -> dict[str, Floats]:
    """q_peak, r_peak, s_peak, each (1 + n_rows, n_beats) in samples of `millivolts`; bounds with the consensus first.

    R is the highest point above the line from onset to offset (in a complex that only goes down: the point that goes
    down least), Q and S the lowest points before and after it. The consensus has R only: the median of the leads.
    """
    found = {name: np.full(onset.shape, np.nan) for name in ("q_peak", "r_peak", "s_peak")}
    windows = _between(millivolts[rows] if len(rows) < len(millivolts) else millivolts, onset[1:], offset[1:])
    if windows is None:
        return found
    lifted, first, known = windows.lifted, windows.first, windows.known
    step = np.arange(lifted.shape[-1])
    best = np.where(step <= windows.n_steps[..., None], lifted, -np.inf).argmax(axis=-1)
    height = picked(lifted, best)
    found["r_peak"][1:] = np.where(known, first + best, np.nan)
    found["r_peak"][0] = median_of_leads(found["r_peak"][1:])
    least = np.maximum(LEAST_DEPTH_SHARE * height, LEAST_DEPTH_MV)
    for name, side in (("q_peak", step < best[..., None]), ("s_peak", step > best[..., None])):
        down = np.where(side, lifted, 0.0)
        lowest = down.argmin(axis=-1)
        depth = -picked(down, lowest)
        found[name][1:] = np.where(known & (depth > least), first + lowest, np.nan)
    return found


def median_of_leads(values: Floats) -> Floats:
    """(n_rows, n_beats) -> (n_beats,): median over the rows that are not NaN, the lower one of two; NaN if none is."""
    ordered = np.sort(values, axis=0)  # NaN goes last
    n_known = np.isfinite(values).sum(axis=0)
    out: Floats = ordered[np.maximum(n_known - 1, 0) // 2, np.arange(values.shape[1])]
    return out


def picked(values: npt.NDArray[Any], index: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """values[..., index] along the last axis; `index` has one entry for each row."""
    width = values.shape[-1]
    flat = index + np.arange(index.size).reshape(index.shape) * width
    found: npt.NDArray[Any] = values.reshape(-1)[flat]
    return found


def _between(signal: npt.NDArray[Any], onset: Floats, offset: Floats) -> _Windows | None:
    """None where no wave is known."""
    known = np.isfinite(onset) & np.isfinite(offset)
    if not known.any():
        return None
    length = signal.shape[1]
    first = np.where(known, np.rint(onset), 0).astype(np.intp).clip(0, length - 1)
    last = np.where(known, np.rint(offset), 0).astype(np.intp).clip(0, length - 1)
    n_steps = np.maximum(last - first, 0)
    width = max(int(n_steps.max()) + 1, 3)
    step = np.minimum(np.arange(width), n_steps[..., None])
    at = step + (first + np.arange(len(signal))[:, None] * length)[..., None]
    lifted = signal.reshape(-1).take(at)
    if not np.isfinite(lifted.sum()):
        lifted = np.nan_to_num(lifted, posinf=0.0, neginf=0.0)
    lifted -= lifted[..., :1]
    slope = lifted[..., -1] / np.maximum(n_steps, 1)
    lifted -= (slope[..., None] * step).astype(lifted.dtype)
    return _Windows(lifted, n_steps, first, known)
