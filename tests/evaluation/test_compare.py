"""Paired comparison: what must come out by definition, and how often a true null is rejected."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgqa.errors import EcgqaError
from ecgqa.evaluation.compare import compare, holm, mcnemar, pair_of, sign_flip
from support.answered_questions import predictions_table, questions_table

QUICK = {"n_resamples": 30, "n_permutations": 200}


@given(seed=st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_a_run_equals_itself(seed: int) -> None:
    questions = questions_table(80, seed=seed)
    run = predictions_table(questions, seed=seed)
    table = compare(questions, run, run, **QUICK).table
    assert set(table["p"]) == {1.0} and set(table["p_mcnemar"]) == {1.0}
    for column in ("difference", "low", "high", "n_only_a", "n_only_b"):
        assert set(table[column]) == {0.0}, column


def test_swapping_the_runs_changes_signs_only() -> None:
    questions = questions_table(200)
    good, bad = predictions_table(questions, run="good", skill=0.45), predictions_table(questions, run="bad", skill=0.1)
    one, other = compare(questions, good, bad, **QUICK).table, compare(questions, bad, good, **QUICK).table
    np.testing.assert_allclose(one["difference"], -other["difference"])
    np.testing.assert_allclose(one["low"], -other["high"], atol=1e-12)
    assert one["p"].to_list() == other["p"].to_list()
    assert one["n_only_a"].to_list() == other["n_only_b"].to_list()


def test_a_clear_difference_is_found_and_a_difference_of_values() -> None:
    questions = questions_table(400, n_ecgs=100)
    good, bad = (
        predictions_table(questions, run="good", skill=0.45),
        predictions_table(questions, run="bad", skill=0.05),
    )
    found = compare(questions, good, bad, n_resamples=200, n_permutations=2000)
    row = found.row("overall")
    assert row["difference"] == pytest.approx(row["value_a"] - row["value_b"]) and row["low"] > 0
    assert row["p"] < 0.005
    types = found.table.filter(pl.col("breakdown") == "question_type")
    assert (types["p_holm"] >= types["p"]).all()
    assert types["n_questions"].sum() == 400
    macro = found.row("macro")
    assert macro["difference"] == pytest.approx(types["difference"].mean())


def test_areas_have_a_difference_without_a_test() -> None:
    questions = questions_table(200)
    one, other = predictions_table(questions, run="a"), predictions_table(questions, run="b", seed=5)
    row = compare(questions, one, other, metric="auroc_macro", **QUICK).row("overall")
    assert row["p"] is None and row["low"] < row["difference"] < row["high"]
    with pytest.raises(EcgqaError, match="undefined"):
        compare(questions, one, predictions_table(questions, scores=False), metric="auroc_macro", **QUICK)
    with pytest.raises(EcgqaError, match="no such metric"):
        compare(questions, one, other, metric="accuracy", **QUICK)
    with pytest.raises(EcgqaError, match="no run 'c'"):
        pair_of(pl.concat([one, other]), "a", "c")


@pytest.mark.parametrize("paired", [False, True])
def test_a_true_null_is_rejected_no_more_often_than_promised(paired: bool) -> None:
    """Differences that questions of one ECG share: a test per question would reject far too often."""
    rejected = 0
    n_sets, n_ecgs, n_questions = 200, 30, 300
    for seed in range(n_sets):
        rng = np.random.default_rng(seed)
        ecgs = np.sort(rng.integers(0, n_ecgs, (2, n_questions)), axis=0)
        if not paired:
            ecgs[1] = ecgs[0]
        effect = rng.normal(size=n_ecgs)
        difference = effect[ecgs].mean(axis=0) + 0.3 * rng.normal(size=n_questions)
        rejected += sign_flip(difference, ecgs, 199, seed) <= 0.05
    assert rejected / n_sets <= 0.10


def test_sign_flip_enumerates_what_it_should() -> None:
    # three ECGs, all in favour: |sum| is as extreme in 2 of 8 arrangements
    p = sign_flip(np.ones(3), np.array([[0, 1, 2], [0, 1, 2]]), 40_000, 0)
    assert p == pytest.approx(0.25, abs=0.01)


def test_holm_and_mcnemar() -> None:
    assert holm([0.01, 0.04, None, 0.03]) == [0.03, 0.06, None, 0.06]
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 5) == pytest.approx(2 / 32)
