"""What a delineation of one lead by itself says: the points of its beats, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from ecgqa.signals.delineation.beats import NOT_MEASURABLE, POINTS


class Outcome(StrEnum):
    """Whether a lead could be delineated at all, or what kept it from that."""

    DELINEATED = "delineated"
    NOT_FINITE = "samples missing or not finite"
    TOO_SHORT = "too short to be filtered"
    TOO_FEW_BEATS = "fewer than four R peaks"
    POINT_BEYOND_END = "a point lies beyond the last sample"
    TOO_SLOW = "slower than the coarsest wavelet scale can follow"


@dataclass(frozen=True, slots=True, eq=False)
class LeadDelineation:
    """Points of one lead; no beats unless `outcome` is DELINEATED."""

    samples: npt.NDArray[np.int32]
    """(11, n_beats): rows as `POINTS`; sample indices at the signal's own rate, or NOT_MEASURABLE."""
    fs_hz: float
    outcome: Outcome = Outcome.DELINEATED

    @property
    def n_beats(self) -> int:
        """How many beats were found."""
        return int(self.samples.shape[1])

    def point(self, name: str) -> npt.NDArray[np.float64]:
        """(n_beats,) sample indices of one of `POINTS` as numbers to compute with: NaN where not measurable."""
        samples = self.samples[POINTS.index(name)]
        return np.where(samples == NOT_MEASURABLE, np.nan, samples)


def not_delineable(outcome: Outcome, fs_hz: float) -> LeadDelineation:
    """A lead without beats, for the reason given."""
    return LeadDelineation(np.empty((len(POINTS), 0), np.int32), fs_hz, outcome)
