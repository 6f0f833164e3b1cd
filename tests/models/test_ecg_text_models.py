"""M3AE and MedViLL in pretraining: sizes as published, rows that do not depend on their batch, defects repaired."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ecgqa.errors import EcgqaError
from ecgqa.models import build_model, make_config
from ecgqa.models.m3ae_pretraining import M3aePretraining
from ecgqa.models.medvill import Hiding, MedvillPretraining, words_look_back

SMALL: dict[str, Any] = {
    "n_layers": 2,
    "width": 16,
    "feedforward": 32,
    "n_heads": 2,
    "conv_layers": [(8, 5, 3), (8, 3, 2)],
    "positions_kernel": 4,
    "positions_groups": 2,
    "max_text_tokens": 20,
}
M3AE: dict[str, Any] = SMALL | {
    "text_layers": 1,
    "text_width": 12,
    "text_feedforward": 24,
    "text_heads": 2,
    "fusion_layers": 2,
    "fusion_width": 16,
    "fusion_heads": 2,
    "reconstruct_before": 1,
    "decoder_width": 8,
    "decoder_layers": 2,
    "decoder_heads": 2,
}
VOCABULARY, N_SAMPLES = 30, 240
LENGTH, TEXT_LENGTH = torch.tensor([240, 131, 200]), torch.tensor([5, 9, 7])


def model_of(name: str, settings: dict[str, Any], **more: Any) -> Any:
    torch.manual_seed(0)
    model = build_model(name, {**settings, **more}, vocab_size=VOCABULARY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def inputs(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ecg = torch.randn((3, 12, N_SAMPLES), generator=generator) * (torch.arange(N_SAMPLES) < LENGTH[:, None, None])
    text = torch.randint(5, VOCABULARY, (3, 9), generator=generator) * (torch.arange(9) < TEXT_LENGTH[:, None])
    return ecg, text


def alone(row: int, *tensors: Tensor, width: int) -> list[Tensor]:
    return [tensor[row : row + 1, :width] for tensor in tensors]


@pytest.mark.parametrize(
    ("name", "sizes", "published"),
    [
        ("m3ae_pretraining", {}, 346_585_724),
        ("m3ae_qa", {"n_answers": 103}, 317_573_863),
        ("medvill_pretraining", {}, 137_684_155),
    ],
)
def test_the_published_sizes(name: str, sizes: dict[str, int], published: int) -> None:
    with torch.device("meta"):
        model = build_model(name, {}, vocab_size=30_522, **sizes)
    assert sum(parameter.numel() for parameter in model.parameters()) == published


@torch.inference_mode()
def test_m3ae_rows_are_independent_of_their_batch_and_ecgs_may_be_padded() -> None:
    """The original refuses padded ECGs here."""
    model: M3aePretraining = model_of("m3ae_pretraining", M3AE)
    ecg, text = inputs()
    width = int(model.ecg_encoder.front_end.n_frames(torch.tensor(N_SAMPLES)))
    noise = torch.rand((3, width), generator=torch.Generator().manual_seed(1))
    together = model(ecg, LENGTH, text, TEXT_LENGTH, noise)
    targets = model.frame_targets(ecg, LENGTH)
    for row in range(3):
        n, n_tokens = int(LENGTH[row]), int(TEXT_LENGTH[row])
        n_frames = int(model.ecg_encoder.front_end.n_frames(LENGTH[row]))
        single = model(
            ecg[row : row + 1, :, :n],
            LENGTH[row : row + 1],
            *alone(row, text, width=n_tokens),
            TEXT_LENGTH[row : row + 1],
            *alone(row, noise, width=n_frames),
        )
        kept = round(0.25 * n_frames - 0.5)
        assert int(together.removed[row].sum()) == n_frames - kept and not together.removed[row, n_frames:].any()
        assert torch.equal(single.removed[0], together.removed[row, :n_frames])
        close = {"atol": 2e-5, "rtol": 1e-4}
        torch.testing.assert_close(single.word_logits[0], together.word_logits[row, :n_tokens], **close)
        torch.testing.assert_close(single.frame_values[0], together.frame_values[row, :n_frames], **close)
        torch.testing.assert_close(single.match_logits[0], together.match_logits[row], **close)
        own = model.frame_targets(ecg[row : row + 1, :, :n], LENGTH[row : row + 1])[0]
        torch.testing.assert_close(own, targets[row, :n_frames], **close)
        assert not targets[row, n_frames:].any()


@torch.inference_mode()
def test_m3ae_sees_nothing_of_removed_frames() -> None:
    """Changing samples far from any kept frame's convolutions changes only what they should be."""
    model: M3aePretraining = model_of("m3ae_pretraining", M3AE, conv_norm="none", positions_kernel=1)
    ecg, text = inputs()
    length = torch.full((3,), N_SAMPLES)
    width = int(model.ecg_encoder.front_end.n_frames(torch.tensor(N_SAMPLES)))
    noise = torch.linspace(0, 1, width).expand(3, -1)  # the first frames remain
    before = model(ecg, length, text, TEXT_LENGTH, noise)
    changed = ecg.clone()
    changed[:, :, N_SAMPLES // 2 :] += 1.0
    after = model(changed, length, text, TEXT_LENGTH, noise)
    assert torch.equal(before.frame_values, after.frame_values) and torch.equal(before.match_logits, after.match_logits)
    assert not torch.allclose(model.frame_targets(ecg, length), model.frame_targets(changed, length))


@torch.inference_mode()
def test_medvill_rows_are_independent_of_their_batch() -> None:
    model: MedvillPretraining = model_of("medvill_pretraining", SMALL)
    ecg, text = inputs()
    hiding = torch.tensor([[0, 1, 2, 3, 0, 0, 0, 0, 0], [0, 2, 0, 1, 0, 3, 0, 1, 0], [0, 0, 3, 1, 2, 0, 0, 0, 0]])
    replacement = torch.randint(VOCABULARY, text.shape, generator=torch.Generator().manual_seed(3))
    together = model(ecg, LENGTH, text, TEXT_LENGTH, hiding, replacement)
    starts = (hiding != Hiding.SHOWN).sum(1).cumsum(0).tolist()
    for row, (begin, end) in enumerate(zip([0, *starts], starts, strict=False)):
        n, n_tokens = int(LENGTH[row]), int(TEXT_LENGTH[row])
        words, hidden, others = alone(row, text, hiding, replacement, width=n_tokens)
        length, text_length = LENGTH[row : row + 1], TEXT_LENGTH[row : row + 1]
        single = model(ecg[row : row + 1, :, :n], length, words, text_length, hidden, others)
        torch.testing.assert_close(single.word_logits, together.word_logits[begin:end], atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(single.match_logits[0], together.match_logits[row], atol=2e-5, rtol=1e-4)


@torch.inference_mode()
def test_a_word_in_place_of_another_is_normalised_as_all_words_are() -> None:
    _, text = inputs()
    hiding = torch.zeros_like(text)
    hiding[:, 1:3] = Hiding.REPLACED
    replacement = (text + 1) % VOCABULARY
    exchanged = torch.where(hiding == Hiding.REPLACED, replacement, text)
    for compat, as_written in (("off", True), ("published", False)):
        model: MedvillPretraining = model_of("medvill_pretraining", SMALL, compat=compat)
        words = model.hide(text, hiding, replacement)
        assert torch.allclose(words, model.embed_words(exchanged)) == as_written
        assert torch.equal(words[:, 3:], model.embed_words(text)[:, 3:])
        masked = model.hide(text, torch.full_like(text, Hiding.MASKED), replacement)
        assert torch.equal(masked, model.mask_embedding.expand_as(masked))


def test_words_look_back_and_at_the_whole_ecg() -> None:
    valid = torch.tensor([[True, True, False, True, True, False]])  # three frames, three words
    assert words_look_back(valid, 3)[0].int().tolist() == [
        [1, 1, 0, 1, 1, 0],
        [1, 1, 0, 1, 1, 0],
        [1, 1, 0, 1, 1, 0],
        [1, 1, 0, 1, 0, 0],
        [1, 1, 0, 1, 1, 0],
        [1, 1, 0, 1, 1, 0],
    ]


@pytest.mark.parametrize(
    "settings", [{"removed": 1.0}, {"reconstruct_before": 6}, {"conv_layers": [(8, 2, 3)]}, {"decoder_width": 100}]
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(EcgqaError, match="m3ae_pretraining cannot be built so"):
        make_config("m3ae_pretraining", settings)


def test_ecgs_longer_than_the_decoder_takes_are_refused() -> None:
    model = model_of("m3ae_pretraining", M3AE, decoder_positions=10)
    ecg, text = inputs()
    with pytest.raises(ValueError, match="decoder takes 9"):
        model(ecg, LENGTH, text, TEXT_LENGTH, torch.rand(3, 80))
