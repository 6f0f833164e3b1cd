"""The ECG encoder and the fusion transformer give the original's numbers, defects kept or repaired as asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ecgqa.models.ecg_encoder import EcgEncoder, EcgEncoderConfig
from ecgqa.models.fusion_transformer import FusionTransformer, FusionTransformerConfig
from ecgqa.models.layers import nonzero_mean
from ecgqa.models.upstream import architecture
from ecgqa.models.upstream.renaming import ENCODER, Renaming
from ecgqa.models.upstream.settings import encoder_settings

pytestmark = pytest.mark.parity


def cases(root: Path, upstream_name: str) -> list[Path]:
    """Case folders of one original model, whatever their number, size or seed."""
    found = []
    for config in sorted(root.glob("*/config.json")):
        if json.loads(config.read_text()).get("upstream_model_name") == upstream_name:
            found.append(config.parent)
    return found


def load(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    config = json.loads((folder / "config.json").read_text())["model"]
    weights, inputs, outputs = (load_file(folder / f"{name}.safetensors") for name in ("weights", "inputs", "outputs"))
    return config, weights, inputs, outputs


def close(ours: Tensor, golden: Tensor, what: str) -> None:
    tolerance = 2e-5 + 1e-5 * golden.abs().max().item()
    torch.testing.assert_close(ours, golden, atol=tolerance, rtol=0.0, msg=lambda text: f"{what}: {text}")


def lengths(padding_mask: Tensor | None, source: Tensor) -> Tensor:
    if padding_mask is None:
        return torch.full((len(source),), source.shape[-1])
    return (~padding_mask[:, 0]).sum(-1)


def batches(inputs: dict[str, Tensor]) -> list[str]:
    return sorted({key.split(".")[0] for key in inputs})


@torch.inference_mode()
def test_encoder_gives_the_original_numbers(parity_cases: Path) -> None:
    found = cases(parity_cases, "ecg_transformer")
    if not found:
        pytest.skip("no case of this kind")
    for folder in found:
        config, weights, inputs, outputs = load(folder)
        model = EcgEncoder(EcgEncoderConfig(**encoder_settings(config)), ignore_padding=False).eval()
        model.load_state_dict(Renaming(ENCODER).ours(weights), strict=True)
        for name in batches(inputs):
            source = inputs[f"{name}.source"]
            length = lengths(inputs.get(f"{name}.padding_mask"), source)
            out, valid = model(source, length)
            where = f"{folder.name} batch {name}"
            close(out, outputs[f"{name}.encoder_out"], f"{where} encoder_out")
            if valid is None:
                valid = torch.ones(out.shape[:2], dtype=torch.bool)
            close(nonzero_mean(out * valid[:, :, None]), outputs[f"{name}.time_mean"], f"{where} time_mean")
            if f"{name}.frame_padding_mask" in outputs:
                assert torch.equal(~valid, outputs[f"{name}.frame_padding_mask"]), where
            for index, block in enumerate(model.front_end.convolve(source, length)):
                if f"{name}.conv{index}" in outputs:
                    close(block, outputs[f"{name}.conv{index}"], f"{where} conv{index}")
            projected = model.front_end(source, length)
            if f"{name}.post_extract_proj" in outputs:
                close(projected, outputs[f"{name}.post_extract_proj"], f"{where} post_extract_proj")
            if f"{name}.conv_pos" in outputs:
                close(model.positions(projected), outputs[f"{name}.conv_pos"], f"{where} conv_pos")


@torch.inference_mode()
def test_a_padded_ecg_gives_what_it_gives_alone(parity_cases: Path) -> None:
    found = cases(parity_cases, "ecg_transformer")
    if not found:
        pytest.skip("no case of this kind")
    for folder in found:
        config, weights, inputs, _ = load(folder)
        model = EcgEncoder(EcgEncoderConfig(**encoder_settings(config))).eval()
        model.load_state_dict(Renaming(ENCODER).ours(weights), strict=True)
        for name in batches(inputs):
            mask = inputs.get(f"{name}.padding_mask")
            if mask is None:
                continue
            source, length = inputs[f"{name}.source"], lengths(mask, inputs[f"{name}.source"])
            together, valid = model(source, length)
            for row, n in enumerate(length.tolist()):
                alone, _ = model(source[row : row + 1, :, :n])
                n_frames = alone.shape[1]
                assert valid is None or int(valid[row].sum()) == n_frames
                close(together[row, :n_frames], alone[0], f"{folder.name} batch {name} row {row}")


def fusion(folder: Path, compat: str) -> tuple[FusionTransformer, dict[str, Tensor], dict[str, Tensor]]:
    config, weights, inputs, outputs = load(folder)
    upstream = architecture("ecg_language_transformer_classifier")
    settings = FusionTransformerConfig(**upstream.settings(config), compat=compat)  # type: ignore[arg-type]
    model = FusionTransformer(settings, **upstream.sizes(config)).eval()
    model.load_state_dict(upstream.renaming.ours(weights), strict=True)
    back = upstream.renaming.theirs(upstream.renaming.ours(weights))
    assert back.keys() == weights.keys() and all(torch.equal(back[name], weights[name]) for name in weights)
    return model, inputs, outputs


def feed(model: FusionTransformer, inputs: dict[str, Tensor], name: str, rows: slice = slice(None)) -> Tensor:
    ecg, text = inputs[f"{name}.ecg"][rows], inputs[f"{name}.text"][rows]
    second = inputs.get(f"{name}.ecg_2")
    second_length = None if second is None else lengths(inputs[f"{name}.ecg_2_padding_mask"], second)[rows]
    text_length = (~inputs[f"{name}.text_padding_mask"][rows]).sum(-1)
    length = lengths(inputs[f"{name}.ecg_padding_mask"], inputs[f"{name}.ecg"])[rows]
    return model.pool(ecg, length, None if second is None else second[rows], second_length, text, text_length)


def from_medvill(folder: Path) -> bool:
    """Fine-tuned from MedViLL, the original applies the text mask; the tensors alone do not tell."""
    return "MedViLL" in json.loads((folder / "config.json").read_text())["upstream_class"]


@pytest.mark.parametrize(
    ("compat", "prefix"), [("published", ""), ("pooling", "fixed_text_mask."), ("padding", "fixed_all.")]
)
@torch.inference_mode()
def test_fusion_gives_the_original_numbers(parity_cases: Path, compat: str, prefix: str) -> None:
    found = cases(parity_cases, "ecg_language_transformer_classifier")
    if not found:
        pytest.skip("no case of this kind")
    for folder in found:
        mode = "pooling" if compat == "published" and from_medvill(folder) else compat
        model, inputs, outputs = fusion(folder, mode)
        for name in batches(inputs):
            for part in ("pooled", "logits"):
                golden = outputs.get(f"{name}.{prefix}{part}")
                if golden is not None:
                    pooled = feed(model, inputs, name)
                    ours = pooled if part == "pooled" else model.proj(pooled)
                    close(ours, golden, f"{folder.name} batch {name} compat {mode} {part}")


@torch.inference_mode()
def test_repaired_fusion_equals_the_reference_where_no_ecg_is_padded(parity_cases: Path) -> None:
    found = cases(parity_cases, "ecg_language_transformer_classifier")
    if not found:
        pytest.skip("no case of this kind")
    for folder in found:
        model, inputs, outputs = fusion(folder, "off")
        for name in batches(inputs):
            masks = [inputs[key] for key in inputs if key.startswith(f"{name}.ecg") and key.endswith("padding_mask")]
            if any(bool(mask.any()) for mask in masks):
                continue
            golden = outputs.get(f"{name}.fixed_all.logits", outputs[f"{name}.logits"])
            close(model.proj(feed(model, inputs, name)), golden, f"{folder.name} batch {name}")


@torch.inference_mode()
def test_repaired_fusion_is_independent_of_the_batch(parity_cases: Path) -> None:
    """Every row alone, cut to its own lengths, gives what it gives padded beside others; as the original alone."""
    found = cases(parity_cases, "ecg_language_transformer_classifier")
    if not found:
        pytest.skip("no case of this kind")
    for folder in found:
        model, inputs, outputs = fusion(folder, "off")
        for name in batches(inputs):
            together = model.proj(feed(model, inputs, name))
            length = lengths(inputs[f"{name}.ecg_padding_mask"], inputs[f"{name}.ecg"]).tolist()
            text_length = (~inputs[f"{name}.text_padding_mask"]).sum(-1).tolist()
            second = inputs.get(f"{name}.ecg_2")
            for row in range(len(together)):
                n_second = 0
                if second is not None:
                    n_second = int(lengths(inputs[f"{name}.ecg_2_padding_mask"], second)[row])
                alone = model.pool(
                    inputs[f"{name}.ecg"][row : row + 1, :, : length[row]],
                    torch.tensor([length[row]]),
                    second[row : row + 1, :, :n_second] if second is not None and n_second else None,
                    torch.tensor([n_second]) if n_second else None,
                    inputs[f"{name}.text"][row : row + 1, : text_length[row]],
                    torch.tensor([text_length[row]]),
                )
                close(together[row : row + 1], model.proj(alone), f"{folder.name} batch {name} row {row}")
            for key in outputs:
                if key.startswith(f"{name}.row") and key.endswith("_alone.logits"):
                    row = int(key.split(".")[1].removeprefix("row").removesuffix("_alone"))
                    close(together[row : row + 1], outputs[key], f"{folder.name} {key}")


@torch.inference_mode()
def test_sequence_mask_of_the_original(parity_cases: Path) -> None:
    """Where the original masks ECG positions, ours (gaps left open) masks the same ones."""
    for folder in cases(parity_cases, "ecg_language_transformer_classifier"):
        model, inputs, outputs = fusion(folder, "published")
        for name in batches(inputs):
            golden, second = outputs.get(f"{name}.sequence_padding_mask"), inputs.get(f"{name}.ecg_2")
            if golden is None or second is None:
                continue
            first = inputs[f"{name}.ecg"]
            first_length = lengths(inputs[f"{name}.ecg_padding_mask"], first)
            second_length = lengths(inputs[f"{name}.ecg_2_padding_mask"], second)
            frames = [model.frames(first, first_length), model.frames(inputs[f"{name}.ecg_2"], second_length)]
            ecg = model._side_by_side(frames)
            assert torch.equal(~ecg.valid, golden[:, : ecg.valid.shape[1]]), f"{folder.name} batch {name}"
