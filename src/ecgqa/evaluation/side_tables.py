"""Tables beside the scores: per answer class, calibration of the scores, confusion of verify questions."""

from __future__ import annotations

import numpy as np
import polars as pl

from ecgqa.curves import class_curves
from ecgqa.evaluation.outcomes import STATUSES, Answered, Asked
from ecgqa.records import NONE, Status

N_BINS = 10


def class_table(asked: Asked, answered: Answered) -> pl.DataFrame:
    """Per answer class: options, right and given ones, F1, AUROC, average precision (null where undefined)."""
    n = len(asked.classes)
    code = asked.option_class

    def count(flag: np.ndarray) -> np.ndarray:
        return np.bincount(code, weights=flag, minlength=n).astype(np.int64)

    n_options, right, given = np.bincount(code, minlength=n), count(asked.option_gold), count(answered.given)
    hit = count(asked.option_gold & answered.given)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = 2 * hit / (right + given)
    auroc, auprc = np.full(n, np.nan), np.full(n, np.nan)
    kept = np.flatnonzero(answered.scored[asked.option_question])
    if len(kept):
        curves = class_curves(code[kept], answered.score[kept], asked.option_gold[kept])
        auroc[curves.cell], auprc[curves.cell] = curves.auroc, np.where(curves.n_positive > 0, curves.auprc, np.nan)
    return pl.DataFrame(
        {
            "run": [answered.run] * n,
            "answer": asked.classes,
            "n_options": n_options,
            "n_right": right,
            "n_given": given,
            "f1": f1,
            "auroc": auroc,
            "auprc": auprc,
        }
    ).with_columns(pl.col("f1", "auroc", "auprc").fill_nan(None))


def calibration(asked: Asked, answered: Answered) -> pl.DataFrame:
    """Per tenth of the score range: options, mean score, fraction of them right. No rows without scores."""
    schema = {
        "run": pl.String(), "bin": pl.Int64(), "n_options": pl.Int64(), "mean_score": pl.Float64(),
        "fraction_right": pl.Float64(),
    }  # fmt: skip
    kept = np.isfinite(answered.score)
    score, gold = answered.score[kept].astype(float), asked.option_gold[kept]
    where = np.minimum((score * N_BINS).astype(np.int64), N_BINS - 1)
    counts = np.bincount(where, minlength=N_BINS)
    totals, rights = np.bincount(where, score, N_BINS), np.bincount(where, gold, N_BINS)
    rows = [
        (answered.run, number, int(counts[number]), totals[number] / counts[number], rights[number] / counts[number])
        for number in range(N_BINS)
        if counts[number]
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def confusion(asked: Asked, answered: Answered) -> pl.DataFrame:
    """Verify questions: how often each right answer met each given one (joined with ' + ' where several)."""
    given = answered.answer.list.sort().list.join(" + ").replace("", NONE)
    status = pl.Series(STATUSES).gather(answered.status)
    frame = asked.frame.select(
        pl.lit(answered.run).alias("run"),
        pl.col("question_type").cast(pl.String),
        pl.col("answer").list.sort().list.join(" + ").alias("right"),
        pl.Series("given", given),
        status.alias("status"),
    ).filter(pl.col("question_type").str.ends_with("-verify"))
    wrong = pl.col("status") != Status.OK.value
    frame = frame.with_columns(pl.when(wrong).then("(" + pl.col("status") + ")").otherwise("given").alias("given"))
    keys = ["run", "question_type", "right", "given"]
    return frame.group_by(keys).agg(pl.len().cast(pl.Int64).alias("n_questions")).sort(keys)
