"""The register of conditions: which statement code changes the heart how, how often, and what it rules out by slot.

`strength` is 1 for a clear case and less for one that a reader would only suspect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ecgqa.sources.synthetic import conduction, muscle, repolarisation
from ecgqa.sources.synthetic.heart import Heart

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


_T_PLACES = ("inferior", "lateral", "anterolateral", "anterior", "diffuse", "limb", "inferolateral")
_TAB_PLACES = ("anterior", "anterolateral", "lateral", "anteroseptal")
_Q_PLACES = ("inferior", "lateral", "anteroseptal", "inferolateral")
_ST_PLACES = ("inferior", "lateral", "anterolateral", "anteroseptal", "anterior", "inferolateral", "diffuse")


def _place(codes: dict[str, str], slot: str, weight: float, change: Change, order: int) -> list[Condition]:
    return [Condition(code, slot, weight, change, order, territory) for code, territory in codes.items()]


_ALL: Final = [
    Condition("CRBBB", "conduction", 5.0, conduction.right_bundle, 2),
    Condition("IRBBB", "conduction", 4.0, conduction.incomplete_right_bundle, 2),
    Condition("CLBBB", "conduction", 7.0, conduction.left_bundle, 0),
    Condition("ILBBB", "conduction", 5.0, conduction.incomplete_left_bundle, 0),
    Condition("IVCD", "conduction", 4.0, conduction.unspecific_block, 1),
    Condition("LAFB", "fascicle", 6.0, conduction.left_anterior_fascicle, 1),
    Condition("LPFB", "fascicle", 3.5, conduction.left_posterior_fascicle, 1),
    Condition("axis:left", "fascicle", 1.5, conduction.axis_left, 1),
    Condition("axis:right", "fascicle", 2.5, conduction.axis_right, 1),
    Condition("axis:extreme", "fascicle", 3.5, conduction.axis_extreme, 1),
    Condition("LVH", "voltage", 6.0, muscle.left_ventricle_large, 3),
    Condition("VCLVH", "voltage", 4.0, muscle.voltage_only, 3),
    Condition("HVOLT", "voltage", 3.5, muscle.high_voltage, 3),
    Condition("LVOLT", "voltage", 4.0, muscle.low_voltage, 3),
    Condition("LAO/LAE", "atrium", 5.0, muscle.left_atrium, 1),
    Condition("RAO/RAE", "atrium", 4.0, muscle.right_atrium, 1),
    Condition("1AVB", "pr", 5.0, conduction.first_degree_block, 2),
    Condition("LPR", "pr", 4.5, conduction.long_pr, 1),
    *_place({"ASMI": "anteroseptal", "IMI": "inferior"}, "infarction", 6.5, muscle.infarction, 5),
    *_place({"AMI": "anterior", "ALMI": "anterolateral", "LMI": "lateral", "ILMI": "inferolateral"}, "infarction", 4.0,
            muscle.infarction, 5),
    *_place({"IPMI": "inferoposterior", "IPLMI": "inferoposterolateral", "PMI": "posterior"}, "infarction", 3.4,
            muscle.infarction, 5),
    Condition("ISC_", "st", 4.5, repolarisation.ischaemia, 6, "diffuse"),
    *_place({"ISCAL": "anterolateral", "ISCIN": "inferior", "ISCIL": "inferolateral", "ISCAS": "anteroseptal",
             "ISCLA": "lateral", "ISCAN": "anterior"}, "st", 3.8, repolarisation.ischaemia, 6),
    *_place({"INJAS": "anteroseptal", "INJAL": "anterolateral", "INJIN": "inferior", "INJLA": "lateral",
             "INJIL": "inferolateral"}, "st", 3.8, repolarisation.injury, 6),
    Condition("DIG", "st", 4.0, repolarisation.digitalis, 6, "diffuse"),
    Condition("STD_", "st", 4.0, repolarisation.st_depression, 6, choices=_ST_PLACES),
    Condition("STE_", "st", 3.5, repolarisation.st_elevation, 6, choices=_ST_PLACES),
    Condition("NST_", "st", 4.5, repolarisation.st_slight, 6, choices=_ST_PLACES),
    Condition("NDT", "t", 5.5, repolarisation.t_not_diagnostic, 7, choices=_T_PLACES),
    Condition("LOWT", "t", 5.0, repolarisation.t_flat_and_low, 7, choices=_T_PLACES),
    Condition("NT_", "t", 5.5, repolarisation.t_unspecific, 7, choices=_T_PLACES),
    Condition("INVT", "t", 4.0, repolarisation.t_inverted, 7, choices=_T_PLACES),
    Condition("TAB_", "t", 7.0, repolarisation.t_biphasic, 7, choices=_TAB_PLACES),
    Condition("LNGQT", "qt", 3.0, repolarisation.long_qt, 7),
    Condition("QWAVE", "form", 3.0, muscle.q_waves, 5, choices=_Q_PLACES),
    Condition("ABQRS", "form", 3.5, muscle.abnormal_qrs, 4),
]  # fmt: skip

CONDITIONS: Final[dict[str, Condition]] = {condition.code: condition for condition in _ALL}
"""By code. "axis:left" and the like are no statements: they only turn the heart."""
