"""Statement codes and what each changes in a heart: conduction, hypertrophy, infarction, ischaemia, ST and T changes.

Shapes follow the usual criteria (AHA/ACCF/HRS recommendations, Surawicz, Hancock, Wagner et al. 2009, J Am Coll Cardiol
53:976-1011; Sokolow & Lyon 1949, Am Heart J 37:161; Thygesen et al. 2018, Circulation 138:e618). `strength` is 1 for a
clear case and less for one that a reader would only suspect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ecgqa.sources.synthetic.heart import Heart
from ecgqa.sources.synthetic.shaping import (
    add_q_waves,
    blend_t,
    invert_t,
    lead_qrs_size,
    oppose_repolarisation,
    replace_qrs,
    shift_st,
    turn_axis_to,
)
from ecgqa.sources.synthetic.territories import TERRITORIES

Change = Callable[[Heart, float, np.random.Generator, str], None]
"""(heart, strength, rng, territory or stage) -> None; works on a copy that belongs to the record."""


@dataclass(frozen=True)
class Condition:
    """One statement that changes the form of the ECG."""

    code: str
    slot: str
    """Conditions of one slot exclude each other."""
    weight: float
    """How often it is the main finding of an abnormal ECG, relative to the others."""
    change: Change
    order: int
    """Lower acts first: conduction, then size, then infarction, then ST and T."""
    territory: str = ""
    choices: tuple[str, ...] = ()
    """Territories to draw from where the statement itself names none."""


# --- conduction ---------------------------------------------------------------------------------------------------


def right_bundle(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Late, slow activation of the right ventricle: rSR' in V1, broad S in I and V6; QRS 124 to 155 ms."""
    end = rng.uniform(0.124, 0.150)
    size = rng.uniform(0.75, 1.15) * strength
    vector = np.array([[-0.50, 0.02, -0.55], [-0.44, -0.06, -0.42]]) * size
    heart.qrs_vector = np.vstack([heart.qrs_vector * np.array([[1], [1], [0.95], [0.7], [0.1]]), vector])
    heart.qrs_centre_s = np.append(heart.qrs_centre_s, [end - 0.048, end - 0.030])
    heart.qrs_width_s = np.append(heart.qrs_width_s, [0.0115, 0.0150])
    heart.t_mv = heart.t_mv + strength * np.array([0.06, 0.02, -0.22, -0.30, -0.10, 0, 0.02, 0.04])
    shift_st(heart, strength * np.array([0, 0, -0.05, -0.06, -0.02, 0, 0, 0]))


