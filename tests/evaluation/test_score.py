"""Scores: definitions, invariances, what counts as wrong, and input that is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from polars.testing import assert_frame_equal

from ecgqa.curves import class_curves
from ecgqa.errors import EcgqaError
from ecgqa.evaluation import Scores, score
from ecgqa.evaluation.metrics import METRICS
from support.answered_questions import predictions_table, questions_table

Make = Callable[..., pl.DataFrame]
QUICK = {"n_resamples": 30}
seeds = st.integers(0, 10_000)


def one(answer: list[str], candidates: list[str], **changes: object) -> pl.DataFrame:
    """A single question with the given right answer and candidates."""
    frame = questions_table(1, templates=[8])
    lists = {"answer": answer, "candidates": candidates}
    return frame.with_columns(pl.Series(name, [value]) for name, value in (lists | changes).items())


def reply(
    question: pl.DataFrame, answer: list[str], scores: list[float] | None = None, status: str = "ok"
) -> pl.DataFrame:
    frame = predictions_table(question, skill=1.0)
    return frame.with_columns(
        pl.Series("answer", [answer], dtype=pl.List(pl.String)),
        pl.Series("scores", [scores], dtype=pl.List(pl.Float32)),
        pl.lit(status).cast(frame.schema["status"]).alias("status"),
    )


@pytest.mark.parametrize(
    ("gold", "given_scores", "right"),
    [
        (["septal"], [0.1, 0.2, 0.3, 0.9], True),
        (["septal"], [0.6, 0.2, 0.3, 0.9], False),  # one option too many
        (["anterior", "septal"], [0.6, 0.2, 0.3, 0.9], True),
        (["anterior", "septal"], [0.4, 0.2, 0.3, 0.9], False),  # one too few
        (["none"], [0.1, 0.2, 0.3, 0.4], True),
        (["septal"], [0.1, 0.2, 0.3, 0.5], False),  # exactly one half is not given
        (["none"], [0.5, 0.5, 0.5, 0.5], True),
    ],
)
def test_published_exact_match(gold: list[str], given_scores: list[float], right: bool) -> None:
    question = one(gold, ["anterior", "inferior", "lateral", "none", "septal"])
    scores = score(question, reply(question, ["none"], given_scores), **QUICK)
    assert scores.value("model", "em_candidates") == float(right)


@pytest.mark.parametrize(
    ("gold", "said", "by_candidates", "by_set"),
    [
        (["yes"], ["yes"], 1.0, 1.0),
        (["yes"], ["yes", "yes"], 1.0, 1.0),
        (["yes"], ["no", "yes"], 0.0, 0.0),  # both or neither is wrong
        (["yes"], ["none"], 0.0, 0.0),
        (["none"], ["none"], 1.0, 1.0),
        (["none"], [], 1.0, 1.0),
        (["none"], ["something else"], 1.0, 0.0),  # outside the candidates: the published match cannot see it
        (["yes"], ["yes", "something else"], 1.0, 0.0),
        (["yes"], ["yes", "none"], 1.0, 0.0),  # contradicts itself
    ],
)
def test_answers_without_scores(gold: list[str], said: list[str], by_candidates: float, by_set: float) -> None:
    question = one(gold, ["no", "none", "yes"])
    scores = score(question, reply(question, said), **QUICK)
    assert scores.value("model", "em_candidates") == by_candidates
    assert scores.value("model", "em_set") == by_set
    assert scores.value("model", "auroc_macro") is None
    assert scores.about["runs"]["model"]["n_outside_candidates"] == int("something else" in said)


def test_an_answer_with_commas_is_one_answer() -> None:
    label = "bigeminal pattern (unknown origin, supraventricular, or ventricular)"
    question = one([label], [label, "none", "trigeminal pattern (unknown origin, supraventricular, or ventricular)"])
    assert score(question, reply(question, [label]), **QUICK).value("model", "em_set") == 1.0


@pytest.mark.parametrize("status", ["unparseable", "refused", "failed"])
def test_no_answer_is_wrong_even_where_none_is_right(status: str) -> None:
    question = one(["none"], ["anterior", "none"])
    scores = score(question, reply(question, [], [0.1], status), **QUICK)
    for metric in ("em_candidates", "em_set", "option_accuracy"):
        assert scores.value("model", metric) == 0.0, metric
    counts = scores.outcomes.filter(pl.col("breakdown") == "overall")
    assert dict(counts.select("status", "n_questions").iter_rows())[status] == 1


def test_questions_without_prediction_are_failed_and_counted() -> None:
    questions = questions_table(90)
    predictions = predictions_table(questions, skill=1.0).head(60)
    scores = score(questions, predictions, **QUICK)
    assert scores.value("model", "em_candidates") == pytest.approx(60 / 90)
    assert scores.about["runs"]["model"]["n_missing"] == 30
    row = scores.row("model", "auroc_macro")
    assert (row["n_questions"], row["n_used"]) == (90, 60)


@given(seed=seeds)
@settings(max_examples=8, deadline=None)
def test_order_of_rows_and_answers_changes_nothing(seed: int) -> None:
    questions, rng = questions_table(60, seed=seed), np.random.default_rng(seed)
    predictions = predictions_table(questions, seed=seed)
    shuffled = score(
        questions[rng.permutation(60)].with_columns(pl.col("answer").list.reverse()),
        predictions[rng.permutation(60)].with_columns(pl.col("answer").list.reverse()),
        **QUICK,
    )
    plain = score(questions, predictions, **QUICK)
    assert_frame_equal(plain.table, shuffled.table)
    assert plain.about == shuffled.about


@given(seed=seeds, with_scores=st.booleans())
@settings(max_examples=8, deadline=None)
def test_perfect_predictions_score_one_everywhere(seed: int, with_scores: bool) -> None:
    questions = questions_table(60, seed=seed)
    scores = score(questions, predictions_table(questions, skill=1.0, scores=with_scores), **QUICK)
    defined = scores.table.filter(pl.col("value").is_not_null(), pl.col("metric") != "auprc_published")
    assert defined.height > 50
    assert (defined["value"] - 1).abs().max() < 1e-9


@given(seed=seeds, skill=st.floats(0, 0.9), n_failed=st.integers(0, 20))
@settings(max_examples=12, deadline=None)
def test_every_number_lies_in_its_interval_and_in_range(seed: int, skill: float, n_failed: int) -> None:
    questions = questions_table(70, seed=seed)
    predictions = predictions_table(
        questions, skill=skill, seed=seed, status=lambda row: "refused" if row < n_failed else "ok"
    )
    table = score(questions, predictions, **QUICK).table.filter(pl.col("low").is_not_null())
    assert table.filter(pl.col("value").is_between("low", "high")).height == table.height
    assert table["low"].min() >= 0 and table["high"].max() <= 1  # type: ignore[operator]


@given(seed=seeds, with_scores=st.booleans())
@settings(max_examples=8, deadline=None)
def test_a_set_match_is_a_match_on_candidates(seed: int, with_scores: bool) -> None:
    questions = questions_table(70, seed=seed)
    scores = score(questions, predictions_table(questions, seed=seed, scores=with_scores), **QUICK)
    strict, loose = scores.value("model", "em_set"), scores.value("model", "em_candidates")
    assert strict is not None and loose is not None and strict <= loose


def test_complement_turns_areas_over() -> None:
    questions = questions_table(120)
    predictions = predictions_table(questions, skill=0.3)
    turned = predictions.with_columns(pl.col("scores").list.eval(1 - pl.element()))
    plain, reverse = score(questions, predictions, **QUICK), score(questions, turned, **QUICK)
    assert plain.value("model", "auroc_macro") == pytest.approx(1 - reverse.value("model", "auroc_macro"))
    assert plain.value("model", "option_accuracy") == pytest.approx(1 - reverse.value("model", "option_accuracy"))


def test_argmax_splits_ties() -> None:
    questions = one(["yes"], ["no", "yes"], question_type="single-verify")
    for given_scores, expected in (([0.2, 0.3], 1.0), ([0.3, 0.2], 0.0), ([0.4, 0.4], 0.5)):
        assert (
            score(questions, reply(questions, ["none"], given_scores), **QUICK).value("model", "em_argmax") == expected
        )


def test_the_macro_average_weighs_question_types_alike() -> None:
    questions = questions_table(300, templates=[1, 1, 1, 8])
    scores = score(questions, predictions_table(questions), **QUICK)
    assert scores.macro == "macro_2"
    by_type = [
        scores.value("model", "em_candidates", "question_type", kind) for kind in ("single-verify", "single-query")
    ]
    assert scores.value("model", "em_candidates", "macro", "macro_2") == pytest.approx(np.mean(by_type))
    assert scores.value("model", "em_candidates") == pytest.approx(np.average(by_type, weights=[3, 1]))


def test_groups_partition_the_questions() -> None:
    questions = questions_table(180)
    table = score(questions, predictions_table(questions), **QUICK).table.filter(pl.col("metric") == "em_candidates")
    for (breakdown,), group in table.group_by("breakdown"):
        assert group["n_questions"].sum() == 180, breakdown
        weighted = (group["value"] * group["n_questions"]).sum() / 180
        if breakdown != "macro":
            assert weighted == pytest.approx(table.filter(pl.col("breakdown") == "overall")["value"][0]), breakdown


def test_macro_f1_and_micro_f1_by_hand() -> None:
    questions = pl.concat(
        [one(["a"], ["a", "b"]), one(["b"], ["a", "b"], sample_id=1), one(["b"], ["a", "b"], sample_id=2)]
    )
    said = [["a"], ["a"], ["b"]]
    predictions = pl.concat(
        [
            reply(questions[row], said[row]).with_columns(pl.lit(row).cast(pl.Int64).alias("sample_id"))
            for row in range(3)
        ]
    )
    scores = score(questions, predictions, **QUICK)
    # a: TP 1, FP 1; b: TP 1, FN 1
    assert scores.value("model", "option_f1_micro") == pytest.approx(4 / 6)
    assert scores.value("model", "option_f1_macro") == pytest.approx(2 / 3)
    assert dict(scores.classes.select("answer", "n_given").iter_rows()) == {"a": 2, "b": 1}


def naive_areas(score_: NDArray[np.float32], right: NDArray[np.bool_]) -> tuple[float, float]:
    above = np.sign(score_[right][:, None] - score_[~right][None, :])
    thresholds = np.unique(score_)[::-1]
    recall, total = 0.0, 0.0
    for threshold in thresholds:
        given_ = score_ >= threshold
        found = (right & given_).sum() / right.sum()
        total += (found - recall) * (right & given_).sum() / given_.sum()
        recall = found
    return float((above + 1).mean() / 2), float(total)


@given(seed=seeds, levels=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_areas_and_their_influence_against_the_definition(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    cell, right = rng.integers(0, 2, n), rng.random(n) < 0.4
    values = (rng.integers(0, levels + 1, n) / levels).astype(np.float32)
    curves = class_curves(cell, values, right)
    for position, number in enumerate(curves.cell):
        inside = cell == number
        if right[inside].any() and not right[inside].all():
            auroc, auprc = naive_areas(values[inside], right[inside])
            assert curves.auroc[position] == pytest.approx(auroc)
            assert curves.auprc[position] == pytest.approx(auprc)
            assert curves.auroc_influence[inside].sum() == pytest.approx(0, abs=1e-9)
            assert curves.auprc_influence[inside].sum() == pytest.approx(0, abs=1e-9)
            # influence = derivative by weight: counting one score often moves the area accordingly
            extra, times = int(np.flatnonzero(inside)[0]), 200
            many = np.concatenate([np.repeat(np.flatnonzero(inside), times), [extra]])
            moved = naive_areas(values[many], right[many])
            assert moved[0] - auroc == pytest.approx(curves.auroc_influence[extra] / times, abs=2e-4 / times**0.5)
            assert moved[1] - auprc == pytest.approx(curves.auprc_influence[extra] / times, abs=2e-4 / times**0.5)


def test_scores_survive_json(tmp_path: Path) -> None:
    questions = questions_table(60)
    scores = score(questions, predictions_table(questions, run="modèle é"), **QUICK)
    again = Scores.read(scores.write(tmp_path / "scores ü.json"))
    assert_frame_equal(again.table, scores.table)
    assert again.about == scores.about
    for name in ("outcomes", "classes", "calibration", "confusion"):
        assert getattr(again, name).to_dicts() == getattr(scores, name).to_dicts()


def test_several_runs_share_questions_and_resamples() -> None:
    questions = questions_table(60)
    both = pl.concat([predictions_table(questions, run="a"), predictions_table(questions, run="b")])
    scores = score(questions, both, **QUICK)
    assert scores.runs == ["a", "b"]
    assert scores.row("a", "em_set") | {"run": "b"} == scores.row("b", "em_set")


def test_seeds_decide_the_intervals() -> None:
    questions = questions_table(60)
    predictions = predictions_table(questions)
    first, again, other = (score(questions, predictions, n_resamples=50, seed=seed) for seed in (1, 1, 2))
    assert_frame_equal(first.table, again.table)
    assert not first.table["low"].equals(other.table["low"])
    assert first.table["value"].equals(other.table["value"])


def test_bad_input_is_refused() -> None:
    questions = questions_table(10)
    predictions = predictions_table(questions)
    with pytest.raises(EcgqaError, match="more than once"):
        score(questions, pl.concat([predictions, predictions[3]]))
    with pytest.raises(EcgqaError, match="belong to no question"):
        score(questions[:5], predictions)
    with pytest.raises(EcgqaError, match="more than once"):
        score(pl.concat([questions, questions[3]]), predictions)
    with pytest.raises(EcgqaError, match="number of scores"):
        score(questions, predictions.with_columns(pl.col("scores").list.head(1)))
    for wrong in (float("nan"), 1.5, -3.0, None):
        bad = predictions.with_columns(pl.col("scores").list.eval(pl.lit(wrong, dtype=pl.Float32) + 0 * pl.element()))
        with pytest.raises(EcgqaError, match="probabilities"):
            score(questions, bad)
    with pytest.raises(EcgqaError, match="no option"):
        score(questions.with_columns(pl.lit(["none"]).alias("candidates")), predictions)
    with pytest.raises(EcgqaError, match="twice"):
        score(questions.with_columns(pl.lit(["a", "a"]).alias("candidates")), predictions)
    with pytest.raises(EcgqaError, match="no questions"):
        score(questions.clear(), predictions)
    with pytest.raises(EcgqaError, match="no predictions"):
        score(questions, predictions.clear())
    with pytest.raises(EcgqaError, match="at least 1"):
        score(questions, predictions, n_resamples=0)


def test_every_metric_is_defined_and_appears() -> None:
    questions = questions_table(90)
    scores = score(questions, predictions_table(questions), **QUICK)
    assert set(scores.table["metric"]) == set(METRICS)
    assert all(metric.definition and metric.formula for metric in METRICS.values())


@pytest.mark.slow
def test_many_questions_take_seconds() -> None:
    questions = questions_table(20_000, n_ecgs=800)
    predictions = predictions_table(questions)
    started = time.process_time()
    score(questions, predictions)
    assert time.process_time() - started < 15
