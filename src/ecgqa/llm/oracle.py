"""The oracle: questions answered from the true attributes, the ceiling of every reader of findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ecgqa.attributes.vocabulary import Vocabulary
from ecgqa.llm.offline import Answers
from ecgqa.questions.asked import Asked
from ecgqa.questions.diff import answers_from
from ecgqa.questions.facts import gather_facts
from ecgqa.records import RECORDS

if TYPE_CHECKING:
    import polars as pl


class OracleReader:
    """Answers from an ATTRIBUTES table, by the rules that made the questions."""

    name = "oracle"

    def __init__(self, attributes: pl.DataFrame, vocabulary: Vocabulary) -> None:
        import polars as pl

        ecgs = attributes.select(pl.col("ecg_id").unique().sort())
        unknown = [
            pl.lit(None, dtype=RECORDS.columns[name].dtype).alias(name) for name in ("patient_id", "recorded_at")
        ]
        self._facts = gather_facts(attributes, ecgs.with_columns(unknown), vocabulary)

    def answer(self, asked: Asked, ecg_ids: npt.NDArray[np.int64]) -> Answers:
        """Answers to one question of the grid about n ECGs (n, 1) or pairs of them (n, 2)."""
        evaluation, present = answers_from(asked, self._facts, ecg_ids.tolist())
        known = present & evaluation.known
        return Answers(evaluation.words, evaluation.holds.astype(np.float32), known, "its attributes are not known")
