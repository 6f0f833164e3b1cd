"""The view `attributes`: the true attributes of each ECG, the ceiling for any reader of findings."""

from __future__ import annotations

import polars as pl

from ecgqa.errors import EcgqaError
from ecgqa.llm.asked import AskedQuestion
from ecgqa.llm.views import Block, Material, digest_of_table, heading

_TITLES = {
    "scp_code": "statements",
    "noise": "noise",
    "stage_of_infarction": "stage of infarction",
    "extra_systole": "extra systoles",
    "heart_axis": "heart axis",
    "numeric_feature": "measurements",
}


class AttributesView:
    """Reads an ATTRIBUTES table: what is present or uncertain, with its leads; numbers with their unit."""

    def __init__(self, material: Material) -> None:
        if material.attributes is None:
            raise EcgqaError(
                "the view attributes needs the attribute table",
                fix="--attributes FILE.parquet (ecgqa attributes build makes one)",
            )
        text = material.attributes.with_columns(pl.col("attribute_type", "value", "lead").cast(pl.String))
        self.inputs = {"attributes": digest_of_table(material.attributes)}
        self._by_ecg = {ecg_id: frame for (ecg_id,), frame in text.partition_by("ecg_id", as_dict=True).items()}

    def blocks(self, asked: AskedQuestion) -> list[Block]:
        whole = tuple(range(12))
        return [
            Block(heading("Attributes", asked, ecg, whole), self._text(ecg_id))
            for ecg, ecg_id in enumerate(asked.ecg_ids)
        ]

    def _text(self, ecg_id: int) -> str:
        rows = self._by_ecg.get(ecg_id)
        if rows is None:
            raise EcgqaError(
                f"the attribute table holds nothing about ECG {ecg_id}", fix="build it for the collection asked about"
            )
        lines = []
        for kind, title in _TITLES.items():
            said: dict[str, list[str]] = {}
            for row in rows.filter(pl.col("attribute_type") == kind).iter_rows(named=True):
                text = _phrase(row)
                if text:
                    said.setdefault(text, []).extend([row["lead"]] if row["lead"] else [])
            lines += [
                f"{title}: {text}" + (f" in leads {', '.join(leads)}" if leads else "") for text, leads in said.items()
            ]
            if not said:
                lines.append(f"{title}: none stated")
        return "\n".join(lines)


def _phrase(row: dict[str, object]) -> str:
    """An attribute row in words; empty for what is absent (numbers are told whether normal or not)."""
    name, value, number = str(row["attribute"]), row["value"], row["number"]
    if row["attribute_type"] == "numeric_feature":
        if number is None:
            return f"{name} not measurable"
        return f"{name} {number:.3f} {row['unit'] or ''} ({'within' if value == 'yes' else 'outside'} the normal range)"
    if value not in ("yes", "uncertain"):
        return ""
    return name + (" (uncertain)" if value == "uncertain" else "")
