"""Drawing the beats that a measured attribute rests on, with the points that it was measured between."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from ecgqa.attributes.heart_axis import AXIS_LEADS
from ecgqa.attributes.vocabulary import FEATURES
from ecgqa.signals.delineation.beats import NOT_MEASURABLE, POINTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ecgqa.signals.read import Ecg

AXIS: Final = "heart axis"
"""Stands for the heart axis among the numeric features."""

_BETWEEN: Final = {
    "rr interval": ("r_peak",),
    "p duration": ("p_onset", "p_offset"),
    "pr interval": ("p_onset", "qrs_onset"),
    "qrs duration": ("q_peak", "s_peak"),
    "qt interval": ("q_peak", "t_offset"),
    "qt corrected": ("r_peak", "q_peak", "t_offset"),
    AXIS: ("qrs_onset", "q_peak", "r_peak", "s_peak", "qrs_offset"),
}
_BETWEEN_CONSENSUS: Final = _BETWEEN | {
    "qrs duration": ("qrs_onset", "qrs_offset"),
    "qt interval": ("qrs_onset", "t_offset"),
    "qt corrected": ("r_peak", "qrs_onset", "t_offset"),
    AXIS: ("qrs_onset", "qrs_offset"),
}


def draw_beats(ecg: Ecg, measured: Collection[str], method: str, title: str) -> Figure:
    """Ten seconds of the leads that `measured` (numeric features, or `AXIS`) come from, with their points marked.

    `method` as for `waveform_attributes`. Lead II, or I, II and aVF for the axis; "released" has points of each lead,
    "ecgqa" those that all leads say together. A feature that no beat shows has no marks.
    """
    from ecgqa.signals.draw import draw_ecg

    between = _BETWEEN_CONSENSUS if method == "ecgqa" else _BETWEEN
    wanted = {name for feature in measured for name in between[feature]}
    leads = AXIS_LEADS if AXIS in measured else ("II",)
    found = _points(ecg, leads, method)
    markers = {
        name.replace("_", " "): {lead: (at[at != NOT_MEASURABLE] / ecg.fs_hz).tolist() for lead, at in by_lead.items()}
        for name, by_lead in ((name, {lead: found[lead][name] for lead in leads}) for name in POINTS if name in wanted)
    }
    return draw_ecg(ecg, leads=leads, title=title, markers=markers)


def _points(ecg: Ecg, leads: tuple[str, ...], method: str) -> dict[str, dict[str, npt.NDArray[np.int32]]]:
    """Sample indices by lead and point."""
    from ecgqa.signals.delineation import delineate

    if method == "ecgqa":
        together = delineate(ecg, method="ecgqa", edge_waves=True).points()
        return dict.fromkeys(leads, together)
    return {lead: delineate(ecg, method="released", lead=lead).points(lead) for lead in leads}


def measured_in(names: Collection[str], *, axis: bool) -> tuple[str, ...]:
    """What `names` (attributes as questions spell them) were measured as: features named in them, all if none is."""
    if axis:
        return (AXIS,)
    return tuple(feature for feature in FEATURES if any(feature in name for name in names)) or FEATURES
