"""One ECG as the page needs it: its samples as bytes, its record, its beats, what is known and written of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ecgqa.errors import EcgqaError
from ecgqa.records import INVALID_SAMPLE, LEADS, leads_in
from ecgqa.signals.delineation import NOT_MEASURABLE, POINTS, delineate

if TYPE_CHECKING:
    from ecgqa.store.open import Store


@dataclass(frozen=True)
class Trace:
    """Twelve leads as they lie in the store or came with an upload: millivolts = digital / gain_per_mv."""

    digital: NDArray[np.int16]
    """(12, n_samples) in canonical lead order."""
    gain_per_mv: tuple[float, ...]
    fs_hz: float

    def millivolts(self) -> NDArray[np.float32]:
        """(12, n_samples), NaN where nothing was recorded."""
        values: NDArray[np.float32] = (self.digital / np.array(self.gain_per_mv)[:, None]).astype(np.float32)
        values[self.digital == INVALID_SAMPLE] = np.nan
        return values

    def as_bytes(self) -> bytes:
        """The samples lead after lead, int16, little-endian."""
        return np.ascontiguousarray(self.digital, dtype="<i2").tobytes()

    def about(self) -> dict[str, Any]:
        """What a reader of the bytes must know."""
        return {
            "fs_hz": self.fs_hz, "n_samples": int(self.digital.shape[1]), "gain_per_mv": list(self.gain_per_mv),
            "leads": list(LEADS), "invalid": INVALID_SAMPLE,
        }  # fmt: skip

    def beats(self) -> dict[str, Any]:
        """Fiducial points of every beat in seconds, of all leads together and lead by lead; null = not measurable."""
        found = delineate(self.millivolts(), self.fs_hz)
        consensus = {name: self._seconds(found.consensus[row]) for row, name in enumerate(POINTS)}
        peaks = {
            name: {lead: self._seconds(found.by_lead[POINTS.index(name), place]) for place, lead in enumerate(LEADS)}
            for name in ("p_peak", "r_peak", "t_peak")
        }
        return {"n_beats": found.n_beats, "consensus": consensus, "by_lead": peaks}

    def _seconds(self, samples: NDArray[np.int32]) -> list[float | None]:
        known = samples != NOT_MEASURABLE
        times = np.round(samples / self.fs_hz, 4).tolist()
        return [time if there else None for time, there in zip(times, known.tolist(), strict=True)]


class Ecgs:
    """The ECGs of a store with the tables that say something of them."""

    def __init__(
        self, store: Store, attributes: pl.DataFrame | None = None, findings: pl.DataFrame | None = None
    ) -> None:
        self.store, self.attributes, self.findings = store, attributes, findings
        self.reports = _reports(store)
        self._gains = store.records["gain_per_mv"]
        self.beats = lru_cache(maxsize=512)(self._beats)

    def check(self, row: int) -> int:
        """`row` if the store has it; raises EcgqaError."""
        if not 0 <= row < self.store.n_ecgs:
            raise EcgqaError(f"no ECG in row {row}", expected=f"rows 0 to {self.store.n_ecgs - 1}")
        return row

    def trace(self, row: int) -> Trace:
        """The samples of an ECG, read from the memory map."""
        return Trace(self.store.signals[self.check(row)], tuple(self._gains[row]), self.store.fs_hz)

    def _beats(self, row: int) -> dict[str, Any]:
        return self.trace(row).beats()

    def record(self, row: int) -> dict[str, Any]:
        """Who and when, as far as the record says."""
        found = self.store.records.row(self.check(row), named=True)
        shown = ("source", "ecg_id", "patient_id", "path", "sex", "age", "flags")
        recorded_at = found["recorded_at"]
        return {name: found[name] for name in shown} | {
            "recorded_at": None if recorded_at is None else recorded_at.isoformat(sep=" "),
            "row": row,
        }

    def row_of_id(self, ecg_id: int) -> int:
        """The row of an ECG by its data set's id; raises EcgqaError."""
        found = np.flatnonzero(self.store.records["ecg_id"].to_numpy() == ecg_id)
        if not len(found):
            raise EcgqaError(f"this store has no ECG {ecg_id}", expected=f"one of its {self.store.n_ecgs:,} ECGs")
        return int(found[0])

    def known(self, row: int) -> dict[str, Any]:
        """Attributes with their origin, findings and report of an ECG; null where the page was given no such table."""
        ecg_id = self.record(row)["ecg_id"]
        return {
            "attributes": _attributes(self.attributes, ecg_id),
            "findings": _findings(self.findings, ecg_id),
            "report": self._report(ecg_id),
        }

    def _report(self, ecg_id: int) -> str | None:
        if self.reports is None:
            return None
        found = self.reports.filter(pl.col("ecg_id") == ecg_id)["text"]
        return str(found[0]) if len(found) else None


def _attributes(table: pl.DataFrame | None, ecg_id: int) -> list[dict[str, Any]] | None:
    if table is None:
        return None
    rows = table.filter(pl.col("ecg_id") == ecg_id)
    keys = ["attribute_type", "attribute", "value", "number", "unit", "origin"]
    merged = rows.group_by(keys, maintain_order=True).agg(pl.col("lead").cast(pl.String).drop_nulls().alias("leads"))
    return [_finite(row) for row in merged.to_dicts()]


def _findings(table: pl.DataFrame | None, ecg_id: int, at_most: int = 40) -> list[dict[str, Any]] | None:
    """The likeliest findings, those beyond their threshold first."""
    if table is None:
        return None
    rows = table.filter(pl.col("ecg_id") == ecg_id).with_columns(
        (pl.col("probability") > pl.col("threshold")).alias("shown"),
    )
    rows = rows.sort("shown", "probability", descending=True).head(at_most)
    kept = rows.select("attribute", "leads", "probability", "threshold", "shown", "run").to_dicts()
    return [_finite(row | {"leads": _lead_names(leads_in(row["leads"]))}) for row in kept]


def _lead_names(leads: Sequence[str]) -> list[str]:
    return [] if len(leads) == len(LEADS) else list(leads)


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN."""
    return {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in row.items()}


def _reports(store: Store) -> pl.DataFrame | None:
    try:
        found = getattr(store, "reports", None)
    except EcgqaError:
        return None
    return found if isinstance(found, pl.DataFrame) else None
