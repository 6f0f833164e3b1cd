"""A probability for every set of answers that a question's candidates allow, exact and cheap."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

IMPOSSIBLE = -1e4
"""Log-weight of what cannot be: finite, so that differences of two such stay numbers."""

FARTHEST = 20.0
"""Largest log-odds given."""


class AnswerSets(NamedTuple):
    """B questions' distributions over sets of candidates: log P(S) = sum of scores in S + sizes[|S|] - log Z.

    The size term is what independent scores lack: that exactly one of "yes" and "no" is right, that one of two offered
    findings is more likely right than none although neither has a probability above one half. Source: Swersky et al.
    2012, "Probabilistic n-choose-k models for classification and ranking".

    scores (B, C), read at the candidates only; sizes (B, K + 1) for sets of 0, 1, ... K and more answers;
    candidates bool (B, C).
    """

    scores: Tensor
    sizes: Tensor
    candidates: Tensor

    def loss(self, target: Tensor) -> Tensor:
        """-log P(right set), (B,), of target (B, C); right answers outside the candidates do not count."""
        place, valid = self._packed()
        scores = self.scores.float().gather(1, place)
        right = target.gather(1, place) * valid
        sizes = self._sizes(scores.shape[1])
        of_right = (scores * right).sum(1) + sizes.gather(1, right.sum(1, keepdim=True).long())[:, 0]
        return _log_partition(scores, valid, sizes) - of_right

    def log_odds(self) -> Tensor:
        """(B, C): log P(likeliest set with the candidate) - log P(likeliest set without it).

        Positive exactly for the members of the likeliest set, which is what a threshold at probability one half then
        gives; never outside the candidates.
        """
        place, valid = self._packed()
        scores = self.scores.float().gather(1, place).masked_fill(~valid, IMPOSSIBLE)
        n_questions, most = scores.shape
        count = torch.arange(most + 1, device=scores.device)
        sizes = self._sizes(most).masked_fill(count > valid.sum(1, keepdim=True), IMPOSSIBLE)
        ranked, order = scores.sort(1, descending=True)
        none = scores.new_zeros(n_questions, 1)
        never = none + IMPOSSIBLE
        best = torch.cat([none, ranked.cumsum(1)], 1)  # of each size: the best-scored candidates
        inside = count > torch.arange(most, device=scores.device)[:, None]  # (rank, size): is the rank among them?
        one_fewer = torch.cat([never, best[:, :-1]], 1)[:, None] + ranked[:, :, None]
        one_more = torch.cat([best[:, 1:], never], 1)[:, None] - ranked[:, :, None]
        with_it = torch.where(inside, best[:, None], one_fewer).masked_fill(count == 0, 2 * IMPOSSIBLE)
        without = torch.where(inside, one_more, best[:, None]).masked_fill(count == most, 2 * IMPOSSIBLE)
        odds = (with_it + sizes[:, None]).amax(2) - (without + sizes[:, None]).amax(2)
        out = torch.full_like(self.scores, -FARTHEST, dtype=odds.dtype)
        out = out.scatter(1, place.gather(1, order), odds.clamp(-FARTHEST, FARTHEST))
        return out.masked_fill(~self.candidates, -FARTHEST)

    def _packed(self) -> tuple[Tensor, Tensor]:
        """Columns (B, M) of each question's candidates, M the most that one has, and which of them are its own."""
        most = int(self.candidates.sum(1).max())
        place = self.candidates.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
        return place, self.candidates.gather(1, place)

    def _sizes(self, most: int) -> Tensor:
        last = self.sizes.shape[1] - 1
        return self.sizes.float()[:, torch.arange(most + 1, device=self.sizes.device).clamp_max(last)]


def _log_partition(scores: Tensor, valid: Tensor, sizes: Tensor) -> Tensor:
    """log Z (B,): candidate by candidate, the log-weight of all sets of each size."""
    never = scores.new_full((len(scores), 1), IMPOSSIBLE)
    weight = torch.cat([torch.zeros_like(never), never.expand(-1, scores.shape[1])], 1)
    for candidate in range(scores.shape[1]):
        taken = torch.cat([never, weight[:, :-1] + scores[:, candidate, None]], 1)
        weight = torch.where(valid[:, candidate, None], torch.logaddexp(weight, taken), weight)
    return torch.logsumexp(weight + sizes, 1)
