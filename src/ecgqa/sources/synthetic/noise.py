"""Noise at the electrodes, how it reaches the leads, and how PTB-XL's columns name the leads where it is seen.

Each electrode has its own disturbance; leads are differences of electrodes, so Einthoven's and Goldberger's equations
hold for the disturbed ECG too, and a bad right arm shows in I, II and aVR at full size, in aVL and aVF at half. A lead
is named where the disturbance that reaches it exceeds a fixed size (`VISIBLE`), as a reader names what he sees.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgqa.records import LEADS
from ecgqa.sources.synthetic.render import DURATION_S, FS_HZ, N_SAMPLES

KINDS: Final = ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems")
"""PTB-XL's column names."""

VISIBLE: Final[dict[str, float]] = {
    "baseline_drift": 0.13,
    "static_noise": 0.032,
    "burst_noise": 0.13,
    "electrodes_problems": 0.50,
}
"""Size in mV from which a lead is named: root mean square; for bursts that within the worst 0.2 s; for electrodes the
largest deviation."""

ELECTRODES: Final = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")
_FREQUENCY: Final = {"baseline_drift": 0.13, "static_noise": 0.15, "burst_noise": 0.11, "electrodes_problems": 0.09}


@dataclass(frozen=True)
class NoisePlan:
    """One kind of noise on some electrodes, `size` times as large as what is just visible."""

    kind: str
    electrodes: tuple[str, ...]
    size: float


def plan_noise(rng: np.random.Generator) -> tuple[NoisePlan, ...]:
    """None to two kinds of noise for one record."""
    plans: list[NoisePlan] = []
    for kind in KINDS:
        if rng.random() < _FREQUENCY[kind] and len(plans) < 2:
            plans.append(_plan_one(kind, rng))
    return tuple(plans)


def _plan_one(kind: str, rng: np.random.Generator) -> NoisePlan:
    place = rng.random()
    chest = int(rng.integers(1, 7))
    if place < 0.30:  # one limb electrode; the two bands leave no lead near the limit of the visible
        size = rng.uniform(1.45, 1.75) if rng.random() < 0.5 else rng.uniform(2.35, 2.65)
        return NoisePlan(kind, (ELECTRODES[int(rng.integers(3))],), size)
    if place < 0.56:  # one chest electrode
        return NoisePlan(kind, (f"V{chest}",), rng.uniform(1.5, 3.0))
    if place < 0.74:  # neighbours on the chest
        last = min(6, chest + int(rng.integers(1, 4)))
        return NoisePlan(kind, tuple(f"V{n}" for n in range(chest, last + 1)), rng.uniform(1.5, 2.8))
    if place < 0.88:  # all limb electrodes
        return NoisePlan(kind, ELECTRODES[:3], rng.uniform(1.15, 1.35))
    if place < 0.93:  # limbs and the next chest lead
        return NoisePlan(kind, ELECTRODES[:4], rng.uniform(1.15, 1.35))
    return NoisePlan(kind, ELECTRODES, rng.uniform(1.25, 1.7))


def electrodes_to_leads(potentials: NDArray[np.float32]) -> NDArray[np.float32]:
    """(9, n) at RA, LA, LL, V1..V6 to (8, n) I, II, V1..V6; chest leads are taken against Wilson's terminal."""
    right, left, leg = potentials[0], potentials[1], potentials[2]
    wilson = (right + left + leg) / 3
    return np.concatenate([np.stack([left - right, leg - right]), potentials[3:] - wilson])


def noise_floor(rng: np.random.Generator) -> NDArray[np.float32]:
    """(9, 5000) mV of what every good recording has: amplifier noise, a trace of muscle and mains, slight breathing
    drift. Sizes after undisturbed PTB-XL records (2 to 4 microvolts above 40 Hz, 4 to 8 between 5 and 40 Hz,
    20 to 45 below)."""
    white = rng.standard_normal((9, N_SAMPLES + 9), dtype=np.float32)
    tremor = _smoothed(white, 9)
    level = np.minimum(rng.lognormal(np.log(0.0042), 0.35, 9), 0.009).astype(np.float32)
    level[:3] *= 1.2
    total = np.float32(0.0013) * white[:, 9:] + level[:, None] * tremor
    drift = np.float32(0.034 * rng.lognormal(0, 0.5)) * _slow(rng, 9, 0.05, 0.35, 3)
    drift *= np.minimum(1, 0.065 / np.maximum(drift.std(axis=1, keepdims=True), 1e-6))
    drift[:3] *= np.float32(0.65)
    return np.asarray(total + drift)


def disturbance(plan: NoisePlan, rng: np.random.Generator) -> NDArray[np.float32]:
    """(9, 5000) mV at the electrodes for one kind of noise."""
    total = np.zeros((9, N_SAMPLES), dtype=np.float32)
    rows = [ELECTRODES.index(name) for name in plan.electrodes]
    n = len(rows)
    size = plan.size * VISIBLE[plan.kind]
    if plan.kind == "baseline_drift":
        wave = _slow(rng, n, 0.06, 0.45, 4)
        total[rows] = size * wave / wave.std(axis=1, keepdims=True)
    elif plan.kind == "static_noise":
        time = np.arange(N_SAMPLES, dtype=np.float32) / np.float32(FS_HZ)
        hum = np.sin(2 * np.pi * 50 * time[None] + rng.uniform(0, 2 * np.pi, (n, 1)).astype(np.float32))
        share = rng.choice([0.0, 0.7, 1.6])
        wave = _tremor(rng, n) + np.float32(share) * hum
        total[rows] = size * wave / wave.std(axis=1, keepdims=True)
    elif plan.kind == "burst_noise":
        wave = _tremor(rng, n) + np.float32(0.8) * _slow(rng, n, 2.0, 9.0, 5)
        total[rows] = size * _windows(rng) * wave / wave.std(axis=1, keepdims=True)
    else:
        for row in rows:
            total[row] = size * _bad_contact(rng)
    return total


