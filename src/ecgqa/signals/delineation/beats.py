"""The result of a delineation: where the waves of each beat begin, peak and end, in each lead and in all together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ecgqa.records import LEADS

POINTS: Final = (
    "p_onset",
    "p_peak",
    "p_offset",
    "qrs_onset",
    "q_peak",
    "r_peak",
    "s_peak",
    "qrs_offset",
    "t_onset",
    "t_peak",
    "t_offset",
)
"""The fiducial points of one beat, in the order in which a normal beat passes them."""

NOT_MEASURABLE: Final = -1
"""Stands where a point is not there or cannot be told; a sample index is never negative."""

CONSENSUS: Final = "all"
"""The name of the row that holds what all leads say together."""


@dataclass(frozen=True, slots=True, eq=False)
class Delineation:
    """Fiducial points of one ECG as sample indices at `fs_hz`; NOT_MEASURABLE (-1) = absent or cannot be told.

    Beats are in order of time and every array has all of them: a missing wave never shortens a row.
    """

    fs_hz: float
    n_samples: int
    consensus: npt.NDArray[np.int32]
    """(11, n_beats): rows as `POINTS`, what all leads say together."""
    by_lead: npt.NDArray[np.int32]
    """(11, 12, n_beats): rows as `POINTS`, leads in canonical order."""
    confidence: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((3, 0), dtype=np.float32))
    """(3, n_beats): how sure it is that the P wave, QRS complex and T wave are there, 0 to 1; (3, 0) = not given."""

    @property
    def n_beats(self) -> int:
        """How many beats (QRS complexes) were found."""
        return int(self.consensus.shape[1])

    def point(self, name: str, lead: str | None = None) -> npt.NDArray[np.int32]:
        """(n_beats,) sample indices of one of `POINTS`, in one lead or (`lead=None`) in all leads together."""
        row = POINTS.index(name)
        values: npt.NDArray[np.int32] = self.consensus[row] if lead is None else self.by_lead[row, LEADS.index(lead)]
        return values

    def points(self, lead: str | None = None) -> dict[str, npt.NDArray[np.int32]]:
        """`point` for every one of `POINTS`."""
        return {name: self.point(name, lead) for name in POINTS}

    def milliseconds(self, start: str, end: str, lead: str | None = None) -> npt.NDArray[np.float64]:
        """(n_beats,) time from one point to another of the same beat in ms; NaN where either is not measurable."""
        first, last = self.point(start, lead), self.point(end, lead)
        known = (first != NOT_MEASURABLE) & (last != NOT_MEASURABLE)
        return np.where(known, (last - first) * (1000.0 / self.fs_hz), np.nan)

    def without_edge_waves(self) -> Delineation:
        """P and T of the first and the last cycle (and beyond) become not measurable; QRS complexes stay.

        Whether a deflection is a P or T wave is told from the cycles on both sides of its own; the first and the last
        cycle of a record have one on one side only. Those who annotate by hand leave them out as well (LUDB does).
        """
        consensus, by_lead = self.consensus.copy(), self.by_lead.copy()
        first, last = POINTS.index("qrs_onset"), POINTS.index("qrs_offset")
        for points in (consensus, by_lead):
            for waves, at_start, at_end in ((points[:first], 2, 1), (points[last + 1 :], 1, 2)):
                waves[..., :at_start] = NOT_MEASURABLE
                waves[..., max(self.n_beats - at_end, 0) :] = NOT_MEASURABLE
        return replace(self, consensus=consensus, by_lead=by_lead)

    def to_frame(self) -> pl.DataFrame:
        """One row per beat and lead, the row "all" first: beat, lead, then `POINTS` (null = not measurable)."""
        everything = np.concatenate((self.consensus[:, None, :], self.by_lead), axis=1)
        n_rows = everything.shape[1]
        columns = {
            "beat": pl.Series(np.repeat(np.arange(self.n_beats, dtype=np.int32), n_rows)),
            "lead": pl.Series([CONSENSUS, *LEADS] * self.n_beats, dtype=pl.String),
        }
        for name, values in zip(POINTS, everything, strict=True):
            column = pl.Series(name, np.ascontiguousarray(values.T).ravel(), dtype=pl.Int32)
            columns[name] = column.replace(NOT_MEASURABLE, None)
        return pl.DataFrame(columns)


def no_beats(fs_hz: float, n_samples: int) -> Delineation:
    """The delineation of an ECG in which nothing was found."""
    return Delineation(
        fs_hz,
        n_samples,
        np.full((len(POINTS), 0), NOT_MEASURABLE, dtype=np.int32),
        np.full((len(POINTS), len(LEADS), 0), NOT_MEASURABLE, dtype=np.int32),
    )
