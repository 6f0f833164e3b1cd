"""Repolarisation: ischaemia, injury, digitalis, ST segment, T wave, QT.

Wagner et al. 2009 (AHA/ACCF/HRS recommendations VI, J Am Coll Cardiol 53:1003), Rautaharju et al. 2009 (IV, 53:982).
"""

from __future__ import annotations

import numpy as np

from ecgqa.sources.synthetic.heart import Heart
from ecgqa.sources.synthetic.shaping import blend_t, invert_t, shift_st
from ecgqa.sources.synthetic.territories import TERRITORIES


def ischaemia(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """Flat ST depression and symmetrical T inversion in the territory."""
    weights = np.clip(TERRITORIES[territory], 0, 1)
    heart.st_mv = heart.st_mv * (1 - weights)
    shift_st(heart, -rng.uniform(0.06, 0.12) * (0.4 + 0.6 * strength) * weights)
    invert_t(heart, weights, rng.uniform(0.22, 0.42), 0.45 + 0.55 * strength)


def injury(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """Subendocardial injury: deep, flat or falling ST depression, T kept or low."""
    weights = np.clip(TERRITORIES[territory], 0, 1)
    heart.st_mv = heart.st_mv * (1 - weights)
    shift_st(heart, -rng.uniform(0.22, 0.36) * (0.5 + 0.5 * strength) * weights)
    blend_t(heart, weights, 0.12, 0.5)


def digitalis(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """Scooped ST where R is tall, low T, short QT."""
    weights = np.clip(TERRITORIES[territory], 0, 1)
    heart.st_mv = heart.st_mv * (1 - weights)
    heart.sag_mv = heart.sag_mv - rng.uniform(0.20, 0.30) * (0.5 + 0.5 * strength) * weights
    blend_t(heart, weights, 0.10, 0.7)
    heart.qtc_s = max(heart.qtc_s - rng.uniform(0.035, 0.055), 0.335)


def st_depression(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """ST depressed by 0.12 to 0.2 mV, T wave kept."""
    weights = np.clip(TERRITORIES[territory], 0, 1)
    heart.st_mv = heart.st_mv * (1 - weights) - rng.uniform(0.12, 0.19) * weights
    blend_t(heart, weights, 0.16, 0.4)


def st_elevation(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """ST raised by 0.2 to 0.3 mV with upright T."""
    weights = np.clip(TERRITORIES[territory], 0, 1)
    shift_st(heart, rng.uniform(0.20, 0.30) * weights)
    blend_t(heart, weights, 0.40, 0.4)


def st_slight(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """ST straightened and slightly low (0.06 to 0.1 mV)."""
    weights = np.clip(TERRITORIES[territory], 0, 1)
    heart.st_mv = heart.st_mv * (1 - weights) - rng.uniform(0.065, 0.095) * (0.5 + 0.5 * strength) * weights
    blend_t(heart, weights, 0.12, 0.4)


def t_flat_and_low(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """T of less than 0.06 mV."""
    blend_t(heart, np.clip(1.3 * TERRITORIES[territory], 0, 1), rng.uniform(0.01, 0.045), 1.0)


def t_inverted(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """Clearly negative T."""
    invert_t(heart, np.clip(TERRITORIES[territory], 0, 1), rng.uniform(0.20, 0.34))


def t_unspecific(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """Slightly negative T."""
    weights = np.clip(1.3 * TERRITORIES[territory], 0, 1)
    blend_t(heart, weights, -rng.uniform(0.06, 0.11), 1.0)


def t_not_diagnostic(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """T flat or just negative with a straight ST segment."""
    weights = np.clip(1.3 * TERRITORIES[territory], 0, 1)
    blend_t(heart, weights, rng.uniform(-0.07, 0.03), 0.7 + 0.3 * strength)
    shift_st(heart, -0.025 * weights)


def t_biphasic(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """T first negative, then positive."""
    weights = np.clip(TERRITORIES[territory], 0, 1)
    heart.t_early_mv = heart.t_early_mv - rng.uniform(0.24, 0.34) * weights
    blend_t(heart, weights, 0.22, 0.8)


def long_qt(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """QTc of 490 to 560 ms."""
    heart.qtc_s = rng.uniform(0.490, 0.560) - 0.03 * (1 - strength)
