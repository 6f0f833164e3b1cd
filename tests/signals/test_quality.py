"""Signal quality: each kind of bad recording is seen in the lead that has it, and nothing makes it fail."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS
from ecgqa.signals.quality import KINDS, Quality, signal_quality

FS_HZ = 500.0
TIME_S = np.arange(5000) / FS_HZ


def clean() -> npt.NDArray[np.float64]:
    """(12, 5000) millivolts: a sharp complex and a T wave every 0.8 s, 2 microvolts of noise."""
    beat = np.zeros_like(TIME_S)
    for at in np.arange(0.5, 10, 0.8):
        beat += np.exp(-0.5 * ((TIME_S - at) / 0.012) ** 2) + 0.3 * np.exp(-0.5 * ((TIME_S - at - 0.26) / 0.05) ** 2)
    height = np.linspace(0.4, 1.5, 12)[:, None]
    return height * beat + np.random.default_rng(0).normal(0, 0.002, (12, 5000))


def test_a_clean_recording_has_no_problem() -> None:
    assert signal_quality(clean(), FS_HZ).found() == dict.fromkeys(KINDS, ())


def test_drift_in_its_lead() -> None:
    signal = clean()
    signal[3] += 0.6 * np.sin(2 * np.pi * 0.25 * TIME_S)
    quality = signal_quality(signal, FS_HZ)
    assert quality.found()["baseline_drift"] == ("aVR",)
    assert 0.9 < quality.drift_mv[3] < 1.3


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_mains_is_static_noise(mains_hz: float) -> None:
    signal = clean()
    signal[8] += 0.05 * np.sin(2 * np.pi * mains_hz * TIME_S)
    quality = signal_quality(signal, FS_HZ)
    assert quality.found()["static_noise"] == ("V3",)
    assert 0.035 < quality.mains_mv[8] < 0.06
    assert quality.mains_mv[0] < 0.005


def test_muscle_is_static_noise_but_not_mains() -> None:
    signal = clean()
    signal[0] += np.random.default_rng(1).normal(0, 0.04, 5000)
    quality = signal_quality(signal, FS_HZ)
    assert quality.found()["static_noise"] == ("I",)
    assert quality.mains_mv[0] < quality.noise_mv[0]


def test_a_burst_is_told_from_steady_noise() -> None:
    signal = clean()
    signal[5, 2000:2700] += np.random.default_rng(2).normal(0, 0.15, 700)
    quality = signal_quality(signal, FS_HZ)
    assert quality.found()["burst_noise"] == ("aVF",)
    assert quality.found()["static_noise"] == ()
    assert 0.1 < quality.burst_mv[5] < 0.3


def test_electrodes_that_lost_contact() -> None:
    signal = clean()
    signal[6, 2500:] += 2.0
    signal[7, 1000:3500] = 0.4
    signal[9] = np.nan
    quality = signal_quality(signal, FS_HZ)
    assert set(quality.found()["electrodes_problems"]) == {"V1", "V2", "V4"}
    assert np.isnan(quality.noise_mv[9])
    assert quality.flat_share[9] == 1.0


def check(quality: Quality) -> None:
    for values in (quality.drift_mv, quality.noise_mv, quality.step_mv, quality.burst_mv, quality.mains_mv):
        assert values.shape == (len(LEADS),)
        assert (np.isnan(values) | (values >= 0)).all()
    assert ((quality.flat_share >= 0) & (quality.flat_share <= 1)).all()
    assert set(quality.found()) == set(KINDS)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    n_samples=st.integers(0, 2500),
    fs_hz=st.floats(10, 2000),
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([0.0, 0.1, 3.0, 1e5, 1e30]),
    holes=st.integers(0, 6),
)
def test_any_signal_has_a_quality(n_samples: int, fs_hz: float, seed: int, scale: float, holes: int) -> None:
    rng = np.random.default_rng(seed)
    signal = np.cumsum(rng.normal(0, scale, (12, n_samples)), axis=1)
    for _ in range(holes):
        at = rng.integers(max(n_samples, 1))
        signal[rng.integers(12), at : at + rng.integers(1, 2000)] = rng.choice([np.nan, np.inf, -np.inf, 0.0])
    check(signal_quality(signal, fs_hz))


def test_refusals() -> None:
    for call in (
        lambda: signal_quality(clean()),
        lambda: signal_quality(clean(), -1.0),
        lambda: signal_quality(clean()[:5], FS_HZ),
    ):
        with pytest.raises(EcgqaError):
            call()
