"""Samples of questions about one ECG: who answers what, and which of them are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ecgqa.questions.answers import pack, signature
from ecgqa.questions.evaluate import Evaluation, asked_columns, evaluate
from ecgqa.questions.facts import Bools, Facts, Ints, some
from ecgqa.questions.grid import GridQuestion
from ecgqa.questions.presets import Rules
from ecgqa.questions.sampling import SplitLimits, draw, keys_of, seed_of
from ecgqa.records import NONE


@dataclass(frozen=True)
class Drawn:
    """Samples of one question with one answer, in their final order."""

    answer: tuple[str, ...]
    first: Ints
    """Rows of the facts: the ECG, or the first of the pair."""
    second: Ints | None = None
    """Rows of the second ECG of each pair."""


def single_samples(
    question: GridQuestion,
    facts: Facts,
    rows: Ints,
    limits: SplitLimits,
    seed: int,
    rules: Rules | None = None,
) -> Iterator[Drawn]:
    """Samples of `question` among the ECGs `rows` of one split (ascending rows of `facts`).

    A question that no ECG of the split answers with yes, one of the asked or a non-empty set is not asked.
    """
    rules = rules or Rules()
    evaluation = evaluate(question, facts, rows)
    match question.template.form:
        case "verify":
            yield from _verify(evaluation, rows, limits, seed, rules)
        case "choose":
            yield from _choose(question, facts, evaluation, rows, limits, seed, rules)
        case _:
            yield from _query(evaluation, rows, limits, seed)


def _verify(evaluation: Evaluation, rows: Ints, limits: SplitLimits, seed: int, rules: Rules) -> Iterator[Drawn]:
    positive, unsure, negative = (evaluation.holds[:, column] & evaluation.known for column in range(3))
    yes = draw(rows[positive], limits.verify_yes, seed_of(seed, "yes"))
    if not len(yes):
        return
    yield Drawn(("yes",), yes)
    n_unsure = min(limits.verify_yes, len(yes)) if rules.doubtful == "as-yes" else limits.verify_yes
    doubtful = draw(rows[unsure], n_unsure, seed_of(seed, "not sure"))
    if len(doubtful):
        yield Drawn(("not sure",), doubtful)
    n_no = min(limits.verify_no, limits.no_per_yes * len(yes))
    no = draw(rows[negative], n_no, seed_of(seed, "no"))
    if len(no):
        yield Drawn(("no",), no)


def _choose(
    question: GridQuestion,
    facts: Facts,
    evaluation: Evaluation,
    rows: Ints,
    limits: SplitLimits,
    seed: int,
    rules: Rules,
) -> Iterator[Drawn]:
    view, known = facts.views[question.template.view], evaluation.known
    first, second = evaluation.holds[:, 0] & known, evaluation.holds[:, 1] & known
    answered: Bools = np.ones(len(rows), dtype=np.bool_)
    if view.holds.ndim == 3 and question.leads and rules.noises_of_a_choice == "both-somewhere":
        # The release draws an answered "which noise in this lead" only from ECGs that carry both noises in some lead.
        answered = ~some(~view.anywhere()[rows][:, asked_columns(question, view)], 1)
    one, other = evaluation.words
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


def _query(evaluation: Evaluation, rows: Ints, limits: SplitLimits, seed: int) -> Iterator[Drawn]:
    rows, members = rows[evaluation.known], evaluation.holds[evaluation.known]
    if not members.any():
        return
    groups, empty = _groups(members, rows, seed)
    answered = 0
    for columns_of, group in groups:
        drawn = draw(group, limits.query, seed_of(seed, *columns_of))
        answered += len(drawn)
        if len(drawn):
            yield Drawn(tuple(sorted(evaluation.words[column] for column in columns_of)), drawn)
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
