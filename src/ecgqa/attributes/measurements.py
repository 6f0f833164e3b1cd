"""What a reader measures on one ECG: rate and rhythm, intervals, axis, and the height of each wave in each lead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecgqa.attributes.heart_axis import Axis, consensus_axis
from ecgqa.attributes.numeric_features import consensus_features, range_of
from ecgqa.records import LEADS
from ecgqa.signals.delineation import NOT_MEASURABLE, Delineation, delineate

ST_AFTER_J_MS: Final = 60.0
"""Where the ST level is read, after the end of QRS."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LeadAmplitudes:
    """Medians over the beats in millivolts from the level at the QRS onset; NaN where not measurable."""

    lead: str
    p_mv: float
    r_mv: float
    """Highest point of QRS, not below 0."""
    s_mv: float
    """Lowest point of QRS (Q, S or QS), not above 0."""
    t_mv: float
    st_mv: float
    """60 ms after the end of QRS."""


@dataclass(frozen=True)
class Measurements:
    """Measured by the twelve-lead consensus delineation; durations in ms, NaN where not measurable."""

    delineation: Delineation
    rate_bpm: float
    rr_ms: Numbers
    """(n_beats - 1,) intervals between R peaks."""
    intervals_ms: dict[str, float]
    """The six numeric features by the names that the questions use."""
    axis: Axis | None
    p_share: float
    """Share of the beats before which a P wave was found."""
    leads: tuple[LeadAmplitudes, ...]

    @property
    def n_beats(self) -> int:
        return self.delineation.n_beats

    def lines(self) -> Iterator[str]:
        """One measurement a line, with its unit and, where there is one, its place in the normal range."""
        yield f"beats seen: {self.n_beats}"
        if np.isfinite(self.rate_bpm):
            yield f"ventricular rate: {self.rate_bpm:.0f} /min"
        if self.rr_ms.size > 1:
            low, high, spread = self.rr_ms.min(), self.rr_ms.max(), self.rr_ms.std()
            yield f"RR intervals: {low:.0f} to {high:.0f} ms, standard deviation {spread:.0f} ms"
        if self.n_beats:
            yield f"P waves before {self.p_share:.0%} of the beats"
        for name, value in self.intervals_ms.items():
            where = range_of(name, value / 1000.0)
            yield f"{name}: {value:.0f} ms ({where})" if where else f"{name}: not measurable"
        yield f"heart axis: {self.axis.degrees:.0f} degrees ({self.axis.name})" if self.axis else "heart axis: unknown"

    def lead_lines(self) -> Iterator[str]:
        """The wave heights of each lead, a line each."""
        for lead in self.leads:
            heights = {"P": lead.p_mv, "R": lead.r_mv, "S": lead.s_mv, "ST": lead.st_mv, "T": lead.t_mv}
            known = [f"{name} {value:+.2f}" for name, value in heights.items() if np.isfinite(value)]
            yield f"lead {lead.lead}: {', '.join(known)} mV" if known else f"lead {lead.lead}: no measurable beat"


def measure_ecg(millivolts: npt.NDArray[Any], fs_hz: float) -> Measurements:
    """Measure (12, n_samples) millivolts in canonical lead order; NaN = not recorded.

    Raises EcgqaError for another shape or an impossible rate; a flat or noisy ECG gives NaN, not an error.
    """
    found = delineate(np.asarray(millivolts), fs_hz, edge_waves=True)  # medians over few beats: each one counts
    intervals = {name: seconds * 1000.0 for name, seconds in consensus_features(found).items()}
    rr_ms = np.diff(found.point("r_peak").astype(np.float64)) * 1000.0 / fs_hz
    p_seen = found.point("p_peak") != NOT_MEASURABLE
    return Measurements(
        delineation=found,
        rate_bpm=60_000.0 / float(np.median(rr_ms)) if rr_ms.size else float("nan"),
        rr_ms=rr_ms,
        intervals_ms=intervals,
        axis=consensus_axis(millivolts, found),
        p_share=float(p_seen.mean()) if p_seen.size else float("nan"),
        leads=tuple(
            _amplitudes(np.asarray(millivolts[row], np.float64), found, lead) for row, lead in enumerate(LEADS)
        ),
    )


def _amplitudes(signal: Numbers, found: Delineation, lead: str) -> LeadAmplitudes:
    after_j = round(ST_AFTER_J_MS * found.fs_hz / 1000.0)
    begins, ends = found.point("qrs_onset"), found.point("qrs_offset")
    heights: dict[str, list[float]] = {"p": [], "r": [], "s": [], "t": [], "st": []}
    peaks = {"p": found.point("p_peak", lead), "t": found.point("t_peak", lead)}
    for beat, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        if NOT_MEASURABLE in (begin, end) or end <= begin:
            continue
        level = signal[begin]
        qrs = signal[begin : end + 1] - level
        heights["r"].append(max(float(np.max(qrs)), 0.0))
        heights["s"].append(min(float(np.min(qrs)), 0.0))
        if end + after_j < len(signal):
            heights["st"].append(float(signal[end + after_j] - level))
        for wave, at in peaks.items():
            if at[beat] != NOT_MEASURABLE:
                heights[wave].append(float(signal[at[beat]] - level))
    medians = {f"{wave}_mv": _median(values) for wave, values in heights.items()}
    return LeadAmplitudes(lead, **medians)


def _median(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")
