"""Samples of questions about one ECG: who answers what, and which of them are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ecgqa.questions.answers import pack, signature
from ecgqa.questions.facts import Bools, Facts, Ints, View, some
from ecgqa.questions.grid import GridQuestion, answer_word
from ecgqa.questions.sampling import SplitLimits, draw, keys_of, seed_of
from ecgqa.records import LEADS, NONE


@dataclass(frozen=True)
class Drawn:
    """Samples of one question with one answer, in their final order."""

    answer: tuple[str, ...]
    first: Ints
    """Rows of the facts: the ECG, or the first of the pair."""
    second: Ints | None = None
    """Rows of the second ECG of each pair."""


def single_samples(question: GridQuestion, facts: Facts, rows: Ints, limits: SplitLimits, seed: int) -> Iterator[Drawn]:
    """Samples of `question` among the ECGs `rows` of one split (ascending rows of `facts`).

    A question that no ECG of the split answers with yes, one of the asked or a non-empty set is not asked.
    """
    ask = {"verify": _verify, "choose": _choose, "query": _query}[question.template.form]
    yield from ask(question, facts.views[question.template.view], rows, limits, seed)


def _asked(question: GridQuestion, view: View, rows: Ints) -> tuple[Bools, list[int]]:
    """(rows, asked) whether each asked attribute holds (in all the leads asked about), and their columns."""
    columns = [view.options.index(name) for name in question.asked]
    if view.holds.ndim == 2:
        return view.holds[rows][:, columns], columns
    holds = view.holds[rows][:, columns]
    return (~some(~holds[:, :, list(question.leads)], 2) if question.leads else some(holds, 2)), columns


def _verify(question: GridQuestion, view: View, rows: Ints, limits: SplitLimits, seed: int) -> Iterator[Drawn]:
    unsure: Bools | None = None
    if question.asked:
        holds, columns = _asked(question, view, rows)
        positive = holds[:, 0]
        if view.uncertain is not None:
            unsure = view.uncertain[rows, columns[0]]
            positive = positive & ~unsure
    else:
        columns = [view.options.index(name) for name in question.options]
        of_pool = view.holds[rows][:, columns]
        if of_pool.ndim == 3:
            of_pool = of_pool[:, :, list(question.leads)] if question.leads else of_pool
            of_pool = some(of_pool, 2)
        positive = some(of_pool, 1)
    known = view.knows(columns)[rows]
    yes = draw(rows[positive & known], limits.verify_yes, seed_of(seed, "yes"))
    if not len(yes):
        return
    yield Drawn(("yes",), yes)
    negative = ~positive
    if unsure is not None:
        doubtful = draw(rows[unsure & known], min(limits.verify_yes, len(yes)), seed_of(seed, "not sure"))
        if len(doubtful):
            yield Drawn(("not sure",), doubtful)
        negative &= ~unsure
    n_no = min(limits.verify_no, limits.no_per_yes * len(yes))
    no = draw(rows[negative & known], n_no, seed_of(seed, "no"))
    if len(no):
        yield Drawn(("no",), no)


def _choose(question: GridQuestion, view: View, rows: Ints, limits: SplitLimits, seed: int) -> Iterator[Drawn]:
    holds, columns = _asked(question, view, rows)
    known = view.knows(columns)[rows]
    first, second = holds[:, 0] & known, holds[:, 1] & known
    answered: Bools = np.ones(len(rows), dtype=np.bool_)
    if view.holds.ndim == 3 and question.leads:
        # The release draws an answered "which noise in this lead" only from ECGs that carry both noises in some lead.
        answered = ~some(~view.anywhere()[rows][:, columns], 1)
    one, other = (answer_word(name, question.template) for name in question.asked)
    groups: tuple[tuple[tuple[str, ...], Bools], ...] = (
        ((one,), first & ~second & answered),
        ((other,), second & ~first & answered),
        ((one, other), first & second & answered),
        ((NONE,), ~first & ~second & known),
    )
    if not any(members.any() for _, members in groups[:3]):
        return
    for answer, members in groups:
        drawn = draw(rows[members], limits.choose, seed_of(seed, *answer))
        if len(drawn):
            yield Drawn(answer, drawn)


def _query(question: GridQuestion, view: View, rows: Ints, limits: SplitLimits, seed: int) -> Iterator[Drawn]:
    template = question.template
    if template.leads_asked:
        column = view.options.index(question.asked[0])
        members, known = view.holds[rows, column], view.knows([column])[rows]
        words = tuple(f"lead {lead}" for lead in LEADS)
    else:
        columns = [view.options.index(name) for name in question.options]
        members = view.holds[rows][:, columns]
        if members.ndim == 3:
            members = members[:, :, question.leads[0]] if question.leads else some(members, 2)
        known = view.knows(columns)[rows]
        words = tuple(answer_word(name, template) for name in question.options)
    rows, members = rows[known], members[known]
    if not members.any():
        return
    groups, empty = _groups(members, rows, seed)
    answered = 0
    for columns_of, group in groups:
        drawn = draw(group, limits.query, seed_of(seed, *columns_of))
        answered += len(drawn)
        if len(drawn):
            yield Drawn(tuple(sorted(words[column] for column in columns_of)), drawn)
    none = draw(empty, min(limits.query_none, answered), seed_of(seed, NONE))
    if len(none):
        yield Drawn((NONE,), none)


def _groups(members: Bools, rows: Ints, seed: int) -> tuple[list[tuple[tuple[int, ...], Ints]], Ints]:
    """Rows by their non-empty set of columns, the sets in random order; and the rows with the empty set."""
    signatures = signature(pack(members))
    distinct, inverse = np.unique(signatures, return_inverse=True)
    by_group = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    order = np.argsort(keys_of(distinct.view(np.int64), seed), kind="stable")
    groups = [
        (tuple(np.flatnonzero(members[by_group[group][0]]).tolist()), rows[by_group[group]])
        for group in order
        if distinct[group]
    ]
    empty = rows[by_group[0]] if distinct[0] == 0 else rows[:0]
    return groups, empty
