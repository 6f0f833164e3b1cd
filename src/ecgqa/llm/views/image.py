"""The view `image`: the twelve-lead drawing on its grid, as clinicians read it."""

from __future__ import annotations

import io
from functools import lru_cache

from ecgqa.llm.asked import WHOLE, AskedQuestion
from ecgqa.llm.views import Block, Material, heading, signals_of

DPI = 100


class ImageView:
    """A PNG of each ECG, 25 mm/s and 10 mm/mV; the title holds no id, age or name."""

    def __init__(self, material: Material) -> None:
        self._signals = signals_of(material, "image")
        self.inputs = {"signals": self._signals.digest}
        self._drawn = lru_cache(maxsize=256)(self._draw)

    def blocks(self, asked: AskedQuestion) -> list[Block]:
        return [
            Block(heading("Drawing", asked, ecg, WHOLE), png=self._drawn(row)) for ecg, row in enumerate(asked.ecg_rows)
        ]

    def _draw(self, row: int) -> bytes:
        from ecgqa.signals.draw import draw_ecg

        figure = draw_ecg(self._signals.ecg(row), title="12-lead ECG")
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=DPI)
        return stream.getvalue()
