"""Conduction: bundle branch and fascicular blocks, turned axis, slow AV conduction.

Shapes follow Surawicz et al. 2009 (AHA/ACCF/HRS recommendations III, J Am Coll Cardiol 53:976).
"""

from __future__ import annotations

import numpy as np

from ecgqa.sources.synthetic.heart import Heart
from ecgqa.sources.synthetic.shaping import oppose_repolarisation, replace_qrs, shift_st, turn_axis_to


def right_bundle(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Late, slow activation of the right ventricle: rSR' in V1, broad S in I and V6; QRS 124 to 155 ms."""
    end = rng.uniform(0.124, 0.150)
    size = rng.uniform(0.75, 1.15) * strength
    vector = np.array([[-0.28, 0.02, -0.58], [-0.27, -0.04, -0.46]]) * size
    heart.qrs_vector = np.vstack([heart.qrs_vector * np.array([[1], [0.95], [0.8], [0.45], [0.05]]), vector])
    heart.qrs_centre_s = np.append(heart.qrs_centre_s, [end - 0.048, end - 0.030])
    heart.qrs_width_s = np.append(heart.qrs_width_s, [0.0115, 0.0150])
    heart.t_mv = heart.t_mv + strength * np.array([0.06, 0.02, -0.26, -0.36, -0.14, 0, 0.02, 0.04])
    shift_st(heart, strength * np.array([0, 0, -0.05, -0.06, -0.02, 0, 0, 0]))


def incomplete_right_bundle(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """rSr' in V1 with a narrow r' and QRS of 100 to 118 ms."""
    end = rng.uniform(0.103, 0.116)
    size = rng.uniform(0.75, 1.1) * (0.55 + 0.45 * strength)
    heart.qrs_vector = np.vstack([heart.qrs_vector, np.array([[-0.42, -0.05, -0.50]]) * size])
    heart.qrs_centre_s = np.append(heart.qrs_centre_s, end - 0.021)
    heart.qrs_width_s = np.append(heart.qrs_width_s, 0.0100)
    heart.t_mv = heart.t_mv + strength * np.array([0, 0, -0.10, -0.05, 0, 0, 0, 0])


def left_bundle(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """No septal q, slow notched R in I, aVL, V5, V6, deep S in V1 to V3, opposed ST and T; QRS 130 to 165 ms."""
    size = rng.uniform(0.85, 1.25)
    stretch = rng.uniform(0.98, 1.16)
    down = rng.normal(0.05, 0.16)
    vector = size * np.array(
        [
            [0.16, 0.10, -0.02],
            [0.48, 0.26 + down, 0.92],
            [0.44, 0.17 + down, 1.32],
            [0.66, 0.10 + down, 1.22],
            [0.20, -0.03, 0.42],
        ]
    )
    centre = np.array([0.018, 0.042, 0.068, 0.096, 0.121]) * stretch
    width = np.array([0.009, 0.0125, 0.0145, 0.0140, 0.0110]) * stretch
    replace_qrs(heart, vector, centre, width)
    oppose_repolarisation(heart, st=1.5, t=3.5, keep=0.2)
    heart.t_rise_s *= 1.05


def incomplete_left_bundle(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Lost septal q, slurred upstroke, QRS of 108 to 119 ms."""
    vector = heart.qrs_vector.copy()
    vector[0] = [0.30, 0.06, 0.10]
    vector[3] = vector[3] + [0.42, 0.05, 0.25]
    heart.qrs_vector = vector
    heart.stretch_qrs(rng.uniform(0.111, 0.118) / heart.qrs_duration_s)
    heart.qrs_vector[1:3] *= 1.1
    oppose_repolarisation(heart, st=0.6, t=2.6, keep=0.55)


def unspecific_block(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Wide, notched QRS of 116 to 138 ms that is no bundle branch block."""
    heart.stretch_qrs(rng.uniform(0.116, 0.138) / heart.qrs_duration_s)
    time = rng.uniform(0.55, 0.72) * heart.qrs_duration_s
    heart.add_local(time, 0.010, rng.normal(0, 0.22, 8) + 0.12)
    oppose_repolarisation(heart, st=0.3, t=0.8, keep=0.9)


def left_anterior_fascicle(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Starts down and right, ends up and left: qR in I and aVL, rS in II, III, aVF, axis -45 to -75 degrees."""
    vector = heart.qrs_vector.copy()
    vector[0] = vector[0] + np.array([-0.08, 0.34, 0.0])
    heart.qrs_vector = vector
    vector[1:] *= 0.8
    turn_axis_to(heart, -45 - rng.uniform(3, 22) * strength, first=1, t_share=0.0)
    heart.add_local(0.062, 0.0085, -rng.uniform(0.7, 1.1) * np.array([0, 0, 0, 0, 0.25, 0.40, 0.45, 0.25]))
    heart.qrs_centre_s = heart.qrs_centre_s * 1.07
    heart.qrs_width_s = heart.qrs_width_s * 1.07


def left_posterior_fascicle(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """Starts up and left, ends down and right: rS in I and aVL, qR in III and aVF, axis 100 to 125 degrees."""
    vector = heart.qrs_vector.copy()
    vector[0] = vector[0] + np.array([0.28, -0.22, 0.0])
    heart.qrs_vector = vector
    turn_axis_to(heart, rng.uniform(103, 125), first=1)
    heart.qrs_centre_s = heart.qrs_centre_s * 1.06
    heart.qrs_width_s = heart.qrs_width_s * 1.06


def axis_left(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    turn_axis_to(heart, rng.uniform(-62, -36))


def axis_right(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    turn_axis_to(heart, rng.uniform(100, 140))


def axis_extreme(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    turn_axis_to(heart, rng.uniform(-160, -105))


def long_pr(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """PR just above 200 ms."""
    heart.pr_s = rng.uniform(0.206, 0.232)


def first_degree_block(heart: Heart, strength: float, rng: np.random.Generator, _: str) -> None:
    """PR of 235 to 340 ms."""
    heart.pr_s = rng.uniform(0.238, 0.330)
