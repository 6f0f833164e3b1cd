"""The losses of pretraining against plain loops, and what happens at their edges."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ecgqa.training import losses


def unit(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(shape, generator=generator, dtype=torch.float64), dim=-1)


def test_info_nce_is_the_cross_entropy_of_each_frame() -> None:
    b, m, k = 2, 4, 3
    predicted, targets = unit(b, m, 6), unit(b, m, 6, seed=1)
    codes = torch.tensor([[[0, 1], [2, 3], [0, 1], [4, 4]], [[0, 0], [0, 1], [1, 0], [1, 1]]])
    held = torch.tensor([[True, True, True, True], [True, True, True, False]])
    negatives = torch.tensor(
        [[[1, 2, 3], [0, 2, 2], [0, 1, 3], [1, 1, 0]], [[1, 2, 2], [0, 0, 2], [0, 1, 0], [0, 0, 0]]]
    )
    expected, hits = 0.0, 0.0
    for row in range(b):
        for place in range(m):
            if not held[row, place]:
                continue
            own = float(predicted[row, place] @ targets[row, place]) / 0.1
            drawn = negatives[row, place].tolist()
            others = [other for other in drawn if (codes[row, other] != codes[row, place]).any()]
            against = [float(predicted[row, place] @ targets[row, other]) / 0.1 for other in others]
            expected += math.log(math.exp(own) + sum(map(math.exp, against))) - own
            hits += (own > max(against, default=-math.inf)) / (1 + k - len(others))
    logits = losses.frame_logits(predicted, targets, codes, negatives, 0.1)
    assert float(losses.info_nce(logits, held)) == pytest.approx(expected, rel=1e-5)
    assert float(losses.ranked_first(logits, held)) == pytest.approx(hits)
    assert torch.isneginf(logits[0, 0, 2]) and torch.isneginf(logits[0, 2, 1])  # same codes


def test_a_collapsed_codebook_is_not_taken_for_a_perfect_one() -> None:
    codes = torch.zeros((1, 5, 2), dtype=torch.int64)
    negatives = torch.tensor([[[(place + 1) % 5] * 9 for place in range(5)]])
    logits = losses.frame_logits(unit(1, 5, 4), unit(1, 5, 4), codes, negatives)
    held = torch.ones((1, 5), dtype=torch.bool)
    assert float(losses.info_nce(logits, held)) == 0.0
    assert float(losses.ranked_first(logits, held)) == pytest.approx(5 / 10)


def test_perplexity_counts_the_codes_in_use() -> None:
    held = torch.tensor([[True, True, True, True, False]])
    spread = torch.eye(4)[None, :, None].repeat(1, 1, 2, 1)
    probabilities = torch.cat([spread, torch.full((1, 1, 2, 4), 9.0)], 1)
    assert float(losses.perplexity(probabilities, held)) == pytest.approx(8.0, rel=1e-4)
    alike = torch.zeros((1, 5, 2, 4))
    alike[..., 0] = 1.0
    assert float(losses.perplexity(alike, held)) == pytest.approx(2.0, rel=1e-4)
    assert losses.diversity(torch.tensor(8.0), 8) == 0.0 and losses.diversity(torch.tensor(2.0), 8) == 0.75


def test_cmsc_finds_a_patients_other_segment_both_ways() -> None:
    patient, segment = torch.tensor([3, 3, 7, 7, 3, 3]), torch.tensor([0, 1, 0, 1, 0, 1])
    features = unit(6, 4)
    cosine, positive = losses.segment_similarity(features, patient, segment)
    terms = []
    for i in (0, 2, 4):
        for j in (1, 3, 5):
            if patient[i] != patient[j]:
                continue
            s = float(features[i] @ features[j]) / 0.1
            forth = [float(features[i] @ features[other]) / 0.1 for other in (1, 3, 5)]
            back = [float(features[other] @ features[j]) / 0.1 for other in (0, 2, 4)]
            terms.append(sum(math.log(sum(map(math.exp, row))) - s for row in (forth, back)) / 2)
    assert len(terms) == 5
    assert float(losses.cmsc(cosine, positive)) == pytest.approx(sum(terms) / 5)


def test_nt_xent_is_the_published_one_for_two_views_and_has_a_row_per_positive() -> None:
    features = unit(6, 5)
    two_views = torch.tensor([0, 0, 1, 1, 2, 2])
    logits = features @ features.T / 0.1
    logits.fill_diagonal_(-torch.inf)
    published = F.cross_entropy(logits, torch.tensor([1, 0, 3, 2, 5, 4]))
    assert float(losses.nt_xent(features @ features.T, two_views)) == pytest.approx(float(published))
    group = torch.tensor([0, 0, 0, 0, 1, 1])
    terms = []
    for i in range(6):
        for j in range(6):
            if i != j and group[i] == group[j]:
                row = [float(features[i] @ features[j]) / 0.1]
                row += [float(features[i] @ features[k]) / 0.1 for k in range(6) if group[k] != group[i]]
                terms.append(math.log(sum(map(math.exp, row))) - row[0])
    assert len(terms) == 14
    assert float(losses.nt_xent(features @ features.T, group)) == pytest.approx(sum(terms) / 14)


@pytest.mark.parametrize("group", [[0, 0, 0], [0, 1, 2]])
def test_a_batch_without_contrast_costs_nothing(group: list[int]) -> None:
    features = unit(3, 4).requires_grad_()
    loss = losses.nt_xent(features @ features.T, torch.tensor(group))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0.0
    assert features.grad is not None and not features.grad.any()


def test_the_gradient_goes_through_the_norm_unless_kept_out() -> None:
    """Through the norm, making a vector longer changes nothing: its gradient is at right angles to it."""
    for through_norm in (True, False):
        features = torch.tensor([[3.0, 4.0], [1.0, 0.0]], requires_grad=True)
        (losses.unit_length(features, through_norm=through_norm)[0] @ torch.tensor([1.0, 1.0])).backward()
        assert features.grad is not None
        along = abs(float(features.grad[0] @ features[0].detach()))
        assert (along < 1e-6) is through_norm
    zero = torch.zeros((1, 4), requires_grad=True)
    losses.unit_length(zero).sum().backward()
    assert zero.grad is not None and bool(zero.grad.isfinite().all())


def test_nearest() -> None:
    cosine = torch.tensor([[0.9, 0.1, 0.2], [0.3, 0.2, 0.8], [0.1, 0.5, 0.4]])
    positive = torch.tensor([[True, False, False], [False, True, False], [False, False, False]])
    assert [int(value) for value in losses.nearest_is_positive(cosine, positive)] == [1, 2]
