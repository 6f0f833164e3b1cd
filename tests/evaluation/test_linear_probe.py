"""The linear probe finds the optimum it promises, areas are exact, and intervals compare features on the same ECGs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from ecgqa.evaluation.linear_probe import Split, aurocs, choose_penalty, compare_features, fit

Random = np.random.Generator


@pytest.fixture
def rng() -> Random:
    return np.random.default_rng(5)


def some_labels(rng: Random, signal: np.ndarray, noise: float = 1.0) -> np.ndarray:
    labels = (signal + noise * rng.standard_normal(signal.shape) > np.quantile(signal, 0.7)).astype(float)
    labels[rng.random(labels.shape) < 0.4] = np.nan
    return labels


def summed_loss(theta: np.ndarray, x: np.ndarray, sign: np.ndarray, penalty: float) -> float:
    return float(np.logaddexp(0, -sign * (x @ theta[1:] + theta[0])).sum() + penalty / 2 * theta[1:] @ theta[1:])


@pytest.mark.parametrize(("n", "d"), [(200, 12), (40, 90)])
def test_fit_is_the_optimum(rng: Random, n: int, d: int) -> None:
    features = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + 7
    labels = some_labels(rng, features[:, :3] - features[:, 3:6], 3.0)
    for penalty in (0.5, 30.0):
        ours = fit(features, labels, penalty)
        x = (features - features.mean(0)) / features.std(0)
        for column in range(3):
            rows = np.isfinite(labels[:, column])
            args = (x[rows], 2 * labels[rows, column] - 1, penalty)
            found = np.append(ours.intercept[column], ours.weight[:, column])
            best = minimize(
                summed_loss, found * 0, args, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-14, "gtol": 1e-8}
            )
            assert summed_loss(found, *args) <= best.fun + 1e-5
            assert np.abs(found - best.x).max() < 0.02
            assert np.allclose(ours.scores(features)[rows, column], x[rows] @ found[1:] + found[0])


def test_a_constant_feature_is_not_used(rng: Random) -> None:
    features = np.column_stack([rng.standard_normal(80), np.full(80, 3.0)])
    labels = some_labels(rng, features[:, :1])
    model = fit(features, labels, 1.0)
    assert np.isfinite(model.scores(features)).all()
    assert np.allclose(model.scores(features + np.array([0, 5])), model.scores(features))


def test_aurocs_under_weights_are_those_of_repeated_rows(rng: Random) -> None:
    scores = rng.integers(0, 6, (30, 4)).astype(float)  # many ties
    labels = some_labels(rng, scores)
    weights = rng.integers(0, 3, (30, 5))
    found = aurocs(scores, labels, weights)
    for column in range(4):
        for drawn in range(5):
            rows = np.repeat(np.arange(30), weights[:, drawn])
            score, label = scores[rows, column], labels[rows, column]
            gap = score[label == 1][:, None] - score[label == 0][None, :]
            expected = np.mean((gap > 0) + 0.5 * (gap == 0)) if gap.size else np.nan
            assert found[column, drawn] == pytest.approx(expected, nan_ok=True)


def test_areas_without_both_labels_are_undefined() -> None:
    labels = np.array([[1.0, np.nan], [1.0, np.nan]])
    assert np.isnan(aurocs(np.zeros((2, 2)), labels, np.ones((2, 1)))).all()


def test_features_are_compared_on_the_same_ecgs(rng: Random) -> None:
    truth = rng.standard_normal((500, 4))
    good = truth @ rng.standard_normal((4, 20)) + 0.3 * rng.standard_normal((500, 20))
    bad = rng.standard_normal((500, 20))
    labels = some_labels(rng, truth, 0.5)
    sides = [Split(labels[part], np.arange(500)[part], np.arange(500)[part]) for part in (slice(300), slice(300, 500))]
    features = {name: (x[:300], x[300:]) for name, x in (("good", good), ("bad", bad), ("same", good))}
    scores, (to_bad, to_same) = compare_features(features, *sides, n_resamples=200)
    assert scores["good"].auroc > 0.9 > 0.65 > scores["bad"].auroc
    assert scores["good"].low < scores["good"].auroc < scores["good"].high
    assert to_bad.low > 0.2
    assert (to_same.difference, to_same.low, to_same.high) == (0.0, 0.0, 0.0)
    assert len(scores["good"].by_column) == 4
    again, _ = compare_features(features, *sides, n_resamples=200)
    assert again == scores


def test_a_penalty_is_chosen_for_other_patients(rng: Random) -> None:
    """Twins in both parts would favour a map that remembers; the groups keep them together."""
    base = rng.standard_normal((60, 40))
    features = np.repeat(base, 4, axis=0) + 0.01 * rng.standard_normal((240, 40))
    labels = np.repeat((base[:, :1] + 2 * rng.standard_normal((60, 1)) > 0).astype(float), 4, axis=0)
    apart = choose_penalty(features, labels, np.arange(240), 0, (0.001, 300.0))
    together = choose_penalty(features, labels, np.repeat(np.arange(60), 4), 0, (0.001, 300.0))
    assert apart == 0.001
    assert together == 300.0
