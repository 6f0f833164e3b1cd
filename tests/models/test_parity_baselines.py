"""The blind, deaf and ResNet-LSTM baselines give the original's numbers, defects kept or repaired as asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ecgqa.models.blind_transformer import BlindTransformer
from ecgqa.models.deaf_transformer import DeafTransformer
from ecgqa.models.layers import TransformerEncoder
from ecgqa.models.resnet_lstm import ResnetLstm
from support.parity import Case, cases, close

pytestmark = pytest.mark.parity


def watch(encoder: TransformerEncoder) -> dict[str, Tensor]:
    """What the transformer's parts returned last, by the names of the golden outputs."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, part: nn.Module) -> None:
        part.register_forward_hook(lambda module, args, out: seen.__setitem__(name, out))

    keep("encoder_input_layer_norm", encoder.layer_norm)
    for index, layer in enumerate(encoder.layers):
        keep(f"encoder_layer{index}", layer)
    return seen


@torch.inference_mode()
def test_blind_gives_the_original_numbers(parity_cases: Path) -> None:
    for case in cases(parity_cases, "blind_transformer_qa"):
        model = case.build()
        assert isinstance(model, BlindTransformer)
        seen = watch(model.encoder)
        for batch in case.batches:
            pooled = model.pool(case.inputs[f"{batch}.text"], case.lengths(batch, "text"))
            case.compare(batch, seen | {"pooled": pooled, "logits": model.proj(pooled)})


@torch.inference_mode()
def test_deaf_gives_the_original_numbers(parity_cases: Path) -> None:
    for case in cases(parity_cases, "deaf_transformer_qa"):
        model = case.build(compat="published")
        assert isinstance(model, DeafTransformer)
        seen = watch(model.encoder)
        for batch in case.batches:
            pooled = model.pool([model.embed(ecg, length) for ecg, length in case.ecgs(batch)])
            case.compare(batch, seen | {"pooled": pooled, "logits": model.proj(pooled)})


@torch.inference_mode()
def test_repaired_deaf_takes_the_means_of_the_right_frames(parity_cases: Path) -> None:
    """Where no ECG is padded, the transformer gives the original's numbers; the means follow from them."""
    for case in cases(parity_cases, "deaf_transformer_qa"):
        model = case.build()
        assert isinstance(model, DeafTransformer)
        for batch in case.batches:
            last = case.outputs.get(f"{batch}.encoder_layer{model.config.n_layers - 1}")
            if case.is_padded(batch) or last is None:
                continue
            ecgs = case.ecgs(batch)
            pooled = model.pool([model.embed(ecg, length) for ecg, length in ecgs])
            width = int(model.front_end.n_frames(torch.tensor(ecgs[0][0].shape[-1])))
            first, second = last[:, :width].mean(1), torch.zeros_like(pooled[:, : last.shape[-1]])
            if len(ecgs) == 2:
                second = last[:, width + 1 :].mean(1) * (ecgs[1][1] > 0)[:, None]
            close(pooled, torch.cat([first, second], 1), f"{case.name} batch {batch}")
            if len(ecgs) == 1:
                close(model.proj(pooled), case.outputs[f"{batch}.logits"], f"{case.name} batch {batch} logits")


@torch.inference_mode()
def test_repaired_deaf_is_independent_of_the_batch(parity_cases: Path) -> None:
    for case in cases(parity_cases, "deaf_transformer_qa"):
        model = case.build()
        assert isinstance(model, DeafTransformer)
        for batch in case.batches:
            ecgs = case.ecgs(batch)
            together = model.pool([model.embed(ecg, length) for ecg, length in ecgs])
            for row in range(len(together)):
                alone = [(ecg[row : row + 1, :, : length[row]], length[row : row + 1]) for ecg, length in ecgs]
                pooled = model.pool([model.embed(ecg, length) for ecg, length in alone if int(length)])
                close(together[row : row + 1], pooled, f"{case.name} batch {batch} row {row}")


@pytest.mark.parametrize("compat", ["published", "off"])
@torch.inference_mode()
def test_resnet_lstm_gives_the_original_numbers(parity_cases: Path, compat: str) -> None:
    """Repaired, it does so wherever no ECG is padded."""
    for case in cases(parity_cases, "resnet_lstm_classifier"):
        model = case.build(compat=compat)
        assert isinstance(model, ResnetLstm)
        for batch in case.batches:
            if compat == "off" and case.is_padded(batch):
                continue
            case.compare(batch, resnet_lstm_outputs(model, case, batch))


def resnet_lstm_outputs(model: ResnetLstm, case: Case, batch: str) -> dict[str, Tensor]:
    ecgs = case.ecgs(batch)
    outputs = {f"stage{i}": x for i, (x, _) in enumerate(model.resnet.convolve(*ecgs[0]), start=1)}
    embedded = torch.stack([model.embed_ecg(ecg, length) for ecg, length in ecgs]).sum(0)
    outputs["ecg_projected"] = embedded
    outputs["lstm_state"] = model.text_states(case.inputs[f"{batch}.text"], case.lengths(batch, "text"))
    outputs["text_projected"] = model.text_projection(outputs["lstm_state"])
    outputs["product"] = embedded * outputs["text_projected"]
    outputs["logits"] = model.proj(outputs["product"])
    return outputs
