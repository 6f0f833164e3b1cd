"""Loss and exact match of question answering: the original's numbers, and the candidates-only loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ecgqa.errors import EcgqaError
from ecgqa.store.batch import Batch
from ecgqa.training.distributed import World
from ecgqa.training.objectives.question_answering import QuestionAnswering, answer_losses, exact_match
from ecgqa.training.recipe import load_recipe
from support.tiny_recipe import tiny_recipe


def batch_of(target: Tensor, candidates: Tensor) -> Batch:
    n = len(target)
    empty = torch.zeros((n, 1), dtype=torch.int64)
    return Batch(torch.zeros(n, 12, 1), empty[:, 0], empty, empty, empty[:, 0], target, candidates, torch.arange(n))


@pytest.mark.parity
def test_the_original_loss_and_exact_match(parity_cases: Path) -> None:
    found = [path.parent for path in sorted(parity_cases.glob("*qa_criterion*/config.json"))]
    if not found:
        pytest.skip("no case of this kind")
    for folder in found:
        inputs, outputs = load_file(folder / "inputs.safetensors"), load_file(folder / "outputs.safetensors")
        for name in sorted({key.split(".")[0] for key in inputs}):
            logits, target = inputs[f"{name}.logits"], inputs[f"{name}.answer"].float()
            candidates = torch.zeros_like(target, dtype=torch.bool)
            sizes = inputs[f"{name}.valid_classes_lengths"].tolist()
            for row, classes in enumerate(inputs[f"{name}.valid_classes_flat"].split(sizes)):
                candidates[row, classes] = True
            batch = batch_of(target, candidates)
            terms, weights = answer_losses(logits, batch, "all")
            torch.testing.assert_close(terms.sum(), outputs[f"{name}.loss"], atol=2e-5, rtol=1e-5)
            assert int(weights.sum()) == int(outputs[f"{name}.sample_size"])
            assert torch.equal(exact_match(logits, batch), outputs[f"{name}.exact_match"].bool())


def test_the_candidates_loss_sees_candidates_only() -> None:
    logits = torch.tensor([[2.0, -1.0, 9.0], [0.5, 4.0, -7.0]], requires_grad=True)
    target = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    candidates = torch.tensor([[True, True, False], [True, False, False]])
    terms, weights = answer_losses(logits, batch_of(target, candidates), "candidates")
    assert weights.tolist() == [2, 1]
    expected = [torch.log1p(torch.exp(torch.tensor(x))).item() for x in (-2.0, -1.0, 0.5)]
    assert terms.sum().item() == pytest.approx(sum(expected), rel=1e-6)
    terms.sum().backward()
    assert logits.grad is not None and torch.equal(logits.grad != 0, candidates)


def test_every_question_counts_the_same_in_the_questions_loss() -> None:
    logits = torch.tensor([[2.0, -1.0, 9.0], [0.5, 4.0, -7.0], [1.0, 1.0, 1.0]])
    candidates = torch.tensor([[True, True, False], [True, False, False], [False, False, False]])
    batch = batch_of(torch.zeros((3, 3)), candidates)
    terms, weights = answer_losses(logits, batch, "candidates")
    alike, ones = answer_losses(logits, batch, "questions")
    assert weights.tolist() == [2, 1, 0]
    assert ones.tolist() == [1, 1, 0]
    torch.testing.assert_close(alike.sum(1), terms.sum(1) / torch.tensor([2.0, 1.0, 1.0]))


def test_probability_one_half_is_no() -> None:
    batch = batch_of(torch.tensor([[0.0], [1.0]]), torch.ones((2, 1), dtype=torch.bool))
    assert exact_match(torch.zeros((2, 1)), batch).tolist() == [True, False]


def test_sets_are_learned_only_by_models_that_weigh_them(tiny_store: Path) -> None:
    with pytest.raises(EcgqaError, match="no probabilities of sets") as caught:
        QuestionAnswering(tiny_recipe(tiny_store, objective__loss="sets"))
    assert "--objective.loss questions" in (caught.value.fix or "")
    recipe = load_recipe("ecgqa-tiny", {"data.store": str(tiny_store)})
    objective = QuestionAnswering(recipe)
    model = objective.build_model().eval()
    here = World(rank=0, size=1, device=torch.device("cpu"))
    batch = next(objective.batches(0, 0, 8, here))
    total, n_terms, n_items = objective.loss(model, batch)
    sets = model(batch, sets=True)
    assert (n_items, int(n_terms)) == (len(batch), len(batch))
    torch.testing.assert_close(total, sets.loss(batch.target).sum())
    assert torch.equal(model(batch), sets.log_odds())
