"""The upper-bound classifiers give the original's numbers: logits, what leads to them, losses and gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from ecgqa.models import build_model
from ecgqa.models.upstream import architecture

pytestmark = pytest.mark.parity
Tensors = dict[str, Tensor]


def cases(root: Path, upstream_name: str) -> list[tuple[str, Any, Tensors, Tensors, Tensors]]:
    """(folder, configuration, weights, inputs, outputs) of every case of one of the original's models."""
    found = []
    for path in sorted(root.glob("*/config.json")):
        config = json.loads(path.read_text())
        if config.get("upstream_model_name") == upstream_name and (path.parent / "weights.safetensors").is_file():
            found.append((path.parent.name, config, *(load_file(path.parent / f"{n}.safetensors") for n in NAMES)))
    if not found:
        pytest.skip("no case of this kind")
    return found


NAMES = ("weights", "inputs", "outputs")


def build(upstream_name: str, config: dict[str, Any], weights: Tensors, compat: str) -> Any:
    upstream = architecture(upstream_name)
    settings = {**upstream.settings(config), "compat": compat}
    model = build_model(upstream.model, settings, **upstream.sizes(config)).eval()
    model.load_state_dict(upstream.renaming.ours(weights), strict=True)
    back = upstream.renaming.theirs(model.state_dict())
    assert back.keys() == weights.keys() and all(torch.equal(back[name], weights[name]) for name in weights)
    return model


def close(ours: Tensor, golden: Tensor, what: str) -> None:
    tolerance = 2e-5 + 1e-5 * golden.abs().max().item()
    torch.testing.assert_close(ours, golden, atol=tolerance, rtol=0.0, msg=lambda text: f"{what}: {text}")