def _smoothed(white: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """White noise (k, n + length) to its running mean (k, n), scaled to unit variance."""
    summed = np.cumsum(white, axis=1, dtype=np.float32)
    return np.asarray((summed[:, length:] - summed[:, :-length]) / np.float32(np.sqrt(length)))


def _tremor(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
    """(n, 5000) muscle noise of about unit variance, most of it between 10 and 100 Hz."""
    white = rng.standard_normal((n, N_SAMPLES + 23), dtype=np.float32)
    fast = _smoothed(white, 4)[:, :N_SAMPLES]
    return np.asarray(1.15 * fast - np.float32(0.5) * _smoothed(white, 23), dtype=np.float32)


def _slow(rng: np.random.Generator, n: int, low_hz: float, high_hz: float, parts: int) -> NDArray[np.float32]:
    """(n, 5000) sums of a few sines of random rate between two limits, about unit variance."""
    time = np.arange(N_SAMPLES, dtype=np.float32) * np.float32(2 * np.pi / FS_HZ)
    rate = np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), parts)).astype(np.float32)
    angle = rate[:, None] * time
    sines = np.concatenate([np.sin(angle), np.cos(angle)])
    weights = rng.normal(0, np.sqrt(1 / parts), (n, 2 * parts)).astype(np.float32)
    return np.asarray(weights @ sines, dtype=np.float32)


def _windows(rng: np.random.Generator) -> NDArray[np.float32]:
    """(5000,) one to three soft windows of 0.3 to 1.2 s."""
    time = np.arange(N_SAMPLES, dtype=np.float32) / np.float32(FS_HZ)
    total = np.zeros(N_SAMPLES, dtype=np.float32)
    for _ in range(int(rng.integers(1, 4))):
        middle, half = rng.uniform(0.8, DURATION_S - 0.8), rng.uniform(0.2, 0.6)
        total = np.maximum(total, 1 / (1 + (np.abs(time - np.float32(middle)) / np.float32(half)) ** 8))
    return total


def _bad_contact(rng: np.random.Generator) -> NDArray[np.float32]:
    """(5000,) jumps of about one that fade within half a second to two, some with a crackle at the jump."""
    time = np.arange(N_SAMPLES, dtype=np.float32) / np.float32(FS_HZ)
    total = np.zeros(N_SAMPLES, dtype=np.float32)
    for _ in range(int(rng.integers(2, 6))):
        start = int(rng.uniform(0.2, DURATION_S - 0.5) * FS_HZ)
        fade = np.exp(-(time[start:] - time[start]) / np.float32(rng.uniform(0.15, 0.9)))
        total[start:] += np.float32(rng.choice([-1, 1]) * rng.uniform(0.8, 1.3)) * fade
        crackle = min(int(rng.uniform(10, 60)), N_SAMPLES - start)
        total[start : start + crackle] += 0.35 * rng.standard_normal(crackle, dtype=np.float32)
    return total / max(float(np.abs(total).max()), 0.9)


def visible_leads(kind: str, leads_mv: NDArray[np.float32]) -> tuple[str, ...]:
    """Names of the leads (of (12, 5000) mV of noise alone) in which noise of this kind would be noted."""
    if kind == "electrodes_problems":
        size = np.abs(leads_mv).max(axis=1)
    elif kind == "burst_noise":
        size = leads_mv.reshape(12, -1, 100).std(axis=2).max(axis=1)
    else:
        size = leads_mv.std(axis=1)
    return tuple(lead for lead, value in zip(LEADS, size.tolist(), strict=True) if value >= VISIBLE[kind])


def column_text(kind: str, leads: Iterable[str], rng: np.random.Generator) -> str:
    """The cell of PTB-XL's column `kind`: drift cells begin with " , ", static cells also end with a comma."""
    text = _lead_list([LEADS.index(lead) for lead in leads], lower=rng.random() < 0.3)
    if kind == "baseline_drift":
        return f" , {text}"
    if kind == "static_noise":
        return f" , {text},  "
    return text


def _lead_list(indices: list[int], *, lower: bool) -> str:
    """`alles`, ranges in lead order ("I-V1", "v1-6"), single leads; neighbours on the chest may drop the V ("V2,3")."""
    if len(indices) == len(LEADS):
        return "alles"
    names = [lead.upper() for lead in LEADS]
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    parts = []
    for run in runs:
        if len(run) < 3:
            parts += [names[index] for index in run]
        elif run[0] >= 6 and lower:
            parts.append(f"{names[run[0]]}-{names[run[-1]][1]}")
        else:
            parts.append(f"{names[run[0]]}-{names[run[-1]]}")
    text = ",".join(parts)
    return text.lower() if lower and min(indices) >= 6 else text
