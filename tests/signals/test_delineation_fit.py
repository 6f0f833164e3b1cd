"""What the delineator's network is fitted to: changed ECGs whose labels still tell where their waves are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from ecgqa.signals.delineation.augment import Example, augmented, taken_apart
from ecgqa.signals.delineation.transplant import beats_of, transplanted

FS_HZ = 500.0
BEATS_S = np.arange(0.7, 9.6, 0.9)


def annotated(sigma_ms: float = 10.0, qrs_ms: float = 80.0) -> Example:
    """(12, 5000) with P, QRS and T of known place and label; the same in all leads but for their height."""
    time = np.arange(5000) / FS_HZ
    signal, labels = np.zeros((12, 5000), dtype=np.float32), np.zeros((12, 5000), dtype=np.int8)
    height = np.linspace(0.5, 1.5, 12, dtype=np.float32)[:, None]
    for at in BEATS_S:
        for label, middle, width, sigma, size in (
            (1, at - 0.16, 0.1, 0.018, 0.15),
            (2, at, qrs_ms / 1000, sigma_ms / 1000, 1.0),
            (3, at + 0.28, 0.18, 0.035, 0.3),
        ):
            signal += height * (size * np.exp(-0.5 * ((time - middle) / sigma) ** 2)).astype(np.float32)
            labels[:, round((middle - width / 2) * FS_HZ) : round((middle + width / 2) * FS_HZ)] = label
    labels[:, :200] = -1
    return taken_apart(signal, labels)


def test_waves_are_what_stands_on_the_line() -> None:
    example = annotated()
    assert (example.waves[0][example.labels == 0] < 0.02).all()
    at = round((BEATS_S[3] - 0.16) * FS_HZ)
    assert np.allclose(example.waves[0][:, at], 0.15 * np.linspace(0.5, 1.5, 12), atol=0.01)
    assert np.abs((example.millivolts - example.waves.sum(axis=0))[:, 400:4600]).max() < 0.03


def test_crops_are_repeatable_and_their_labels_fit() -> None:
    example = annotated()
    heights: dict[int, list[float]] = {0: [], 1: [], 2: [], 3: []}
    for seed in range(60):
        crop = augmented(example, 416, np.random.default_rng(seed))
        again = augmented(example, 416, np.random.default_rng(seed))
        assert np.array_equal(crop.signal, again.signal)
        assert np.array_equal(crop.labels, again.labels)
        assert crop.signal.shape == crop.labels.shape == (12, 416)
        assert np.isfinite(crop.signal).all()
        assert crop.leads.any()
        quick = np.abs(np.diff(crop.signal, axis=1))
        for label, found in heights.items():
            here = crop.labels[:, 1:] == label
            if here.any():
                found.append(float(np.median(quick[here])))
    assert np.median(heights[2]) > 3 * np.median(heights[0])
    assert sum(len(found) for found in heights.values()) > 150


def test_complexes_are_exchanged_and_p_waves_stay() -> None:
    host, donor = annotated(), annotated(sigma_ms=25.0, qrs_ms=160.0)
    beats = beats_of(donor.millivolts, donor.labels)
    assert len(beats) >= len(BEATS_S) - 2
    assert all(beat.qrs_samples == 80 for beat in beats)
    signal, labels = transplanted(host.millivolts, host.labels, beats, np.random.default_rng(0))
    is_p = host.labels == 1
    assert np.array_equal(labels[is_p], host.labels[is_p])
    assert np.abs((signal - host.millivolts)[is_p]).max() < 0.05
    assert (labels == 2).sum() > 1.5 * (host.labels == 2).sum()
    widths = np.array(
        [(labels[0, round(at * FS_HZ) - 60 : round(at * FS_HZ) + 100] == 2).sum() for at in BEATS_S[2:-1]]
    )
    assert (widths == 80).all()


@pytest.mark.parametrize("labels", [np.zeros((12, 900)), np.full((12, 900), -1), np.full((12, 900), 2)])
def test_without_complete_beats_nothing_is_taken(labels: npt.NDArray[np.float64]) -> None:
    signal = np.zeros((12, 900), dtype=np.float32)
    assert beats_of(signal, labels.astype(np.int8)) == []
