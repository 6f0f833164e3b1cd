"""From heart shapes and beats to the undisturbed twelve leads, with the true fiducials of every beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecgqa.sources.synthetic.dipole import TANGENT, Floats, Waves, add_waves, rotate_frontal, twelve_leads
from ecgqa.sources.synthetic.heart import Heart
from ecgqa.sources.synthetic.rhythm import Beats, RhythmPlan

FS_HZ: Final = 500.0
DURATION_S: Final = 10.0
N_SAMPLES: Final = 5000

_ST_EDGE_S: Final = 0.012
FIBRILLATION_MV: Final = np.array([0.25, 0.45, 1.0, 0.55, 0.25, 0.15, 0.12, 0.12])
"""f waves are largest over the right atrium (V1), then in the inferior leads."""
FLUTTER_MV: Final = np.array([0.08, -1.0, 0.75, 0.35, 0.1, -0.15, -0.2, -0.2])
"""Typical flutter: negative sawtooth in II, III, aVF, positive in V1."""


@dataclass(frozen=True)
class Fiducials:
    """True times of the beats whose QRS lies inside the record, seconds from its start; NaN where a wave is absent."""

    p_onset_s: Floats
    p_end_s: Floats
    qrs_onset_s: Floats
    r_peak_s: Floats
    qrs_end_s: Floats
    t_end_s: Floats
    shape: NDArray[np.int64]


def render(
    shapes: list[Heart],
    beats: Beats,
    plan: RhythmPlan,
    rng: np.random.Generator,
    *,
    spikes: bool = False,
    atrial_mv: float = 0.0,
) -> tuple[NDArray[np.float32], Fiducials]:
    """(12, 5000) millivolts without noise, and the fiducials. `shapes` is indexed by `beats.shape`."""
    signal = np.zeros((8, N_SAMPLES), dtype=np.float32)
    n = beats.onset_s.size
    breathing = np.sin(2 * np.pi * plan.breathing_hz * beats.onset_s + plan.breathing_phase + 0.8)
    turn = 2.5 * breathing + rng.normal(0, 0.6, n)
    gain = (1 + 0.035 * breathing) * rng.normal(1, 0.012, n)
    qt = np.zeros(n)
    r_offset, qrs_duration = np.zeros(n), np.zeros(n)
    p_onset, p_end = np.full(n, np.nan), np.full(n, np.nan)
    for index, heart in enumerate(shapes):
        chosen = np.flatnonzero(beats.shape == index)
        if not chosen.size:
            continue
        onset = beats.onset_s[chosen]
        qt[chosen] = _qt(heart, beats)[chosen]
        qrs_duration[chosen] = heart.qrs_duration_s
        r_offset[chosen] = r_peak_offset(heart)
        with_p = beats.has_p[chosen]
        p_onset[chosen[with_p]] = onset[with_p] - heart.pr_s
        p_end[chosen[with_p]] = onset[with_p] - heart.pr_s + heart.p_duration_s
        _add_beats(signal, heart, onset, qt[chosen], gain[chosen], turn[chosen], with_p)
        if spikes:
            _add_spikes(signal, onset, rng)
    if atrial_mv:
        signal += atrial_waves(plan, atrial_mv, beats, rng)
    inside = (beats.onset_s + r_offset >= 0) & (beats.onset_s + r_offset < DURATION_S)
    onset = beats.onset_s
    fiducials = Fiducials(
        p_onset_s=p_onset[inside],
        p_end_s=p_end[inside],
        qrs_onset_s=onset[inside],
        r_peak_s=(onset + r_offset)[inside],
        qrs_end_s=(onset + qrs_duration)[inside],
        t_end_s=(onset + qt)[inside],
        shape=beats.shape[inside],
    )
    return twelve_leads(signal), fiducials


def _qt(heart: Heart, beats: Beats) -> Floats:
    """QT of each beat: follows the last intervals, not the very last one alone, with a power below Bazett's 0.5."""
    rr = np.clip(beats.rr_s, 0.3, 1.6)
    before = np.concatenate([rr[:1], rr[:-1]])
    wide = 0.65 * max(heart.qrs_duration_s - 0.095, 0.0)
    return np.asarray(heart.qtc_s * (0.45 * rr + 0.55 * before) ** 0.42 + wide)


def r_peak_offset(heart: Heart) -> float:
    """Time from QRS onset to the largest deflection of lead II, in seconds."""
    time = np.arange(0.0, 0.22, 0.001)
    return float(time[np.abs(heart.qrs_curve(time)[1]).argmax()])


