"""Every registered model: logits per question, independent of the batch, of the padding, and learnable throughout."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ecgqa.errors import EcgqaError
from ecgqa.models import build_model, make_config
from ecgqa.models.ecg_encoder import EcgEncoder, EcgEncoderConfig
from ecgqa.models.layers import masked_mean, nonzero_mean, scale_gradient
from ecgqa.models.registry import Task, describe, models_for
from ecgqa.models.upstream.settings import parse_conv_layers
from ecgqa.store.batch import Batch

SMALL: dict[str, dict[str, Any]] = {
    "ecg_transformer": {
        "n_layers": 2,
        "width": 16,
        "feedforward": 32,
        "n_heads": 2,
        "conv_layers": [(8, 5, 3), (8, 3, 2)],
        "positions_kernel": 4,
        "positions_groups": 2,
        "max_text_tokens": 20,
        "activation_dropout": 0.0,
    }
}
NAMES = models_for(Task.QUESTION_ANSWERING)
N_ANSWERS, VOCABULARY, N_SAMPLES = 7, 30, 240


def model_of(name: str, **settings: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    model = build_model(name, {**SMALL[name], **settings}, n_answers=N_ANSWERS, vocab_size=VOCABULARY)
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


@pytest.mark.parametrize("compat", ["off", "published"])
@torch.inference_mode()
def test_questions_may_share_ecgs(compat: str) -> None:
    model, batch = model_of("ecg_transformer", compat=compat), BATCHES["two padded"]
    shared = replace(batch, ecg_of=torch.tensor([[0, 3], [0, 0], [3, 4]]))
    apart = batch_of(shared.ecg, shared.ecg_length, batch.text, batch.text_length, *[batch.target] * 2, batch.row)
    torch.testing.assert_close(model(shared), model(apart), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("compat", ["padding", "pooling", "published"])
@torch.inference_mode()
def test_each_kept_defect_shows(compat: str) -> None:
    """What `compat` keeps is what the default repairs: among others a row does not give what it gives alone."""
    model, repaired = model_of("ecg_transformer", compat=compat), model_of("ecg_transformer")
    kind = {"padding": "padded", "pooling": "two ECGs", "published": "one ECG"}[compat]
    batch = BATCHES[kind]
    assert not torch.allclose(model(batch), repaired(batch), atol=1e-3)
    milder = {"padding": "off", "pooling": "padding", "published": "pooling"}[compat]
    assert not torch.allclose(model(batch), model_of("ecg_transformer", compat=milder)(batch), atol=1e-3)


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
def test_ecgs_and_their_order_matter(name: str) -> None:
    model, batch = model_of(name), BATCHES["two ECGs"]
    swapped = replace(batch, ecg_of=batch.ecg_of.flip(1))
    assert not torch.allclose(model(batch), model(swapped), atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_rebuilt_from_its_description(name: str) -> None:
    model = model_of(name)
    again = build_model(name, describe(model.config), n_answers=N_ANSWERS, vocab_size=VOCABULARY)
    again.load_state_dict(model.state_dict())
    batch = BATCHES["one ECG"]
    assert torch.equal(model(batch), again.eval()(batch))


@pytest.mark.parametrize(
    "settings",
    [
        {"decimate": 2},
        {"conv_norm": "none"},
        {"conv_layers": [(8, 2, 2)] * 4},
        {"conv_layers": [(16, 5, 3)] * 2, "projection": False},
    ],
)
@torch.inference_mode()
def test_front_ends(settings: dict[str, Any]) -> None:
    model = model_of("ecg_transformer", **settings)
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


def test_long_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="21 tokens"):
        model_of("ecg_transformer")(random_batch([[240]], [21]))


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
