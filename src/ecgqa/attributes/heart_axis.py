"""The heart axis in the frontal plane, from the net QRS deflections of leads I, II and aVF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ecgqa.attributes.vocabulary import AXES
from ecgqa.records import LEADS
from ecgqa.signals.delineation.beats import NOT_MEASURABLE, Delineation
from ecgqa.signals.delineation.single_lead import LeadDelineation

AXIS_LEADS: Final = ("I", "II", "aVF")

Numbers = npt.NDArray[np.float64]


class Axis(NamedTuple):
    """Direction of the net QRS deflection."""

    name: str
    """One of the vocabulary's AXES."""
    degrees: float
    """From I and aVF; 0 = towards the left arm, 90 = downwards."""


def released_axis(signals: Mapping[str, npt.NDArray[Any]], leads: Mapping[str, LeadDelineation]) -> Axis | None:
    """Axis as the released questions have it; None where one of I, II, aVF has no measurable beat.

    `signals`: unfiltered millivolts (n_samples,) of AXIS_LEADS; `leads`: their delineations, each lead by itself.
    """
    nets = [net_deflection_mv(signals[lead], leads[lead]) for lead in AXIS_LEADS]
    return axis_of(*nets) if np.isfinite(nets).all() else None


def net_deflection_mv(signal: npt.NDArray[Any], lead: LeadDelineation) -> float:
    """Mean over the beats of Q + R + S in millivolts, NaN where no beat has all three and a QRS onset.

    Q and R are measured from the level at the QRS onset; S from that at the QRS offset, or at the onset without one.
    """

    def level(name: str) -> Numbers:
        at = lead.point(name)
        known = np.isfinite(at)
        return np.where(known, np.asarray(signal, np.float64)[np.where(known, at, 0).astype(np.intp)], np.nan)

    onset, offset = level("qrs_onset"), level("qrs_offset")
    after = np.where(np.isfinite(offset), offset, onset)
    nets = (level("q_peak") - onset) + (level("r_peak") - onset) + (level("s_peak") - after)
    nets = nets[np.isfinite(nets)]
    return float(nets.mean()) if nets.size else float("nan")


def consensus_axis(millivolts: npt.NDArray[Any], delineation: Delineation) -> Axis | None:
    """Axis from the area of QRS between its common onset and offset, median over the beats; None where no beat has it.

    `millivolts`: (12, n_samples), unfiltered. The area is measured from the straight line between onset and offset.
    """
    onsets, offsets = delineation.point("qrs_onset"), delineation.point("qrs_offset")
    rows = [LEADS.index(lead) for lead in AXIS_LEADS]
    areas = []
    for onset, offset in zip(onsets.tolist(), offsets.tolist(), strict=True):
        if NOT_MEASURABLE not in (onset, offset) and offset > onset:
            piece = np.asarray(millivolts[rows, onset : offset + 1], np.float64)
            areas.append(piece.mean(axis=1) - (piece[:, 0] + piece[:, -1]) / 2)
    known = [area for area in areas if np.isfinite(area).all()]
    return axis_of(*np.median(known, axis=0).tolist()) if known else None


def axis_of(net_i_mv: float, net_ii_mv: float, net_avf_mv: float) -> Axis:
    """Axis of three finite net deflections; lead II decides whether one between 0 and -90 degrees is still normal."""
    normal, left, right, extreme = AXES
    if net_i_mv >= 0:
        name = normal if net_avf_mv >= 0 or net_ii_mv >= 0 else left
    else:
        name = right if net_avf_mv >= 0 else extreme
    # aVF is recorded at 0.87 of the scale of a bipolar lead (Goldberger).
    return Axis(name, float(np.degrees(np.arctan2(net_avf_mv * 2 / np.sqrt(3), net_i_mv))))