def _add_beats(
    signal: NDArray[np.float32],
    heart: Heart,
    onset: Floats,
    qt: Floats,
    gain: Floats,
    turn: Floats,
    with_p: NDArray[np.bool_],
) -> None:
    n = onset.size
    qrs = heart.qrs_mv()
    slope = (rotate_frontal(heart.qrs_vector, 1.0) @ heart.leads.T) - qrs
    qrs_beats = gain[:, None, None] * (qrs[None] + turn[:, None, None] * slope[None])
    parts = [_repeat(onset, heart.qrs_centre_s, heart.qrs_width_s, qrs_beats)]
    if heart.local_centre_s.size:
        parts.append(_repeat(onset, heart.local_centre_s, heart.local_width_s, gain[:, None, None] * heart.local_mv))
    if with_p.any():
        p_mv = heart.p_vector @ heart.atrial_leads.T
        start = onset[with_p] - heart.pr_s
        parts.append(_repeat(start, heart.p_centre_s, heart.p_width_s, gain[with_p][:, None, None] * p_mv))
    scale = qt / 0.40
    rise, fall = heart.t_rise_s * scale, heart.t_fall_s * scale
    peak = onset + qt - TANGENT * fall
    t_gain = (1 + 0.5 * (gain - 1))[:, None]
    parts.append(Waves(peak, rise, fall, t_gain * heart.t_mv))
    if heart.t_early_mv.any():
        parts.append(Waves(peak - 0.085 * scale, 0.75 * rise, 0.75 * fall, t_gain * heart.t_early_mv))
    end = onset + heart.qrs_duration_s
    if heart.sag_mv.any():
        middle = end + 0.5 * (peak - end)
        parts.append(Waves(middle, 0.35 * (peak - end) + 0.02, 0.30 * (peak - end) + 0.02, t_gain * heart.sag_mv))
    if heart.u_mv.any():
        parts.append(Waves(onset + qt + 0.07, np.full(n, 0.03), np.full(n, 0.035), t_gain * heart.u_mv))
    add_waves(
        signal,
        Waves(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("centre_s", "rise_s", "fall_s", "lead_mv"))),
        FS_HZ,
    )
    if np.abs(heart.st_mv).max() > 0.004:
        curve = _plateaus(end, peak + 0.3 * fall)
        signal += heart.st_mv.astype(np.float32)[:, None] * curve


def _repeat(onset: Floats, centre: Floats, width: Floats, lead_mv: Floats) -> Waves:
    n, m = onset.size, centre.size
    widths = np.tile(width, n)
    return Waves((onset[:, None] + centre).ravel(), widths, widths, lead_mv.reshape(n * m, 8))


def _plateaus(start: Floats, end: Floats) -> NDArray[np.float32]:
    """(5000,) smooth steps 0 to 1 and back for every beat: from the J point into the T wave."""
    total = np.zeros(N_SAMPLES, dtype=np.float32)
    for first_s, last_s in zip(start.tolist(), end.tolist(), strict=True):
        low, high = max(int((first_s - 0.05) * FS_HZ), 0), min(int((last_s + 0.16) * FS_HZ), N_SAMPLES)
        if low < high:
            time = np.arange(low, high, dtype=np.float32) / np.float32(FS_HZ)
            up = np.tanh((time - np.float32(first_s)) / np.float32(_ST_EDGE_S))
            down = np.tanh((time - np.float32(last_s)) / np.float32(0.05))
            total[low:high] += 0.5 * (up - down)
    return total


def atrial_waves(plan: RhythmPlan, size_mv: float, beats: Beats, rng: np.random.Generator) -> NDArray[np.float32]:
    """(8, 5000) fibrillation or flutter waves: a sawtooth of a few harmonics whose rate and size wander
    (after Stridh & Sornmo 2001, IEEE Trans Biomed Eng 48:105)."""
    time = np.arange(N_SAMPLES, dtype=np.float32) / np.float32(FS_HZ)
    if plan.code == "AFLT":
        # Locked to the ventricles, as every n-th flutter wave is conducted.
        anchor = np.concatenate([[0.0], np.cumsum(np.resize(np.array(plan.conduction), beats.onset_s.size)[1:])])
        phase = np.interp(time, beats.onset_s, anchor) * 2 * np.pi + rng.uniform(0, 2 * np.pi)
        wave = sum(np.sin(k * phase + 0.35 * (k - 1)) / k**1.15 for k in range(1, 6))
        return np.asarray(size_mv * FLUTTER_MV[:, None] * wave[None] * 0.6, dtype=np.float32)
    total = np.zeros((8, N_SAMPLES), dtype=np.float32)
    for part in range(2):  # two wandering sources that the leads see in different mixtures
        slow = np.interp(time, np.linspace(0, DURATION_S, 24), rng.normal(0, 1, 24))
        swell = np.interp(time, np.linspace(0, DURATION_S, 14), rng.uniform(0.55, 1.25, 14))
        rate = plan.atrial_hz * (1.0 + 0.12 * part) + 0.55 * slow
        phase = 2 * np.pi * np.cumsum(rate) / FS_HZ + rng.uniform(0, 2 * np.pi)
        wave = swell * (np.sin(phase) + 0.40 * np.sin(2 * phase + 0.6) + 0.18 * np.sin(3 * phase + 1.1))
        mixture = FIBRILLATION_MV * (0.75 if part == 0 else 0.45) * rng.normal(1, 0.3, 8)
        total += (size_mv * mixture[:, None] * wave[None]).astype(np.float32)
    return total


def _add_spikes(signal: NDArray[np.float32], onset: Floats, rng: np.random.Generator) -> None:
    """Pacemaker spikes: 2 ms wide just before QRS, seen in every lead with its own size."""
    size = rng.uniform(0.35, 1.0) * np.array([0.35, -1.0, -0.5, -0.9, -1.1, -1.0, -0.8, -0.6]) * rng.normal(1, 0.2, 8)
    index = np.rint((onset - 0.006) * FS_HZ).astype(int)
    index = index[(index >= 0) & (index < N_SAMPLES - 1)]
    signal[:, index] += size.astype(np.float32)[:, None]
    signal[:, index + 1] += 0.35 * size.astype(np.float32)[:, None]
