"""Every registered classifier: independent of batch, padding and unseen leads, learnable throughout."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ecgqa.errors import EcgqaError
from ecgqa.models import build_model
from ecgqa.models.ecg_encoder import EcgEncoder, EcgEncoderConfig
from ecgqa.models.padded import batch_norm, mean_pool
from ecgqa.models.registry import MODULES, Task, describe, entry, make_config, models_for

ENCODER = {
    "n_layers": 2,
    "width": 16,
    "feedforward": 32,
    "n_heads": 2,
    "conv_layers": [(8, 5, 3), (8, 3, 2)],
    "positions_kernel": 4,
    "positions_groups": 2,
}
SMALL: dict[str, dict[str, Any]] = {
    "ecg_transformer_classifier": {**ENCODER, "activation_dropout": 0.0},
    "nejedly2021": {"n_blocks": 3, "channels": 8, "n_heads": 2, "dropout": 0.0},
    "se_wrn": {"channels": [8, 8, 16], "n_blocks": 2, "squeeze": 4, "block_dropout": 0.0, "dropout": 0.0},
}
CLASSIFIERS = [name for name in models_for(Task.CLASSIFICATION) if MODULES[name].startswith("ecgqa.")]
PUBLISHED_PARAMETERS = {"ecg_transformer_classifier": 90_437_075, "nejedly2021": 6_563_127, "se_wrn": 1_361_757}
N_CLASSES, N_SAMPLES = 7, 241
LENGTHS = torch.tensor([241, 100, 177, 38])


def model_of(name: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    model = build_model(name, {**SMALL[name], **settings}, n_classes=N_CLASSES)
    with torch.no_grad():  # away from the start, where norms and biases hide mistakes
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for key, buffer in model.named_buffers():
            if buffer.is_floating_point():
                buffer.add_(0.3 * torch.rand_like(buffer)) if "var" in key else buffer.normal_(0, 0.2)
    return model.eval()


def ecgs(lengths: Tensor = LENGTHS, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ecg = torch.randn((len(lengths), 12, N_SAMPLES), generator=generator)
    ecg = ecg * (torch.arange(N_SAMPLES) < lengths[:, None, None])
    leads = torch.rand((len(lengths), 12), generator=generator) > 0.4
    leads[:, 0] = True
    return ecg * leads[:, :, None], lengths, leads


@pytest.mark.parametrize(
    ("name", "settings"),
    [(name, {}) for name in CLASSIFIERS] + [("nejedly2021", {"first_kernel": 6}), ("nejedly2021", {"stride": 3})],
)
@torch.inference_mode()
def test_a_row_gives_alone_what_it_gives_among_others(name: str, settings: dict[str, Any]) -> None:
    model, (ecg, length, leads) = model_of(name, **settings), ecgs()
    together = model(ecg, length, leads)
    assert together.shape == (len(ecg), N_CLASSES)
    for row, n in enumerate(length.tolist()):
        alone = model(ecg[row : row + 1, :, :n], length[row : row + 1], leads[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=2e-5, rtol=1e-4)
    assert together.std(0).min() > 1e-4


@pytest.mark.parametrize("name", CLASSIFIERS)
@torch.inference_mode()
def test_padding_is_seen_only_as_published(name: str) -> None:
    batch = ecgs()
    assert not torch.allclose(model_of(name)(*batch)[1:], model_of(name, compat="published")(*batch)[1:], atol=1e-3)


@pytest.mark.parametrize("name", CLASSIFIERS)
@torch.inference_mode()
def test_leads_outside_the_question_are_not_seen(name: str) -> None:
    model, (ecg, length, leads) = model_of(name), ecgs()
    noise = torch.randn_like(ecg) * ~leads[:, :, None]
    noise = noise * (torch.arange(N_SAMPLES) < length[:, None, None])
    assert torch.equal(model(ecg, length, leads), model(ecg + noise, length, leads))
    everything = torch.ones_like(leads)
    assert not torch.allclose(model(ecg, length, leads), model(ecg + noise, length, everything), atol=1e-2)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_parameter_learns(name: str) -> None:
    model = model_of(name).train()
    for lengths in (LENGTHS, torch.full((4,), N_SAMPLES)):
        model.zero_grad()
        model(*ecgs(lengths)).square().sum().backward()
        assert not [key for key, parameter in model.named_parameters() if parameter.grad is None]
        assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in model.parameters())
        still = [key for key, parameter in model.named_parameters() if not bool(parameter.grad.any())]
        assert not [key for key in still if "k_proj.bias" not in key], still


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_model_is_rebuilt_from_its_description(name: str) -> None:
    model = model_of(name)
    again = build_model(name, describe(model.config), n_classes=N_CLASSES)
    again.load_state_dict(model.state_dict())
    assert torch.equal(model(*ecgs()), again.eval()(*ecgs()))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_defaults_have_the_published_size(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name, entry(name).config(), n_classes=83)
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED_PARAMETERS[name]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_impossible_settings_are_told(name: str) -> None:
    with pytest.raises(EcgqaError, match="compat"):
        make_config(name, {"compat": "some"})


def test_a_lead_is_present_if_any_of_its_samples_is_not_zero() -> None:
    """A signal of 1 microvolt resolution crosses zero: the published indicator then reads every lead as absent."""
    ecg, length, leads = ecgs(torch.full((4,), N_SAMPLES))
    ecg[:, :, 17] = 0.0
    assert torch.equal(model_of("nejedly2021").indicator(ecg), leads.float())
    assert not model_of("nejedly2021", compat="published").indicator(ecg).any()
    told, untold = model_of("nejedly2021"), model_of("nejedly2021", indicate_leads=False)
    assert told.pool(ecg, length, leads)[:, -12:].equal(leads.float())
    assert untold.pool(ecg, length, leads).shape[1] == 8


@pytest.mark.parametrize(
    ("name", "settings"),
    [("ecg_transformer_classifier", {"final_dropout": 0.5}), ("nejedly2021", {"dropout": 0.5, "attention": False})],
)
def test_means_keep_their_scale_under_dropout(name: str, settings: dict[str, Any]) -> None:
    """Dividing by the count of non-zero entries, as published, doubles what dropout of a half left over."""
    batch = ecgs(torch.full((4,), N_SAMPLES))

    def scale(compat: str) -> float:
        model = model_of(name, compat=compat, **settings)
        at_rest = model.pool(*batch)[:, : -12 if name == "nejedly2021" else None]
        model.dropout.train()
        drawn = torch.stack([model.pool(*batch)[:, : at_rest.shape[1]] for _ in range(60)]).mean(0)
        return float((drawn * at_rest).sum() / at_rest.square().sum())

    with torch.inference_mode():
        assert scale("off") == pytest.approx(1.0, abs=0.1)
        assert scale("published") == pytest.approx(2.0, abs=0.2)


def test_statistics_of_batch_norm_leave_padding_out() -> None:
    norm, plain = torch.nn.BatchNorm1d(3).train(), torch.nn.BatchNorm1d(3).train()
    x, n = torch.randn(2, 3, 9), torch.tensor([9, 4])
    together = batch_norm(norm, x, n)
    alone = plain(torch.cat([x[0], x[1, :, :4]], 1).T).T
    torch.testing.assert_close(together[0], alone[:, :9])
    torch.testing.assert_close(together[1, :, :4], alone[:, 9:])
    torch.testing.assert_close(norm.running_var, plain.running_var)
    assert not together[1, :, 4:].any()


def test_means_of_neighbours_end_with_the_signal() -> None:
    x = torch.tensor([[[1.0, 3.0, 5.0, 9.0, 9.0]], [[1.0, 3.0, 5.0, 7.0, 9.0]]])
    assert mean_pool(x, torch.tensor([3, 5]), 2).tolist() == [[[2.0, 5.0, 0.0]], [[2.0, 6.0, 9.0]]]


def test_the_encoder_of_the_classifier_is_the_pretrained_one() -> None:
    classifier, encoder = model_of("ecg_transformer_classifier"), EcgEncoder(EcgEncoderConfig(**ENCODER))  # type: ignore[arg-type]
    assert encoder.state_dict().keys() == {key for key in classifier.state_dict() if not key.startswith("proj.")}
