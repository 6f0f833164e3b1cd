"""M3AE's pretraining as an objective: hidden words, removed frames, and which report belongs to which ECG."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ecgqa.errors import EcgqaError
from ecgqa.models.m3ae_pretraining import M3aeOutput, M3aePretraining
from ecgqa.models.medvill import Hiding
from ecgqa.store.report_batches import ReportBatch
from ecgqa.training.distributed import unwrapped
from ecgqa.training.hidden_words import choose, draw
from ecgqa.training.objectives.ecg_text import EcgTextConfig, EcgTextPretraining

if TYPE_CHECKING:
    from ecgqa.training.recipe import Recipe

IGNORE = -100
"""Label of a token that is not to be predicted."""


@dataclass
class M3aeObjectiveConfig(EcgTextConfig):
    """Three losses with equal weights, as published; 0 leaves one out of the sum.

    Args:
        word_weight: weight of the cross-entropy of hidden words.
        frame_weight: weight of the squared error of removed frames.
        match_weight: weight of the cross-entropy of telling whether ECG and report belong together.
    """

    word_weight: float = 1.0
    frame_weight: float = 1.0
    match_weight: float = 1.0


class M3aeObjective(EcgTextPretraining):
    """Source: Chen et al. 2022 (M3AE), on ECGs as in Oh et al. 2023."""

    config = M3aeObjectiveConfig
    masks_in_text = True

    def __init__(self, recipe: Recipe, folder: Path | None = None) -> None:
        super().__init__(recipe, folder)
        if self.tokenizer.mask_id is None:
            raise EcgqaError("the tokenizer has no [MASK]", fix="let the run train its own, or name BERT's word pieces")

    def build_model(self) -> nn.Module:
        model = super().build_model()
        assert isinstance(model, M3aePretraining)
        n_frames, most = model.n_frames(self.store.n_samples), self.recipe.model.decoder_positions - 1
        if not 1 < n_frames <= most:
            raise EcgqaError(
                f"the ECGs of {self.store.folder} do not fit the model",
                expected=f"2 to {most} frames",
                found=f"{n_frames} frames of {self.store.n_samples} samples",
                fix=f"--model.decoder_positions {n_frames + 1}" if n_frames > most else "lower --model.decimate",
            )
        return model

    def terms(self, model: nn.Module, batch: ReportBatch, generator: torch.Generator) -> dict[str, Tensor]:
        ecg = self.changed(batch, generator) if model.training else batch.ecg
        hiding, replacement = draw(
            choose(batch.word, self.settings.hidden_words, generator), self.tokenizer.vocab_size, generator
        )
        text, labels = hide(batch.text, hiding, replacement, self.tokenizer.mask_id or 0)
        body = unwrapped(model)
        noise = torch.rand((len(batch), body.n_frames(ecg.shape[-1])), generator=generator, device=ecg.device)
        out: M3aeOutput = model(ecg, batch.length, text, batch.text_length, noise)
        with torch.autocast(ecg.device.type, enabled=False):
            losses = m3ae_losses(out, labels, body.frame_targets(ecg, batch.length), batch.belongs)
        s, n = self.settings, len(batch)
        total = s.word_weight * losses.words + s.frame_weight * losses.frames + s.match_weight * losses.match
        return {
            "loss": n * total,
            "terms": torch.tensor(float(n), device=ecg.device),
            "words": n * losses.words.detach(),
            "frames": n * losses.frames.detach(),
            "match": n * losses.match.detach(),
            "words_found": losses.words_found,
            "n_words": losses.n_words,
            "matches_found": losses.matches_found,
        }

    def values(self, summed: dict[str, float]) -> dict[str, float]:
        n = summed["terms"]
        words, matches = summed["words_found"] / max(summed["n_words"], 1.0), summed["matches_found"] / n
        return {
            "loss": summed["loss"] / n,
            "word_loss": summed["words"] / n,
            "frame_loss": summed["frames"] / n,
            "match_loss": summed["match"] / n,
            "word_accuracy": words,
            "match_accuracy": matches,
            self.monitor: -summed["loss"] / n,
        }


class M3aeLosses(NamedTuple):
    """Means over labelled tokens, removed frames and ECGs; and counts. All scalars."""

    words: Tensor
    frames: Tensor
    match: Tensor
    words_found: Tensor
    n_words: Tensor
    matches_found: Tensor


def m3ae_losses(out: M3aeOutput, labels: Tensor, frames: Tensor, belongs: Tensor) -> M3aeLosses:
    """labels (B, L) token ids or IGNORE, frames (B, frames, values) to be reconstructed, belongs (B,)."""
    labelled = labels != IGNORE
    logits, wanted = out.word_logits.float()[labelled], labels[labelled]
    error = (out.frame_values.float() - frames).square().mean(-1)
    match = out.match_logits.float()
    n_words = labelled.sum()
    return M3aeLosses(
        words=F.cross_entropy(logits, wanted, reduction="sum") / n_words.clamp_min(1),
        frames=(error * out.removed).sum() / out.removed.sum().clamp_min(1),
        match=F.cross_entropy(match, belongs.long()),
        words_found=(logits.argmax(-1) == wanted).sum(),
        n_words=n_words,
        matches_found=(match.argmax(-1) == belongs.long()).sum(),
    )


def hide(text: Tensor, hiding: Tensor, replacement: Tensor, mask_id: int) -> tuple[Tensor, Tensor]:
    """The text (B, L) as the model sees it, and its labels: the hidden tokens, IGNORE elsewhere."""
    shown = torch.where(hiding == Hiding.REPLACED, replacement, text).masked_fill(hiding == Hiding.MASKED, mask_id)
    return shown, torch.where(hiding == Hiding.SHOWN, IGNORE, text)