def below(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def batches(inputs: Tensors) -> list[str]:
    """Prefixes of the batches of a case; "" where it has only one."""
    return sorted({name[: -len("source")] for name in inputs if name.endswith("source")})


def whole(source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What a model is called with if nothing is padded and no lead is left out."""
    n, n_leads, n_samples = source.shape
    return source, torch.full((n,), n_samples), torch.ones((n, n_leads), dtype=torch.bool)


@torch.inference_mode()
def test_nejedly2021(parity_cases: Path) -> None:
    upstream_name = "nejedly2021resnet_classifier"
    for folder, config, weights, inputs, outputs in cases(parity_cases, upstream_name):
        variants = {f"{key}.": value for key, value in config["variants"].items()} if "variants" in config else None
        for variant, settings in (variants or {"": config["model"]}).items():
            model, repaired = (
                build(upstream_name, settings, below(weights, variant), compat) for compat in ("published", "off")
            )
            for batch in batches(inputs):
                ecg, length, leads = whole(inputs[batch + "source"])
                golden, where = below(outputs, variant + batch), f"{folder} {variant}{batch}"
                blocks, n = model.convolve(ecg, None)
                ours = {f"block{index}": block for index, block in enumerate(blocks)} | {
                    "encoder_out": blocks[-1],
                    "mha": model.attend(blocks[-1].transpose(1, 2), n).transpose(1, 2),
                    "lead_indicator_upstream": model.indicator(ecg),
                    "pooled": model.pool(ecg, length, leads),
                    "logits": model(ecg, length, leads),
                    "fixed_lead_indicator": repaired.indicator(ecg),
                    "fixed_logits": repaired(ecg, length, leads),
                }
                assert golden.keys() <= ours.keys() and "logits" in golden
                for part, tensor in golden.items():
                    close(ours[part], tensor, f"{where}{part}")
                if not settings["indicate_leads"]:
                    close(repaired(ecg, length, leads), golden["logits"], f"{where} repaired")


@torch.inference_mode()
def test_se_wrn(parity_cases: Path) -> None:
    for folder, config, weights, inputs, outputs in cases(parity_cases, "se_wrn_classifier"):
        for compat in ("published", "off"):
            model = build("se_wrn_classifier", config["model"], weights, compat)
            for batch in batches(inputs):
                ecg, length, leads = whole(inputs[batch + "source"])
                golden = below(outputs, batch)
                groups, _ = model.convolve(ecg, None)
                ours = {f"group{index}": group for index, group in enumerate(groups)} | {
                    "encoder_out": groups[-1],
                    "pooled": model.pool(ecg, length, leads),
                    "logits": model(ecg, length, leads),
                }
                assert golden.keys() <= ours.keys() and "logits" in golden
                for part, tensor in golden.items():
                    close(ours[part], tensor, f"{folder} {batch}{part}")


def padded(inputs: Tensors, batch: str) -> tuple[Tensor, Tensor, Tensor]:
    ecg, length, leads = whole(inputs[batch + "source"])
    mask = inputs.get(batch + "padding_mask")
    return ecg, length if mask is None else (~mask[:, 0]).sum(-1), leads


@torch.inference_mode()
def test_ecg_transformer_classifier(parity_cases: Path) -> None:
    upstream_name = "ecg_transformer_classifier"
    for folder, config, weights, inputs, outputs in cases(parity_cases, upstream_name):
        published, repaired = (
            build(upstream_name, config["model"], weights, compat) for compat in ("published", "off")
        )
        for batch in batches(inputs):
            ecg, length, leads = padded(inputs, batch)
            golden, where = below(outputs, batch), f"{folder} {batch}"
            encoded, valid = super(type(published), published).forward(ecg, length)
            if valid is not None:
                encoded = encoded.masked_fill(~valid[:, :, None], 0.0)
            close(encoded, golden["encoder_out_zeroed"], f"{where}encoder_out_zeroed")
            close(published.pool(ecg, length, leads), golden["pooled"], f"{where}pooled")
            close(published(ecg, length, leads), golden["logits"], f"{where}logits")
            if valid is None:
                close(repaired(ecg, length, leads), golden["logits"], f"{where}logits, repaired")


def class_balanced(logits: Tensor, rows: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Mean over the classes asked about of the mean cross entropy of their items; rows: (classes, labels) of each."""
    per_class: dict[int, list[Tensor]] = {}
    for row, (classes, labels) in zip(logits, rows, strict=True):
        for index, label in zip(classes.tolist(), labels, strict=True):
            term = F.binary_cross_entropy_with_logits(row[index], label.to(logits.dtype))
            per_class.setdefault(index, []).append(term)
    return torch.stack([torch.stack(terms).mean() for terms in per_class.values()]).mean()


@pytest.mark.parametrize("compat", ["published", "off"])
def test_loss_and_gradients_of_ecg_transformer_classifier(parity_cases: Path, compat: str) -> None:
    upstream_name = "ecg_transformer_classifier"
    upstream = architecture(upstream_name)
    for folder, config, weights, inputs, outputs in cases(parity_cases, upstream_name):
        model = build(upstream_name, config["model"], weights, compat).train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        for batch in batches(inputs):
            if batch + "loss" not in outputs or (compat == "off" and batch + "padding_mask" in inputs):
                continue
            logits = model(*padded(inputs, batch))
            items = [(inputs[f"{batch}target_idx.{row}"], inputs[f"{batch}label.{row}"]) for row in range(len(logits))]
            loss = class_balanced(logits, items)
            close(loss.detach(), outputs[batch + "loss"], f"{folder} {batch}loss")
            model.zero_grad()
            loss.backward()
            gradients = upstream.renaming.theirs({name: p.grad for name, p in model.named_parameters()})
            norms, full = below(outputs, f"{batch}grad_l2."), below(outputs, f"{batch}grad.")
            assert norms
            for name, norm in norms.items():
                torch.testing.assert_close(gradients[name].norm(), norm, rtol=1e-4, atol=1e-7, msg=f"{folder} {name}")
            for name, gradient in full.items():
                difference = (gradients[name] - gradient).norm() / gradient.norm()
                assert difference < 1e-4, f"{folder} {batch}{name}: {difference}"
