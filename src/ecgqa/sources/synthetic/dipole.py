"""The electrical model: Gaussian waves of a cardiac dipole, projected to the twelve leads.

The heart is a current dipole in Frank's axes (x to the patient's left, y down, z to the back) whose three components
are sums of Gaussians in time, as in McSharry et al. 2003 (IEEE Trans Biomed Eng 50:289) generalised to three
dimensions by Sameni et al. 2007 (EURASIP J Adv Signal Process 2007:43407). Because each Gaussian is known in closed
form around its beat, no differential equation is solved: all beats are evaluated at once. The eight independent leads
follow by Dower's matrix (Dower et al. 1980, J Electrocardiol 13:109; numbers as in Edenbrandt & Pahlm 1988,
J Electrocardiol 21:361); local generators near one electrode, such as a small infarct, are added in lead space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

INDEPENDENT_LEADS: Final = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""Order of every array "in lead space": the eight leads from which the other four follow."""

DOWER: Final[Floats] = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
"""Millivolts in each independent lead per millivolt of dipole (x, y, z)."""

LEAD_GAIN: Final[Floats] = np.array([1.15, 1.0, 0.82, 1.18, 0.96, 0.97, 0.97, 1.03])
"""Mean ratio of a real lead to its projection, fitted to 250 normal PTB-XL beats; the matrix alone is off that much."""

TANGENT: Final = 2.0
"""A Gaussian's steepest tangent meets the baseline this many widths from its centre (wave end by the tangent method,
Lepeschkin & Surawicz 1952, Circulation 6:378)."""


@dataclass
class Waves:
    """Waves of a group of beats. n waves: times in seconds, amplitudes in mV in lead space."""

    centre_s: Floats
    """(n,) time of the peak, from the start of the record."""
    rise_s: Floats
    """(n,) Gaussian width before the peak."""
    fall_s: Floats
    """(n,) Gaussian width after the peak."""
    lead_mv: Floats
    """(n, 8) peak amplitude."""


def add_waves(signal: NDArray[np.float32], waves: Waves, fs_hz: float) -> None:
    """Add every wave to `signal` (8, n_samples) in place; each is evaluated within four widths of its peak.

    Waves of similar length share one vectorised evaluation, so narrow waves do not pay for wide ones.
    """
    n_samples = signal.shape[1]
    reach = np.ceil(4.0 * np.maximum(waves.rise_s, waves.fall_s) * fs_hz).astype(np.int64)
    for low, high in ((0, 28), (28, 72), (72, 160), (160, 10_000)):
        chosen = np.flatnonzero((reach > low) & (reach <= high))
        if not chosen.size:
            continue
        half = int(reach[chosen].max())
        middle = np.rint(waves.centre_s[chosen] * fs_hz).astype(np.int64)
        offset = np.arange(-half, half + 1)
        away = ((middle - waves.centre_s[chosen] * fs_hz)[:, None] + offset[None, :]).astype(np.float32)
        width = np.where(away < 0, waves.rise_s[chosen, None], waves.fall_s[chosen, None]).astype(np.float32) * fs_hz
        shape = np.exp(np.float32(-0.5) * np.square(away / width.astype(np.float32)))
        amplitude = waves.lead_mv[chosen].astype(np.float32)
        for row in range(chosen.size):
            start = int(middle[row]) - half
            first, last = max(start, 0), min(start + shape.shape[1], n_samples)
            if first < last:
                signal[:, first:last] += amplitude[row][:, None] * shape[row, first - start : last - start]


def twelve_leads(independent: NDArray[np.floating]) -> NDArray[np.float32]:
    """(8, ...) lead space to (12, ...) in canonical order by Einthoven's and Goldberger's equations."""
    one, two = independent[0], independent[1]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.concatenate([np.stack(limb), independent[2:]]).astype(np.float32, copy=False)


def rotate_frontal(vectors: Floats, degrees: float) -> Floats:
    """Turn dipole vectors (..., 3) in the frontal plane; positive moves the axis to the right (clockwise as drawn)."""
    angle = np.deg2rad(degrees)
    x, y = vectors[..., 0], vectors[..., 1]
    turned = vectors.copy()
    turned[..., 0] = np.cos(angle) * x - np.sin(angle) * y
    turned[..., 1] = np.sin(angle) * x + np.cos(angle) * y
    return turned


def rotate_horizontal(vectors: Floats, degrees: float) -> Floats:
    """Turn dipole vectors (..., 3) about the long axis; positive moves forces to the back (later transition)."""
    angle = np.deg2rad(degrees)
    x, z = vectors[..., 0], vectors[..., 2]
    turned = vectors.copy()
    turned[..., 0] = np.cos(angle) * x - np.sin(angle) * z
    turned[..., 2] = np.sin(angle) * x + np.cos(angle) * z
    return turned
