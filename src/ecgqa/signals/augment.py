"""Random changes that leave an ECG's meaning: leads left out, noise, baseline; drawn for a whole batch on its device.

Every function takes and returns millivolts float32 (N, 12, T), leads in canonical order, and draws from the generator
given, which lives on the device of the ECGs. What holds no signal stays zero: samples from `length` (N,) on, and leads
that are absent. The published pretraining runs used these changes with amplitudes up to 0.1 mV; where its code did
something else than it said, ours does what it said, and `published=True` what it did (docs/pretraining.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Generator, Tensor

from ecgqa.errors import EcgqaError

MAINS_HZ = (50.0, 60.0)
WANDER_HZ = (0.01, 0.2)
N_WANDERS = 3
SHIFTED_SHARE = 0.2
LEAST_SD_MV = 1e-4


@dataclass
class Augmentations:
    """How often an ECG is changed in which way, each time it is drawn.

    Args:
        leads_masking: share of the ECGs whose leads are masked at random (1 in the published runs with "RLM").
        masked_leads: probability of each lead of such an ECG to become zero.
        all_leads_masked: let all leads of an ECG vanish, as published; otherwise one always stays.
        powerline_noise: share of the ECGs that get mains hum of 50 or 60 Hz, the same in all leads.
        emg_noise: share of the ECGs that get white noise, of another strength in each lead.
        baseline_shift: share of the ECGs whose baseline is displaced for about a fifth of the time.
        baseline_wander: share of the ECGs that get a slow wander of 0.01 to 0.2 Hz.
        min_amplitude_mv: least amplitude of what is added.
        max_amplitude_mv: largest amplitude of what is added.
        limb_leads: afterwards compute III, aVR, aVL and aVF from I and II again, which keeps their physical relation.
        published_shift: displace the baseline by about 1 mV, as the original's code did, instead of the amplitude.
    """

    leads_masking: float = 0.0
    masked_leads: float = 0.5
    all_leads_masked: bool = False
    powerline_noise: float = 0.0
    emg_noise: float = 0.0
    baseline_shift: float = 0.0
    baseline_wander: float = 0.0
    min_amplitude_mv: float = 0.0
    max_amplitude_mv: float = 0.1
    limb_leads: bool = False
    published_shift: bool = False

    def __post_init__(self) -> None:
        for item in fields(Augmentations):  # not those of a class that adds settings of its own
            value = getattr(self, item.name)
            if not isinstance(value, bool) and not item.name.endswith("_mv") and not 0 <= value <= 1:
                raise EcgqaError(f"{item.name} lies between 0 and 1", found=str(value))
        if not 0 <= self.min_amplitude_mv <= self.max_amplitude_mv:
            raise EcgqaError(
                "amplitudes lie in 0 <= min_amplitude_mv <= max_amplitude_mv",
                found=f"{self.min_amplitude_mv} and {self.max_amplitude_mv}",
            )

    def __call__(self, ecg: Tensor, length: Tensor, fs_hz: float, generator: Generator) -> Tensor:
        """`ecg` (N, 12, T) changed, each row by itself; `length` (N,) valid samples. The input stays as it is."""
        low_high = (self.min_amplitude_mv, self.max_amplitude_mv)

        def chosen(share: float) -> Tensor:
            return _uniform((len(ecg), 1, 1), generator, ecg) < share

        added = []
        if self.powerline_noise:
            added.append(powerline_noise(ecg, fs_hz, low_high, generator) * chosen(self.powerline_noise))
        if self.emg_noise:
            added.append(emg_noise(ecg, low_high, generator) * chosen(self.emg_noise))
        if self.baseline_shift:
            step = baseline_shift(ecg, length, low_high, generator, published=self.published_shift)
            added.append(step * chosen(self.baseline_shift))
        if self.baseline_wander:
            added.append(baseline_wander(ecg, fs_hz, low_high, generator) * chosen(self.baseline_wander))
        out = ecg
        if added:
            out = ecg + sum(added) * holds_signal(ecg, length)
        if self.limb_leads:
            out = with_limb_leads(out)
        if self.leads_masking:  # last, so that a masked lead holds no noise
            kept = random_leads(out, generator, self.masked_leads, all_leads=self.all_leads_masked)
            out = only_leads(out, kept | ~chosen(self.leads_masking)[..., 0])
        return out


def generator_for(device: torch.device | str, *seeds: int) -> Generator:
    """A generator on `device` whose numbers follow from `seeds`, such as (run seed, epoch, batch)."""
    import numpy as np

    state = np.random.SeedSequence([int(seed) for seed in seeds]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state) & (2**63 - 1))


def present_leads(ecg: Tensor) -> Tensor:
    """Bool (..., 12): leads of (..., 12, T) that are not zero throughout."""
    return (ecg.amax(-1) != 0) | (ecg.amin(-1) != 0)  # ten times as fast as any()


def holds_signal(ecg: Tensor, length: Tensor) -> Tensor:
    """Bool (N, 12, T), or (N, 12, 1) if nothing is padded: samples below `length` (N,) of leads that are present."""
    present = present_leads(ecg)[..., None]
    if bool((length >= ecg.shape[-1]).all()):
        return present
    return (torch.arange(ecg.shape[-1], device=ecg.device) < length[:, None])[:, None] & present


def only_leads(ecg: Tensor, kept: Tensor) -> Tensor:
    """`ecg` with the leads that `kept`, bool (12,) or (N, 12), does not name set to zero."""
    return ecg * kept[..., None]


def surviving_leads(draw: Tensor, p: float = 0.5, present: Tensor | None = None) -> Tensor:
    """Bool (N, 12): leads whose uniform `draw` (N, 12) reaches `p`.

    With `present`, bool (N, 12), an ECG of whose present leads none survives keeps the one with the largest draw.
    """
    kept = draw >= p
    if present is None:
        return kept
    best = torch.where(present, draw, -1.0).argmax(-1, keepdim=True)
    rescued = torch.zeros_like(kept).scatter_(-1, best, True) & ~(kept & present).any(-1, keepdim=True)
    return kept | rescued


def random_leads(ecg: Tensor, generator: Generator, p: float = 0.5, *, all_leads: bool = False) -> Tensor:
    """Bool (N, 12): leads that stay when each is masked with probability `p`.

    Of an ECG's leads one always stays, unless `all_leads` (the published way). Source: Oh et al. 2022, "Lead-agnostic
    self-supervised learning for local and global representations of electrocardiogram".
    """
    draw = _uniform(ecg.shape[:2], generator, ecg)
    return surviving_leads(draw, p, None if all_leads else present_leads(ecg))


def random_leads_masking(ecg: Tensor, generator: Generator, p: float = 0.5, *, all_leads: bool = False) -> Tensor:
    """`ecg` with leads set to zero by `random_leads`."""
    return only_leads(ecg, random_leads(ecg, generator, p, all_leads=all_leads))


def powerline_noise(
    ecg: Tensor,
    fs_hz: float,
    amplitude_mv: tuple[float, float],
    generator: Generator,
    mains_hz: Sequence[float] = MAINS_HZ,
) -> Tensor:
    """Mains hum (N, 1, T) in mV: one frequency, phase and amplitude per ECG, the same in all leads."""
    n = len(ecg)
    frequencies = torch.tensor(mains_hz, device=ecg.device, dtype=ecg.dtype)
    which = (_uniform((n,), generator, ecg) * len(mains_hz)).long().clamp_max(len(mains_hz) - 1)
    phase = _uniform((n, 1), generator, ecg) * (2 * math.pi)
    amplitude = _between(amplitude_mv, (n, 1), generator, ecg)
    angle = (2 * math.pi) * frequencies[which][:, None] * _seconds(ecg, fs_hz) + phase
    return (amplitude * torch.cos(angle))[:, None]


def emg_noise(ecg: Tensor, amplitude_mv: tuple[float, float], generator: Generator) -> Tensor:
    """White noise (N, 12, T) in mV whose standard deviation is drawn for each lead."""
    amplitude = _between(amplitude_mv, (*ecg.shape[:2], 1), generator, ecg)
    return amplitude * torch.randn(ecg.shape, generator=generator, device=ecg.device, dtype=ecg.dtype)


def baseline_shift(
    ecg: Tensor, length: Tensor, amplitude_mv: tuple[float, float], generator: Generator, *, published: bool = False
) -> Tensor:
    """A step up or down (N, 12, T) in mV during about a fifth of the time, at the same place in all leads.

    The amplitude is drawn once per ECG and the sign for each lead. `published`: ±1 mV minus the amplitude, which the
    original's code added although its setting spoke of at most 0.1.
    """
    n, leads, n_samples = ecg.shape
    length = length.to(ecg.dtype)
    spread = torch.randn((n,), generator=generator, device=ecg.device, dtype=ecg.dtype)
    width = (length * SHIFTED_SHARE * (1 + 0.2 * spread)).clamp_min(1.0)
    start = (_uniform((n,), generator, ecg) * (length - width).clamp_min(0.0)).floor()
    time = torch.arange(n_samples, device=ecg.device)
    inside = (time >= start[:, None]) & (time < (start + width)[:, None])
    sign = (_uniform((n, leads, 1), generator, ecg) < 0.5).to(ecg.dtype) * 2 - 1
    amplitude = _between(amplitude_mv, (n, 1, 1), generator, ecg)
    return (sign - amplitude if published else sign * amplitude) * inside[:, None]


def baseline_wander(ecg: Tensor, fs_hz: float, amplitude_mv: tuple[float, float], generator: Generator) -> Tensor:
    """Three slow sinusoids (N, 12, T) in mV, common to all leads up to a factor of each lead (mean 1, SD 0.5)."""
    n, leads, _ = ecg.shape
    frequency = _between(WANDER_HZ, (n, N_WANDERS, 1), generator, ecg)
    phase = _uniform((n, N_WANDERS, 1), generator, ecg) * (2 * math.pi)
    amplitude = _between(amplitude_mv, (n, N_WANDERS, 1), generator, ecg)
    wave = (amplitude * torch.cos((2 * math.pi) * frequency * _seconds(ecg, fs_hz) + phase)).sum(1, keepdim=True)
    factor = 1 + 0.5 * torch.randn((n, leads, 1), generator=generator, device=ecg.device, dtype=ecg.dtype)
    return factor * wave


def limb_leads(one: Tensor, two: Tensor) -> Tensor:
    """III, aVR, aVL and aVF (..., 4, T) from the leads I and II (..., T) (Einthoven, Goldberger)."""
    return torch.stack([two - one, -(one + two) / 2, one - two / 2, two - one / 2], dim=-2)


def with_limb_leads(ecg: Tensor) -> Tensor:
    """`ecg` (..., 12, T) with III, aVR, aVL and aVF computed from I and II.

    Limb leads that are absent (zero throughout), or whose I or II is, stay as they are.
    """
    there = present_leads(ecg)[..., None]
    known = there[..., 2:6, :] & there[..., :2, :].all(-2, keepdim=True)
    limb = torch.where(known, limb_leads(ecg[..., 0, :], ecg[..., 1, :]), ecg[..., 2:6, :])
    return torch.cat([ecg[..., :2, :], limb, ecg[..., 6:, :]], dim=-2)


def standardised(ecg: Tensor, length: Tensor, over: str = "lead") -> Tensor:
    """`ecg` (N, 12, T) with mean 0 and standard deviation 1 over its valid samples; padding and absent leads stay zero.

    over: "lead" (what ECG-FM was trained on) or "ecg", all present leads of an ECG together, which keeps their relative
    size. A lead that varies by less than LEAST_SD_MV becomes zero: what is left of it is rounding.
    """
    if over not in ("lead", "ecg"):
        raise EcgqaError(f"cannot standardise over {over!r}", expected="lead or ecg")
    inside = holds_signal(ecg, length).to(ecg.dtype).expand_as(ecg)
    axes = (-1,) if over == "lead" else (-2, -1)
    count = inside.sum(axes, keepdim=True).clamp_min(1.0)
    mean = (ecg * inside).sum(axes, keepdim=True) / count
    sd = (((ecg - mean) * inside).square().sum(axes, keepdim=True) / count).sqrt()
    return scaled(ecg, mean, sd.clamp_min(LEAST_SD_MV)) * inside * (sd > LEAST_SD_MV)


def scaled(ecg: Tensor, mean: Tensor, sd: Tensor) -> Tensor:
    """(`ecg` - `mean`) / `sd`; both broadcast, such as (12, 1) for statistics of a whole data set."""
    return (ecg - mean) / sd


def _seconds(ecg: Tensor, fs_hz: float) -> Tensor:
    return torch.arange(ecg.shape[-1], device=ecg.device, dtype=ecg.dtype) / fs_hz


def _uniform(shape: Sequence[int], generator: Generator, like: Tensor) -> Tensor:
    return torch.rand(tuple(shape), generator=generator, device=like.device, dtype=like.dtype)


def _between(low_high: tuple[float, float], shape: Sequence[int], generator: Generator, like: Tensor) -> Tensor:
    low, high = low_high
    return low + (high - low) * _uniform(shape, generator, like)
