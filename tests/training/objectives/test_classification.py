"""The class-balanced loss and its metrics against the original's numbers, and the choice of thresholds."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from ecgqa.training.objectives.classification import balanced_loss, measure
from ecgqa.training.thresholds import FEWEST, PRIOR, best_cut, choose_thresholds, read_thresholds, write_thresholds

CRITERION = "MultiHeadBinaryCrossEntropyCriterion"


def items_of(inputs: dict[str, torch.Tensor], batch: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """look, attribute and label of a batch of a golden case."""
    look = torch.repeat_interleave(torch.arange(len(inputs[f"{batch}.logits"])), inputs[f"{batch}.label_lengths"])
    return look, inputs[f"{batch}.target_idx_flat"], inputs[f"{batch}.label_flat"].float()


@pytest.mark.parity
def test_loss_gradient_and_metrics_are_the_originals(parity_cases: Path) -> None:
    found = 0
    for folder in sorted(parity_cases.iterdir()):
        config = folder / "config.json"
        if not config.is_file() or CRITERION not in json.loads(config.read_text()).get("upstream_class", ""):
            continue
        found += 1
        inputs, outputs = load_file(folder / "inputs.safetensors"), load_file(folder / "outputs.safetensors")
        batches = sorted({name.split(".")[0] for name in inputs})
        losses, probability, attribute, label = [], [], [], []
        for batch in batches:
            logits = inputs[f"{batch}.logits"].requires_grad_()
            look, classes, labels = items_of(inputs, batch)
            loss = balanced_loss(logits[look, classes], classes, labels, logits.shape[1])
            (gradient,) = torch.autograd.grad(loss, logits)
            expected = outputs[f"{batch}.grad_logits"]
            torch.testing.assert_close(loss.detach(), outputs[f"{batch}.loss"], rtol=1e-5, atol=2e-6)
            torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
            assert int(outputs[f"{batch}.sample_size"]) == 1
            losses.append(float(loss.detach()))
            probability.append(torch.sigmoid(logits[look, classes]).detach())
            attribute.append(classes)
            label.append(labels > 0.5)
        names = [str(number) for number in range(logits.shape[1])]
        values, per_attribute = measure(
            names, torch.cat(attribute).numpy(), torch.cat(probability).numpy(), torch.cat(label).numpy(), "accuracy"
        )
        logged = {name.removeprefix("metric."): float(value) for name, value in outputs.items() if "metric." in name}
        assert round(np.mean(losses) / math.log(2), 3) == pytest.approx(logged["loss"], abs=1.01e-3)
        assert values["accuracy"] == pytest.approx(logged["accuracy"], abs=1e-5)
        assert values["auroc_micro"] == pytest.approx(logged["auroc"], abs=1e-6)
        assert values["auprc_micro"] == pytest.approx(logged["auprc"], abs=1e-6)
        areas = []
        for name, about in per_attribute.items():
            if f"attribute_id_{name}_accuracy" not in logged:
                assert about["n"] == 0
                continue
            assert about["accuracy"] == pytest.approx(logged[f"attribute_id_{name}_accuracy"], abs=1e-5)
            expected_auroc = logged[f"attribute_id_{name}_auroc"]
            if math.isnan(expected_auroc):
                assert about["auroc"] is None  # as is its AUPRC without positives, which the original logs as 0
            else:
                assert about["auroc"] == pytest.approx(expected_auroc, abs=1e-6)
                assert about["auprc"] == pytest.approx(logged[f"attribute_id_{name}_auprc"], abs=1e-6)
                areas.append(expected_auroc)
        assert values["auroc_macro"] == pytest.approx(np.mean(areas), abs=1e-6)
    if not found:
        pytest.skip("no golden case of the multi-head criterion")


@pytest.mark.parity
def test_the_classifier_case_gives_the_same_loss(parity_cases: Path) -> None:
    """Ragged targets beside the golden logits of the classifier itself."""
    found = 0
    for folder in sorted(parity_cases.iterdir()):
        inputs = load_file(folder / "inputs.safetensors") if (folder / "inputs.safetensors").is_file() else {}
        if "a.target_idx.0" not in inputs:
            continue
        found += 1
        outputs = load_file(folder / "outputs.safetensors")
        n = len(outputs["a.logits"])
        classes = [inputs[f"a.target_idx.{row}"].long().flatten() for row in range(n)]
        labels = [inputs[f"a.label.{row}"].float().flatten() for row in range(n)]
        look = torch.repeat_interleave(torch.arange(n), torch.tensor([len(one) for one in classes]))
        flat = torch.cat(classes)
        logits = outputs["a.logits"]
        loss = balanced_loss(logits[look, flat], flat, torch.cat(labels), logits.shape[1])
        torch.testing.assert_close(loss, outputs["a.loss"], rtol=1e-5, atol=2e-6)
    if not found:
        pytest.skip("no golden case of the classifier")


def test_the_loss_is_the_mean_over_classes_of_their_means() -> None:
    generator = torch.Generator().manual_seed(0)
    attribute = torch.tensor([4] * 50 + [1] * 2 + [0])
    logits, label = torch.randn(53, generator=generator), (torch.rand(53, generator=generator) > 0.5).float()
    means = [F.binary_cross_entropy_with_logits(logits[attribute == one], label[attribute == one]) for one in (0, 1, 4)]
    assert balanced_loss(logits, attribute, label, 7).item() == pytest.approx(
        torch.stack(means).mean().item(), abs=1e-6
    )


@pytest.mark.parametrize("criterion", ["accuracy", "f1", "youden"])
def test_the_best_cut_is_the_best_of_all_cuts(criterion: str) -> None:
    generator = np.random.default_rng(1)
    for _ in range(30):
        n = int(generator.integers(2, 40))
        score, label = np.round(generator.uniform(0.1, 0.9, n), 1), generator.random(n) < 0.4
        label[:2] = True, False

        def value(cut: float) -> float:
            yes = score > cut  # noqa: B023
            tp, tn = int((yes & label).sum()), int((~yes & ~label).sum())  # noqa: B023
            n_yes, n_no = int(label.sum()), int((~label).sum())  # noqa: B023
            if criterion == "accuracy":
                return float(tp + tn)
            return tp / n_yes + tn / n_no if criterion == "youden" else 2 * tp / (int(yes.sum()) + n_yes)

        cut = best_cut(score, label, criterion)  # type: ignore[arg-type]
        assert value(cut) == pytest.approx(max(value(other) for other in np.linspace(0.001, 0.999, 400)))
        assert 0 <= cut <= 1


def test_thresholds_that_rest_on_little_stay_near_a_half(tmp_path: Path) -> None:
    """Ten thousand items move the threshold to their cut, ten go halfway, and fewer than five of a label nowhere."""

    def scores(n: int) -> tuple[np.ndarray, np.ndarray]:
        return np.tile([0.05, 0.15], n), np.tile([False, True], n)

    parts = [scores(5000), scores(PRIOR), scores(FEWEST - 1)]
    attribute = np.repeat([0, 1, 3], [len(part[0]) for part in parts])
    probability, label = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    found = choose_thresholds(attribute, probability, label, 4)
    assert found == pytest.approx([0.1008, 0.3, 0.5, 0.5], abs=1e-3)
    write_thresholds(
        tmp_path, "accuracy", 7, {name: {"threshold": value} for name, value in zip("abcd", found, strict=True)}
    )
    assert read_thresholds(tmp_path, ["b", "z", "a"]) == pytest.approx([0.3, 0.5, 0.1008], abs=1e-3)
