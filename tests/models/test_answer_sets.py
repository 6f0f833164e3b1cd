"""Sets of answers: probabilities and likeliest sets agree with going through every set."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from ecgqa.models.answer_sets import FARTHEST, AnswerSets


def drawn(seed: int) -> tuple[AnswerSets, Tensor]:
    """Six questions on seven answers, sizes told apart up to three; the first has no candidate, the second all."""
    generator = torch.Generator().manual_seed(seed)
    candidates = torch.rand((6, 7), generator=generator) > 0.4
    candidates[0], candidates[1] = False, True
    target = ((torch.rand((6, 7), generator=generator) > 0.5) & candidates).float()
    scores, sizes = 2 * torch.randn((6, 7), generator=generator), torch.randn((6, 4), generator=generator)
    return AnswerSets(scores, sizes, candidates), target


def every_set(answers: AnswerSets, row: int) -> dict[tuple[int, ...], float]:
    """Log-weight of each set of candidates of one question."""
    options = answers.candidates[row].nonzero()[:, 0].tolist()
    sets = [chosen for size in range(len(options) + 1) for chosen in itertools.combinations(options, size)]
    return {
        chosen: float(answers.scores[row, list(chosen)].sum() + answers.sizes[row, min(len(chosen), 3)])
        for chosen in sets
    }


@pytest.mark.parametrize("seed", range(4))
def test_the_loss_is_that_of_the_right_set_among_all(seed: int) -> None:
    answers, target = drawn(seed)
    loss = answers.loss(target)
    for row in range(len(target)):
        weights = every_set(answers, row)
        right = weights[tuple(target[row].nonzero()[:, 0].tolist())]
        assert float(loss[row]) == pytest.approx(
            torch.tensor(list(weights.values())).logsumexp(0).item() - right, abs=1e-4
        )


@pytest.mark.parametrize("seed", range(4))
def test_log_odds_compare_the_best_set_with_and_without(seed: int) -> None:
    answers, _ = drawn(seed)
    odds = answers.log_odds()
    assert bool((odds[~answers.candidates] == -FARTHEST).all())
    for row in range(len(odds)):
        weights = every_set(answers, row)
        for option in answers.candidates[row].nonzero()[:, 0].tolist():
            with_it = max(weight for chosen, weight in weights.items() if option in chosen)
            without = max(weight for chosen, weight in weights.items() if option not in chosen)
            assert float(odds[row, option]) == pytest.approx(with_it - without, abs=1e-4)
        assert tuple((odds[row] > 0).nonzero()[:, 0].tolist()) == max(weights, key=weights.__getitem__)


def test_one_of_two_can_be_certain_while_neither_is_likely() -> None:
    """What independent probabilities cannot say: one and only one of two is right, and it is a toss which."""
    scores = torch.tensor([[0.1, 0.0]])
    answers = AnswerSets(scores, torch.tensor([[0.0, 9.0, 0.0]]), torch.ones(1, 2, dtype=torch.bool))
    assert (answers.log_odds() > 0).tolist() == [[True, False]]
    assert float(answers.loss(torch.tensor([[0.0, 1.0]]))) == pytest.approx(0.744, abs=0.01)


def test_gradients_stay_finite_for_extreme_scores() -> None:
    scores = torch.tensor([[80.0, -90.0, 60.0]], requires_grad=True)
    sizes = torch.zeros(1, 2, requires_grad=True)
    AnswerSets(scores, sizes, torch.tensor([[True, True, False]])).loss(
        torch.tensor([[0.0, 1.0, 0.0]])
    ).sum().backward()
    assert scores.grad is not None and sizes.grad is not None
    assert bool(torch.isfinite(scores.grad).all()) and bool(torch.isfinite(sizes.grad).all())
    assert float(scores.grad[0, 2]) == 0.0
