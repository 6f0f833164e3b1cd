"""Where on the chest and limbs a part of the heart is seen: weights of each territory on the independent leads."""

from __future__ import annotations

from typing import Final

import numpy as np

from ecgqa.sources.synthetic.dipole import Floats

_WEIGHTS: Final[dict[str, tuple[float, ...]]] = {
    #                       I     II     V1    V2    V3    V4    V5    V6
    "anterior":           (0.10, 0.00, 0.15, 0.80, 1.00, 1.00, 0.30, 0.05),
    "anteroseptal":       (0.00, 0.00, 0.75, 1.00, 1.00, 0.45, 0.05, 0.00),
    "anterolateral":      (0.75, 0.10, 0.00, 0.25, 0.75, 1.00, 1.00, 0.85),
    "lateral":            (0.85, 0.05, 0.00, 0.00, 0.00, 0.15, 0.85, 1.00),
    "inferior":           (0.05, 1.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00),
    "inferolateral":      (0.25, 1.00, 0.00, 0.00, 0.00, 0.15, 0.85, 1.00),
    "inferoposterior":    (0.05, 1.00, -0.55, -0.75, -0.60, -0.10, 0.00, 0.05),
    "inferoposterolateral": (0.25, 1.00, -0.55, -0.75, -0.60, 0.00, 0.80, 1.00),
    "posterior":          (0.00, 0.10, -0.75, -1.00, -0.85, -0.25, 0.05, 0.20),
    "left ventricle":     (0.70, 0.15, -0.30, -0.25, 0.00, 0.50, 0.95, 1.00),
    "diffuse":            (0.60, 0.90, 0.00, 0.25, 0.60, 0.90, 1.00, 0.85),
    "limb":               (0.80, 1.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00),
}  # fmt: skip
"""Negative weights are leads that look at the territory from behind (mirror image)."""

TERRITORIES: Final[dict[str, Floats]] = {name: np.array(weights) for name, weights in _WEIGHTS.items()}
