"""Muscle: size of ventricles and atria, voltage, infarction, Q waves and splintered QRS.

Sokolow & Lyon 1949 (Am Heart J 37:161); Hancock et al. 2009 (AHA/ACCF/HRS recommendations V, J Am Coll Cardiol 53:992);
Thygesen et al. 2018 (fourth universal definition of infarction, Circulation 138:e618).
"""

from __future__ import annotations

import numpy as np

from ecgqa.sources.synthetic.dipole import Floats
from ecgqa.sources.synthetic.heart import Heart
from ecgqa.sources.synthetic.shaping import add_q_waves, blend_t, invert_t, lead_qrs_size, shift_st
from ecgqa.sources.synthetic.territories import TERRITORIES


def left_ventricle_large(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Voltage criteria met (Sokolow-Lyon above 3.5 mV) and strain: low ST and inverted T on the left."""
    _voltage(heart, rng.uniform(3.9, 5.0) - 0.5 * (1 - strength))
    weight = TERRITORIES["left ventricle"]
    depth = rng.uniform(0.10, 0.17) * (0.3 + 0.7 * strength)
    shift_st(heart, -depth * weight)
    blend_t(heart, np.clip(weight, 0, 1), -rng.uniform(0.18, 0.38), 0.25 + 0.7 * strength)
    heart.stretch_qrs(1.06)


def voltage_only(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Voltage criteria without ST-T change."""
    _voltage(heart, rng.uniform(3.9, 4.9))


def _voltage(heart: Heart, sokolow_mv: float) -> None:
    """Enlarge the left and posterior forces until S in V1 plus R in V5 or V6 is `sokolow_mv`; beyond a doubling only
    in the leads that lie over the left ventricle."""
    room = 1.9
    for _ in range(3):
        curve = heart.qrs_curve(np.arange(0.0, 0.2, 0.002))
        now = -curve[2].min() + max(curve[6].max(), curve[7].max())
        wanted = float(np.clip(sokolow_mv / max(now, 0.3), 0.5, 4.0))
        factor = min(wanted, room)
        room /= factor
        beyond = wanted / factor
        heart.leads = heart.leads * np.array([1, 1, beyond, beyond**0.15, 1, beyond**0.4, beyond, beyond])[:, None]
        vector = heart.qrs_vector.copy()
        vector[1:] *= factor
        vector[0] *= factor**0.4
        heart.leads = heart.leads * np.where(np.arange(8) < 2, factor**-0.4, 1.0)[:, None]
        heart.qrs_vector = vector
        heart.local_mv = heart.local_mv * factor**0.5


def high_voltage(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Tall QRS everywhere, ST and T in proportion, as in thin young people."""
    factor = float(np.clip(rng.uniform(3.1, 4.0) / lead_qrs_size(heart).max(), 1.0, 2.5))
    limb = float(np.clip(rng.uniform(2.2, 2.8) / (factor * lead_qrs_size(heart)[:2].max()), 1.0, 1.6))
    heart.qrs_vector = heart.qrs_vector * factor
    heart.leads = heart.leads * np.where(np.arange(8) < 2, limb, 1.0)[:, None]
    heart.t_mv = heart.t_mv * 1.4


def low_voltage(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """QRS below 0.5 mV in every limb lead; in most also small in the chest."""
    size = lead_qrs_size(heart)
    limb = max(size[0], size[1], 0.2)
    factor = rng.uniform(0.26, 0.42) / limb
    gain = np.full(8, min(1.0, 1.25 * factor) if rng.random() < 0.7 else 0.8)
    gain[:2] = factor
    heart.leads = heart.leads * gain[:, None]
    heart.local_mv = heart.local_mv * gain
    heart.t_mv = heart.t_mv * np.sqrt(np.minimum(gain, 1.0))


def left_atrium(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """P of 125 to 145 ms, two-humped in I and II, with a broad negative end in V1."""
    heart.p_centre_s = np.array([0.034, 0.034 + rng.uniform(0.050, 0.060)])
    heart.p_width_s = np.array([0.0165, 0.0195])
    heart.p_vector = heart.p_vector * np.array([[1.05], [1.25]])
    late = heart.p_vector.copy()
    late[1] += np.array([0.03, 0.0, 0.060]) * (0.4 + 0.6 * strength)
    heart.p_vector = late
    heart.pr_s = max(heart.pr_s, 0.158)


def right_atrium(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Tall peaked P above 0.25 mV in II, III, aVF and upright in V1."""
    heart.p_vector = (
        np.array([[0.02, 0.20, -0.11], [0.03, 0.09, 0.00]]) * rng.uniform(1.1, 1.4) * (0.6 + 0.4 * strength)
    )
    heart.p_centre_s = np.array([0.040, 0.056])
    heart.p_width_s = np.array([0.0150, 0.0160])


def infarction(heart: Heart, strength: float, rng: np.random.Generator, territory_and_stage: str) -> None:
    """Q waves and lost R; early: raised ST, middle: Q and inverted T, old: Q alone, unknown: Q and flat T."""
    territory, _, stage = territory_and_stage.partition("/")
    weights = TERRITORIES[territory]
    heart.t_mv = heart.t_mv * 0.8  # hearts that have had an infarct have lower T waves everywhere
    if stage == "early":
        height = rng.uniform(0.18, 0.34) * (0.45 + 0.55 * strength)
        add_q_waves(heart, weights, 0.45 * strength, loss=0.15)
        shift_st(heart, height * weights - 0.35 * height * _reciprocal(territory))
        blend_t(heart, np.clip(weights, 0, 1), 1.1 * height + 0.25, 0.6)
        return
    add_q_waves(heart, weights, strength)
    if stage == "middle":
        shift_st(heart, rng.uniform(0.04, 0.09) * weights)
        invert_t(heart, weights, rng.uniform(0.28, 0.50), 0.4 + 0.6 * strength)
    elif stage == "unknown":
        blend_t(heart, np.clip(weights, 0, 1), 0.02, 0.5)


def _reciprocal(territory: str) -> Floats:
    """Leads opposite to the territory, where ST moves the other way."""
    if territory.startswith("inf"):
        return np.array([0.8, 0, 0.2, 0.5, 0.4, 0.1, 0, 0])
    if territory in ("anterolateral", "lateral"):
        return np.array([0, 0.7, 0.2, 0, 0, 0, 0, 0])
    return np.array([0, 0.3, 0, 0, 0, 0, 0.1, 0.1])


def q_waves(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """Q waves of doubtful meaning."""
    add_q_waves(heart, np.clip(TERRITORIES[territory], 0, 1), 0.85, loss=0.2)


def abnormal_qrs(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Notched, splintered QRS and poor growth of R across the chest."""
    for time in (0.024, 0.048, 0.064):
        heart.add_local(time * rng.normal(1, 0.05), 0.0048, rng.choice([-1.0, 1.0], 8) * rng.uniform(0.22, 0.42, 8))
    r_wave = heart.qrs_curve(np.arange(0.02, 0.06, 0.002)).max(axis=1)
    heart.add_local(0.036, 0.011, -np.clip(r_wave, 0, 1.2) * np.array([0, 0, 0.6, 0.85, 0.85, 0.75, 0.3, 0]))
    heart.stretch_qrs(1.08)
