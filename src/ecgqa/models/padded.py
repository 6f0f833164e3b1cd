"""Convolutional parts over padded signals: samples beyond a row's length, or of leads not asked about, are not seen."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ecgqa.models.layers import positions_below


def only_leads(ecg: Tensor, leads: Tensor) -> Tensor:
    """ecg (B, 12, T) with the leads that do not belong to the question, False in leads (B, 12), at zero."""
    return ecg.masked_fill(~leads[:, :, None], 0.0)


def ragged(length: Tensor, ecg: Tensor) -> Tensor | None:
    """length (B,), or None if every row fills ecg (B, 12, T): then nothing has to be masked."""
    return length if bool((length < ecg.shape[-1]).any()) else None


def n_after(n: Tensor | None, stride: int, kernel: int = 1) -> Tensor | None:
    """Valid frames (B,) after a convolution padded by (kernel - 1) // 2, or after means of `stride` frames."""
    lost = (kernel - 1) % 2  # an even kernel reaches less far back than forth
    return None if n is None else torch.div(n - 1 - lost, stride, rounding_mode="floor") + 1


def blank(x: Tensor, n: Tensor | None) -> Tensor:
    """x (B, channels, L) with zeros beyond the first n (B,) frames, as a convolution sees beyond a signal's end."""
    return x if n is None else x.masked_fill(~positions_below(n, x.shape[-1])[:, None], 0.0)


def mean_pool(x: Tensor, n: Tensor | None, stride: int) -> Tensor:
    """Means of `stride` frames of x (B, channels, L); the last one is the mean of what is left."""
    pooled = F.avg_pool1d(x, stride, stride, ceil_mode=True)
    if n is None:
        return pooled
    share = F.avg_pool1d(positions_below(n, x.shape[-1])[:, None].to(x.dtype), stride, stride, ceil_mode=True)
    return F.avg_pool1d(blank(x, n), stride, stride, ceil_mode=True) / share.clamp_min(1.0 / (2 * stride))


def batch_norm(norm: nn.Module, x: Tensor, n: Tensor | None) -> Tensor:
    """Batch norm of x (B, channels, L) whose statistics, while training, come from the first n (B,) frames only."""
    return valid_batch_norm(norm, x, None if n is None else positions_below(n, x.shape[-1])[:, None])


def valid_batch_norm(norm: nn.Module, x: Tensor, valid: Tensor | None) -> Tensor:
    """Batch norm of x (B, channels, L) whose statistics, while training, come from valid (B, 1, L) frames only."""
    if valid is None or not norm.training:
        out: Tensor = norm(x)
        return out
    frames, kept = x.transpose(1, 2), valid[:, 0]
    normed = norm(frames[kept]).to(x.dtype)
    return torch.zeros_like(frames).masked_scatter(kept[:, :, None], normed).transpose(1, 2)
