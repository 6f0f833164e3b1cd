"""Questions joined with one run's answers, as arrays: per question, and per option of each question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ecgqa.errors import EcgqaError
from ecgqa.records import NONE, PREDICTIONS, QUESTIONS, Status
from ecgqa.tables import conform

KEY = ("split", "version", "sample_id")
THRESHOLD = 0.5
"""An option is given when its score is strictly above this, as in the original."""
STATUSES = tuple(status.value for status in Status)


@dataclass(frozen=True)
class Asked:
    """The questions, sorted by split, version and sample id, with their options laid end to end."""

    frame: pl.DataFrame
    classes: list[str]
    """Every option and right answer that occurs, sorted: the answer classes."""
    option_question: NDArray[np.int64]
    """(n_options,) question of each option, ascending; options keep the order of the candidates."""
    option_class: NDArray[np.int64]
    option_gold: NDArray[np.bool_]
    n_options: NDArray[np.int64]
    """(n_questions,) options per question."""
    n_gold: NDArray[np.int64]
    """(n_questions,) right answers per question; 0 where "none" is right."""
    option_code: NDArray[np.int64]
    """(n_options,) question * number of classes + class."""
    gold_code: NDArray[np.int64]
    """The same code of every right answer."""

    def __len__(self) -> int:
        return int(self.frame.height)


@dataclass(frozen=True)
class Answered:
    """One run's answers to `Asked`."""

    run: str
    status: NDArray[np.int64]
    """(n_questions,) index into STATUSES; a question without a prediction is failed."""
    answer: pl.Series
    """(n_questions,) answer lists as given; [] where the status is not ok."""
    set_right: NDArray[np.bool_]
    """(n_questions,) the answer set equals the right set."""
    scored: NDArray[np.bool_]
    """(n_questions,) the run gave a score to each option."""
    score: NDArray[np.float32]
    """(n_options,) nan where not scored."""
    given: NDArray[np.bool_]
    """(n_options,) score > 0.5; without scores: the option is in the answer set. Never where the status is not ok."""
    n_missing: int
    n_outside: int
    """Answers that name something outside the question's candidates."""

    @property
    def ok(self) -> NDArray[np.bool_]:
        return np.equal(self.status, STATUSES.index(Status.OK))