def incomplete_right_bundle(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """rSr' in V1 with a narrow r' and QRS of 100 to 118 ms."""
    end = rng.uniform(0.103, 0.116)
    size = rng.uniform(0.75, 1.1) * (0.55 + 0.45 * strength)
    heart.qrs_vector = np.vstack([heart.qrs_vector, np.array([[-0.42, -0.05, -0.50]]) * size])
    heart.qrs_centre_s = np.append(heart.qrs_centre_s, end - 0.021)
    heart.qrs_width_s = np.append(heart.qrs_width_s, 0.0100)
    heart.t_mv = heart.t_mv + strength * np.array([0, 0, -0.10, -0.05, 0, 0, 0, 0])


def left_bundle(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """No septal q, slow notched R in I, aVL, V5, V6, deep S in V1 to V3, opposed ST and T; QRS 130 to 165 ms."""
    size = rng.uniform(0.85, 1.25)
    stretch = rng.uniform(0.98, 1.16)
    down = rng.normal(0.05, 0.16)
    vector = size * np.array(
        [
            [0.16, 0.10, -0.02],
            [0.62, 0.16 + down, 0.66],
            [0.58, 0.05 + down, 0.98],
            [0.80, 0.00 + down, 0.88],
            [0.26, -0.03, 0.30],
        ]
    )
    centre = np.array([0.018, 0.042, 0.068, 0.096, 0.121]) * stretch
    width = np.array([0.009, 0.0125, 0.0145, 0.0140, 0.0110]) * stretch
    replace_qrs(heart, vector, centre, width)
    oppose_repolarisation(heart, st=1.6, t=4.2, keep=0.15)
    heart.t_rise_s *= 1.05


def incomplete_left_bundle(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Lost septal q, slurred upstroke, QRS of 108 to 119 ms."""
    vector = heart.qrs_vector.copy()
    vector[0] = [0.30, 0.06, 0.10]
    vector[3] = vector[3] + [0.42, 0.05, 0.25]
    heart.qrs_vector = vector
    heart.stretch_qrs(rng.uniform(0.111, 0.118) / heart.qrs_duration_s)
    heart.qrs_vector[1:3] *= 1.1
    oppose_repolarisation(heart, st=0.6, t=2.6, keep=0.55)


def unspecific_block(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Wide, notched QRS of 116 to 138 ms that is no bundle branch block."""
    heart.stretch_qrs(rng.uniform(0.116, 0.138) / heart.qrs_duration_s)
    time = rng.uniform(0.55, 0.72) * heart.qrs_duration_s
    heart.add_local(time, 0.010, rng.normal(0, 0.22, 8) + 0.12)
    oppose_repolarisation(heart, st=0.3, t=0.8, keep=0.9)


def left_anterior_fascicle(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Starts down and right, ends up and left: qR in I and aVL, rS in II, III, aVF, axis -45 to -75 degrees."""
    vector = heart.qrs_vector.copy()
    vector[0] = vector[0] + np.array([-0.08, 0.34, 0.0])
    heart.qrs_vector = vector
    turn_axis_to(heart, -45 - rng.uniform(3, 22) * strength, first=1)
    heart.qrs_centre_s = heart.qrs_centre_s * 1.07
    heart.qrs_width_s = heart.qrs_width_s * 1.07


def left_posterior_fascicle(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Starts up and left, ends down and right: rS in I and aVL, qR in III and aVF, axis 100 to 125 degrees."""
    vector = heart.qrs_vector.copy()
    vector[0] = vector[0] + np.array([0.28, -0.22, 0.0])
    heart.qrs_vector = vector
    turn_axis_to(heart, rng.uniform(103, 125), first=1)
    heart.qrs_centre_s = heart.qrs_centre_s * 1.06
    heart.qrs_width_s = heart.qrs_width_s * 1.06


# --- size and atria -----------------------------------------------------------------------------------------------


def left_ventricle_large(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Voltage criteria met (Sokolow-Lyon above 3.5 mV) and strain: sagging ST and asymmetrical T inversion laterally."""
    _voltage(heart, rng.uniform(4.3, 5.8) - 0.9 * (1 - strength))
    weight = TERRITORIES["left ventricle"]
    depth = rng.uniform(0.10, 0.17) * (0.3 + 0.7 * strength)
    shift_st(heart, -depth * weight)
    blend_t(heart, np.clip(weight, 0, 1), -rng.uniform(0.18, 0.38), 0.25 + 0.7 * strength)
    heart.stretch_qrs(1.06)


def voltage_only(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Voltage criteria without ST-T change."""
    _voltage(heart, rng.uniform(4.3, 5.3))


def _voltage(heart: Heart, sokolow_mv: float) -> None:
    """Enlarge the left and posterior forces until S in V1 plus R in V5 or V6 is `sokolow_mv`."""
    for _ in range(3):
        curve = heart.qrs_curve(np.arange(0.0, 0.2, 0.002))
        now = -curve[2].min() + max(curve[6].max(), curve[7].max())
        factor = float(np.clip(sokolow_mv / max(now, 0.3), 0.5, 4.0))
        vector = heart.qrs_vector.copy()
        vector[1:] *= factor
        vector[0] *= factor**0.4
        heart.qrs_vector = vector
        heart.local_mv = heart.local_mv * factor**0.5


def high_voltage(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Tall QRS everywhere, ST and T in proportion, as in thin young people."""
    factor = rng.uniform(2.0, 2.5)
    heart.qrs_vector = heart.qrs_vector * factor
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
    heart.p_vector = heart.p_vector / np.clip(np.sqrt(factor), 0.5, 1.0)


def left_atrium(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """P of 125 to 145 ms, two-humped in I and II, with a broad negative end in V1."""
    heart.p_centre_s = np.array([0.034, 0.034 + rng.uniform(0.050, 0.060)])
    heart.p_width_s = np.array([0.0165, 0.0195])
    heart.p_vector = heart.p_vector * np.array([[1.05], [1.25]])
    late = heart.p_vector.copy()
    late[1] += np.array([0.03, 0.0, 0.085]) * (0.4 + 0.6 * strength)
    heart.p_vector = late
    heart.pr_s = max(heart.pr_s, 0.158)


def right_atrium(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Tall peaked P above 0.25 mV in II, III, aVF and upright in V1."""
    heart.p_vector = (
        np.array([[0.02, 0.20, -0.11], [0.03, 0.09, 0.00]]) * rng.uniform(1.1, 1.4) * (0.6 + 0.4 * strength)
    )
    heart.p_centre_s = np.array([0.040, 0.056])
    heart.p_width_s = np.array([0.0150, 0.0160])


def long_pr(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """PR just above 200 ms."""
    heart.pr_s = rng.uniform(0.206, 0.232)


def first_degree_block(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """PR of 235 to 340 ms."""
    heart.pr_s = rng.uniform(0.238, 0.330)


# --- infarction, ischaemia, injury --------------------------------------------------------------------------------


def infarction(heart: Heart, strength: float, rng: np.random.Generator, territory_and_stage: str) -> None:
    """Q waves and lost R; early: ST elevation, middle: Q and inverted T, old: Q alone, "unknown": like old or middle."""
    territory, _, stage = territory_and_stage.partition("/")
    weights = TERRITORIES[territory]
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


def _reciprocal(territory: str) -> np.ndarray:
    """Leads opposite to the territory, where ST moves the other way."""
    if territory.startswith("inf"):
        return np.array([0.8, 0, 0.2, 0.5, 0.4, 0.1, 0, 0])
    if territory in ("anterolateral", "lateral"):
        return np.array([0, 0.7, 0.2, 0, 0, 0, 0, 0])
    return np.array([0, 0.3, 0, 0, 0, 0, 0.1, 0.1])


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
    """ST raised by 0.15 to 0.25 mV with upright T."""
    weights = np.clip(TERRITORIES[territory], 0, 1)
    shift_st(heart, rng.uniform(0.16, 0.25) * weights)
    blend_t(heart, weights, 0.40, 0.4)


def st_slight(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """ST straightened and slightly low (0.06 to 0.1 mV)."""
    weights = np.clip(TERRITORIES[territory], 0, 1)
    heart.st_mv = heart.st_mv * (1 - weights) - rng.uniform(0.065, 0.095) * (0.5 + 0.5 * strength) * weights
    blend_t(heart, weights, 0.12, 0.4)


# --- T wave, QT, QRS form -----------------------------------------------------------------------------------------


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


def q_waves(heart: Heart, strength: float, rng: np.random.Generator, territory: str) -> None:
    """Q waves of doubtful meaning."""
    add_q_waves(heart, np.clip(TERRITORIES[territory], 0, 1), 0.85, loss=0.2)


def abnormal_qrs(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Notched, splintered QRS and poor growth of R across the chest."""
    for time in (0.024, 0.048, 0.064):
        heart.add_local(time * rng.normal(1, 0.05), 0.0048, rng.choice([-1.0, 1.0], 8) * rng.uniform(0.14, 0.30, 8))
    heart.add_local(0.036, 0.011, -np.array([0, 0, 0.05, 0.25, 0.40, 0.35, 0.1, 0]))


# --- axis without a block -----------------------------------------------------------------------------------------


def axis_left(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    turn_axis_to(heart, rng.uniform(-62, -36))


def axis_right(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    turn_axis_to(heart, rng.uniform(100, 140))


def axis_extreme(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    turn_axis_to(heart, rng.uniform(-165, -105))


_T_PLACES = ("inferior", "lateral", "anterolateral", "anterior", "diffuse", "limb", "inferolateral")
_ST_PLACES = ("inferior", "lateral", "anterolateral", "anteroseptal", "anterior", "inferolateral", "diffuse")


def _place(codes: dict[str, str], slot: str, weight: float, change: Change, order: int) -> list[Condition]:
    return [Condition(code, slot, weight, change, order, territory) for code, territory in codes.items()]


_ALL: Final = [
    Condition("CRBBB", "conduction", 5.0, right_bundle, 2),
    Condition("IRBBB", "conduction", 5.0, incomplete_right_bundle, 2),
    Condition("CLBBB", "conduction", 5.0, left_bundle, 0),
    Condition("ILBBB", "conduction", 3.5, incomplete_left_bundle, 0),
    Condition("IVCD", "conduction", 4.0, unspecific_block, 1),
    Condition("LAFB", "fascicle", 6.0, left_anterior_fascicle, 1),
    Condition("LPFB", "fascicle", 3.5, left_posterior_fascicle, 1),
    Condition("axis:left", "fascicle", 2.5, axis_left, 1),
    Condition("axis:right", "fascicle", 4.0, axis_right, 1),
    Condition("axis:extreme", "fascicle", 3.5, axis_extreme, 1),
    Condition("LVH", "voltage", 6.0, left_ventricle_large, 3),
    Condition("VCLVH", "voltage", 4.0, voltage_only, 3),
    Condition("HVOLT", "voltage", 3.5, high_voltage, 3),
    Condition("LVOLT", "voltage", 4.0, low_voltage, 3),
    Condition("LAO/LAE", "atrium", 5.0, left_atrium, 1),
    Condition("RAO/RAE", "atrium", 4.0, right_atrium, 1),
    Condition("1AVB", "pr", 5.0, first_degree_block, 2),
    Condition("LPR", "pr", 4.5, long_pr, 1),
    *_place({"ASMI": "anteroseptal", "IMI": "inferior"}, "infarction", 6.5, infarction, 5),
    *_place({"AMI": "anterior", "ALMI": "anterolateral", "LMI": "lateral", "ILMI": "inferolateral"}, "infarction", 4.0,
            infarction, 5),
    *_place({"IPMI": "inferoposterior", "IPLMI": "inferoposterolateral", "PMI": "posterior"}, "infarction", 2.6,
            infarction, 5),
    Condition("ISC_", "st", 4.0, ischaemia, 6, "diffuse"),
    *_place({"ISCAL": "anterolateral", "ISCIN": "inferior", "ISCIL": "inferolateral", "ISCAS": "anteroseptal",
             "ISCLA": "lateral", "ISCAN": "anterior"}, "st", 2.8, ischaemia, 6),
    *_place({"INJAS": "anteroseptal", "INJAL": "anterolateral", "INJIN": "inferior", "INJLA": "lateral",
             "INJIL": "inferolateral"}, "st", 2.4, injury, 6),
    Condition("DIG", "st", 3.5, digitalis, 6, "diffuse"),
    Condition("STD_", "st", 4.0, st_depression, 6, choices=_ST_PLACES),
    Condition("STE_", "st", 3.5, st_elevation, 6, choices=_ST_PLACES),
    Condition("NST_", "st", 3.5, st_slight, 6, choices=_ST_PLACES),
    Condition("NDT", "t", 4.0, t_not_diagnostic, 7, choices=_T_PLACES),
    Condition("LOWT", "t", 4.0, t_flat_and_low, 7, choices=_T_PLACES),
    Condition("NT_", "t", 4.0, t_unspecific, 7, choices=_T_PLACES),
    Condition("INVT", "t", 4.0, t_inverted, 7, choices=_T_PLACES),
    Condition("TAB_", "t", 3.5, t_biphasic, 7, choices=("anterior", "anterolateral", "lateral", "anteroseptal")),
    Condition("LNGQT", "qt", 4.0, long_qt, 7),
    Condition("QWAVE", "form", 3.0, q_waves, 5, choices=("inferior", "lateral", "anteroseptal", "inferolateral")),
    Condition("ABQRS", "form", 3.5, abnormal_qrs, 4),
]  # fmt: skip

CONDITIONS: Final[dict[str, Condition]] = {condition.code: condition for condition in _ALL}
"""By code. "axis:left" and the like are no statements: they only turn the heart."""
