"""The view `features`: what the package's own delineator measures on each ECG, with units."""

from __future__ import annotations

from functools import lru_cache

from ecgqa.llm.asked import WHOLE, AskedQuestion
from ecgqa.llm.views import Block, Material, heading, signals_of


class FeaturesView:
    """Rate, rhythm, intervals, axis, and wave heights in all leads, or in the lead that the question names."""

    def __init__(self, material: Material) -> None:
        self._signals = signals_of(material, "features")
        self.inputs = {"signals": self._signals.digest}
        self._measured = lru_cache(maxsize=4096)(self._measure)

    def blocks(self, asked: AskedQuestion) -> list[Block]:
        leads = asked.lead_sets[0] if len(asked.lead_sets) == 1 else WHOLE
        blocks = []
        for ecg, row in enumerate(asked.ecg_rows):
            general, by_lead = self._measured(row)
            lines = [*general, *(by_lead[lead] for lead in leads)]
            blocks.append(Block(heading("Measurements", asked, ecg, WHOLE), "\n".join(lines)))
        return blocks

    def _measure(self, row: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        from ecgqa.attributes.measurements import measure_ecg

        measured = measure_ecg(*self._signals.ecg(row))
        return tuple(measured.lines()), tuple(measured.lead_lines())
