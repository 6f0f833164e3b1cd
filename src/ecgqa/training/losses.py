"""Losses of self-supervised pretraining as functions of features and of which rows belong together."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_FLOOR = 1e-8


def frame_logits(
    predicted: Tensor, targets: Tensor, codes: Tensor, negatives: Tensor, temperature: float = 0.1
) -> Tensor:
    """Cosine of each prediction with its own target, then with other targets of the same ECG, over `temperature`.

    predicted, targets (B, M, D); codes (B, M, G) of the targets; negatives int64 (B, M, K) places of others.
    Returns (B, M, 1 + K); -inf where a negative has the same codes as the positive. Source: Baevski et al. 2020.
    """
    cosine = F.normalize(predicted.float(), dim=-1) @ F.normalize(targets.float(), dim=-1).mT / temperature
    same = (codes[:, :, None] == codes[:, None]).all(-1)
    against = cosine.masked_fill(same, -torch.inf).gather(2, negatives)
    return torch.cat([cosine.diagonal(dim1=1, dim2=2)[:, :, None], against], 2)


def info_nce(logits: Tensor, held: Tensor) -> Tensor:
    """Summed cross-entropy of the positive, column 0 of logits (B, M, 1 + K), over the frames that are held (B, M)."""
    terms = torch.logsumexp(logits, -1) - logits[:, :, 0]
    return terms[held].sum()


def ranked_first(logits: Tensor, held: Tensor) -> Tensor:
    """How often (summed) the positive of held frames is ranked first; negatives with its own codes share the credit.

    Without sharing, a codebook that has collapsed to one entry would seem perfect, as it has no negatives left.
    """
    same = torch.isneginf(logits).sum(-1)
    first = logits[:, :, 0] > logits[:, :, 1:].max(-1).values
    return (first / (1 + same))[held].sum()


def perplexity(probabilities: Tensor, held: Tensor) -> Tensor:
    """Codes in use, of all codebooks together: sum of exp(entropy) of the mean softmax (..., G, V) of held frames."""
    return usage(probabilities[held].sum(0), held.sum())


def usage(summed: Tensor, count: Tensor) -> Tensor:
    """`perplexity` from the sum (G, V) of the softmax of `count` frames."""
    mean = summed / count.clamp_min(1)
    return torch.exp(-(mean * torch.log(mean + 1e-7)).sum(-1)).sum()


def diversity(used: Tensor, n_codes: int) -> Tensor:
    """Share of all `n_codes` codes that is not in use: 0 when all are used alike."""
    return (n_codes - used) / n_codes


def unit_length(features: Tensor, *, through_norm: bool = True) -> Tensor:
    """Features (N, D) divided by their norm; not `through_norm`, the norm counts as a constant in the gradient."""
    features = features.float()
    norm: Tensor = torch.linalg.vector_norm(features, dim=-1, keepdim=True)
    return features / (norm if through_norm else norm.detach()).clamp_min(_FLOOR)


def segment_similarity(unit: Tensor, patient: Tensor, segment: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines of first with second segments (S0, S1), and bool of the same shape: both are of the same patient."""
    first, second = segment == 0, segment == 1
    return unit[first] @ unit[second].T, patient[first][:, None] == patient[second]


def cmsc(cosine: Tensor, positive: Tensor, temperature: float = 0.1) -> Tensor:
    """Contrastive multi-segment coding (Kiyasseh et al. 2021): a patient's segments are found among all others'.

    cosine (S0, S1) and positive of `segment_similarity`. Mean over positive pairs of the cross-entropy of finding the
    second segment from the first and the first from the second.
    """
    logits = cosine / temperature
    terms = -(logits.log_softmax(0) + logits.log_softmax(1)) / 2
    return torch.where(positive, terms, 0.0).sum() / positive.sum().clamp_min(1)


def nt_xent(cosine: Tensor, group: Tensor, temperature: float = 0.1) -> Tensor:
    """Normalised cross-entropy over groups of rows: two views in SimCLR, all views of a patient in 3KG.

    cosine (N, N) of all rows with all, group (N,). Mean over ordered pairs of one group of the cross-entropy of finding
    the second among it and all rows of other groups. Sources: Chen et al. 2020; Gopal et al. 2021.
    """
    logits = cosine / temperature
    same = group[:, None] == group
    positive = same & ~torch.eye(len(group), dtype=torch.bool, device=group.device)
    others = torch.logsumexp(logits.masked_fill(same, torch.finfo(logits.dtype).min), 1, keepdim=True)
    return torch.where(positive, F.softplus(others - logits), 0.0).sum() / positive.sum().clamp_min(1)


def nearest_is_positive(cosine: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """For how many rows that have a positive their highest cosine is one, and how many such rows there are."""
    asked = positive.any(1)
    found = positive.gather(1, cosine.argmax(1, keepdim=True))[:, 0]
    return (found & asked).sum(), asked.sum()
