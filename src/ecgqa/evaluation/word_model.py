"""A model that learns answers from the words of the question alone: what the ECG need not be asked for."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from ecgqa.records import NONE, options_of

MAX_FEATURES = 20_000
PENALTY = 0.5
"""Half the squared weights times this is added to the loss: a normal prior with variance 1 / PENALTY."""
ITERATIONS, MEMORY = 60, 8
MAX_SETS, MIN_SET = 250, 20
"""Answer sets learnt as a whole: at most so many, each right in at least so many training questions."""
Floats = NDArray[np.float64]
_WORD = re.compile(r"[a-z0-9/]+")


def features_of(text: str) -> set[str]:
    """Words and pairs of neighbouring words of a question, lower case."""
    words = _WORD.findall(text.lower())
    return {*words, *(f"{first} {second}" for first, second in pairwise(words))}


@dataclass(frozen=True)
class WordModel:
    """Penalised logistic regressions over presence of words and word pairs: one per answer and frequent answer set.

    vocabulary: feature -> column; answers: answer -> row of weights (n_answers, n_features) and bias (n_answers,), and
    for a whole set its names joined behind a mark (see `_set_key`); base_rate: probability given to an answer that no
    training question offered.
    """

    vocabulary: dict[str, int]
    answers: dict[str, int]
    weights: Floats
    bias: Floats
    base_rate: float

    @classmethod
    def fit(cls, questions: pl.DataFrame) -> WordModel:
        """Learn from a questions table; equal questions are counted, so cost grows with distinct wordings only."""
        counted = (
            questions.with_columns(
                pl.col("candidates").list.join("\x1f").alias("offered"),
                pl.col("answer").list.unique().list.sort().list.join("\x1f").alias("right"),
            )
            .group_by("question", "offered", "right")
            .len()
            .sort("question", "offered", "right")
        )
        texts = counted["question"].unique(maintain_order=True).to_list()
        row_of = {text: row for row, text in enumerate(texts)}
        vocabulary = _vocabulary(texts)
        matrix = _matrix(texts, vocabulary)
        offered: defaultdict[str, Counter[int]] = defaultdict(Counter)
        right: defaultdict[str, Counter[int]] = defaultdict(Counter)
        sets = _frequent_sets(counted)
        admissible: dict[str, list[str]] = {}
        for text, names, answers, count in counted.iter_rows():
            given = set(answers.split("\x1f"))
            if names not in admissible:
                allowed = set(names.split("\x1f"))
                admissible[names] = [key for key, members in sets.items() if allowed >= members]
            for key in admissible[names]:
                offered[key][row_of[text]] += count
                if sets[key] == given:
                    right[key][row_of[text]] += count
            for name in names.split("\x1f"):
                offered[name][row_of[text]] += count
                if name in given:
                    right[name][row_of[text]] += count
        answers_in_order = sorted(offered)
        weights = np.zeros((len(answers_in_order), len(vocabulary)))
        bias = np.zeros(len(answers_in_order))
        for number, name in enumerate(answers_in_order):
            rows = np.fromiter(sorted(offered[name]), np.int64)
            total = np.array([offered[name][row] for row in rows], float)
            counts = right[name]
            hits = np.array([counts[row] for row in rows], float)
            weights[number], bias[number] = _logistic(matrix[rows], hits, total)
        n_options = sum(sum(counts.values()) for name, counts in offered.items() if _is_option(name))
        n_right = sum(sum(counts.values()) for name, counts in right.items() if _is_option(name))
        answers = {name: number for number, name in enumerate(answers_in_order)}
        return cls(vocabulary, answers, weights, bias, n_right / max(n_options, 1))

    def answers_to(
        self, texts: list[str], candidate_lists: list[list[str]]
    ) -> Iterator[tuple[list[str], list[float], bool]]:
        """Per question: the most probable answer set, each option's probability, and whether any word was known.

        Sets compared: those learnt as a whole that the candidates allow, with their own probability, and the options
        above one half taken as independent. An empty set is allowed only where "none" is a candidate.
        """
        members = {name: _members(name) for name in self.answers if name.startswith(_SET)}
        matrix = _matrix(texts, self.vocabulary)
        logits = np.asarray(matrix @ self.weights.T) + self.bias
        values = 1 / (1 + np.exp(-logits))
        known = np.diff(matrix.indptr) > 0
        for row, candidates in enumerate(candidate_lists):
            names = options_of(candidates)
            options = [self._value(values[row], name) for name in names]
            likely = [name for name, value in zip(names, options, strict=True) if value > 0.5]
            best, top = likely, float(np.prod([max(value, 1 - value) for value in options]))
            if not likely and NONE not in candidates:
                best, top = [names[int(np.argmax(options))]], 0.0
            allowed = set(candidates)
            for key, answers in members.items():
                value = float(values[row, self.answers[key]])
                if value > top and allowed >= answers:
                    best, top = sorted(answers - {NONE}), value
            yield best, options, bool(known[row])

    def _value(self, values: Floats, name: str) -> float:
        number = self.answers.get(name)
        return self.base_rate if number is None else float(values[number])


_SET = "\x1e"


def _set_key(joined: str) -> str:
    return _SET + joined


def _members(key: str) -> set[str]:
    return set(key.removeprefix(_SET).split("\x1f"))


def _is_option(name: str) -> bool:
    return name != NONE and not name.startswith(_SET)


def _frequent_sets(counted: pl.DataFrame) -> dict[str, set[str]]:
    """The most frequent right answer sets, by key."""
    ranked = (
        counted.group_by("right")
        .agg(pl.col("len").sum())
        .filter(pl.col("len") >= MIN_SET)
        .sort(["len", "right"], descending=[True, False])
    )
    return {_set_key(joined): set(joined.split("\x1f")) for joined in ranked["right"].head(MAX_SETS)}


def _vocabulary(texts: list[str]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(features_of(text))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_FEATURES]
    return {feature: column for column, feature in enumerate(sorted(feature for feature, _ in ranked))}


def _matrix(texts: list[str], vocabulary: dict[str, int]) -> sparse.csr_matrix:
    """(n_texts, n_features) 0/1."""
    ends, columns = [0], []
    for text in texts:
        columns += sorted(vocabulary[feature] for feature in features_of(text) if feature in vocabulary)
        ends.append(len(columns))
    shape = (len(texts), len(vocabulary))
    return sparse.csr_matrix((np.ones(len(columns)), np.array(columns, np.int32), np.array(ends)), shape=shape)


def _logistic(matrix: sparse.csr_matrix, hits: Floats, total: Floats) -> tuple[Floats, float]:
    """Weights (n_features,) and bias of a penalised binomial regression; the bias is not penalised.

    hits of total answers are right in each row. The loss is convex, so the minimum is the only one.
    """
    used = np.unique(matrix.indices)
    here = matrix[:, used]
    transposed = here.T.tocsr()
    rate = (hits.sum() + 0.5) / (total.sum() + 1)
    start = np.append(np.zeros(len(used)), np.log(rate / (1 - rate)))

    def loss(point: Floats) -> tuple[float, Floats]:
        weights, bias = point[:-1], point[-1]
        logits = here @ weights + bias
        value = float(total @ np.logaddexp(0, logits) - hits @ logits) + PENALTY / 2 * float(weights @ weights)
        residual = total / (1 + np.exp(-np.clip(logits, -500, 500))) - hits
        return value, np.append(transposed @ residual + PENALTY * weights, residual.sum())

    found = _minimise(loss, start, tolerance=1e-4 * float(total.sum()) ** 0.5)
    weights = np.zeros(matrix.shape[1])
    weights[used] = found[:-1]
    return weights, float(found[-1])


def _minimise(loss: Callable[[Floats], tuple[float, Floats]], point: Floats, *, tolerance: float) -> Floats:
    """L-BFGS with backtracking (Liu and Nocedal, Mathematical Programming 45, 1989) for a smooth convex loss.

    Written out because the library's bounded variant spends most of its time on bounds that do not exist here. Ends
    when the gradient's length is below `tolerance` or after ITERATIONS steps.
    """
    value, slope = loss(point)
    steps: list[Floats] = []
    turns: list[Floats] = []
    for _ in range(ITERATIONS):
        if float(np.linalg.norm(slope)) < tolerance:
            break
        direction = _two_loops(slope, steps, turns)
        descent = float(slope @ direction)
        if descent >= 0:  # no descent by rounding: start over from the plain gradient
            steps, turns, direction = [], [], -slope
            descent = -float(slope @ slope)
        length = 1.0 if steps else min(1.0, 1.0 / float(np.linalg.norm(slope)))
        for _ in range(30):
            moved = point + length * direction
            new_value, new_slope = loss(moved)
            if new_value <= value + 1e-4 * length * descent:
                break
            length /= 2
        else:
            break
        step, turn = moved - point, new_slope - slope
        if float(step @ turn) > 1e-12:
            steps, turns = [*steps[1 - MEMORY :], step], [*turns[1 - MEMORY :], turn]
        point, value, slope = moved, new_value, new_slope
    return point


def _two_loops(slope: Floats, steps: list[Floats], turns: list[Floats]) -> Floats:
    """Minus the inverse Hessian, as told by the last steps and changes of slope, times the slope."""
    rest = slope.copy()
    shares = []
    for step, turn in zip(reversed(steps), reversed(turns), strict=True):
        share = float(step @ rest) / float(step @ turn)
        shares.append(share)
        rest -= share * turn
    if steps:
        rest *= float(steps[-1] @ turns[-1]) / float(turns[-1] @ turns[-1])
    for step, turn, share in zip(steps, turns, reversed(shares), strict=True):
        rest += (share - float(turn @ rest) / float(step @ turn)) * step
    return -rest
