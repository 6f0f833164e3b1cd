"""Average beats: found where they are, averaged in place, blind to padding; on real records as the delineation says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ecgqa.models.beats import BEFORE_S, RHYTHM, average_beats, beat_samples, r_peaks

RATE_HZ = 125.0


def ecg_with_beats(times_s: list[float], n_samples: int = 1250) -> Tensor:
    """(12, n_samples) in mV: a QRS complex and a broad T wave after each time, larger from lead to lead."""
    time = torch.arange(n_samples) / RATE_HZ
    wave = torch.zeros(n_samples)
    for at in times_s:
        wave += torch.exp(-(((time - at) / 0.012) ** 2)) + 0.3 * torch.exp(-(((time - at - 0.3) / 0.06) ** 2))
    return wave * torch.linspace(0.5, 1.5, 12)[:, None]


def test_peaks_are_where_the_beats_are() -> None:
    times = [0.7, 1.5, 2.35, 3.1, 4.4, 5.2, 6.0, 6.5, 7.9, 8.8]
    found = r_peaks(ecg_with_beats(times)[None], torch.tensor([1250]), RATE_HZ)[0].nonzero()[:, 0] / RATE_HZ
    assert found.tolist() == pytest.approx(times, abs=0.03)


def test_the_average_is_the_beat_and_the_spread_its_noise() -> None:
    times = [0.8 + 0.8 * k for k in range(11)]
    clean = ecg_with_beats(times)
    noisy = clean + 0.05 * torch.randn(12, 1250, generator=torch.Generator().manual_seed(0))
    beats = average_beats(torch.stack([clean, noisy]), torch.tensor([1250, 1250]), RATE_HZ)
    assert beats.mean.shape == (2, 12, beat_samples(RATE_HZ))
    top = beats.mean[0].argmax(1)
    assert bool(((top - round(BEFORE_S * RATE_HZ)).abs() <= 3).all())
    torch.testing.assert_close(beats.mean[0].amax(1), torch.linspace(0.5, 1.5, 12), atol=0.05, rtol=0.05)
    assert float(beats.spread[0].mean()) < 0.01
    assert float(beats.spread[1].mean()) == pytest.approx(0.05, abs=0.01)
    rhythm = dict(zip(RHYTHM, beats.rhythm[0].tolist(), strict=True))
    assert rhythm["mean interval"] == pytest.approx(0.8, abs=0.01)
    assert rhythm["beats per second"] == pytest.approx(1.25, abs=0.02)


def test_padding_changes_nothing_and_silence_has_no_beats() -> None:
    short = ecg_with_beats([0.5, 1.3, 2.1, 3.2, 4.0], 625)
    padded = torch.cat([short, torch.zeros(12, 625)], 1)
    alone = average_beats(short[None], torch.tensor([625]), RATE_HZ)
    among = average_beats(torch.stack([padded, torch.zeros(12, 1250)]), torch.tensor([625, 0]), RATE_HZ)
    for one, other in zip(alone, among, strict=True):
        torch.testing.assert_close(one[0], other[0])
        assert not other[1].any()


@pytest.mark.real_data
def test_intervals_of_real_records_are_those_of_the_delineation(real_data: Path) -> None:
    from ecgqa.signals.delineation.cleaning import clean
    from ecgqa.signals.delineation.r_peaks import find_r_peaks
    from ecgqa.signals.read import read_ecg

    files = sorted((real_data / "ptbxl" / "records500").rglob("*.hea"))
    files = files[:: max(1, len(files) // 50)]
    differences = []
    for file in files:
        ecg = read_ecg(file.with_suffix(""))
        millivolts = ecg.digital / np.asarray(ecg.gain_per_mv)[:, None]
        reference = np.median(np.diff(find_r_peaks(clean(millivolts[1], 500.0), 500.0))) / 500.0
        averaged = torch.from_numpy(millivolts.reshape(12, -1, 4).mean(-1)).float()
        rhythm = average_beats(averaged[None], torch.tensor([averaged.shape[1]]), RATE_HZ).rhythm[0]
        differences.append(abs(float(rhythm[0]) - reference))
    assert len(differences) >= 20
    assert np.quantile(differences, 0.8) < 0.04
