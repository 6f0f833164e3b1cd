"""The view `image`: the twelve-lead drawing on its grid, as clinicians read it."""

from __future__ import annotations

import io
from functools import lru_cache

from ecgqa.artefacts import digest_of
from ecgqa.errors import EcgqaError
from ecgqa.llm.asked import WHOLE, AskedQuestion
from ecgqa.llm.views import Block, Material, heading, millivolts_of, store_rows

DPI = 100


class ImageView:
    """A PNG of each ECG, 25 mm/s and 10 mm/mV; the title holds no id, age or name."""

    def __init__(self, material: Material) -> None:
        if material.store is None:
            raise EcgqaError("the view image needs the signals of the ECGs", fix="give a store to read them from")
        self.store = material.store
        self.inputs = {"signals": digest_of(self.store.manifest.get("inputs"))}
        self._drawn = lru_cache(maxsize=256)(self._draw)

    def blocks(self, asked: AskedQuestion) -> list[Block]:
        rows = store_rows(asked, self.store, "image")
        return [Block(heading("Drawing", asked, ecg, WHOLE), png=self._drawn(row)) for ecg, row in enumerate(rows)]

    def _draw(self, row: int) -> bytes:
        from ecgqa.signals.draw import draw_ecg

        figure = draw_ecg((millivolts_of(self.store, row), self.store.fs_hz), title="12-lead ECG")
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=DPI)
        return stream.getvalue()
