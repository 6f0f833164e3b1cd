"""Every registered model: logits per question, independent of the batch, of the padding, and learnable throughout."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ecgqa.errors import EcgqaError
from ecgqa.models import build_model, make_config
from ecgqa.models.ecg_encoder import EcgEncoder, EcgEncoderConfig
from ecgqa.models.layers import masked_mean, nonzero_mean, scale_gradient
from ecgqa.models.registry import Task, describe, models_for
from ecgqa.models.upstream.settings import parse_conv_layers
from ecgqa.store.batch import Batch

TRANSFORMER = {"n_layers": 2, "width": 16, "feedforward": 32, "n_heads": 2, "activation_dropout": 0.0}
ECG = {"conv_layers": [(8, 5, 3), (8, 3, 2)], "positions_kernel": 4, "positions_groups": 2}
SMALL: dict[str, dict[str, Any]] = {
    "ecg_transformer": TRANSFORMER | ECG | {"max_text_tokens": 20},
    "blind_transformer": TRANSFORMER | {"max_text_tokens": 20},
    "deaf_transformer": TRANSFORMER | ECG,
    "m3ae_qa": TRANSFORMER
    | ECG
    | {
        "text_layers": 1,
        "text_width": 12,
        "text_feedforward": 24,
        "text_heads": 2,
        "fusion_layers": 2,
        "fusion_width": 16,
        "fusion_heads": 2,
        "max_text_tokens": 20,
        **{f"{part}dropout": 0.0 for part in ("", "attention_", "text_", "fusion_")},
    },
    "resnet_lstm": {
        "stem_channels": 8,
        "planes": [4, 8],
        "blocks": [2, 1],
        "word_width": 8,
        "lstm_width": 8,
        "final_width": 16,
    },
    "ecgqa": {"width": 16, "evidence": 4, "hidden": 8, "beat_channels": 8, "n_heads": 2, "max_text_tokens": 20}
    | {"dropout": 0.0, "word_dropout": 0.0},
}
NAMES = models_for(Task.QUESTION_ANSWERING)
BLIND, DEAF, SYMMETRIC = {"blind_transformer"}, {"deaf_transformer"}, {"resnet_lstm"}
"""Models that by design do not look at the ECGs, at the question, at which ECG is the first."""
N_ANSWERS, VOCABULARY, N_SAMPLES = 7, 30, 240
SIZES: dict[str, Any] = {
    "n_answers": N_ANSWERS,
    "vocab_size": VOCABULARY,
    "answer_tokens": [[4], [5], [6, 7], [7], [8, 9, 10], [4, 11], [12]],
    "lead_tokens": [[4, 11 + lead] for lead in range(12)],
    "sampling_rate_hz": 125.0,
}


def model_of(name: str, **settings: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    model = build_model(name, {**SMALL[name], **settings}, **SIZES)
    with torch.no_grad():  # away from the start, where norms and biases hide mistakes
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def batch_of(ecg: Tensor, ecg_length: Tensor, *others: Tensor) -> Batch:
    """A batch whose questions share no ECG: ecg (B, K, 12, T), ecg_length (B, K)."""
    return Batch(ecg.flatten(0, 1), ecg_length.flatten(), torch.arange(ecg_length.numel()).view_as(ecg_length), *others)


def random_batch(lengths: list[list[int]], text_lengths: list[int], seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    n, k = len(lengths), len(lengths[0])
    length = torch.tensor(lengths)
    ecg = torch.randn((n, k, 12, N_SAMPLES), generator=generator)
    ecg = ecg * (torch.arange(N_SAMPLES) < length[..., None, None])
    text_length = torch.tensor(text_lengths)
    text = torch.randint(4, VOCABULARY, (n, max(text_lengths)), generator=generator)
    text = text * (torch.arange(text.shape[1]) < text_length[:, None])
    target = (torch.rand((n, N_ANSWERS), generator=generator) > 0.5).float()
    return batch_of(ecg, length, text, text_length, target, torch.ones_like(target, dtype=torch.bool), torch.arange(n))


def row_alone(batch: Batch, row: int) -> Batch:
    """One row, cut to its own lengths, without an absent second ECG."""
    length = batch.ecg_length[row]
    present = int((length > 0).sum())
    return batch_of(
        batch.ecg[row : row + 1, :present, :, : int(length.max())],
        batch.ecg_length[row : row + 1, :present],
        batch.text[row : row + 1, : int(batch.text_length[row])],
        batch.text_length[row : row + 1],
        batch.target[row : row + 1],
        batch.candidates[row : row + 1],
        batch.row[row : row + 1],
    )


BATCHES = {
    "one ECG": random_batch([[240], [240], [240]], [5, 9, 3]),
    "two ECGs": random_batch([[240, 240], [240, 240]], [5, 9]),
    "padded": random_batch([[240], [100], [177]], [5, 9, 3]),
    "two padded": random_batch([[240, 100], [90, 240], [131, 59]], [4, 4, 10]),
    "mixed": random_batch([[240, 200], [190, 0], [240, 0]], [4, 2, 10]),
}


@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_a_row_gives_alone_what_it_gives_among_others(name: str, kind: str) -> None:
    model, batch = model_of(name), BATCHES[kind]
    together: Tensor = model(batch)
    assert together.shape == (len(batch), N_ANSWERS)
    for row in range(len(batch)):
        torch.testing.assert_close(together[row : row + 1], model(row_alone(batch, row)), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["one ECG", "mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_more_padding_changes_nothing_in_training_either(name: str, kind: str) -> None:
    model, batch = model_of(name).train(), BATCHES[kind]
    longer = replace(batch, ecgs=F.pad(batch.ecgs, (0, 50)), text=F.pad(batch.text, (0, 3)))
    torch.testing.assert_close(model(batch), model(longer), atol=2e-5, rtol=1e-4)
    model.eval()  # running statistics, where a model keeps any, went without the padding too
    torch.testing.assert_close(model(batch), model(longer), atol=2e-5, rtol=1e-4)


SEEING = [name for name in NAMES if name not in BLIND]
COMPAT = [(name, {"compat": "published"}) for name in SEEING if hasattr(make_config(name, {}), "compat")]


@pytest.mark.parametrize(("name", "settings"), [*((name, {}) for name in SEEING), *COMPAT])
@torch.inference_mode()
def test_questions_may_share_ecgs(name: str, settings: dict[str, Any]) -> None:
    model, batch = model_of(name, **settings), BATCHES["two padded"]
    shared = replace(batch, ecg_of=torch.tensor([[0, 3], [0, 0], [3, 4]]))
    others = (batch.text, batch.text_length, batch.target, batch.candidates, batch.row)
    apart = batch_of(shared.ecg, shared.ecg_length, *others)
    torch.testing.assert_close(model(shared), model(apart), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "compat", "milder", "kind"),
    [
        ("ecg_transformer", "padding", "off", "padded"),
        ("ecg_transformer", "pooling", "padding", "two ECGs"),
        ("ecg_transformer", "published", "pooling", "one ECG"),
        ("deaf_transformer", "published", "off", "padded"),
        ("deaf_transformer", "published", "off", "two ECGs"),
        ("deaf_transformer", "published", "off", "mixed"),
        ("m3ae_qa", "published", "off", "padded"),
        ("m3ae_qa", "published", "off", "two padded"),
        ("resnet_lstm", "published", "off", "padded"),
    ],
)
@torch.inference_mode()
def test_each_kept_defect_shows(name: str, compat: str, milder: str, kind: str) -> None:
    """What `compat` keeps is what the default repairs: among others a row does not give what it gives alone."""
    model, batch = model_of(name, compat=compat), BATCHES[kind]
    assert not torch.allclose(model(batch), model_of(name)(batch), atol=1e-3)
    assert not torch.allclose(model(batch), model_of(name, compat=milder)(batch), atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name: str) -> None:
    model = model_of(name).train()
    for kind in ("one ECG", "two padded"):
        model.zero_grad()
        model(BATCHES[kind]).square().sum().backward()
        still = [key for key, parameter in model.named_parameters() if parameter.grad is None]
        assert not still
        assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_what_a_model_looks_at(name: str) -> None:
    model, batch = model_of(name), BATCHES["two ECGs"]

    def matters(**other: Tensor) -> bool:
        return not torch.allclose(model(batch), model(replace(batch, **other)), atol=1e-3)

    assert matters(ecgs=batch.ecgs.roll(7, 2)) == (name not in BLIND)
    assert matters(text=batch.text.clamp_max(12)) == (name not in DEAF)
    assert matters(ecg_of=batch.ecg_of.flip(1)) == (name not in BLIND | SYMMETRIC)
    assert not matters(target=1 - batch.target, row=batch.row + 1)


@torch.inference_mode()
def test_published_m3ae_cannot_tell_which_ecg_is_the_first() -> None:
    model, batch = model_of("m3ae_qa", compat="published"), BATCHES["two ECGs"]
    torch.testing.assert_close(model(batch), model(replace(batch, ecg_of=batch.ecg_of.flip(1))), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_rebuilt_from_its_description(name: str) -> None:
    model = model_of(name)
    again = build_model(name, describe(model.config), **SIZES)
    again.load_state_dict(model.state_dict())
    batch = BATCHES["one ECG"]
    assert torch.equal(model(batch), again.eval()(batch))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ecg_transformer", {"decimate": 2}),
        ("ecg_transformer", {"conv_norm": "none"}),
        ("ecg_transformer", {"conv_layers": [(8, 2, 2)] * 4}),
        ("ecg_transformer", {"conv_layers": [(16, 5, 3)] * 2, "projection": False}),
        ("resnet_lstm", {"decimate": 3}),
    ],
)
@torch.inference_mode()
def test_front_ends(name: str, settings: dict[str, Any]) -> None:
    model = model_of(name, **settings)
    for kind in ("one ECG", "two padded"):
        batch = BATCHES[kind]
        torch.testing.assert_close(model(batch)[:1], model(row_alone(batch, 0)), atol=2e-5, rtol=1e-4)


def test_absolute_voltage_is_seen_only_without_instance_norm() -> None:
    batch = BATCHES["one ECG"]
    louder = replace(batch, ecgs=batch.ecgs * 2)
    with torch.inference_mode():
        instance, plain = model_of("ecg_transformer"), model_of("ecg_transformer", conv_norm="none")
        torch.testing.assert_close(instance(batch), instance(louder), atol=1e-3, rtol=1e-3)
        assert not torch.allclose(plain(batch), plain(louder), atol=1e-2)


def test_the_published_front_end_has_312_frames_of_10_seconds() -> None:
    encoder = EcgEncoder(EcgEncoderConfig(n_layers=1, width=32, feedforward=32, n_heads=2, positions_kernel=8))
    assert encoder.front_end.n_frames(torch.tensor([5000, 2500, 0, 16])).tolist() == [312, 156, 0, 1]
    frames, valid = encoder(torch.randn(1, 12, 5000))
    assert frames.shape == (1, 312, 32) and valid is None


@pytest.mark.parametrize("name", ["ecg_transformer", "blind_transformer"])
def test_long_questions_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="21 tokens"):
        model_of(name)(random_batch([[240]], [21]))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("blind_transformer", {"n_heads": 5}, "multiple of n_heads"),
        ("deaf_transformer", {"compat": "pooling"}, "off or published"),
        ("resnet_lstm", {"planes": [8]}, "for each stage"),
        ("resnet_lstm", {"compat": "padding"}, "off or published"),
    ],
)
def test_impossible_settings_are_told(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(EcgqaError, match=message):
        make_config(name, settings)


def test_unknown_names_and_settings_are_told() -> None:
    with pytest.raises(EcgqaError, match="no model") as caught:
        make_config("ecg_transfomer", {})
    assert "ecg_transformer" in (caught.value.fix or "")
    with pytest.raises(EcgqaError, match="no setting 'layers'") as caught:
        make_config("ecg_transformer", {"layers": 3})
    assert "n_layers" in (caught.value.fix or "") or "conv_layers" in (caught.value.fix or "")


def test_small_pieces() -> None:
    x = torch.tensor([[[2.0, 0.0], [4.0, 6.0], [9.0, 9.0]]])
    valid = torch.tensor([[True, True, False]])
    assert masked_mean(x, valid).tolist() == [[3.0, 3.0]]
    assert masked_mean(x, torch.zeros_like(valid)).tolist() == [[0.0, 0.0]]
    assert nonzero_mean(x[:, :2]).tolist() == [[3.0, 6.0]]
    y = torch.ones(2, requires_grad=True)
    scaled = scale_gradient(y * 3, 0.1)
    assert scaled.tolist() == pytest.approx([3.0, 3.0])
    scaled.sum().backward()
    assert y.grad is not None and y.grad.tolist() == pytest.approx([0.3, 0.3])
    assert parse_conv_layers("[(256, 2, 2)] * 2 + [(8,3,1), (4, 1, 1)]") == [(256, 2, 2)] * 2 + [(8, 3, 1), (4, 1, 1)]
    with pytest.raises(ValueError, match="no convolution layers"):
        parse_conv_layers("__import__('os').system('true')")
