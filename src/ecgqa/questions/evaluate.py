"""What the attribute table answers to a question of the grid, for any ECGs or pairs of ECGs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ecgqa.questions.answers import pack, relate, unpack_rows
from ecgqa.questions.facts import Bools, Facts, Ints, View, some
from ecgqa.questions.grid import GridQuestion, answer_word
from ecgqa.records import LEADS, NONE

QUADRANT: Final = {
    "resolved": (True, False),
    "new": (False, True),
    "remaining": (True, True),
    "absent": (False, False),
}
"""Relation -> whether an attribute holds on the first and on the second ECG of a pair."""

YES, NOT_SURE, NO = "yes", "not sure", "no"


@dataclass(frozen=True)
class Evaluation:
    """The answer of each row (an ECG or a pair): the set of `words` that hold, "none" where none does."""

    words: tuple[str, ...]
    holds: Bools
    """(rows, words)."""
    known: Bools
    """(rows,): the attributes that the answer needs are known."""

    def spelled(self) -> list[tuple[str, ...]]:
        """The answer of each row, sorted."""
        return [
            tuple(sorted(word for word, held in zip(self.words, row, strict=True) if held)) or (NONE,)
            for row in self.holds.tolist()
        ]


def evaluate(question: GridQuestion, facts: Facts, rows: Ints) -> Evaluation:
    """Answers to a question about one ECG, for the ECGs `rows` (rows of `facts`)."""
    view = facts.views[question.template.view]
    answer = {"verify": _verify, "choose": _choose, "query": _query}[question.template.form]
    return answer(question, view, rows)


def evaluate_pairs(question: GridQuestion, facts: Facts, first: Ints, second: Ints) -> Evaluation:
    """Answers to a comparison of the ECGs `first` with the ECGs `second` (rows of `facts`)."""
    template = question.template
    view = facts.views[template.view]
    if template.form == "verify":
        column = view.options.index(question.asked[0])
        before, after = QUADRANT[template.relation or ""]
        holds, known = view.holds[:, column], view.knows([column])
        yes = (holds[first] == before) & (holds[second] == after)
        return Evaluation((YES, NO), np.stack([yes, ~yes], axis=1), known[first] & known[second])
    columns = [view.options.index(name) for name in question.options]
    known = view.knows(columns)
    one, other = (pack(_columns(view.holds, columns, rows)) for rows in (first, second))
    members = unpack_rows(relate(one, other, template.relation or ""), len(columns))
    return Evaluation(question.options, members, known[first] & known[second])


def asked_columns(question: GridQuestion, view: View) -> list[int]:
    """Columns of the view that the question's asked attributes stand in."""
    return [view.options.index(name) for name in question.asked]


def _asked(question: GridQuestion, view: View, rows: Ints, column: int) -> Bools:
    """(rows,) whether an asked attribute holds, in all the leads asked about."""
    if view.holds.ndim == 2:
        return view.holds[:, column][rows]
    if question.leads:
        holds = np.ones(len(rows), dtype=np.bool_)
        for lead in question.leads:
            holds &= view.holds[:, column, lead][rows]
        return holds
    return some(view.holds[rows, column], 1)


def _verify(question: GridQuestion, view: View, rows: Ints) -> Evaluation:
    unsure: Bools = np.zeros(len(rows), dtype=np.bool_)
    if question.asked:
        columns = asked_columns(question, view)
        yes = _asked(question, view, rows, columns[0])
        if view.uncertain is not None:
            unsure = view.uncertain[:, columns[0]][rows]
            yes = yes & ~unsure
    else:
        columns = [view.options.index(name) for name in question.options]
        yes = np.zeros(len(rows), dtype=np.bool_)
        for column in columns:
            if view.holds.ndim == 2:
                yes |= view.holds[:, column][rows]
            else:
                for lead in question.leads or range(len(LEADS)):
                    yes |= view.holds[:, column, lead][rows]
    holds = np.stack([yes, unsure, ~(yes | unsure)], axis=1)
    return Evaluation((YES, NOT_SURE, NO), holds, view.knows(columns)[rows])


def _choose(question: GridQuestion, view: View, rows: Ints) -> Evaluation:
    columns = asked_columns(question, view)
    holds = np.stack([_asked(question, view, rows, column) for column in columns], axis=1)
    words = tuple(answer_word(name, question.template) for name in question.asked)
    return Evaluation(words, holds, view.knows(columns)[rows])


def _query(question: GridQuestion, view: View, rows: Ints) -> Evaluation:
    if question.template.leads_asked:
        column = view.options.index(question.asked[0])
        words = tuple(f"lead {lead}" for lead in LEADS)
        return Evaluation(words, view.holds[rows, column], view.knows([column])[rows])
    columns = [view.options.index(name) for name in question.options]
    if view.holds.ndim == 2:
        members = _columns(view.holds, columns, rows)
    elif question.leads:
        members = _columns(view.holds[:, :, question.leads[0]], columns, rows)
    else:
        members = some(view.holds[rows][:, columns], 2)
    words = tuple(answer_word(name, question.template) for name in question.options)
    return Evaluation(words, members, view.knows(columns)[rows])


def _columns(holds: Bools, columns: list[int], rows: Ints) -> Bools:
    """(rows, columns) of `holds`, whose columns are contiguous: much faster column by column."""
    return np.stack([holds[:, column][rows] for column in columns], axis=1)
