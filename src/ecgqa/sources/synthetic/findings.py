"""What a reader sees in the finished beat: leads with each ST, T, Q or voltage finding, and the heart axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgqa.records import LEADS
from ecgqa.sources.synthetic.dipole import Floats, twelve_leads
from ecgqa.sources.synthetic.heart import Heart

_INDEX: Final = {lead: index for index, lead in enumerate(LEADS)}
_SAG_AT_J60: Final = 0.62
"""Share of a sagging dip that stands 60 ms after the J point."""


@dataclass(frozen=True)
class Seen:
    """Sizes in the twelve leads of the dominant beat, without noise, in mV."""

    r_mv: Floats
    s_mv: Floats
    """Most negative value after R (negative)."""
    q_mv: Floats
    """Most negative value before R (negative, 0 if there is none)."""
    st_mv: Floats
    """60 ms after the J point."""
    sag_mv: Floats
    t_mv: Floats
    t_early_mv: Floats

    @property
    def net_mv(self) -> Floats:
        return self.q_mv + self.r_mv + self.s_mv


def look(heart: Heart) -> Seen:
    """Measure the dominant beat of a record."""
    curve = twelve_leads(heart.qrs_curve(np.arange(0.0, 0.24, 0.002))).astype(np.float64)
    top = curve.argmax(axis=1)
    r_mv = np.clip(curve.max(axis=1), 0, None)
    position = np.arange(curve.shape[1])[None]
    before = np.where(position <= top[:, None], curve, 0.0).min(axis=1)
    after = np.where(position >= top[:, None], curve, 0.0).min(axis=1)
    only_negative = r_mv < 0.03  # a QS complex has no R that would separate Q from S
    before = np.where(only_negative, curve.min(axis=1), np.minimum(before, 0))
    after = np.where(only_negative, 0.0, np.minimum(after, 0))
    sag = _twelve(heart.sag_mv)
    return Seen(
        r_mv,
        after,
        before,
        _twelve(heart.st_mv) + _SAG_AT_J60 * sag,
        sag,
        _twelve(heart.t_mv),
        _twelve(heart.t_early_mv),
    )


def _twelve(lead_mv: Floats) -> Floats:
    return twelve_leads(lead_mv[:, None])[:, 0].astype(np.float64)


def leads_showing(code: str, seen: Seen) -> tuple[str, ...]:
    """Leads that a reader would name for the form statement `code`; aVR is never named, as it mirrors the others."""
    if code == "STD_":
        chosen = seen.st_mv < -0.05
    elif code == "NST_":
        chosen = seen.st_mv < -0.03
    elif code == "STE_":
        limit = np.full(12, 0.10)
        limit[6:9] = 0.14
        chosen = seen.st_mv > limit
    elif code == "DIG":
        chosen = seen.sag_mv < -0.08
    elif code == "INVT":
        chosen = _repolarisation(seen.t_mv < -0.06)
    elif code in ("LOWT", "NDT", "NT_"):
        chosen = _repolarisation(seen.t_mv < 0.06)
    elif code == "TAB_":
        chosen = seen.t_early_mv < -0.12
    elif code == "QWAVE":
        chosen = (seen.q_mv < -0.10) & (-seen.q_mv > 0.22 * seen.r_mv)
        chosen[_INDEX["V1"]] &= chosen[_INDEX["V2"]]
        chosen[_INDEX["III"]] &= chosen[_INDEX["aVF"]]
        chosen[_INDEX["aVL"]] &= chosen[_INDEX["I"]]
    else:
        chosen = np.zeros(12, dtype=bool)
    chosen = chosen.copy()
    chosen[_INDEX["aVR"]] = False
    return tuple(lead for lead, flag in zip(LEADS, chosen.tolist(), strict=True) if flag)


def _repolarisation(chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Low or negative T in III, aVL and V1 is normal unless the neighbouring lead shows it too."""
    chosen = chosen.copy()
    for lead, neighbour in (("III", "aVF"), ("aVL", "I"), ("V1", "V2")):
        chosen[_INDEX[lead]] &= chosen[_INDEX[neighbour]]
    return chosen


def high_voltage_groups(seen: Seen) -> tuple[str, ...]:
    """Groups of leads ("limb", "chest") whose QRS is high: R in I above 1.5 mV or in aVL above 1.1 mV; S in V1 plus R
    in V5 or V6 above 3.5 mV."""
    size = seen.r_mv
    limb = size[_INDEX["I"]] > 1.5 or size[_INDEX["aVL"]] > 1.1 or size[_INDEX["II"]] > 2.0 or size[_INDEX["aVF"]] > 2.0
    sokolow = -seen.s_mv[_INDEX["V1"]] + max(size[_INDEX["V5"]], size[_INDEX["V6"]])
    chest = sokolow > 3.5 or size[6:].max() > 2.8
    return tuple(name for name, high in (("limb", limb), ("chest", chest)) if high)


def low_voltage_groups(seen: Seen) -> tuple[str, ...]:
    """Groups whose QRS is low: below 0.6 mV peak to peak in all limb leads, below 1.1 mV in all chest leads."""
    span = seen.r_mv - np.minimum(seen.q_mv, seen.s_mv)
    low = {"limb": span[:6].max() < 0.6, "chest": span[6:].max() < 1.1}
    return tuple(name for name, flag in low.items() if flag)


AXES: Final = ("normal heart axis", "left axis deviation", "right axis deviation", "extreme axis deviation")


def heart_axis(seen: Seen) -> tuple[str, float]:
    """Name and degrees of the frontal axis by the net deflections of I, II and aVF; II decides between 0 and -30."""
    one, two, foot = (float(seen.net_mv[_INDEX[lead]]) for lead in ("I", "II", "aVF"))
    degrees = float(np.degrees(np.arctan2(2 / np.sqrt(3) * foot, one)))
    if one >= 0:
        name = AXES[0] if foot >= 0 or two >= 0 else AXES[1]
    else:
        name = AXES[2] if foot >= 0 else AXES[3]
    return name, degrees


def axis_code(degrees: float, rng: np.random.Generator) -> str | None:
    """PTB-XL's heart_axis column, which is empty on two records of five."""
    if rng.random() < 0.39:
        return None
    limits = ((-150, "ARAD"), (-90, "AXL"), (-45, "ALAD"), (-10, "LAD"), (80, "MID"), (100, "AXR"), (120, "RAD"))
    for limit, code in limits:
        if degrees < limit:
            return code
    return "ARAD"
