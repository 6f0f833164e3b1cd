"""M3AE and MedViLL give the original's numbers: every layer, logits, losses, counts, gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ecgqa.models.layers import positions_below
from ecgqa.models.m3ae import Stream
from ecgqa.models.m3ae_pretraining import M3aePretraining
from ecgqa.models.m3ae_qa import M3aeQuestionAnswering
from ecgqa.models.medvill import Hiding, MedvillPretraining
from ecgqa.store.batch import Batch
from ecgqa.training.objectives.m3ae import m3ae_losses
from ecgqa.training.objectives.medvill import medvill_losses
from support.parity import Case, cases, close

pytestmark = pytest.mark.parity


def part(tensors: dict[str, Tensor], batch: str) -> dict[str, Tensor]:
    """The tensors of one batch; a case with a single batch does not name it."""
    return {name.removeprefix(batch): tensor for name, tensor in tensors.items() if name.startswith(batch)}


def batch_names(case: Case) -> list[str]:
    return [""] if "ecg" in case.inputs else [f"{name}." for name in case.batches]


def lengths(padding: Tensor) -> Tensor:
    return (~(padding[:, 0] if padding.dim() == 3 else padding)).sum(-1)


def recorded(modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Filled with the output of each module when it is called."""
    seen: dict[str, Tensor] = {}
    for name, module in modules.items():
        module.register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, out))
    return seen


def compare(ours: dict[str, Tensor], golden: dict[str, Tensor], where: str) -> None:
    assert golden, where
    for name, expected in golden.items():
        found = ours[name]
        if expected.is_floating_point() and found.is_floating_point():
            close(found.detach(), expected, f"{where} {name}")
        else:
            assert torch.equal(found.to(expected.dtype), expected), f"{where} {name}"


def compare_gradients(case: Case, model: nn.Module, golden: dict[str, Tensor]) -> None:
    gradients = {name: p.grad.norm() for name, p in model.named_parameters() if p.grad is not None}
    theirs = case.architecture.renaming.theirs(gradients)
    expected = {name.removeprefix("grad_l2."): norm for name, norm in golden.items() if name.startswith("grad_l2.")}
    for name, norm in expected.items():
        assert float(theirs[name]) == pytest.approx(float(norm), rel=1e-4, abs=1e-7), f"{case.name} {name}"


def without_gradients(golden: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in golden.items() if not name.startswith("grad_l2.")}


def test_m3ae_pretraining_gives_the_original_numbers(parity_cases: Path) -> None:
    for case in cases(parity_cases, "m3ae"):
        model: Any = case.build(compat="published")
        assert isinstance(model, M3aePretraining)
        seen = recorded(
            {
                "text_embeddings": model.text_encoder.embeddings,
                "text_projected": model.text_projection,
                "ecg_encoder_input_layer_norm": model.ecg_encoder.encoder.layer_norm,
                "ecg_projected": model.ecg_projection,
                **{f"text_layer{n}": layer for n, layer in enumerate(model.text_encoder.encoder.layer)},
                **{f"fusion_text{n}": layer for n, layer in enumerate(model.text_layers)},
                **{f"fusion_ecg{n}": layer for n, layer in enumerate(model.ecg_layers)},
            }
        )
        model.match_head.register_forward_pre_hook(lambda _, x, seen=seen: seen.update(multi_modal_cls_feats=x[0]))
        for name in batch_names(case):
            given, golden = part(case.inputs, name), part(case.outputs, name)
            ecg, length = given["ecg"], lengths(given["ecg_padding_mask"])
            text_length = given["text_attention_mask"].sum(-1)
            out = model(ecg, length, given["text"], text_length, given["mim_noise"])
            target = model.frame_targets(ecg, length)
            losses = m3ae_losses(out, given["mlm_labels"], target, given["is_aligned"])
            total = losses.words + losses.frames + losses.match
            model.zero_grad()
            total.backward()
            kept = model.keep(given["mim_noise"], model.ecg_encoder.front_end.n_frames(length))
            ours = seen | {
                "mim_ids_restore": kept.place,
                "mim_masks": out.removed.float(),
                "mlm_logits": out.word_logits,
                "mim_logits": out.frame_values.view(golden["mim_logits"].shape),
                "itm_logits": out.match_logits,
                "mim_target": target,
                "loss.mlm": losses.words,
                "loss.mim": losses.frames,
                "loss.itm": losses.match,
                "loss_total": total,
                "mlm_correct": losses.words_found,
                "mlm_count": losses.n_words,
                "itm_correct": losses.matches_found,
                "itm_count": torch.tensor(len(ecg)),
            }
            compare(ours, without_gradients(golden), f"{case.name} {name}")
            compare_gradients(case, model, golden)


