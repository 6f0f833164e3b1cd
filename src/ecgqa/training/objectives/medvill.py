"""MedViLL's pretraining as an objective: hidden words, and whether report and ECG belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ecgqa.models.medvill import Hiding, MedvillOutput
from ecgqa.store.report_batches import ReportBatch
from ecgqa.training.hidden_words import choose, draw, one_token_words
from ecgqa.training.objectives.ecg_text import EcgTextConfig, EcgTextPretraining


@dataclass
class MedvillObjectiveConfig(EcgTextConfig):
    """Cross-entropy of hidden words and of matching; the defaults are the published settings.

    Args:
        min_tokens: shortest report in tokens, [CLS] and [SEP] included; ECGs with shorter ones are left out.
        whole_words: hide all tokens of a word together; otherwise each by itself, as published.
        match_weight: weight of telling whether ECG and report belong together.
    """

    min_tokens: int = 11
    whole_words: bool = False
    match_weight: float = 1.0


class MedvillObjective(EcgTextPretraining):
    """Source: Moon et al. 2022 (MedViLL), on ECGs as in Oh et al. 2023."""

    config = MedvillObjectiveConfig

    def terms(self, model: nn.Module, batch: ReportBatch, generator: torch.Generator) -> dict[str, Tensor]:
        ecg = self.changed(batch, generator) if model.training else batch.ecg
        word = batch.word if self.settings.whole_words else one_token_words(batch.word)
        chosen = choose(word, self.settings.hidden_words, generator)
        hiding, replacement = draw(chosen, self.tokenizer.vocab_size, generator)
        out: MedvillOutput = model(ecg, batch.length, batch.text, batch.text_length, hiding, replacement)
        losses = medvill_losses(out, batch.text[hiding != Hiding.SHOWN], batch.belongs)
        n_words = chosen.sum()
        return {
            "loss": losses.words + self.settings.match_weight * losses.match,
            "terms": n_words,
            "words": losses.words.detach(),
            "match": losses.match.detach(),
            "words_found": losses.words_found,
            "matches_found": losses.matches_found,
            "n": torch.tensor(len(batch), device=ecg.device),
        }

    def values(self, summed: dict[str, float]) -> dict[str, float]:
        n = max(summed["terms"], 1.0)
        return {
            "loss": summed["loss"] / n,
            "word_loss": summed["words"] / n,
            "match_loss": summed["match"] / n,
            "word_accuracy": summed["words_found"] / n,
            "match_accuracy": summed["matches_found"] / summed["n"],
            self.monitor: -summed["loss"] / n,
        }


class MedvillLosses(NamedTuple):
    """Summed cross-entropy of hidden words, mean of matching times the number of these words, and hits. All scalars."""

    words: Tensor
    match: Tensor
    words_found: Tensor
    matches_found: Tensor


def medvill_losses(out: MedvillOutput, wanted: Tensor, belongs: Tensor) -> MedvillLosses:
    """wanted (n,): the hidden tokens, row after row; belongs (B,)."""
    logits, match = out.word_logits.float(), out.match_logits.float()
    return MedvillLosses(
        words=F.cross_entropy(logits, wanted, reduction="sum"),
        match=F.binary_cross_entropy_with_logits(match, belongs.to(match.dtype)) * len(wanted),
        words_found=(logits.argmax(-1) == wanted).sum(),
        matches_found=((torch.sigmoid(match) > 0.5) == (belongs > 0.5)).sum(),
    )
