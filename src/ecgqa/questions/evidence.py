"""What speaks for our answer to a question: the attribute rows it rests on, and the metadata cells behind them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from ecgqa.records import AttributeType

if TYPE_CHECKING:
    from ecgqa.questions.asked import Asked
    from ecgqa.questions.diff import Disagreement

_COLUMNS: Final = {
    AttributeType.SCP_CODE: ("scp_codes", "report"),
    AttributeType.NOISE: ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems"),
    AttributeType.STAGE_OF_INFARCTION: ("infarction_stadium1", "infarction_stadium2"),
    AttributeType.EXTRA_SYSTOLE: ("extra_beats",),
    AttributeType.HEART_AXIS: ("heart_axis",),
    AttributeType.NUMERIC_FEATURE: (),
}
"""Columns of PTB-XL's metadata that an attribute type comes from (or, for the axis, can be compared with)."""

_ID_COLUMNS: Final = ("ecg_id", "study_id")
_MAX_CELL: Final = 400


class Evidence:
    """Looks up the evidence of single disagreements; `metadata` are raw rows of the ECGs' data set, or None."""

    def __init__(self, attributes: pl.DataFrame, metadata: pl.DataFrame | None) -> None:
        self._attributes = attributes.with_columns(pl.col("attribute_type", "value", "lead", "origin").cast(pl.String))
        self._by_ecg: dict[int, list[dict[str, Any]]] = {}
        self._metadata = metadata
        self._id = next((name for name in _ID_COLUMNS if metadata is not None and name in metadata.columns), None)

    def of(self, differing: Disagreement, asked: Asked) -> Disagreement:
        """The disagreement with its evidence, one entry per ECG."""
        kind = asked.question.template.attribute_type
        options = set(asked.question.options) | set(asked.question.asked)
        return replace(
            differing,
            evidence=[
                {"ecg_id": ecg_id, "attributes": self._rows(ecg_id, kind, options), "source": self._cells(ecg_id, kind)}
                for ecg_id in differing.ecg_id
            ],
        )

    def _rows(self, ecg_id: int, kind: AttributeType, options: set[str]) -> list[str]:
        """Attribute rows of the type, those about the asked attributes first; leads of one attribute on one line."""
        if ecg_id not in self._by_ecg:
            self._by_ecg[ecg_id] = self._attributes.filter(pl.col("ecg_id") == ecg_id).rows(named=True)
        rows = [row for row in self._by_ecg[ecg_id] if row["attribute_type"] == kind.value]
        rows.sort(key=lambda row: not any(row["attribute"] in option for option in options))
        lines: dict[str, list[str]] = {}
        for row in rows:
            number = "" if row["number"] is None else f" {row['number']:g} {row['unit'] or ''}".rstrip()
            text = f"{row['attribute']} = {row['value']}{number} ({row['origin']})"
            lines.setdefault(text, []).extend([row["lead"]] if row["lead"] else [])
        return [text + (f" in {', '.join(leads)}" if leads else "") for text, leads in lines.items()]

    def _cells(self, ecg_id: int, kind: AttributeType) -> dict[str, str]:
        if self._metadata is None or self._id is None:
            return {}
        row = self._metadata.filter(pl.col(self._id).cast(pl.Int64, strict=False) == ecg_id)
        if row.is_empty():
            return {}
        wanted = [name for name in _COLUMNS[kind] if name in row.columns]
        if kind in (AttributeType.SCP_CODE, AttributeType.STAGE_OF_INFARCTION, AttributeType.NOISE) and not wanted:
            wanted = [name for name in row.columns if name.startswith("report_")]  # MIMIC's machine statements
        cells = {name: row[name][0] for name in wanted}
        return {name: str(cell).strip()[:_MAX_CELL] for name, cell in cells.items() if cell not in (None, "")}