def ask(questions: pl.DataFrame) -> Asked:
    """Check the questions table and lay out its options. Raises EcgqaError for duplicates or missing candidates."""
    frame = conform(questions, QUESTIONS, where="questions").sort(*KEY)
    if frame.is_empty():
        raise EcgqaError("there are no questions to score", expected="at least one row of the questions table")
    twice = frame.filter(frame.select(KEY).is_duplicated())
    if twice.height:
        raise EcgqaError("questions: a sample occurs more than once", found=_name(twice), expected="one row each")
    rows = frame.select(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"), "candidates", "answer")
    options = rows.select("row", "candidates").explode("candidates").drop_nulls().filter(pl.col("candidates") != NONE)
    gold = _named(rows, "answer")
    classes = pl.concat([options["candidates"], gold["answer"]]).unique().sort().to_list()
    option_question = options["row"].to_numpy()
    n_options = np.bincount(option_question, minlength=frame.height)
    if not n_options.all():
        raise EcgqaError(
            "questions: a question has no option to choose from",
            found=_name(frame[int(np.argmin(n_options))]),
            expected="candidates, from the template's answer list",
        )
    codes = _codes(options, "candidates", classes)
    gold_codes = _codes(gold, "answer", classes)
    n_codes = frame.height * len(classes)
    if int(_flags(codes, n_codes).sum()) != len(codes):
        raise EcgqaError("questions: a question lists the same candidate twice", expected="distinct candidates")
    n_gold = np.bincount(gold["row"].to_numpy(), minlength=frame.height)
    option_class = codes - option_question * len(classes)
    option_gold = _flags(gold_codes, n_codes)[codes]
    return Asked(frame, classes, option_question, option_class, option_gold, n_options, n_gold, codes, gold_codes)


def answer(asked: Asked, predictions: pl.DataFrame) -> Answered:
    """Join one run's predictions to the questions. Raises EcgqaError for duplicates, strangers and unfit scores."""
    predictions = conform(predictions, PREDICTIONS, where="predictions")
    runs = predictions["run"].unique().sort().to_list()
    if len(runs) != 1:
        raise EcgqaError("predictions of one run were expected", found=", ".join(runs) or "no rows")
    twice = predictions.filter(predictions.select(KEY).is_duplicated())
    if twice.height:
        raise EcgqaError(
            f"run {runs[0]}: a question is answered more than once", found=_name(twice), expected="one row per question"
        )
    extra = predictions.join(asked.frame.select(KEY), on=KEY, how="anti")
    if extra.height:
        raise EcgqaError(
            f"run {runs[0]}: {extra.height} of {predictions.height} predictions belong to no question",
            found=_name(extra),
            fix="score against the questions that were asked (same data set, split and version)",
        )
    joined = asked.frame.select(KEY).join(
        predictions.select(*KEY, "answer", "scores", "status"), on=KEY, how="left", maintain_order="left"
    )
    n_missing = joined["status"].null_count()
    ok = pl.col("status") == Status.OK.value
    joined = joined.with_columns(
        pl.col("status").cast(pl.String).fill_null(Status.FAILED.value).cast(pl.Enum(STATUSES))
    ).with_columns(pl.when(ok).then("answer").otherwise(pl.lit([], dtype=pl.List(pl.String))).alias("answer"))
    is_ok = joined.select(ok).to_series().to_numpy()
    scored = joined.select(ok & pl.col("scores").is_not_null()).to_series().to_numpy()
    score = _scores(asked, joined, scored, runs[0])

    rows = joined.select(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"), "answer")
    named = _named(rows, "answer")
    codes = _codes(named, "answer", asked.classes)
    n_codes = len(asked) * len(asked.classes)
    given_flags = _flags(codes[codes >= 0], n_codes)
    inside = _flags(asked.option_code, n_codes)[codes] & (codes >= 0)
    n_outside = len(np.unique(named["row"].to_numpy()[~inside]))
    given = np.where(scored[asked.option_question], score > THRESHOLD, given_flags[asked.option_code])

    n_named = np.bincount(named["row"].to_numpy(), minlength=len(asked))
    n_hit = np.bincount(
        asked.gold_code // len(asked.classes), weights=given_flags[asked.gold_code], minlength=len(asked)
    )
    says_none = rows.select(pl.col("answer").list.contains(NONE)).to_series().to_numpy()
    contradictory = says_none & (n_named > 0)
    right = is_ok & ~contradictory & (n_named == asked.n_gold) & (n_hit == asked.n_gold)
    return Answered(
        run=runs[0],
        status=joined["status"].to_physical().to_numpy().astype(np.int64),
        answer=joined["answer"],
        set_right=right,
        scored=scored,
        score=score,
        given=given,
        n_missing=n_missing,
        n_outside=n_outside,
    )


def _named(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """Distinct (row, answer) pairs, without "none"."""
    return rows.select("row", column).explode(column).drop_nulls().filter(pl.col(column) != NONE).unique()


def _flags(codes: NDArray[np.int64], n_codes: int) -> NDArray[np.bool_]:
    flags = np.zeros(n_codes, bool)
    flags[codes] = True
    return flags


def _scores(asked: Asked, joined: pl.DataFrame, scored: NDArray[np.bool_], run: str) -> NDArray[np.float32]:
    lists = joined["scores"].filter(pl.Series(scored))
    lengths = lists.list.len().to_numpy()
    wrong = np.flatnonzero(lengths != asked.n_options[scored])
    if len(wrong):
        row = int(np.flatnonzero(scored)[wrong[0]])
        raise EcgqaError(
            f"run {run}: the number of scores does not fit the question's options",
            expected=f"{asked.n_options[row]} scores: one per candidate except 'none', in their order",
            found=f"{lengths[wrong[0]]} scores for {_name(joined[row])}",
        )
    score = np.full(len(asked.option_question), np.nan, np.float32)
    flat = lists.explode()
    values = flat.to_numpy() if len(lists) else np.empty(0, np.float32)
    if flat.null_count() or not np.isfinite(values).all() or (len(values) and (values.min() < 0 or values.max() > 1)):
        raise EcgqaError(
            f"run {run}: scores must be probabilities between 0 and 1",
            found="missing or infinite values"
            if not np.isfinite(values).all()
            else f"{values.min()} to {values.max()}",
            fix="apply the sigmoid to logits; leave out the scores of questions that have none",
        )
    score[scored[asked.option_question]] = values
    return score


def _codes(frame: pl.DataFrame, column: str, classes: list[str]) -> NDArray[np.int64]:
    """row * number of classes + class; -1 where the name is no answer class."""
    found = frame[column].cast(pl.Enum(classes), strict=False).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
    return np.where(found < 0, -1, frame["row"].to_numpy() * len(classes) + found)


def _name(frame: pl.DataFrame) -> str:
    row = frame.row(0, named=True)
    return f"{row['split']}/{row['version']} sample {row['sample_id']}"
