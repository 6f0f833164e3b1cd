"""The view `findings`: classes of an upper-bound classifier above their threshold, each with its score.

The published experiment shows just this (Oh et al. 2023): the whole ECG, the lead or lead group that the question
names, or each of the twelve leads by itself where it asks for leads.
"""

from __future__ import annotations

import polars as pl

from ecgqa.errors import EcgqaError
from ecgqa.llm.asked import AskedQuestion, leads_text
from ecgqa.llm.views import Block, Material, digest_of_table, heading


class FindingsView:
    """Reads a FINDINGS table; the threshold is the table's own (chosen on valid), or one for all classes."""

    def __init__(self, material: Material, *, threshold: float | None = None) -> None:
        if material.findings is None:
            raise EcgqaError(
                "the view findings needs a table of findings",
                fix="--findings FILE.parquet (ecgqa findings predict RUN STORE makes one)",
            )
        findings = material.findings
        self.inputs = {"findings": digest_of_table(findings)}
        shown = findings.filter(
            pl.col("probability") > (pl.col("threshold") if threshold is None else pl.lit(threshold))
        ).sort("probability", descending=True, maintain_order=True)
        lines = pl.format("{}: {}", "attribute", pl.col("probability").round(3).cast(pl.String).str.pad_end(5, "0"))
        per_look = shown.group_by("ecg_id", "leads", maintain_order=True).agg(lines.alias("lines"))
        self._looked_at = set(findings.select("ecg_id", "leads").unique().iter_rows())
        self._lines = {(ecg_id, leads): "\n".join(lines) for ecg_id, leads, lines in per_look.iter_rows()}

    def blocks(self, asked: AskedQuestion) -> list[Block]:
        return [
            Block(heading("Interpretation", asked, ecg, leads), self._text(ecg_id, leads))
            for ecg, ecg_id in enumerate(asked.ecg_ids)
            for leads in asked.lead_sets
        ]

    def _text(self, ecg_id: int, leads: tuple[int, ...]) -> str:
        key = (ecg_id, sum(1 << lead for lead in leads))
        if key not in self._looked_at:
            raise EcgqaError(
                f"the findings hold nothing about ECG {ecg_id} seen in {leads_text(leads) or 'all leads'}",
                fix="make them with ecgqa findings predict for the same split, with all the lead sets that are asked",
            )
        return self._lines.get(key, "")


def at_half(material: Material) -> FindingsView:
    """The view `findings-at-half`: one threshold of 0.5 for all classes, as published."""
    return FindingsView(material, threshold=0.5)
