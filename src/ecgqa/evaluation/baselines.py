"""Answers that never look at an ECG: chance, nothing, majority and question-only, as prediction rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ecgqa.errors import EcgqaError
from ecgqa.evaluation.majority import MajorityTable, decided
from ecgqa.records import NONE, PREDICTIONS, QUESTIONS, Status, options_of
from ecgqa.tables import conform

BASIS = "basis"
"""Extra column of a baseline's predictions: what the answer rests on, e.g. the level a majority was taken from."""


@dataclass(frozen=True)
class Baseline:
    """`answer(train_questions, questions, seed)` -> predictions table with the extra column `basis`."""

    definition: str
    answer: Callable[[pl.DataFrame, pl.DataFrame, int], pl.DataFrame]
    needs_training: bool = True


def chance(train_questions: pl.DataFrame, questions: pl.DataFrame, seed: int) -> pl.DataFrame:
    """One candidate drawn uniformly, "none" included where it is a candidate.

    Scores: uniform in (0.5, 1] for the option drawn, in [0, 0.5] for the others, so that the score threshold gives the
    answer and the area under the ROC curve expects 0.5 plus nothing but luck. See `expected_chance` for the mean.
    """
    ordered = _checked(questions)
    rng = np.random.default_rng(seed)
    answers, scores = [], []
    for candidates in ordered["candidates"].to_list():
        drawn = candidates[rng.integers(len(candidates))]
        answers.append([drawn])
        scores.append([0.5 * rng.random() + (0.5001 if name == drawn else 0.0) for name in options_of(candidates)])
    clipped = [[min(value, 1.0) for value in row] for row in scores]
    return _predictions(ordered, "chance", answers, clipped, ["uniform"] * ordered.height)


def expected_chance(questions: pl.DataFrame) -> pl.Series:
    """Probability that `chance` gives exactly the right set: 1 / number of candidates where one answer is right."""
    single = pl.col("answer").list.len() == 1
    inside = pl.col("candidates").list.set_intersection("answer").list.len() == 1
    probability = pl.when(single & inside).then(1.0 / pl.col("candidates").list.len()).otherwise(0.0)
    return questions.select(probability.alias("expected_chance")).to_series()


def nothing(train_questions: pl.DataFrame, questions: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Always "none", all scores 0: what the published exact match grants a model that never commits itself."""
    ordered = _checked(questions)
    scores = [[0.0] * len(options_of(candidates)) for candidates in ordered["candidates"].to_list()]
    return _predictions(ordered, "nothing", [[NONE]] * ordered.height, scores, ["none"] * ordered.height)


def majority(level: str) -> Callable[[pl.DataFrame, pl.DataFrame, int], pl.DataFrame]:
    """The most frequent training answer set of the question's group; see `MajorityTable`."""

    def answer(train_questions: pl.DataFrame, questions: pl.DataFrame, seed: int) -> pl.DataFrame:
        return _by_distinct(questions, f"majority_{level}", MajorityTable(_checked(train_questions), level).answer)

    return answer


def question_only(train_questions: pl.DataFrame, questions: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Logistic regression on the words of the question, one per answer; see `WordModel`."""
    from ecgqa.evaluation.word_model import WordModel

    model = WordModel.fit(_checked(train_questions))
    ordered = _checked(questions)
    distinct = ordered.select("question", "candidates").unique(maintain_order=True)
    texts, candidate_lists = distinct["question"].to_list(), distinct["candidates"].to_list()
    answers, scores, basis = [], [], []
    for candidates, (chosen, options, known) in zip(
        candidate_lists, model.answers_to(texts, candidate_lists), strict=True
    ):
        answers.append(chosen or [NONE])
        scores.append(decided(options_of(candidates), options, chosen))
        basis.append("words" if known else "no known word")
    table = distinct.with_columns(
        pl.Series("given", answers), pl.Series("scores", scores, dtype=pl.List(pl.Float32)), pl.Series(BASIS, basis)
    )
    # candidates are lists, hence no join key of every polars version: join on their text
    key = pl.col("candidates").list.join("\x1f").alias("asked")
    joined = ordered.with_columns(key).join(
        table.with_columns(key).drop("candidates"), on=["question", "asked"], how="left", maintain_order="left"
    )
    return _table(joined, "question_only")


BASELINES: Final[dict[str, Baseline]] = {
    "chance": Baseline("one candidate drawn uniformly, 'none' included where listed", chance, needs_training=False),
    "nothing": Baseline("always 'none'", nothing, needs_training=False),
    "majority_type": Baseline("most frequent training answer of the question type", majority("type")),
    "majority_template": Baseline("most frequent training answer of the template", majority("template")),
    "majority_attribute": Baseline(
        "most frequent training answer of the template and attribute asked", majority("attribute")
    ),
    "question_only": Baseline("logistic regression on the question's words", question_only),
}
"""By run name; none of them sees an ECG."""


def _checked(questions: pl.DataFrame) -> pl.DataFrame:
    """The questions table in sample order, so that a seed means the same whatever the order of rows."""
    frame = conform(questions, QUESTIONS, where="questions").sort("split", "version", "sample_id")
    if frame.is_empty():
        raise EcgqaError("a baseline was given no questions")
    empty = frame.filter(pl.col("candidates").list.len() == 0)
    if empty.height:
        raise EcgqaError("a question has no candidates", found=f"sample {empty['sample_id'][0]}")
    return frame


def _by_distinct(questions: pl.DataFrame, run: str, answer: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """Answer each distinct question once: `answer` adds given, scores and basis."""
    return _table(answer(_checked(questions)), run)


def _predictions(
    frame: pl.DataFrame, run: str, answers: list[list[str]], scores: list[list[float]], basis: list[str]
) -> pl.DataFrame:
    return _table(
        frame.with_columns(
            pl.Series("given", answers, dtype=pl.List(pl.String)),
            pl.Series("scores", scores, dtype=pl.List(pl.Float32)),
            pl.Series(BASIS, basis),
        ),
        run,
    )


def _table(frame: pl.DataFrame, run: str) -> pl.DataFrame:
    return conform(
        frame.select(
            "sample_id",
            "split",
            "version",
            pl.lit(run).alias("run"),
            pl.col("given").alias("answer"),
            pl.col("scores").cast(pl.List(pl.Float32)),
            pl.lit(Status.OK.value).alias("status"),
            pl.lit(None, dtype=pl.String).alias("raw"),
            BASIS,
        ),
        PREDICTIONS,
        where=run,
    )
