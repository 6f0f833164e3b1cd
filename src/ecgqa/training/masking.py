"""Which frames wav2vec 2.0 hides, and which others each hidden one is compared with; drawn on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from ecgqa.models.layers import positions_below


def draw_spans(
    n_frames: Tensor, width: int, share: float, span: int, generator: torch.Generator | None = None
) -> Tensor:
    """Bool (B, width): spans of `span` frames, which may overlap, within the first n_frames (B,) of each row.

    A row has share * n_frames / span spans, rounded up or down at random, and at least two, with different beginnings.
    Source: the mask of Baevski et al. 2020, with the number of spans of fairseq.
    """
    device = n_frames.device
    rows = len(n_frames)
    chance = torch.rand((rows, width), generator=generator, device=device)
    rounding = torch.rand(rows, generator=generator, device=device)
    n_spans = (share * n_frames / span + rounding).long().clamp_min(2)
    possible = positions_below((n_frames - span + 1).clamp_min(1), width)
    rank = chance.masked_fill(~possible, 2.0).argsort(1).argsort(1)
    begins = possible & (rank < n_spans[:, None])
    begun = begins.long().cumsum(1)
    ended = torch.zeros_like(begun)
    ended[:, span:] = begun[:, :-span]
    return (begun > ended) & positions_below(n_frames, width)


def trim_to_poorest(mask: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """mask (B, L) with as many True in each row as its poorest has, chosen at random: what the original does."""
    chance = torch.rand(mask.shape, generator=generator, device=mask.device).masked_fill(~mask, 2.0)
    return mask & (chance.argsort(1).argsort(1) < mask.sum(1).min())


def draw_negatives(count: Tensor, width: int, n: int, generator: torch.Generator | None = None) -> Tensor:
    """Int64 (B, width, n): for each of a row's hidden frames, the places of n others among its `count` (B,)."""
    chance = torch.rand((len(count), width, n), generator=generator, device=count.device)
    return skip_itself((chance * (count - 1)[:, None, None]).long()).minimum((count - 1).clamp_min(0)[:, None, None])


def skip_itself(draws: Tensor) -> Tensor:
    """Numbers (B, M, n) among the others of each of M frames as places among all of them."""
    own = torch.arange(draws.shape[1], device=draws.device)[:, None]
    return draws + (draws >= own)
