"""Makes many ECGs out of one annotated ECG: other rates, intervals and wave heights, noise, beats without P wave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ecgqa.signals.delineation.network_input import RATE_HZ

SOURCE_RATE_HZ: Final = 500.0
WAVE_LABELS: Final = (1, 2, 3)
NEAREST_P_SAMPLES: Final = 75
"""No P wave is moved nearer than this (150 ms) to the QRS complex before it."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Example:
    """One annotated ECG at 500 Hz, taken apart so that its waves can be changed."""

    millivolts: npt.NDArray[np.float32]
    """(12, n)"""
    labels: npt.NDArray[np.int8]
    """(12, n): 0 none, 1 P, 2 QRS, 3 T, -1 not annotated."""
    waves: npt.NDArray[np.float32]
    """(3, 12, n): what each P, QRS and T adds to the line from its onset to its offset; zero elsewhere."""


@dataclass(frozen=True, eq=False)
class Crop:
    """(12, T) at the network's rate, its labels, and (12,) which leads are shown."""

    signal: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int8]
    leads: npt.NDArray[np.bool_]


def taken_apart(millivolts: npt.NDArray[np.float32], labels: npt.NDArray[np.int8]) -> Example:
    """An `Example` from a signal and its labels."""
    waves = np.zeros((3, *millivolts.shape), dtype=np.float32)
    n = millivolts.shape[1]
    for row in range(len(millivolts)):
        for k, label in enumerate(WAVE_LABELS):
            for first, last in _runs(labels[row] == label):
                begin, end = max(first - 3, 0), min(last + 3, n)
                line = np.linspace(millivolts[row, begin], millivolts[row, end - 1], end - begin)
                waves[k, row, begin:end] = millivolts[row, begin:end] - line
    return Example(millivolts, labels, waves)


def augmented(example: Example, length: int, rng: np.random.Generator) -> Crop:
    """A random piece of `example`, `length` samples at `RATE_HZ`, changed at random."""
    signal, labels = _with_other_waves(example, rng)
    at, start_known, end_known = _warped_time(labels, rng)
    # Pieces reach up to a sixth of their length beyond what is annotated, so that both ends of a record are seen.
    low, high = start_known - length // 6, end_known - length + length // 6
    start = int(rng.integers(min(low, high), max(low, high) + 1))
    start = int(np.clip(start, 0, max(len(at) - length - 1, 0)))
    at = at[start : start + length + 1]
    piece = np.zeros((12, length))
    marks = np.full((12, length), -1, dtype=np.int8)
    n = max(len(at) - 1, 0)
    piece[:, :n] = _means(signal, at)
    nearest = np.clip(((at[1:] + at[:-1]) / 2).astype(int), 0, signal.shape[1] - 1)
    marks[:, :n] = labels[:, nearest]
    piece *= np.exp(rng.normal(0, 0.2, (12, 1))) * np.where(rng.random((12, 1)) < 0.08, -1.0, 1.0)
    piece += _noise(length, rng)
    leads = np.ones(12, dtype=bool)
    if rng.random() < 0.35:
        leads[:] = False
        leads[rng.permutation(12)[: rng.integers(1, 12)]] = True
    return Crop(piece.astype(np.float32), marks, leads)


def _with_other_waves(
    example: Example, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Waves made higher or lower, T turned over, P taken away from some or all beats."""
    factors = [
        np.exp(rng.normal(-0.2, 0.45) + rng.normal(0, 0.15, (12, 1))),
        np.exp(rng.normal(0.0, 0.25) + rng.normal(0, 0.15, (12, 1))),
        np.exp(rng.normal(0.0, 0.4) + rng.normal(0, 0.2, (12, 1))),
    ]
    factors = [np.where(rng.random() < 0.7, factor, 1.0) for factor in factors]
    if rng.random() < 0.2:
        factors[2] = factors[2] * np.where(rng.random((12, 1)) < rng.random(), -1.0, 1.0)
    labels = example.labels
    kind = rng.random()
    fibrillation = 0.0
    p_factor: npt.NDArray[np.floating] = np.broadcast_to(factors[0], example.millivolts.shape)
    if kind < 0.18:
        p_factor, labels = np.zeros(example.millivolts.shape), np.where(labels == 1, 0, labels).astype(np.int8)
        fibrillation = float(rng.random() < 0.8)
    elif kind < 0.28:  # single beats without P
        gone = np.zeros(labels.shape[1], dtype=bool)
        for first, last in _runs((labels == 1).any(axis=0)):
            gone[first - 4 : last + 4] = rng.random() < 0.4
        p_factor = np.where(gone, 0.0, p_factor)
        labels = np.where(gone & (labels == 1), 0, labels).astype(np.int8)
    elif kind < 0.5:
        return _with_earlier_p(example, factors, rng)
    signal = example.millivolts + (p_factor - 1) * example.waves[0]
    signal += (factors[1] - 1) * example.waves[1] + (factors[2] - 1) * example.waves[2]
    if fibrillation:
        signal += _fibrillation(signal.shape[1], rng)
    return signal.astype(np.float32), labels


def _with_earlier_p(
    example: Example, factors: list[Floats], rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Every P wave moved forward in time, as far as onto the T wave before it: a long PR interval or a fast rate."""
    labels = np.where(example.labels == 1, 0, example.labels).astype(np.int8)
    signal = example.millivolts - example.waves[0]
    signal += (factors[1] - 1) * example.waves[1] + (factors[2] - 1) * example.waves[2]
    ends = np.array([last for _, last in _runs((labels == 2).any(axis=0))])
    shift = round(rng.uniform(0.0, 0.3) * SOURCE_RATE_HZ)
    for first, last in _runs((example.labels == 1).any(axis=0)):
        begin, end = max(first - 3, 0), last + 3
        before = ends[ends <= first]
        earliest = before[-1] + NEAREST_P_SAMPLES if before.size else 0
        own = min(shift, max(begin - earliest, 0))
        wave = example.waves[0][:, begin:end]
        own_label = example.labels[:, begin:end] == 1
        signal[:, begin - own : begin - own + wave.shape[1]] += factors[0] * wave
        place = labels[:, begin - own : begin - own + wave.shape[1]]
        place[own_label & (place >= 0)] = 1
        # What is left of a T wave after the P wave began is not told apart by eye.
        for row in range(12):
            if own_label[row].any():
                start = begin - own + int(own_label[row].argmax())
                after = labels[row, start : start + NEAREST_P_SAMPLES]
                after[after == 3] = 0
    return signal.astype(np.float32), labels


def _fibrillation(n: int, rng: np.random.Generator) -> Floats:
    """(12, n) millivolts: atrial waves of 4 to 8 per second, of varying rate and height, each lead in its own way."""
    t = np.arange(n) / SOURCE_RATE_HZ
    wander = np.cumsum(rng.normal(0, 1, n)) * rng.uniform(0.005, 0.03)
    phase = 2 * np.pi * rng.uniform(4.0, 8.0) * t + wander + rng.normal(0, 0.5, (12, 1))
    slow = 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.2, 1.0) * t + rng.normal(0, 0.5, (12, 1)))
    size = rng.exponential(0.03) * rng.normal(0, 1, (12, 1)) + 0.005
    out: Floats = size * slow * (np.sin(phase) + rng.uniform(0, 0.5) * np.sin(2 * phase))
    return out