@torch.inference_mode()
def test_m3ae_qa_gives_the_original_numbers(parity_cases: Path) -> None:
    for case in cases(parity_cases, "m3ae_qa"):
        model: Any = case.build(compat="published")
        assert isinstance(model, M3aeQuestionAnswering)
        for name in case.batches:
            ecgs = []
            for ecg, length in case.ecgs(name):
                x, n_frames = model.embed(ecg, length)
                ecgs.append(Stream(x, positions_below(n_frames, x.shape[1])))
            ecg = model.encode_ecg(model.side_by_side(ecgs))
            text = model.encode_text(case.inputs[f"{name}.text"], case.lengths(name, "text"))
            pooled = model.fuse(text, ecg).pooled
            golden = part(case.outputs, f"{name}.")
            n_tokens = golden["ecg_projected"].shape[1]  # ours ends with a separator that nothing looks at
            ours = {
                "ecg_projected": ecg.x[:, :n_tokens],
                "text_projected": text.x,
                "multi_modal_cls_feats": pooled,
                "logits": model.head(pooled),
            }
            compare(ours, golden, f"{case.name} {name}")
            if len({one.shape for one, _ in case.ecgs(name)}) == 1:
                close(model(_batch(case, name)), golden["logits"], f"{case.name} {name} whole")


def _batch(case: Case, name: str) -> Batch:
    ecgs, length = (torch.cat(parts) for parts in zip(*case.ecgs(name), strict=True))
    text = case.inputs[f"{name}.text"]
    ecg_of = torch.arange(len(ecgs)).view(-1, len(text)).T
    nothing = torch.zeros(len(text), 1)
    return Batch(
        ecgs, length, ecg_of, text, case.lengths(name, "text"), nothing, nothing.bool(), torch.arange(len(text))
    )


@torch.inference_mode()
def test_repaired_m3ae_is_independent_of_the_batch_and_else_the_same(parity_cases: Path) -> None:
    """One-ECG questions whose ECGs are not padded: as the original. (Padded ones: test_models.py.)"""
    for case in cases(parity_cases, "m3ae_qa"):
        model = case.build()
        for name in case.batches:
            if len(case.ecgs(name)) == 1 and not case.is_padded(name):
                close(model(_batch(case, name)), case.outputs[f"{name}.logits"], f"{case.name} {name}")


def test_medvill_pretraining_gives_the_original_numbers(parity_cases: Path) -> None:
    for case in cases(parity_cases, "medvill"):
        model: Any = case.build(compat="published")
        assert isinstance(model, MedvillPretraining)
        layers = {f"encoder_layer{n}": layer for n, layer in enumerate(model.encoder.layers)}
        seen = recorded({"encoder_input_layer_norm": model.encoder.layer_norm} | layers)
        model.match_head.register_forward_pre_hook(lambda _, x, seen=seen: seen.update(pooled=x[0]))
        for name in case.batches:
            given, golden = part(case.inputs, f"{name}."), part(case.outputs, f"{name}.")
            text, belongs = given["text"], given["is_aligned"]
            hiding, token = golden.pop("recorded_mask_kind").long(), golden.pop("recorded_random_token")
            length, text_length = lengths(given["ecg_padding_mask"]), lengths(given["text_padding_mask"])
            unmasked = golden.pop("unmasked_encoder_out", None)
            out = model(given["ecg"], length, text, text_length, hiding, token)
            wanted = text[hiding != Hiding.SHOWN]
            losses = medvill_losses(out, wanted, belongs)
            total = losses.words + losses.match
            model.zero_grad()
            total.backward()
            ours = seen | {
                "mlm_logits": out.word_logits,
                "mlm_target": wanted,
                "align_logit": out.match_logits[:, None],
                "align_probability": out.match_logits.sigmoid(),
                "loss.mlm_sum": losses.words,
                "loss.align_scaled": losses.match,
                "loss_total": total,
                "sample_size": torch.tensor(len(wanted)),
                "mlm_correct": losses.words_found,
                "mlm_count": torch.tensor(float(len(wanted))),
                "align_correct": losses.matches_found,
                "align_count": torch.tensor(float(len(text))),
            }
            compare(ours, without_gradients(golden), f"{case.name} {name}")
            compare_gradients(case, model, golden)
            if unmasked is not None:
                close(_unmasked(model, given["ecg"], length, text, text_length), unmasked, f"{case.name} {name}")


@torch.inference_mode()
def _unmasked(model: MedvillPretraining, ecg: Tensor, length: Tensor, text: Tensor, text_length: Tensor) -> Tensor:
    """What the encoder makes of shown words that look at each other both ways: what fine-tuning begins with."""
    frames, n_frames = model.frames(ecg, length)
    frames_valid = positions_below(n_frames, frames.shape[1])
    valid = torch.cat([frames_valid, positions_below(text_length, text.shape[1])], 1)
    x = torch.cat([model.place_frames(frames, frames_valid), model.place_words(model.embed_words(text))], 1)
    return model.encoder(x, valid)
