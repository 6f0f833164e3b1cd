"""What a disease does to a heart's waves: small operations on QRS, ST segment, T and P wave that conditions combine."""

from __future__ import annotations

import numpy as np

from ecgqa.sources.synthetic.dipole import Floats, rotate_frontal
from ecgqa.sources.synthetic.heart import Heart, qrs_axis_degrees


def lead_qrs_size(heart: Heart) -> Floats:
    """(8,) peak-to-peak QRS."""
    curve = heart.qrs_curve(np.arange(0.0, 0.2, 0.002))
    return np.asarray(curve.max(axis=1) - curve.min(axis=1))


def net_area(heart: Heart) -> Floats:
    """(8,) signed QRS area in mV * s; repolarisation after abnormal conduction opposes it."""
    curve = heart.qrs_curve(np.arange(0.0, 0.26, 0.002))
    return np.asarray(curve.sum(axis=1) * 0.002)


def add_q_waves(heart: Heart, weights: Floats, strength: float, *, loss: float = 0.45) -> None:
    """Dead muscle: in the leads of the territory the first forces point away, and R is lost in part.

    The early positive force that is there is cancelled before a Q of 0.2 to 0.4 mV is made, so that a chest lead that
    began with a small r gets QS. Mirror leads (negative weights) gain a broader R.
    """
    early = np.clip(heart.qrs_curve(np.arange(0.008, 0.018, 0.002)).max(axis=1), 0, 0.2)
    small_r = heart.qrs_curve(np.arange(0.008, 0.034, 0.002)).max(axis=1)
    early[2:6] = np.clip(small_r[2:6], 0, 0.55)  # V1 to V4, where the first force makes the whole r
    size = lead_qrs_size(heart)
    toward = np.clip(weights, 0, 1)
    mirror = np.clip(-weights, 0, 1)
    wanted = early + 0.12 + 0.13 * np.minimum(size, 1.6)
    depth = toward * wanted - mirror * (0.15 + 0.22 * size)
    heart.add_local(0.024, 0.0115, -strength * depth)
    curve = heart.qrs_curve(np.arange(0.034, 0.062, 0.002))
    lost = toward * loss * np.clip(curve.max(axis=1), 0, None)
    heart.add_local(0.043, 0.0085, -strength * lost)
    deep = heart.qrs_curve(np.arange(0.044, 0.076, 0.002)).min(axis=1)
    heart.add_local(0.056, 0.0090, strength * toward * 0.6 * np.clip(-deep - 0.8, 0, None))


def shift_st(heart: Heart, lead_mv: Floats) -> None:
    """Raise or lower the ST segment."""
    heart.st_mv = heart.st_mv + lead_mv


def blend_t(heart: Heart, weights: Floats, target_mv: Floats | float, strength: float = 1.0) -> None:
    """Move the T wave of the weighted leads towards `target_mv`, by the share weight * strength."""
    share = np.clip(np.abs(weights) * strength, 0, 1)
    heart.t_mv = heart.t_mv * (1 - share) + share * target_mv


def invert_t(heart: Heart, weights: Floats, depth_mv: float, strength: float = 1.0) -> None:
    """Symmetrical negative T waves of up to `depth_mv` in the territory; mirror leads get taller T waves."""
    toward, mirror = np.clip(weights, 0, 1), np.clip(-weights, 0, 1)
    share = np.clip(1.6 * toward, 0, 1) * strength
    heart.t_mv = heart.t_mv * (1 - share) - depth_mv * toward * strength + 0.5 * depth_mv * mirror * strength
    heart.t_rise_s *= 1 - 0.18 * strength
    heart.st_mv = heart.st_mv * (1 - share)


def turn_axis_to(
    heart: Heart, degrees: float, *, first: int = 0, t_share: float = 0.3, chest_share: float = 0.35
) -> None:
    """Turn the forces from number `first` on in the frontal plane until the net axis is `degrees`.

    The chest leads follow by `chest_share` of the turn only: what they see depends on the horizontal plane.
    """
    before = qrs_axis_degrees(heart)
    fixed, moving = heart.qrs_vector[:first], heart.qrs_vector[first:]
    for _ in range(4):  # the axis is measured on peaks, so the turn is found by correction
        delta = (degrees - qrs_axis_degrees(heart) + 180) % 360 - 180
        moving = rotate_frontal(moving, float(delta))
        heart.qrs_vector = np.vstack([fixed, moving])
    turned = (degrees - before + 180) % 360 - 180
    back = rotate_frontal(heart.leads[2:], (1 - chest_share) * turned)
    heart.leads = np.vstack([heart.leads[:2], back])
    dipole = np.asarray(np.linalg.lstsq(heart.atrial_leads, heart.t_mv, rcond=None)[0])
    change = (rotate_frontal(dipole, float(np.clip(t_share * turned, -30, 30))) - dipole) @ heart.atrial_leads.T
    heart.t_mv = heart.t_mv + change


def oppose_repolarisation(heart: Heart, *, st: float, t: float, keep: float) -> None:
    """Secondary ST-T change after abnormal conduction: against the QRS area of each lead (units: per second)."""
    area = net_area(heart)
    heart.st_mv = heart.st_mv * keep - st * area
    heart.t_mv = heart.t_mv * keep - t * area
    heart.t_early_mv = heart.t_early_mv * keep


def replace_qrs(heart: Heart, vector: Floats, centre_s: Floats, width_s: Floats) -> None:
    """Another sequence of ventricular activation altogether."""
    heart.qrs_vector, heart.qrs_centre_s, heart.qrs_width_s = vector, centre_s, width_s
    heart.local_centre_s, heart.local_width_s, heart.local_mv = np.zeros(0), np.zeros(0), np.zeros((0, 8))
