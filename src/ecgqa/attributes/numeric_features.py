"""The six numeric features of an ECG in seconds, and where each lies relative to its normal range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from ecgqa.attributes.vocabulary import FEATURES, RANGES
from ecgqa.records import NORMAL_RANGES_S, Value
from ecgqa.signals.delineation.beats import Delineation
from ecgqa.signals.delineation.single_lead import LeadDelineation

LONGEST_RR_S: Final = 2.0
"""A longer gap between two R peaks is a missed beat and no RR interval."""

Numbers = npt.NDArray[np.float64]


def released_features(lead: LeadDelineation) -> dict[str, float]:
    """Features (seconds) as the released questions measure them, from lead II; NaN where no beat shows what it takes.

    Per beat, then the median over the beats that have it. Intervals count both end samples, except RR. QRS runs from
    the Q to the S peak, QT from the Q peak; QT is corrected beat by beat with the RR before it (Bazett 1920, Heart
    7:353). The sums are divided by the rate before the median is taken, which decides at the edges of the ranges.
    """
    fs = lead.fs_hz

    def span_s(first: str, last: str) -> Numbers:
        return (lead.point(last) - lead.point(first) + 1) / fs

    return _medians(
        rr_s=np.diff(lead.point("r_peak")) / fs,
        p_s=span_s("p_onset", "p_offset"),
        pr_s=span_s("p_onset", "qrs_onset"),
        qrs_s=span_s("q_peak", "s_peak"),
        qt_s=span_s("q_peak", "t_offset"),
    )


def consensus_features(delineation: Delineation) -> dict[str, float]:
    """Features (seconds) from what all leads say together, by the usual definitions: from onset to offset."""

    def span_s(first: str, last: str) -> Numbers:
        return delineation.milliseconds(first, last) / 1000.0

    return _medians(
        rr_s=np.diff(delineation.point("r_peak").astype(np.float64)) / delineation.fs_hz,
        p_s=span_s("p_onset", "p_offset"),
        pr_s=span_s("p_onset", "qrs_onset"),
        qrs_s=span_s("qrs_onset", "qrs_offset"),
        qt_s=span_s("qrs_onset", "t_offset"),
    )


def _medians(rr_s: Numbers, p_s: Numbers, pr_s: Numbers, qrs_s: Numbers, qt_s: Numbers) -> dict[str, float]:
    per_beat: Mapping[str, Numbers] = {
        "rr interval": rr_s[rr_s < LONGEST_RR_S],
        "p duration": p_s,
        "pr interval": pr_s,
        "qrs duration": qrs_s,
        "qt interval": qt_s,
        "qt corrected": qt_s[1:] / np.sqrt(rr_s),
    }
    measured = {name: values[np.isfinite(values)] for name, values in per_beat.items()}
    return {name: float(np.median(measured[name])) if measured[name].size else float("nan") for name in FEATURES}


def range_of(feature: str, seconds: float) -> str | None:
    """The one of `RANGES` that a feature lies in (limits are normal); None where it could not be measured."""
    low, high = NORMAL_RANGES_S[feature]
    below, within, above = RANGES
    if not np.isfinite(seconds):
        return None
    if low is not None and seconds < low:
        return below
    return above if seconds > high else within


def value_of(feature: str, seconds: float) -> Value:
    """Whether a feature is normal, as the attribute table says it: yes, no, or unknown where not measurable."""
    range_ = range_of(feature, seconds)
    if range_ is None:
        return Value.UNKNOWN
    return Value.YES if range_ == RANGES[1] else Value.NO
