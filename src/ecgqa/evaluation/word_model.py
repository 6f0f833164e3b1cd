"""A model that learns answers from the words of the question alone: what the ECG need not be asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
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
ITERATIONS = 60
_WORD = re.compile(r"[a-z0-9/]+")


def features_of(text: str) -> set[str]:
    """Words and pairs of neighbouring words of a question, lower case."""
    words = _WORD.findall(text.lower())
    return {*words, *(f"{first} {second}" for first, second in pairwise(words))}


@dataclass(frozen=True)
class WordModel:
    """One penalised logistic regression per answer, over presence of words and word pairs.

    vocabulary: feature -> column; answers: answer -> row of weights (n_answers, n_features) and bias (n_answers,);
    base_rate: probability given to an answer that no training question offered.
    """

    vocabulary: dict[str, int]
    answers: dict[str, int]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
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
        offered: dict[str, Counter[int]] = {}
        right: dict[str, Counter[int]] = {}
        for text, names, answers, count in counted.iter_rows():
            given = set(answers.split("\x1f"))
            for name in names.split("\x1f"):
                offered.setdefault(name, Counter())[row_of[text]] += count
                if name in given:
                    right.setdefault(name, Counter())[row_of[text]] += count
        answers_in_order = sorted(offered)
        weights = np.zeros((len(answers_in_order), len(vocabulary)))
        bias = np.zeros(len(answers_in_order))
        for number, name in enumerate(answers_in_order):
            rows = np.fromiter(sorted(offered[name]), np.int64)
            total = np.array([offered[name][row] for row in rows], float)
            hits = np.array([right.get(name, Counter())[row] for row in rows], float)
            weights[number], bias[number] = _logistic(matrix[rows], hits, total)
        n_options = sum(sum(counts.values()) for name, counts in offered.items() if name != NONE)
        n_right = sum(sum(counts.values()) for name, counts in right.items() if name != NONE)
        answers = {name: number for number, name in enumerate(answers_in_order)}
        return cls(vocabulary, answers, weights, bias, n_right / max(n_options, 1))

    def probabilities(
        self, texts: list[str], candidate_lists: list[list[str]]
    ) -> Iterator[tuple[list[float], float, bool]]:
        """Per question: probability of each option, of "none", and whether any word of it was known."""
        matrix = _matrix(texts, self.vocabulary)
        logits = np.asarray(matrix @ self.weights.T) + self.bias
        values = 1 / (1 + np.exp(-logits))
        known = np.diff(matrix.indptr) > 0
        for row, candidates in enumerate(candidate_lists):
            options = [self._value(values[row], name) for name in options_of(candidates)]
            yield options, self._value(values[row], NONE), bool(known[row])

    def _value(self, values: NDArray[np.float64], name: str) -> float:
        number = self.answers.get(name)
        return self.base_rate if number is None else float(values[number])


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


def _logistic(
    matrix: sparse.csr_matrix, hits: NDArray[np.float64], total: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Weights (n_features,) and bias of a penalised binomial regression; the bias is not penalised.

    hits of total answers are right in each row. Minimised by L-BFGS (Byrd et al., SIAM J. Sci. Comput. 16, 1995).
    """
    from scipy.optimize import minimize

    used = np.unique(matrix.indices)
    here = matrix[:, used]
    transposed = here.T.tocsr()
    rate = (hits.sum() + 0.5) / (total.sum() + 1)
    start = np.append(np.zeros(len(used)), np.log(rate / (1 - rate)))

    def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = point[:-1], point[-1]
        logits = here @ weights + bias
        value = float(np.sum(total * np.logaddexp(0, logits) - hits * logits)) + PENALTY / 2 * float(weights @ weights)
        residual = total / (1 + np.exp(-logits)) - hits
        return value, np.append(transposed @ residual + PENALTY * weights, residual.sum())

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
    weights = np.zeros(matrix.shape[1])
    weights[used] = found.x[:-1]
    return weights, float(found.x[-1])
