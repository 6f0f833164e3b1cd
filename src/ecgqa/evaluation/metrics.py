"""The metrics: what each one is, by definition, and its value per question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgqa.evaluation.outcomes import Answered, Asked


@dataclass(frozen=True)
class Metric:
    """A metric's name states its definition; `formula` is plain text, `needs_scores` if answers alone do not do."""

    title: str
    definition: str
    formula: str
    needs_scores: bool = False


METRICS: dict[str, Metric] = {
    "em_candidates": Metric(
        "exact match on candidates",
        "Exact match as the original defines it: an option is given when its score is above 0.5; a question is right "
        "when every candidate option is given if and only if it is right. Answers without scores count as score 1 "
        "for the options they name and 0 for the others. Beware: where 'none' is right, giving nothing is right.",
        "mean over questions of [for all candidates c except none: (s_c > 0.5) = (c in gold)]",
    ),
    "em_set": Metric(
        "exact match of sets",
        "The set of answers given equals the set of right answers, over all answers whether candidates or not.",
        "mean over questions of [answer set = gold set]",
    ),
    "em_argmax": Metric(
        "best option right",
        "Of verify and choose questions with exactly one right option: the option with the highest score is the right "
        "one; k options sharing the highest score count 1/k if the right one is among them.",
        "mean over those questions of [argmax_c s_c = gold]",
        needs_scores=True,
    ),
    "option_f1_micro": Metric(
        "F1 over options, micro",
        "F1 of single options, given or not against right or not, pooled over all candidate options of all questions.",
        "2 TP / (2 TP + FP + FN)",
    ),
    "option_f1_macro": Metric(
        "F1 over options, macro",
        "F1 of each answer class over the questions where it is a candidate, then the plain mean over the classes that "
        "are right or given at least once.",
        "mean over classes of 2 TP / (2 TP + FP + FN)",
    ),
    "option_precision": Metric(
        "precision over options, micro", "Of the options given, the fraction that is right.", "TP / (TP + FP)"
    ),
    "option_recall": Metric(
        "recall over options, micro", "Of the right options, the fraction that was given.", "TP / (TP + FN)"
    ),
    "option_accuracy": Metric(
        "accuracy over options",
        "Fraction of candidate options that are given if and only if they are right; all options of a question "
        "without an answer count as wrong.",
        "(TP + TN) / (TP + TN + FP + FN)",
    ),
    "auroc_macro": Metric(
        "AUROC, mean over answer classes",
        "Scores grouped by answer class; area under the ROC curve of each class that has both right and wrong options; "
        "plain mean over those classes. Also what the original prints as auroc. Over questions with scores only.",
        "mean over classes of P(s+ > s-) + P(s+ = s-) / 2",
        needs_scores=True,
    ),
    "auprc_macro": Metric(
        "average precision, mean over answer classes",
        "Average precision of each answer class that has both right and wrong options; plain mean over those classes. "
        "Over questions with scores only.",
        "mean over classes of mean over right options of the precision at their score",
        needs_scores=True,
    ),
    "auprc_published": Metric(
        "average precision as published",
        "As auprc_macro, but over every answer class that occurs, as the original does: a class that is never right "
        "counts 0, one that is never wrong counts 1.",
        "mean over all classes of average precision",
        needs_scores=True,
    ),
}

PROPORTIONS = ("em_candidates", "em_set", "em_argmax", "option_accuracy")
"""Metrics that are a fraction of questions or options: their interval at 0 or 1 comes from the number of ECGs."""

Ratio = tuple[NDArray[np.float32], NDArray[np.float32]]


def exact_match(asked: Asked, answered: Answered) -> NDArray[np.bool_]:
    """em_candidates per question (n_questions,)."""
    wrong = np.bincount(asked.option_question, weights=answered.given != asked.option_gold, minlength=len(asked))
    return np.asarray((wrong == 0) & answered.ok, dtype=np.bool_)


def best_option_right(asked: Asked, answered: Answered) -> Ratio:
    """em_argmax: credit per question and whether it applies; questions without scores get none."""
    types = asked.frame["question_type"].cast(str).to_numpy()
    is_closed = np.array([str(name).endswith(("-verify", "-choose")) for name in types])
    one_gold = np.bincount(asked.option_question, weights=asked.option_gold, minlength=len(asked)) == 1
    applies = is_closed & one_gold
    score = np.where(np.isnan(answered.score), -1.0, answered.score)
    best = np.maximum.reduceat(score, np.cumsum(asked.n_options) - asked.n_options)
    at_best = score == best[asked.option_question]
    n_best = np.bincount(asked.option_question, weights=at_best, minlength=len(asked))
    hit = np.bincount(asked.option_question, weights=at_best & asked.option_gold, minlength=len(asked))
    credit = np.where(applies & answered.scored, hit / n_best, 0.0)
    return credit.astype(np.float32), applies.astype(np.float32)


def ratios(asked: Asked, answered: Answered) -> dict[str, Ratio]:
    """Metrics that are a sum over questions divided by another: numerator and denominator per question."""

    def per_question(flag: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.bincount(asked.option_question, weights=flag, minlength=len(asked)).astype(np.float32)

    one = np.ones(len(asked), np.float32)
    gold, given = asked.option_gold, answered.given
    hit, given_n, gold_n = per_question(gold & given), per_question(given), per_question(gold)
    agree = per_question((gold == given) & answered.ok[asked.option_question])
    found: dict[str, Ratio] = {
        "em_candidates": (exact_match(asked, answered).astype(np.float32), one),
        "em_set": (answered.set_right.astype(np.float32), one),
        "option_f1_micro": (2 * hit, given_n + gold_n),
        "option_precision": (hit, given_n),
        "option_recall": (hit, gold_n),
        "option_accuracy": (agree, asked.n_options.astype(np.float32)),
    }
    if answered.scored.any():
        found["em_argmax"] = best_option_right(asked, answered)
    return found
