"""The most frequent training answer of a group of questions, backing off to coarser groups."""

from __future__ import annotations

from collections import Counter, defaultdict

import polars as pl

from ecgqa.errors import EcgqaError
from ecgqa.records import NONE, options_of

_SEPARATOR = "\x1f"
LEVELS = ("form", "type", "template", "attribute")
"""Coarse to fine: verify/choose/query; the seven question types; template; template and attribute."""
Key = tuple[str, ...]


class MajorityTable:
    """Counts of training answers per group, at `level` and every coarser one.

    The attribute of a comparison question, which the table does not name, is told by its wording. The answer to a
    question is the most frequent training answer set of its group that its candidates allow (ties: first by name);
    where the group was never seen or allows none, the next coarser group decides, at last "none" or the first option.
    The score of an option is how often it was right among the training questions of the group that offered it, moved
    to just across 0.5 where the answer demands it (see `decided`).
    """

    def __init__(self, train_questions: pl.DataFrame, level: str) -> None:
        if level not in LEVELS:
            raise EcgqaError(f"no such level: {level!r}", expected=", ".join(LEVELS))
        self.levels = LEVELS[: LEVELS.index(level) + 1]
        self._sets: dict[Key, Counter[Key]] = defaultdict(Counter)
        self._right: Counter[tuple[Key, str]] = Counter()
        self._offered: Counter[tuple[Key, str]] = Counter()
        keyed = _keyed(train_questions).with_columns(
            pl.col("answer").list.unique().list.sort().list.join(_SEPARATOR).alias("right")
        )
        counted = keyed.group_by(*LEVELS, "offered", "right").len().sort(*LEVELS, "offered", "right")
        for *names, offered, right, count in counted.iter_rows():
            answers = tuple(right.split(_SEPARATOR))
            for group in self._groups(names):
                self._sets[group][answers] += count
                for option in options_of(offered.split(_SEPARATOR)):
                    self._offered[group, option] += count
                for option in answers:
                    self._right[group, option] += count
        self._ranked = {
            group: [answers for answers, _ in sorted(sets.items(), key=lambda item: (-item[1], item[0]))]
            for group, sets in self._sets.items()
        }

    def answer(self, questions: pl.DataFrame) -> pl.DataFrame:
        """`questions` with the columns given, scores and basis (the level that decided)."""
        keyed = _keyed(questions)
        distinct = keyed.select(*LEVELS, "offered").unique(maintain_order=True)
        decisions = [self._decide(list(names), offered.split(_SEPARATOR)) for *names, offered in distinct.iter_rows()]
        table = distinct.with_columns(
            pl.Series("given", [given for given, _, _ in decisions], dtype=pl.List(pl.String)),
            pl.Series("scores", [scores for _, scores, _ in decisions], dtype=pl.List(pl.Float32)),
            pl.Series("basis", [basis for _, _, basis in decisions]),
        )
        return keyed.join(table, on=[*LEVELS, "offered"], how="left", maintain_order="left")

    def _groups(self, names: list[str]) -> list[Key]:
        """The question's group at each level in use, coarse to fine."""
        return [(level, *names[: number + 1]) for number, level in enumerate(self.levels)]

    def _decide(self, names: list[str], candidates: list[str]) -> tuple[list[str], list[float], str]:
        options, allowed = options_of(candidates), set(candidates)
        fine_to_coarse = self._groups(names)[::-1]
        chosen, basis = ([NONE], "no group") if NONE in allowed else (options[:1], "no group")
        for group in fine_to_coarse:
            found = next((answers for answers in self._ranked.get(group, []) if allowed.issuperset(answers)), None)
            if found is not None:
                chosen, basis = list(found), group[0]
                break
        scores = []
        for option in options:
            seen = next((group for group in fine_to_coarse if self._offered[group, option]), None)
            scores.append(self._right[seen, option] / self._offered[seen, option] if seen else 0.0)
        return chosen, decided(options, scores, chosen), basis


def decided(options: list[str], probabilities: list[float], chosen: list[str]) -> list[float]:
    """Scores that stay the probabilities except where thresholding at 0.5 would not give the answer `chosen`.

    A chosen option below 0.5 moves to just above it, one not chosen to just below, both keeping their order.
    """
    nudge = 1e-3
    scores = []
    for option, value in zip(options, probabilities, strict=True):
        if option in chosen:
            scores.append(value if value > 0.5 + nudge else 0.5 + nudge * (0.1 + 0.9 * value))
        else:
            scores.append(value if value < 0.5 - nudge else 0.5 - nudge * (1.0 - 0.9 * value))
    return scores


def _keyed(questions: pl.DataFrame) -> pl.DataFrame:
    kind = pl.col("question_type").cast(pl.String)
    return (
        questions.with_columns(
            kind.str.extract("([a-z]+)$").alias("form"),
            kind.alias("type"),
            pl.col("template_id").cast(pl.String).alias("template"),
            pl.coalesce(pl.col("attribute").list.join(_SEPARATOR), pl.col("question")).alias("_attribute"),
            pl.col("candidates").list.join(_SEPARATOR).alias("offered"),
        )
        .drop("attribute")
        .rename({"_attribute": "attribute"})
    )
