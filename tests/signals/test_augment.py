"""Augmentations do what their names say, where the original's did not: each test but the last shows one such defect."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from ecgqa.errors import EcgqaError
from ecgqa.signals.augment import (
    Augmentations,
    baseline_shift,
    baseline_wander,
    emg_noise,
    generator_for,
    limb_leads,
    powerline_noise,
    random_leads_masking,
    standardised,
    with_limb_leads,
)
from ecgqa.signals.heart_vector import INDEPENDENT_LEADS, TO_VECTOR, moved_heart, rotations, three_kg_view

FS_HZ = 500.0
ALL = Augmentations(
    leads_masking=1.0, powerline_noise=1.0, emg_noise=1.0, baseline_shift=1.0, baseline_wander=1.0, limb_leads=True
)


def batch(n: int = 64, n_samples: int = 1000) -> tuple[torch.Tensor, torch.Tensor]:
    """ECGs whose limb leads belong together, and their lengths."""
    ecg = torch.randn((n, 12, n_samples), generator=torch.Generator().manual_seed(4))
    return with_limb_leads(ecg), torch.full((n,), n_samples)


def test_powerline_noise_has_the_frequency_of_the_mains_and_at_most_the_amplitude() -> None:
    """The original divided by a sampling rate that it did not have."""
    ecg, _ = batch()
    for fs_hz in (100.0 * 5, 250.0):
        noise = powerline_noise(ecg, fs_hz, (0.02, 0.1), generator_for("cpu", 1))[:, 0].numpy()
        peak = np.abs(np.fft.rfft(noise)).argmax(1) * fs_hz / noise.shape[1]
        assert {50.0, 60.0} == set(peak)
        amplitude = np.sqrt(2) * noise.std(1)
        assert 0.0195 < amplitude.min() < 0.03
        assert 0.09 < amplitude.max() < 0.1005


def test_baseline_shift_stays_within_its_amplitude() -> None:
    """The original displaced the baseline by about 1 mV, whatever its setting said."""
    ecg, length = batch()
    noise = baseline_shift(ecg, length, (0.0, 0.1), generator_for("cpu", 2))
    assert 0.08 < noise.abs().max() <= 0.1
    published = baseline_shift(ecg, length, (0.0, 0.1), generator_for("cpu", 2), published=True)
    values = published[published != 0]
    assert ((values >= -1.1) & (values <= -1) | (values >= 0.9) & (values <= 1)).all()
    inside = noise != 0
    assert (inside == inside[:, :1]).all()  # the same place in all leads
    share = inside[:, 0].float().mean(1)
    assert 0.15 < share.mean() < 0.25
    signs = torch.sign(noise.sum(-1))
    assert (signs.min(1).values < 0).any()
    assert (signs.max(1).values > 0).any()
    assert noise.abs().amax((1, 2)).unique().numel() > 60


def test_baseline_wander_is_slow_and_bounded() -> None:
    ecg, _ = batch(n_samples=5000)
    noise = baseline_wander(ecg, FS_HZ, (0.0, 0.1), generator_for("cpu", 3))
    assert noise.diff(dim=-1).abs().max() < 3 * 0.1 * 3 * 2 * math.pi * 0.2 / FS_HZ
    factor = noise[..., 0] / noise[:, :1, 0]
    assert torch.allclose(noise, factor[..., None] * noise[:, :1], atol=1e-4 * float(factor.abs().max()))
    assert 0.01 < noise.std() < 0.15


def test_emg_noise_differs_between_leads() -> None:
    ecg, _ = batch()
    sd = emg_noise(ecg, (0.0, 0.1), generator_for("cpu", 4)).std(-1)
    assert sd.max() < 0.11
    assert (sd.amax(1) > 2 * sd.amin(1)).float().mean() > 0.9


def test_masking_never_takes_all_leads_unless_told() -> None:
    """The original could leave an ECG of zeros to be contrasted with others (1 in 4,096, more with missing leads)."""
    ecg, _ = batch(400)
    ecg[:, 2:] = 0.0  # two leads left: a quarter of the ECGs lose both
    kept = random_leads_masking(ecg, generator_for("cpu", 5)).ne(0).any(-1).sum(1)
    assert kept.min() == 1
    assert (kept == 2).any()
    published = random_leads_masking(ecg, generator_for("cpu", 5), all_leads=True).ne(0).any(-1).sum(1)
    assert 60 < (published == 0).sum() < 140
    whole = random_leads_masking(batch(400)[0], generator_for("cpu", 6)).ne(0).any(-1).float()
    assert 0.47 < whole.mean() < 0.53


def test_what_holds_no_signal_stays_zero() -> None:
    ecg, length = batch()
    length[::2] = 600
    ecg[::2, :, 600:] = 0.0
    ecg[:, 7] = 0.0
    before = ecg.clone()
    out = ALL(ecg, length, FS_HZ, generator_for("cpu", 7))
    assert torch.equal(ecg, before)
    assert not out[::2, :, 600:].any()
    assert not out[:, 7].any()
    view = three_kg_view(ecg, length, generator_for("cpu", 8))
    assert not view[::2, :, 600:].any()
    assert not view[:, 7].any()


def test_masked_leads_hold_no_noise_and_limb_leads_fit() -> None:
    ecg, length = batch(200)
    out = ALL(ecg, length, FS_HZ, generator_for("cpu", 9))
    kept = out.ne(0).any(-1)
    assert 0.4 < kept.float().mean() < 0.6
    limb = limb_leads(out[:, 0], out[:, 1])
    whole = kept[:, :6].all(1)
    assert whole.any()
    assert torch.allclose(out[whole, 2:6], limb[whole], atol=1e-6)
    noise = (out - ecg)[kept]
    assert 0.03 < noise.std() < 0.2


def test_shares_are_shares_of_the_ecgs() -> None:
    ecg, length = batch(600, 200)
    for name in ("powerline_noise", "emg_noise", "baseline_shift", "baseline_wander", "leads_masking"):
        out = Augmentations(**{name: 0.3})(ecg, length, FS_HZ, generator_for("cpu", 10))
        assert 0.24 < (out != ecg).any(-1).any(-1).float().mean() < 0.36
    assert torch.equal(Augmentations()(ecg, length, FS_HZ, generator_for("cpu", 10)), ecg)


def test_limb_leads_that_are_absent_stay_absent() -> None:
    ecg, _ = batch(3)
    ecg[0, 3] = 0.0
    ecg[1, 0] = 0.0
    out = with_limb_leads(ecg)
    assert not out[0, 3].any()
    assert torch.equal(out[1], ecg[1])  # without lead I nothing can be computed
    assert torch.allclose(out[2], ecg[2], atol=1e-6)


def test_turning_the_heart_and_back() -> None:
    vector = torch.randn((5, 3, 300), generator=torch.Generator().manual_seed(1))
    back = torch.linalg.pinv(torch.tensor(TO_VECTOR))
    leads = back @ vector
    ecg = torch.zeros((5, 12, 300))
    ecg[:, list(INDEPENDENT_LEADS)] = leads
    ecg[:, 2:6] = limb_leads(ecg[:, 0], ecg[:, 1])
    turn = rotations(torch.tensor([[0.3, -0.2, 0.7]]).expand(5, 3))
    assert torch.allclose(turn @ turn.mT, torch.eye(3).expand(5, 3, 3), atol=1e-6)
    one = torch.ones((5, 3))
    moved = moved_heart(ecg, turn, one)
    assert (moved - ecg).abs().mean() > 0.1
    seen = torch.tensor(TO_VECTOR) @ moved[:, list(INDEPENDENT_LEADS)]
    assert torch.allclose(seen, turn @ vector, atol=1e-4)
    assert torch.allclose(moved_heart(moved, turn.mT, one), ecg, atol=1e-3)
    stretched = moved_heart(ecg, torch.eye(3).expand(5, 3, 3), torch.tensor([[2.0, 1.0, 1.0]]).expand(5, 3))
    seen = torch.tensor(TO_VECTOR) @ stretched[:, list(INDEPENDENT_LEADS)]
    assert torch.allclose(seen[:, 0], 2 * vector[:, 0], atol=1e-4)
    assert torch.allclose(seen[:, 1:], vector[:, 1:], atol=1e-4)


def test_quarter_turns_are_about_z_then_y_then_x() -> None:
    half = math.pi / 2
    about_z, about_y, about_x = rotations(torch.eye(3) * half)
    x, y, z = torch.eye(3)
    for turn, start, end in ((about_z, x, y), (about_y, z, x), (about_x, y, z)):
        assert torch.allclose(turn @ start, end, atol=1e-6)
    both = rotations(torch.tensor([[half, 0.0, half]]))[0]
    assert torch.allclose(both, about_z @ about_x, atol=1e-6)


def test_views_lose_half_of_the_time_of_each_lead() -> None:
    ecg, length = batch()
    length[0], ecg[0, :, 600:] = 600, 0.0
    view = three_kg_view(ecg, length, generator_for("cpu", 11))
    lost = (view == 0).sum(-1)
    assert (lost[1:] == 500).all()
    assert (lost[0] == 700).all()  # 300 of 600 valid samples, and the padding
    gaps = (view[1:] == 0).to(torch.int8).diff(dim=-1).abs().sum(-1)
    assert set(gaps.unique().tolist()) <= {1, 2}  # one piece, or one that wraps around the end
    first = (view[1:] == 0).to(torch.int8).argmax(-1)
    assert first.unique().numel() > 100


def test_standardising_sees_valid_samples_only() -> None:
    ecg, length = batch()
    ecg[0] = 3 * ecg[0] + 2
    short = ecg.clone()
    short[:, :, 700:] = 0.0
    out = standardised(short, torch.full_like(length, 700))
    assert not out[:, :, 700:].any()
    assert out[:, :, :700].mean(-1).abs().max() < 1e-4
    assert torch.allclose(out[:, :, :700].std(-1, correction=0), torch.ones(()), atol=1e-4)
    assert torch.allclose(out[:, :, :700], standardised(ecg[:, :, :700], torch.full_like(length, 700)), atol=1e-5)
    by_ecg = standardised(torch.cat([ecg[:, :6], 5 * ecg[:, 6:]], 1), length, over="ecg")
    assert (by_ecg[:, 6:].std(-1) / by_ecg[:, :6].std(-1)).mean() > 3
    flat = ecg.clone()
    flat[:, 2], flat[:, 3] = 0.0, 0.7
    assert not standardised(flat, length)[:, 2:4].abs().gt(1e-2).any()


def test_numbers_follow_from_the_seeds() -> None:
    ecg, length = batch()
    one = ALL(ecg, length, FS_HZ, generator_for("cpu", 1, 2, 3))
    assert torch.equal(one, ALL(ecg, length, FS_HZ, generator_for("cpu", 1, 2, 3)))
    assert not torch.equal(one, ALL(ecg, length, FS_HZ, generator_for("cpu", 1, 2, 4)))


def test_impossible_settings() -> None:
    with pytest.raises(EcgqaError, match="emg_noise"):
        Augmentations(emg_noise=1.5)
    with pytest.raises(EcgqaError, match="amplitude"):
        Augmentations(min_amplitude_mv=0.2)


def test_a_class_with_more_settings_may_set_them_freely() -> None:
    @dataclass
    class More(Augmentations):
        seconds: float = 5.0

    assert More(emg_noise=0.5, seconds=10.0).seconds == 10.0
    with pytest.raises(EcgqaError, match="emg_noise"):
        More(emg_noise=2.0)
