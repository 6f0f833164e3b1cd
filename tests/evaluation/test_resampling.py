"""The bootstrap over ECGs against what theory says of it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from ecgqa.errors import EcgqaError
from ecgqa.evaluation import resampling
from ecgqa.evaluation.resampling import EcgResampler, interval
from ecgqa.evaluation.score import Scorer, score
from support.answered_questions import predictions_table, questions_table


def resampled_mean(ecg_id: list[list[int]], value: np.ndarray, n_resamples: int = 2000) -> np.ndarray:
    resampler = EcgResampler(pl.Series(ecg_id, dtype=pl.List(pl.Int64)), n_resamples, seed=3)
    rows = np.zeros(len(value), np.int64)
    parts = [resampler.by_unit(rows, column.astype(np.float32), 1) for column in (value, np.ones(len(value)))]
    sums = resampler.sums(sparse.vstack(parts).tocsr())
    return sums[0] / sums[1]


def test_one_question_per_ecg_gives_the_binomial_standard_error() -> None:
    rng = np.random.default_rng(0)
    value = rng.random(400) < 0.3
    spread = resampled_mean([[number] for number in range(400)], value).std()
    assert spread == pytest.approx(np.sqrt(value.mean() * (1 - value.mean()) / 400), rel=0.06)


def test_questions_of_one_ecg_that_agree_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    value = np.repeat(rng.random(50) < 0.5, 20)
    ecg_id = [[number // 20] for number in range(1000)]
    alone = resampled_mean([[number] for number in range(1000)], value).std()
    assert resampled_mean(ecg_id, value).std() == pytest.approx(np.sqrt(20) * alone, rel=0.15)


def test_pairs_are_covered_when_ecgs_matter() -> None:
    """Over many data sets, means of pairs spread as the bootstrap says, or less."""
    truth, told = [], []
    pairs = [[a, b] for a in range(30) for b in range(a + 1, 30)][::3]
    first, second = np.array(pairs).T
    for seed in range(60):
        effect = np.random.default_rng(seed).normal(size=30)
        value = effect[first] + effect[second]
        truth.append(value.mean())
        told.append(resampled_mean(pairs, value, 200).std())
    assert np.mean(told) > 0.85 * np.std(truth)
    assert np.mean(told) < 1.6 * np.std(truth)


def test_pairs_without_ecg_effects_get_too_wide_an_interval_of_known_size() -> None:
    rng = np.random.default_rng(5)
    pairs = [sorted(rng.choice(2000, 2, replace=False).tolist()) for _ in range(1500)]
    value = rng.normal(size=1500)
    ratio = resampled_mean(pairs, value).std() / (value.std() / np.sqrt(1500))
    assert 1.4 < ratio < 1.9  # root of 3


def test_the_order_of_a_pair_does_not_matter() -> None:
    one_way = EcgResampler(pl.Series([[1, 2], [2, 1], [3]]), 5, 0)
    assert one_way.n_units == 2 and one_way.unit[0] == one_way.unit[1] and one_way.n_ecgs == 3


def test_blocks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    ecgs = pl.Series([[number % 7, 7 + number % 5] for number in range(30)])
    whole = np.concatenate(list(EcgResampler(ecgs, 40, 1).weights()), axis=1)
    monkeypatch.setattr(resampling, "WEIGHT_BYTES", 1000)
    blocks = list(EcgResampler(ecgs, 40, 1).weights())
    assert len(blocks) > 5
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)
    assert (whole.sum(axis=0) >= 0).all() and whole.mean() == pytest.approx(1, abs=0.4)


def test_only_one_or_two_ecgs() -> None:
    for wrong in ([[1, 2, 3]], [[]]):
        with pytest.raises(EcgqaError, match="one or two ECGs"):
            EcgResampler(pl.Series(wrong, dtype=pl.List(pl.Int64)), 5, 0)


def test_interval_ignores_empty_resamples_and_holds_the_estimate() -> None:
    samples = np.array([[0.1, 0.2, np.nan, 0.3], [np.nan] * 4, [0.5, 0.6, 0.7, 0.8]])
    low, high = interval(np.array([0.2, 0.4, 0.1]), samples)
    assert 0.1 <= low[0] <= 0.2 <= high[0] <= 0.3
    assert np.isnan(low[1]) or low[1] == 0.4
    assert low[2] == 0.1


def test_first_order_resamples_of_areas_agree_with_computing_them_anew() -> None:
    questions = questions_table(1200, n_ecgs=300, templates=[1, 8, 12, 18])
    predictions = predictions_table(questions, skill=0.25)
    table = score(questions, predictions, n_resamples=400).table.filter(pl.col("breakdown") == "overall")
    scorer = Scorer(questions, n_resamples=60, seed=9)
    weights = np.concatenate(list(scorer.resampler.weights()), axis=1)[scorer.resampler.unit]
    anew: dict[str, list[float]] = {"auroc_macro": [], "auprc_macro": []}
    ordered = predictions.sort("sample_id")
    for column in weights.T:
        rows = np.repeat(np.arange(len(column)), column.astype(int))
        number = pl.Series("sample_id", np.arange(len(rows)), dtype=pl.Int64)
        drawn = score(scorer.asked.frame[rows].with_columns(number), ordered[rows].with_columns(number), n_resamples=1)
        for metric in anew:
            anew[metric].append(drawn.value("model", metric) or np.nan)
    for metric, values in anew.items():
        row = table.filter(pl.col("metric") == metric).row(0, named=True)
        assert (row["high"] - row["low"]) / 3.92 == pytest.approx(np.std(values), rel=0.3)


def test_a_perfect_score_on_few_ecgs_has_an_interval() -> None:
    questions = questions_table(40, n_ecgs=10, templates=[1, 8])
    row = score(questions, predictions_table(questions, skill=1.0), n_resamples=20).row("model", "em_candidates")
    assert row["high"] == 1.0 and row["low"] == pytest.approx(0.025 ** (1 / 10))
