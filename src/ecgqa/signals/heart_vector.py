"""An ECG seen as if the heart lay otherwise: the 12 leads through the vectorcardiogram and back (3KG views)."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Generator, Tensor

from ecgqa.signals.augment import holds_signal, limb_leads

INDEPENDENT_LEADS: Final = (0, 1, 6, 7, 8, 9, 10, 11)
"""I, II and V1 to V6; the other limb leads follow from I and II."""

TO_VECTOR: Final = (
    (0.156, -0.009, -0.172, -0.073, 0.122, 0.231, 0.239, 0.193),
    (-0.227, 0.886, 0.057, -0.019, -0.106, -0.022, 0.040, 0.048),
    (0.021, 0.102, -0.228, -0.310, -0.245, -0.063, 0.054, 0.108),
)
"""From the independent leads to the axes x, y and z, as the published 3KG runs have it (an inverse Dower matrix)."""

LARGEST_ANGLE: Final = math.pi / 4
SCALES: Final = (1.0, 1.5)


def moved_heart(ecg: Tensor, rotation: Tensor, scale: Tensor) -> Tensor:
    """`ecg` (N, 12, T) with its heart vector turned by `rotation` (N, 3, 3) and stretched by `scale` (N, 3) per axis.

    What a three-dimensional vector cannot express is lost, even without any rotation.
    """
    forth = torch.tensor(TO_VECTOR, dtype=torch.float64)
    back = torch.linalg.pinv(forth).to(ecg)
    leads = list(INDEPENDENT_LEADS)
    # One 8 x 8 matrix per ECG instead of three products over the whole signal.
    change = back @ (rotation * scale[:, :, None]) @ forth.to(ecg)
    moved = change @ ecg[:, leads]
    return torch.cat([moved[:, :2], limb_leads(moved[:, 0], moved[:, 1]), moved[:, 2:]], dim=1)


def rotations(angles: Tensor) -> Tensor:
    """Rotation matrices (N, 3, 3) of intrinsic angles (N, 3) about z, then y, then x, in radians."""
    cos, sin = torch.cos(angles), torch.sin(angles)
    zero, one = torch.zeros_like(cos[:, 0]), torch.ones_like(cos[:, 0])

    def matrix(*values: Tensor) -> Tensor:
        return torch.stack(values, -1).view(-1, 3, 3)

    about_z = matrix(cos[:, 0], -sin[:, 0], zero, sin[:, 0], cos[:, 0], zero, zero, zero, one)
    about_y = matrix(cos[:, 1], zero, sin[:, 1], zero, one, zero, -sin[:, 1], zero, cos[:, 1])
    about_x = matrix(one, zero, zero, zero, cos[:, 2], -sin[:, 2], zero, sin[:, 2], cos[:, 2])
    return about_z @ about_y @ about_x


def three_kg_view(ecg: Tensor, length: Tensor, generator: Generator, *, masked_share: float = 0.5) -> Tensor:
    """A random view of each ECG (N, 12, T): heart turned by up to 45° and stretched, then a piece of each lead zeroed.

    The piece is `masked_share` of the valid time, lies elsewhere in each lead, and wraps around the end.
    Source: Gopal et al. 2021, "3KG: contrastive learning of 12-lead electrocardiograms".
    """
    n, leads, n_samples = ecg.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=ecg.device, dtype=ecg.dtype)

    angles = (2 * uniform(n, 3) - 1) * LARGEST_ANGLE
    scale = SCALES[0] + (SCALES[1] - SCALES[0]) * uniform(n, 3)
    view = moved_heart(ecg, rotations(angles), scale) * holds_signal(ecg, length)
    valid = length.to(ecg.dtype)[:, None, None].clamp_min(1.0)
    start = (uniform(n, leads, 1) * valid).floor()
    since = torch.remainder(torch.arange(n_samples, device=ecg.device) - start, valid)
    return view.masked_fill(since < (valid * masked_share).floor(), 0.0)