def _warped_time(labels: npt.NDArray[np.int8], rng: np.random.Generator) -> tuple[Floats, int, int]:
    """Edges of the new samples in old samples, and which of them are the first and last that are annotated.

    All is stretched alike; then each gap between waves gets its own length, which changes the heart rate, the PR
    interval and, where gaps nearly vanish, puts P waves next to T waves. Complexes are widened or T waves shortened in
    some pieces, so that a wide complex or a fast rate does not stand for a missing P wave.
    """
    n = labels.shape[1]
    slowness = np.full(n, 1 / (SOURCE_RATE_HZ / RATE_HZ * np.exp(rng.uniform(np.log(0.8), np.log(1.25)))))
    if rng.random() < 0.6:
        common = rng.uniform(np.log(0.25), np.log(1.8))
        spread = rng.choice([0.0, 0.1, 0.5])
        for first, last in _runs((labels == 0).all(axis=0)):
            if last - first < 10:
                continue
            inner = slice(first + 2, last - 2)
            own = common if last - first > 60 else rng.uniform(np.log(0.5), np.log(1.8))
            slowness[inner] *= np.exp(np.clip(own + spread * rng.normal(), np.log(0.15), np.log(2.5)))
    for label, low, high in ((2, 0.85, 2.0), (3, 0.6, 1.2)):
        if rng.random() < 0.3:
            factor = np.exp(rng.uniform(np.log(low), np.log(high)))
            for first, last in _runs((labels == label).any(axis=0)):
                slowness[first:last] *= factor
    new = np.concatenate(([0.0], np.cumsum(slowness)))
    at: Floats = np.interp(rng.random() + np.arange(int(new[-1]) - 1), new, np.arange(n + 1))
    known = np.flatnonzero((labels >= 0).any(axis=0))
    return at, int(new[known[0]]), int(new[known[-1]])


def _means(signal: npt.NDArray[np.float32], edges: Floats) -> Floats:
    """Mean of each lead between neighbouring `edges` (fractional samples)."""
    sums = np.zeros((signal.shape[0], signal.shape[1] + 1))
    np.cumsum(signal, axis=1, out=sums[:, 1:])
    below = np.clip(edges.astype(int), 0, signal.shape[1] - 1)
    area = sums[:, below] + (edges - below) * signal[:, below]
    out: Floats = np.diff(area, axis=1) / np.maximum(np.diff(edges), 1e-9)
    return out


def _noise(length: int, rng: np.random.Generator) -> Floats:
    """(12, length) millivolts: drift, mains, muscle and white noise, each present in some pieces only."""
    t = np.arange(length) / RATE_HZ
    noise = np.zeros((12, length))
    if rng.random() < 0.5:
        for _ in range(3):
            size = rng.exponential(0.1) * rng.random((12, 1))
            noise += size * np.sin(2 * np.pi * (rng.uniform(0.05, 0.7) * t + rng.random((12, 1))))
    if rng.random() < 0.2:
        size = rng.exponential(0.03) * rng.random((12, 1))
        noise += size * np.sin(2 * np.pi * (rng.uniform(38, 50) * t + rng.random()))
    if rng.random() < 0.5:
        noise += rng.exponential(0.02) * rng.random((12, 1)) * rng.normal(size=(12, length))
    if rng.random() < 0.15:
        middle, width = rng.uniform(0, length), rng.uniform(0.15, 1.2) * RATE_HZ
        burst = np.exp(-0.5 * ((np.arange(length) - middle) / width) ** 2)
        noise += rng.exponential(0.1) * rng.random((12, 1)) * burst * rng.normal(size=(12, length))
    return noise


def _runs(there: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First sample and one past the last of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], there, [False])).astype(np.int8)))
    return [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]
