"""Samples of questions about two ECGs: of one patient in time order, or of two different patients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ecgqa.questions.answers import Words, pack, relate, signature, unpack_rows
from ecgqa.questions.evaluate import QUADRANT
from ecgqa.questions.facts import NO_DATE, Bools, Facts, Ints, View, some
from ecgqa.questions.grid import GridQuestion
from ecgqa.questions.presets import Rules
from ecgqa.questions.sampling import SplitLimits, draw, draw_where, integers, keys_of, seed_of, whole
from ecgqa.questions.singles import Drawn
from ecgqa.records import NONE

_N_ROWS = 1 << 31  # a pair is one integer: first row * 2**31 + second row
_CHUNK = 1 << 20  # pairs related at a time, to bound the memory


def consecutive_pairs(facts: Facts, rows: Ints, *, neighbours: bool = False) -> tuple[Ints, Ints]:
    """All pairs of one patient's ECGs among `rows`, the earlier first, ordered by patient and time.

    Not only neighbours, unless asked for: the released questions skip ECGs in between. ECGs without a date are in no
    pair.
    """
    rows = rows[facts.recorded_us[rows] != NO_DATE]
    rows = rows[np.lexsort((facts.ecg_id[rows], facts.recorded_us[rows], facts.patient_id[rows]))]
    patient = facts.patient_id[rows]
    firsts, seconds = [], []
    for step in range(1, min(len(rows), 2) if neighbours else len(rows)):
        same = np.flatnonzero(patient[step:] == patient[:-step])
        if not len(same):
            break  # ECGs of a patient are neighbours here, so a longer step finds none either
        firsts.append(same)
        seconds.append(same + step)
    if not firsts:
        return rows[:0], rows[:0]
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    order = np.lexsort((second, first))
    return rows[first[order]], rows[second[order]]


@dataclass(frozen=True)
class Cells:
    """Pairs of ECGs as products of sets: set k holds members[starts[k] : starts[k] + counts[k]]."""

    members: Ints
    starts: Ints
    counts: Ints
    first: Ints
    """Set of the first ECG, per cell."""
    second: Ints

    def sizes(self) -> Ints:
        return self.counts[self.first] * self.counts[self.second]


@dataclass
class PairSampler:
    """Draws pairs for the comparison questions of one split; no pair repeats within a template."""

    facts: Facts
    rows: Ints
    limits: SplitLimits
    rules: Rules = field(default_factory=Rules)
    consecutive: tuple[Ints, Ints] = field(init=False)
    _used: dict[int, set[int]] = field(default_factory=dict, init=False)
    _grids: dict[str, _SetGrid] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.consecutive = consecutive_pairs(self.facts, self.rows, neighbours=self.rules.consecutive == "neighbours")

    def samples(self, question: GridQuestion, seed: int) -> Iterator[Drawn]:
        """Samples of a comparison question; none if no pair answers it with yes or a non-empty set."""
        template = question.template
        view = self.facts.views[template.view]
        is_consecutive = template.question_type.value.startswith("comparison_consecutive")
        if template.form == "verify":
            ask = self._verify_consecutive if is_consecutive else self._verify_unrelated
        else:
            ask = self._query_consecutive if is_consecutive else self._query_unrelated
        yield from ask(question, view, seed)

    def _column(self, question: GridQuestion, view: View) -> tuple[Bools, Bools]:
        column = view.options.index(question.asked[0])
        return view.holds[:, column], view.knows([column])

    # -- one patient ---------------------------------------------------------------------------------------------

    def _verify_consecutive(self, question: GridQuestion, view: View, seed: int) -> Iterator[Drawn]:
        holds, known = self._column(question, view)
        first, second = self.consecutive
        before, after = QUADRANT[question.template.relation or ""]
        positive = (holds[first] == before) & (holds[second] == after)
        usable = np.ones(len(first), dtype=np.bool_) if known.all() else known[first] & known[second]

        def pick(where: Bools, limit: float, name: str) -> Ints:
            chosen = draw_where(where, limit, seed_of(seed, name))
            return first[chosen] * _N_ROWS + second[chosen]

        yield from self._yes_and_no(
            pick(positive & usable, self.limits.compare_yes, "yes"),
            pick(~positive & usable, self.limits.compare_no, "no"),
        )

    def _query_consecutive(self, question: GridQuestion, view: View, seed: int) -> Iterator[Drawn]:
        columns = [view.options.index(name) for name in question.options]
        known = view.knows(columns)
        first, second = self.consecutive
        if not known.all():
            usable = known[first] & known[second]
            first, second = first[usable], second[usable]
        packed = pack(view.holds[:, columns])
        relation = question.template.relation or ""
        signatures = np.empty(len(first), dtype=np.uint64)
        for start in range(0, len(first), _CHUNK):
            part = slice(start, start + _CHUNK)
            signatures[part] = signature(relate(packed[first[part]], packed[second[part]], relation))
        groups = Groups(signatures)
        if not groups.distinct.any():
            return
        one = groups.example()
        members = unpack_rows(relate(packed[first[one]], packed[second[one]], relation), len(columns))
        for group in _asked_answers(groups.distinct, groups.counts, members, self.limits.consecutive_answers, seed):
            is_none = groups.distinct[group] == 0
            limit = self.limits.compare_none if is_none else self.limits.compare_query
            where = groups.members(group)
            pairs = first[where] * _N_ROWS + second[where]
            drawn = draw(pairs, limit, seed_of(seed, int(groups.distinct[group])))
            if len(drawn):
                yield Drawn(_spell(members[group], question.options), *_unpair(drawn))

    # -- different patients --------------------------------------------------------------------------------------

    def _verify_unrelated(self, question: GridQuestion, view: View, seed: int) -> Iterator[Drawn]:
        """Yes pairs come from one quadrant of (holds on 1, holds on 2), no pairs from the other three."""
        holds, known = self._column(question, view)
        rows = self.rows[known[self.rows]]
        without, having = rows[~holds[rows]], rows[holds[rows]]
        members, counts = np.concatenate([without, having]), np.array([len(without), len(having)])
        starts = np.array([0, len(without)])
        first, second = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        before, after = QUADRANT[question.template.relation or ""]
        positive = (first == before) & (second == after)
        used = self._used.setdefault(question.template.template_id, set())

        def pick(quadrants: Bools, limit: float, name: str) -> Ints:
            cells = Cells(members, starts, counts, first[quadrants], second[quadrants])
            return self._draw(cells, limit, used, seed_of(seed, name))

        yes = pick(positive, self.limits.compare_yes, "yes")
        if len(yes):
            yield from self._yes_and_no(yes, pick(~positive, self.limits.compare_no, "no"))

    def _query_unrelated(self, question: GridQuestion, view: View, seed: int) -> Iterator[Drawn]:
        template = question.template
        grid = self._grids.get(template.view)
        if grid is None:
            columns = [view.options.index(name) for name in question.options]
            rows = self.rows[view.knows(columns)[self.rows]]
            grid = self._grids[template.view] = _SetGrid(pack(view.holds[:, columns])[rows], rows, self.rules.most_sets)
        answers = grid.relate(template.relation or "")
        if not answers.distinct.any():
            return
        used = self._used.setdefault(template.template_id, set())
        members = unpack_rows(answers.words(), len(question.options))
        for group in _asked_answers(answers.distinct, answers.weight, members, self.limits.compare_answers, seed):
            is_none = answers.distinct[group] == 0
            limit = self.limits.compare_none if is_none else self.limits.compare_query
            cells = answers.cells(group)
            pairs = self._draw(cells, limit, used, seed_of(seed, int(answers.distinct[group])))
            if len(pairs):
                yield Drawn(_spell(members[group], question.options), *_unpair(pairs))

    def _draw(self, cells: Cells, limit: float, used: set[int], seed: int) -> Ints:
        """At most `limit` unused pairs of different patients, drawn evenly over all pairs of the cells."""
        count = whole(limit, seed)
        sizes = cells.sizes()
        ends = np.cumsum(sizes)
        total = int(ends[-1]) if len(ends) else 0
        if not total or not count:
            return np.zeros(0, dtype=np.int64)
        n_tries = 4 * count + 16
        everything = total <= 8 * n_tries
        tickets = np.arange(total, dtype=np.int64) if everything else integers(n_tries, total, seed)
        cell = np.searchsorted(ends, tickets, side="right")
        within = tickets - (ends - sizes)[cell]
        first_set, second_set = cells.first[cell], cells.second[cell]
        width = cells.counts[second_set]
        first = cells.members[cells.starts[first_set] + within // width]
        second = cells.members[cells.starts[second_set] + within % width]
        patient = self.facts.patient_id
        pairs = (first * _N_ROWS + second)[patient[first] != patient[second]]
        if everything:
            pairs = draw(pairs, len(pairs), seed)
        kept: list[int] = []
        for pair in pairs.tolist():
            if len(kept) == count:
                break
            if pair not in used:
                used.add(pair)
                kept.append(pair)
        return np.array(kept, dtype=np.int64)

    @staticmethod
    def _yes_and_no(yes: Ints, no: Ints) -> Iterator[Drawn]:
        if len(yes):
            yield Drawn(("yes",), *_unpair(yes))
            if len(no):
                yield Drawn(("no",), *_unpair(no))


def _asked_answers(distinct: Words, weight: Ints, members: Bools, limit: float, seed: int) -> list[int]:
    """Answers to draw pairs for, in random order: "none", for each option the commonest answer that contains it, and
    for the rest the commonest ones, `limit` in all.

    distinct, weight: signature of each answer, and how many pairs give it; members: (answers, options).
    """
    kept = np.ones(len(distinct), dtype=np.bool_)
    if len(distinct) > round(limit):
        order = np.lexsort((keys_of(distinct.view(np.int64), seed_of(seed, "ties")), -weight))
        in_order = members[order]
        kept[:] = distinct == 0
        kept[order[in_order.argmax(axis=0)[some(in_order, 0)]]] = True
        others = order[~kept[order]]
        kept[others[: max(0, round(limit) - int(kept.sum()))]] = True
    chosen = np.flatnonzero(kept)
    shuffled: list[int] = chosen[np.argsort(keys_of(distinct[chosen].view(np.int64), seed), kind="stable")].tolist()
    return shuffled


class Groups:
    """Positions of an array of signatures, grouped by value."""

    def __init__(self, signatures: Words) -> None:
        self._order = np.argsort(signatures, kind="stable")
        in_order = signatures[self._order]
        starts = np.flatnonzero(
            np.append(np.ones(min(len(in_order), 1), dtype=np.bool_), in_order[1:] != in_order[:-1])
        )
        self.distinct = in_order[starts]
        """Each value, ascending; 0 is the empty answer."""
        self._bounds = np.append(starts, len(in_order))

    @property
    def counts(self) -> Ints:
        """Positions per value."""
        return np.diff(self._bounds)

    def members(self, group: int) -> Ints:
        """Positions of one value, ascending."""
        return self._order[self._bounds[group] : self._bounds[group + 1]]

    def example(self) -> Ints:
        """The first position of each value."""
        firsts: Ints = self._order[self._bounds[:-1]]
        return firsts

    def sums(self, values: Ints) -> Ints:
        """Sum of `values` (one per position) over each value."""
        totals: Ints = np.add.reduceat(values[self._order], self._bounds[:-1]) if len(self.distinct) else values[:0]
        return totals


class _SetGrid:
    """The distinct attribute sets of a split's ECGs, and what each pair of sets answers."""

    def __init__(self, packed: Words, rows: Ints, most_sets: int) -> None:
        sets, inverse, counts = np.unique(packed, axis=0, return_inverse=True, return_counts=True)
        order = np.argsort(inverse.reshape(-1), kind="stable")
        starts = np.cumsum(counts) - counts
        # All pairs of sets are looked at: beyond the commonest ones the table would outgrow the memory.
        common = np.sort(np.argsort(-counts, kind="stable")[:most_sets])
        self.sets, self.counts, self.starts = sets[common], counts[common].astype(np.int64), starts[common]
        self.members = rows[order]

    def relate(self, relation: str) -> _SetAnswers:
        return _SetAnswers(self, relation)


