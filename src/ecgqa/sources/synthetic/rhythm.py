"""When each beat comes: sinus rhythms with respiratory and slow variability, arrhythmias, ectopic beats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgqa.sources.synthetic.dipole import Floats

NORMAL, ATRIAL_ECTOPIC, VENTRICULAR_ECTOPIC = 0, 1, 2
"""Index of a beat's shape in the list that `render` is given."""

_BEFORE_S: Final = 2.5
_AFTER_S: Final = 1.5
SINUS: Final = frozenset({"SR", "SBRAD", "STACH", "SARRH"})


@dataclass(frozen=True)
class RhythmPlan:
    """What rhythm a record shows; `code` is its SCP-ECG statement."""

    code: str
    rate: float
    """Ventricular beats per minute."""
    breathing_hz: float
    breathing_phase: float
    respiratory_depth: float
    """Relative change of RR with breathing (respiratory sinus arrhythmia)."""
    n_pvc: int = 0
    n_pac: int = 0
    bigeminy: str | None = None
    """"PVC" or "PAC": every second beat."""
    atrial_hz: float = 0.0
    """Frequency of fibrillation or flutter waves."""
    conduction: tuple[int, ...] = ()
    """Flutter: number of atrial waves per ventricular beat, cycled."""


@dataclass(frozen=True)
class Beats:
    """Beats of one record, some of them before and after it. All arrays have one entry per beat."""

    onset_s: Floats
    """Onset of QRS from the start of the record."""
    rr_s: Floats
    """Interval to the beat before."""
    shape: NDArray[np.int64]
    has_p: NDArray[np.bool_]


def plan_rhythm(code: str, rng: np.random.Generator, resting_rate: float) -> RhythmPlan:
    """A rhythm of the kind `code` for a patient with this resting rate."""
    rate = float(np.clip(resting_rate + rng.normal(0, 4), 61.5, 97))
    depth = float(rng.uniform(0.01, 0.05))
    atrial_hz = 0.0
    conduction: tuple[int, ...] = ()
    if code == "SBRAD":
        rate = float(rng.uniform(40, 57))
    elif code == "STACH":
        rate, depth = float(rng.uniform(103, 140)), 0.008
    elif code == "SARRH":
        rate, depth = float(rng.uniform(58, 85)), float(rng.uniform(0.12, 0.19))
    elif code == "AFIB":
        rate, atrial_hz = float(np.clip(rng.lognormal(np.log(88), 0.25), 52, 150)), float(rng.uniform(4.8, 8.0))
    elif code == "AFLT":
        atrial_hz = float(rng.uniform(4.2, 5.4))
        choices: list[tuple[int, ...]] = [(2,), (3,), (4,), (4,), (2, 4), (3, 4), (4, 4, 3), (2, 2, 3, 4)]
        conduction = choices[int(rng.integers(len(choices)))]
        rate = 60 * atrial_hz / float(np.mean(conduction))
    elif code == "SVTAC":
        rate, depth = float(rng.uniform(150, 205)), 0.003
    elif code == "PACE":
        rate, depth = float(rng.choice([60, 65, 70, 72, 75, 80])), 0.0
    elif code == "BIGU":
        rate = float(rng.uniform(62, 84))
    breathing_hz = float(rng.uniform(0.13, 0.19) if code == "SARRH" else rng.uniform(0.18, 0.33))
    return RhythmPlan(
        code,
        rate,
        breathing_hz,
        float(rng.uniform(0, 2 * np.pi)),
        depth,
        atrial_hz=atrial_hz,
        conduction=conduction,
    )


def make_beats(plan: RhythmPlan, rng: np.random.Generator, duration_s: float) -> Beats:
    """Beats from shortly before the record to shortly after it, ectopic beats put in."""
    rr = _intervals(plan, rng, duration_s + _BEFORE_S + _AFTER_S)
    onset = np.cumsum(rr) - _BEFORE_S - rng.uniform(0, 1) * rr[0]
    shape = np.zeros(onset.size, dtype=np.int64)
    typical = 60 / plan.rate
    inside = np.flatnonzero((onset > 0.25) & (onset < duration_s - 0.9))
    inside = inside[inside >= 1]
    if plan.bigeminy:
        chosen = np.arange(int(rng.integers(1, 3)), onset.size, 2)
        kinds = [plan.bigeminy] * chosen.size
    else:
        chosen, kinds = _choose_ectopic(plan, rng, inside)
    coupling = rng.uniform(0.56, 0.70)
    for beat, kind in zip(chosen.tolist(), kinds, strict=True):
        early = max(coupling * typical * rng.normal(1, 0.02), 0.36)
        gap = onset[beat] - onset[beat - 1]
        if kind == "PVC":  # the next sinus impulse is not reset: a full compensatory pause follows
            shape[beat] = VENTRICULAR_ECTOPIC
            onset[beat] = onset[beat - 1] + min(early, 0.85 * gap)
        else:  # the sinus node is reset: everything after moves forward
            shape[beat] = ATRIAL_ECTOPIC
            onset[beat:] -= max(gap - 1.05 * early, 0.1 * gap)
    has_p = (shape != VENTRICULAR_ECTOPIC) & (plan.code in SINUS or plan.code == "BIGU")
    intervals = np.diff(onset, prepend=onset[0] - rr[0])
    return Beats(onset, intervals, shape, has_p)


def _choose_ectopic(
    plan: RhythmPlan, rng: np.random.Generator, inside: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[str]]:
    """Beats that become ectopic: never two in a row, so that each has its own pause."""
    kinds = ["PVC"] * plan.n_pvc + ["PAC"] * plan.n_pac
    slots = inside[::2] if rng.random() < 0.5 else inside[1::2]
    n = min(len(kinds), slots.size)
    chosen = np.sort(rng.choice(slots, n, replace=False)) if n else np.zeros(0, dtype=np.int64)
    kinds = kinds[:n]
    return chosen, [kinds[i] for i in rng.permutation(n)]


def _intervals(plan: RhythmPlan, rng: np.random.Generator, span_s: float) -> Floats:
    typical = 60 / plan.rate
    n = int(span_s / (0.55 * typical)) + 6
    if plan.code == "AFIB":
        # Independent intervals with a floor from the refractory AV node: the irregular irregularity of fibrillation.
        spread = rng.uniform(0.17, 0.30)
        return np.maximum(typical * rng.lognormal(-(spread**2) / 2, spread, n), 0.34)
    if plan.code == "AFLT":
        waves = np.resize(np.array(plan.conduction), n)
        return waves / plan.atrial_hz * rng.normal(1, 0.004, n)
    time = np.arange(n) * typical
    breathing = np.sin(2 * np.pi * plan.breathing_hz * time + plan.breathing_phase)
    slow = np.sin(2 * np.pi * 0.095 * time + rng.uniform(0, 2 * np.pi))
    jitter = 0.0015 if plan.code == "PACE" else 0.006
    slow_depth = 0.0 if plan.code in ("PACE", "SVTAC") else min(0.012, plan.respiratory_depth)
    return np.asarray(typical * (1 + plan.respiratory_depth * breathing + slow_depth * slow + rng.normal(0, jitter, n)))
