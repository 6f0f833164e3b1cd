"""A linear probe: how much of what is known of ECGs a linear map can read from their features, on other patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgqa.evaluation.resampling import EcgResampler, interval

Floats = NDArray[np.float64]

PENALTIES: Final = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
"""Weights of the squared norm tried, for standardised features and a log likelihood summed over ECGs (1 / C)."""

MOST_STEPS: Final = 2_000
TOLERANCE: Final = 1e-4


@dataclass(frozen=True)
class Logistic:
    """Independent logistic regressions on standardised features: weight (d, K), intercept (K,), mean and SD (d,)."""

    weight: Floats
    intercept: Floats
    mean: Floats
    sd: Floats

    def scores(self, features: NDArray[Any]) -> Floats:
        """Log odds (n, K) of features (n, d)."""
        return ((features - self.mean) / self.sd) @ self.weight + self.intercept


def fit(features: NDArray[Any], labels: Floats, penalty: float) -> Logistic:
    """The regressions that minimise the summed log loss of the known labels plus penalty / 2 * |weight|².

    features (n, d); labels (n, K) 1, 0 or nan for unknown. In the axes of the features' singular vectors the curvature
    is bounded by a diagonal whatever labels are known (Böhning and Lindsay 1988), which gives each coordinate its step
    length; Nesterov's momentum, restarted column by column, does the rest. All columns are solved at once.
    """
    mean, sd = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    sd = np.where(sd > 1e-8 * (np.abs(mean) + 1e-12), sd, np.inf)  # a feature that never varies is not used
    _, spread, axes = np.linalg.svd((features - mean) / sd, full_matrices=False)
    used = spread > 1e-9 * max(spread[0], 1e-300)
    spread, axes = spread[used], axes[used]
    design = np.column_stack([((features - mean) / sd) @ axes.T, np.ones(len(features))])
    ridge = np.append(np.full(len(spread), penalty), 0.0)[:, None]
    bound = np.append(spread**2, len(features))[:, None] / 4 + ridge
    known = np.isfinite(labels)
    target = np.where(known, labels, 0.0)
    weight = np.zeros((design.shape[1], labels.shape[1]))
    ahead, momentum = weight.copy(), np.ones(labels.shape[1])
    for _ in range(MOST_STEPS):
        error = known / (1 + np.exp(-np.clip(design @ ahead, -500, 500))) - target
        gradient = design.T @ error + ridge * ahead
        moved = ahead - gradient / bound
        step = moved - weight
        momentum = np.where((gradient * step).sum(0) > 0, 1.0, momentum)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / following * step
        weight, momentum = moved, following
        if (np.abs(gradient) / np.sqrt(bound)).max() < TOLERANCE:
            break
    return Logistic(axes.T @ weight[:-1], weight[-1], mean, sd)


def choose_penalty(
    features: NDArray[Any], labels: Floats, group: NDArray[np.int64], seed: int, penalties: Sequence[float] = PENALTIES
) -> float:
    """The penalty, one for all columns, with the best macro AUROC on a fifth of the groups after fitting the others."""
    distinct = np.unique(group)
    generator = np.random.default_rng([seed, *b"probe penalty"])
    inner = np.isin(group, generator.permutation(distinct)[: max(1, len(distinct) // 5)])
    one = np.ones((int(inner.sum()), 1))
    macro = {
        penalty: np.nan_to_num(_macro(aurocs(fit(features[~inner], labels[~inner], penalty).scores(features[inner]),
                                             labels[inner], one))[0])
        for penalty in penalties
    }  # fmt: skip
    return max(macro, key=lambda penalty: macro[penalty])


def aurocs(scores: Floats, labels: Floats, weights: NDArray[Any]) -> Floats:
    """AUROC (K, B) of each column under each weighting of the rows; nan where one of the labels has no weight.

    scores, labels (n, K), labels 1, 0 or nan; weights (n, B), such as how often each row was drawn. Ties count half.
    """
    found = np.full((scores.shape[1], weights.shape[1]), np.nan)
    for column in range(scores.shape[1]):
        rows = np.flatnonzero(np.isfinite(labels[:, column]))
        if not rows.size:
            continue
        rows = rows[np.argsort(scores[rows, column], kind="stable")]
        score, label = scores[rows, column], labels[rows, column][:, None]
        begins = np.flatnonzero(np.diff(score, prepend=-np.inf))
        positive = np.add.reduceat(weights[rows] * label, begins, axis=0, dtype=np.float64)
        negative = np.add.reduceat(weights[rows] * (1 - label), begins, axis=0, dtype=np.float64)
        below = np.cumsum(negative, axis=0) - negative / 2
        with np.errstate(invalid="ignore"):
            found[column] = (positive * below).sum(0) / (positive.sum(0) * negative.sum(0))
    return found


def _macro(values: Floats) -> Floats:
    """Mean (B,) over the columns that have a value."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(0) / known.sum(0))


@dataclass(frozen=True)
class Scored:
    """Macro AUROC of one set of features with its 95 % interval, the penalty chosen, and the AUROC of each column."""

    auroc: float
    low: float
    high: float
    penalty: float
    by_column: list[float]


@dataclass(frozen=True)
class Difference:
    """Macro AUROC of the first set of features minus that of another, on the same resamples of ECGs."""

    other: str
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Split:
    """One side of a probe: `labels` (n, K) 1, 0 or nan, `group` (n,) the patient, `ecg_id` (n,)."""

    labels: Floats
    group: NDArray[np.int64]
    ecg_id: NDArray[np.int64]


def compare_features(
    features: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
    train: Split,
    held_out: Split,
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, Scored], list[Difference]]:
    """Probe each set of features (train, held out), and compare the first with the others.

    Intervals resample the held-out ECGs; the regressions stay as they were fitted.
    """
    import polars as pl

    resampler = EcgResampler(pl.Series(held_out.ecg_id).reshape((-1, 1)).arr.to_list(), n_resamples, seed)
    drawn = np.concatenate([np.ones((resampler.n_units, 1), np.float32), *resampler.weights()], axis=1)
    weights = drawn[resampler.unit]
    scored: dict[str, Scored] = {}
    macros: list[Floats] = []
    for name, (learned, unseen) in features.items():
        penalty = choose_penalty(learned, train.labels, train.group, seed)
        values = aurocs(fit(learned, train.labels, penalty).scores(unseen), held_out.labels, weights)
        macro = _macro(values)
        low, high = interval(macro[:1], macro[None, 1:])
        scored[name] = Scored(float(macro[0]), float(low[0]), float(high[0]), penalty, values[:, 0].tolist())
        macros.append(macro)
    differences = []
    for other, macro in zip(list(scored)[1:], macros[1:], strict=True):
        gap = macros[0] - macro
        low, high = interval(gap[:1], gap[None, 1:])
        differences.append(Difference(other, float(gap[0]), float(low[0]), float(high[0])))
    return scored, differences