class _SetAnswers:
    """Answers of one relation over a `_SetGrid`, grouped: which pairs of sets give which answer."""

    def __init__(self, grid: _SetGrid, relation: str) -> None:
        self._grid, self._relation, n = grid, relation, len(grid.sets)
        signatures = np.empty(n * n, dtype=np.uint64)
        for first in range(n):  # set by set, so that many words need no (n, n, words) array
            signatures[first * n : (first + 1) * n] = signature(relate(grid.sets[first], grid.sets, relation))
        self._groups = Groups(signatures)
        self.distinct = self._groups.distinct
        self.weight = self._groups.sums((grid.counts[:, None] * grid.counts[None, :]).reshape(-1))
        """Pairs of ECGs per answer."""

    def cells(self, group: int) -> Cells:
        grid, flat = self._grid, self._groups.members(group)
        return Cells(grid.members, grid.starts, grid.counts, flat // len(grid.sets), flat % len(grid.sets))

    def words(self) -> Words:
        """(answers, words): the answers as bit words."""
        first, second = np.divmod(self._groups.example(), len(self._grid.sets))
        return relate(self._grid.sets[first], self._grid.sets[second], self._relation)


def _spell(members: Bools, options: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(option for option, member in zip(options, members, strict=True) if member)) or (NONE,)


def _unpair(pairs: Ints) -> tuple[Ints, Ints]:
    return pairs // _N_ROWS, pairs % _N_ROWS
