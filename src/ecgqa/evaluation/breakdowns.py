"""The groups of questions that scores are broken down by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ecgqa.records import QuestionType

OVERALL, MACRO = "overall", "macro"
SEVEN_TYPES = tuple(member.value for member in QuestionType)
"""The seven question types of the paper, in its order (`question_type2` 0, 1, 2, 3, 5, 6, 8 of the original)."""

BREAKDOWNS = {
    OVERALL: "all questions",
    MACRO: "unweighted mean over the question types that occur: macro_7 where all seven do, macro_k where only k do",
    "comparison": "one ECG, two consecutive ECGs of a patient, two ECGs of different patients (question_type1)",
    "question_type": "the seven question types of the paper (question_type2)",
    "question_and_attribute_type": "question type and attribute type (question_type3)",
    "attribute_type": "kind of attribute asked about",
    "template": "question template",
    "n_answers": "number of right answers; 0 where 'none' is right",
    "split": "split",
    "version": "template or paraphrased wording",
}
CURVE_BREAKDOWNS = (OVERALL, "comparison", "question_type", "question_and_attribute_type", "attribute_type", "template")
MANY_ANSWERS = 4


@dataclass(frozen=True)
class Breakdown:
    """One way to group questions: `names` of its groups, and the group of each question (n_questions,)."""

    kind: str
    names: list[str]
    group: NDArray[np.int64]


def break_down(frame: pl.DataFrame, n_gold: NDArray[np.int64]) -> list[Breakdown]:
    """Every breakdown of the questions `frame` but the macro average, which is made from the question types."""
    columns = ("question_type", "attribute_type", "template_id", "split", "version")
    keyed = frame.select(columns).with_columns(pl.Series("n_gold", np.minimum(n_gold, MANY_ANSWERS)))
    distinct = keyed.unique(maintain_order=True).with_row_index("combination")
    combination = keyed.join(distinct, on=[*columns, "n_gold"], how="left", maintain_order="left")["combination"]
    labels = [_labels(*row) for row in distinct.select(*columns, "n_gold").iter_rows()]
    breakdowns = []
    for position, kind in enumerate(name for name in BREAKDOWNS if name != MACRO):
        names = sorted({label[position] for label in labels}, key=_order)
        codes = np.array([names.index(label[position]) for label in labels], np.int64)
        breakdowns.append(Breakdown(kind, names, codes[combination.to_numpy()]))
    return breakdowns


def _labels(
    kind: str, attribute: str, template_id: int, split: str, version: str, n_gold: int
) -> tuple[str, str, str, str, str, str, str, str, str]:
    """The group of a question in each of BREAKDOWNS but the macro average, in their order."""
    n_answers = str(n_gold) if n_gold < MANY_ANSWERS else f"{MANY_ANSWERS}+"
    comparison = kind.rsplit("-", 1)[0]
    return "all", comparison, kind, f"{kind} / {attribute}", attribute, str(template_id), n_answers, split, version


def macro_name(n_types: int) -> str:
    """`macro_7`, or `macro_k` where only k of the seven question types occur."""
    return f"macro_{n_types}"


def _order(name: str) -> tuple[int, int, str]:
    head = name.split(" / ")[0]
    return (SEVEN_TYPES.index(head) if head in SEVEN_TYPES else 99, int(name) if name.isdigit() else 0, name)
