"""The ECGs of a store with everything that is known and written of each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ecgqa.errors import EcgqaError
from ecgqa.explorer.trace import beats
from ecgqa.records import LEADS, leads_in

if TYPE_CHECKING:
    from ecgqa.signals.read import Ecg
    from ecgqa.store.open import Store


class Ecgs:
    """The ECGs of a store with the tables that say something of them."""

    def __init__(
        self, store: Store, attributes: pl.DataFrame | None = None, findings: pl.DataFrame | None = None
    ) -> None:
        self.store, self.attributes, self.findings = store, attributes, findings
        self.reports = _reports(store)
        self._ids = store.records["ecg_id"].to_list()
        self.beats = lru_cache(maxsize=512)(self._beats)

    def check(self, row: int) -> int:
        """`row` if the store has it; raises EcgqaError."""
        if not 0 <= row < self.store.n_ecgs:
            raise EcgqaError(f"no ECG in row {row}", expected=f"rows 0 to {self.store.n_ecgs - 1}")
        return row

    def ecg(self, row: int) -> Ecg:
        """The samples of an ECG, read from the memory map."""
        return self.store.ecg_at(self.check(row))

    def _beats(self, row: int) -> dict[str, Any]:
        return beats(self.ecg(row))

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
        if ecg_id not in self._ids:
            raise EcgqaError(f"this store has no ECG {ecg_id}", expected=f"one of its {self.store.n_ecgs:,} ECGs")
        return int(self._ids.index(ecg_id))

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
        return store.reports
    except EcgqaError:
        return None
