"""Beats that do not start in the sinus node: ventricular and atrial ectopic beats, and paced beats."""

from __future__ import annotations

import numpy as np

from ecgqa.sources.synthetic.dipole import rotate_frontal
from ecgqa.sources.synthetic.heart import Heart
from ecgqa.sources.synthetic.shaping import oppose_repolarisation, replace_qrs


def ventricular_beat(heart: Heart, rng: np.random.Generator) -> Heart:
    """A PVC: 140 to 175 ms wide, no P, ST and T against the QRS; from the right ventricle (like left bundle branch
    block) or from the left (like right bundle branch block), high or low."""
    beat = heart.copy()
    beat.leads = heart.atrial_leads  # the heart lies in the chest as before; its conduction is another
    side = 1.0 if rng.random() < 0.6 else -1.0
    down = rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 1.0)
    main = np.array([0.75 * side, down, 0.55 * side]) * rng.uniform(1.0, 1.4)
    vector = np.array([main * 0.45 + [0, 0.05, 0.1], main * 1.05, main * 0.75 + rng.normal(0, 0.22, 3), main * 0.25])
    stretch = rng.uniform(0.95, 1.15)
    replace_qrs(
        beat,
        vector,
        np.array([0.030, 0.062, 0.094, 0.124]) * stretch,
        np.array([0.014, 0.0155, 0.0165, 0.014]) * stretch,
    )
    beat.st_mv, beat.t_mv, beat.t_early_mv, beat.sag_mv = (np.zeros(8) for _ in range(4))
    oppose_repolarisation(beat, st=1.2, t=5.0, keep=1.0)
    return beat


def atrial_beat(heart: Heart, rng: np.random.Generator) -> Heart:
    """A PAC: the patient's own QRS after a P wave of another shape."""
    beat = heart.copy()
    beat.p_vector = rotate_frontal(heart.p_vector, rng.choice([-1.0, 1.0]) * rng.uniform(75, 160)) * rng.uniform(
        0.7, 1.1
    )
    beat.pr_s = float(np.clip(heart.pr_s + rng.normal(-0.012, 0.012), 0.115, 0.3))
    return beat


def paced_heart(heart: Heart, rng: np.random.Generator) -> Heart:
    """Pacing in the apex of the right ventricle: wide, to the left and up, negative in most chest leads."""
    beat = heart.copy()
    beat.leads = heart.atrial_leads
    size = rng.uniform(0.9, 1.25)
    vector = size * np.array(
        [
            [0.10, -0.30, 0.20],
            [0.36, -0.90, 0.92],
            [0.42, -0.80, 1.00],
            [0.34, -0.28, 0.55],
        ]
    )
    stretch = rng.uniform(0.98, 1.12)
    replace_qrs(
        beat, vector, np.array([0.028, 0.062, 0.094, 0.124]) * stretch, np.array([0.013, 0.015, 0.016, 0.014]) * stretch
    )
    beat.st_mv, beat.t_mv, beat.t_early_mv, beat.sag_mv = (np.zeros(8) for _ in range(4))
    oppose_repolarisation(beat, st=1.0, t=4.0, keep=1.0)
    return beat
