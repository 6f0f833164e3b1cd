"""Which words of a text are hidden for a model to find: chosen at random, masked, replaced or left as they are."""

from __future__ import annotations

import torch
from torch import Tensor

from ecgqa.models.medvill import Hiding


def choose(word: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Bool (B, L): all tokens of randomly chosen words, until `share` of a row's tokens are reached; at least one word.

    word int64 (B, L): number of the word that each token belongs to; -1 for tokens that are never chosen. Rows draw
    independently of each other's length.
    """
    real = word >= 0
    n_words = int(word.max()) + 1 if word.numel() else 0
    if n_words < 1:
        return torch.zeros_like(real)
    number = word.clamp_min(0)
    size = torch.zeros((len(word), n_words), device=word.device).scatter_add_(1, number, real.float())
    chance = torch.rand((len(word), n_words), generator=generator, device=word.device)
    order = chance.masked_fill(size == 0, 2.0).argsort(1)
    in_order = size.gather(1, order)
    before = in_order.cumsum(1) - in_order
    wanted = (share * real.sum(1, keepdim=True)).round().clamp_min(1)
    chosen = torch.zeros_like(size, dtype=torch.bool).scatter_(1, order, (before < wanted) & (in_order > 0))
    return chosen.gather(1, number) & real


def draw(chosen: Tensor, vocab_size: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """What is done to each token, (B, L) of `Hiding`, and int64 (B, L) the token that takes its place where REPLACED.

    Of those that are chosen 80 % are masked, 10 % replaced by any token of the vocabulary, 10 % kept (Devlin et al.
    2019).
    """
    chance = torch.rand(chosen.shape, generator=generator, device=chosen.device)
    hiding = torch.full_like(chosen, Hiding.MASKED, dtype=torch.int64)
    hiding[chance >= 0.8] = Hiding.REPLACED
    hiding[chance >= 0.9] = Hiding.KEPT
    replacement = torch.randint(vocab_size, chosen.shape, generator=generator, device=chosen.device)
    return torch.where(chosen, hiding, Hiding.SHOWN), replacement


def one_token_words(word: Tensor) -> Tensor:
    """`word` with every token a word of its own."""
    place = torch.arange(word.shape[1], device=word.device).expand_as(word)
    return torch.where(word >= 0, place, -1)
