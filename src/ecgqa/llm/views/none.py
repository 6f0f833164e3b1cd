"""The view `none`: the model sees the question and its options only."""

from __future__ import annotations

from ecgqa.llm.asked import AskedQuestion
from ecgqa.llm.views import Block, Material


class NoView:
    """Nothing of the ECG: what a model makes of the question alone."""

    def __init__(self, material: Material) -> None:
        self.inputs: dict[str, str] = {}

    def blocks(self, asked: AskedQuestion) -> list[Block]:
        return []
