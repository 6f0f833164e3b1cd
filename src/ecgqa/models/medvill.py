"""MedViLL's pretraining (Moon et al. 2022, on ECGs): hidden words, and whether ECG and text belong together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ecgqa.models.ecg_encoder import EcgEncoderConfig
from ecgqa.models.fusion_transformer import FusionBody
from ecgqa.models.layers import masked_mean, positions_below
from ecgqa.models.registry import Task, register_model


@dataclass
class MedvillConfig(EcgEncoderConfig):
    """Size of the transformer over ECG and text; the defaults are those of the published model.

    Args:
        input_dropout: dropout on what enters the transformer.
        max_text_tokens: longest text in word pieces; longer ones are cut.
        compat: which defects of the published model are kept. "off": none. "published": a word that takes the place of
            a hidden one enters without the normalisation that all other words pass, and padding of an ECG is seen by
            the first normalisation and by the positional convolution.
    """

    input_dropout: float = 0.1
    max_text_tokens: int = 512
    compat: Literal["off", "published"] = "off"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.compat not in ("off", "published"):
            raise ValueError(f"compat is 'off' or 'published', not {self.compat!r}")


class Hiding(IntEnum):
    """What happened to a word: all but the first are to be predicted."""

    SHOWN = 0
    MASKED = 1
    REPLACED = 2
    KEPT = 3


class MedvillOutput(NamedTuple):
    """word_logits (n, V) of the n words to be predicted, row after row; match_logits (B,): do both belong together."""

    word_logits: Tensor
    match_logits: Tensor


@register_model("medvill_pretraining", MedvillConfig, Task.PRETRAINING)
class MedvillPretraining(FusionBody):
    """ECG frames | words through one transformer; words look at the ECG and at words before them.

    `ecg_transformer` takes over all its parts but the mask vector and the two heads.
    """

    def __init__(self, config: MedvillConfig, *, vocab_size: int) -> None:
        super().__init__(
            config,
            max_text_tokens=config.max_text_tokens,
            vocab_size=vocab_size,
            ignore_padding=config.compat == "off",
        )
        self.config = config
        self.mask_embedding = nn.Parameter(torch.empty(config.width))
        self.word_head = nn.Linear(config.width, vocab_size)
        self.match_head = nn.Linear(2 * config.width, 1)
        self.init_embeddings()
        nn.init.uniform_(self.mask_embedding)
        for head in (self.word_head, self.match_head):
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)

    def forward(
        self, ecg: Tensor, ecg_length: Tensor, text: Tensor, text_length: Tensor, hiding: Tensor, replacement: Tensor
    ) -> MedvillOutput:
        """ecg (B, 12, T) in mV and text (B, L); hiding (B, L) says what to do with each word (`Hiding`).

        replacement (B, L): token ids, read where a word is REPLACED.
        """
        pooled, out = self.read(ecg, ecg_length, text, text_length, hiding, replacement)
        return MedvillOutput(self.word_head(out[hiding != Hiding.SHOWN]), self.match_head(pooled)[:, 0])

    def read(
        self, ecg: Tensor, ecg_length: Tensor, text: Tensor, text_length: Tensor, hiding: Tensor, replacement: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Means over frames and words (B, 2 width), and the transformer's output at the words (B, L, width)."""
        frames, n_frames = self.frames(ecg, ecg_length)
        frames_valid = positions_below(n_frames, frames.shape[1])
        words_valid = positions_below(text_length, text.shape[1])
        words = self.place_words(self.hide(text, hiding, replacement))
        valid = torch.cat([frames_valid, words_valid], 1)
        x = torch.cat([self.place_frames(frames, frames_valid), words], 1)
        out = self.encoder(x, valid, words_look_back(valid, frames.shape[1]))
        of_ecg, of_text = out[:, : frames.shape[1]], out[:, frames.shape[1] :]
        return torch.cat([masked_mean(of_ecg, frames_valid), masked_mean(of_text, words_valid)], 1), of_text

    def hide(self, text: Tensor, hiding: Tensor, replacement: Tensor) -> Tensor:
        """Vectors of the words (B, L, width), some of them hidden or replaced."""
        replaced = (hiding == Hiding.REPLACED)[:, :, None]
        if self.config.compat == "off":
            words = self.embed_words(torch.where(replaced[:, :, 0], replacement, text))
        else:
            words = torch.where(replaced, self.word_embedding(replacement.clamp_min(0)), self.embed_words(text))
        return torch.where((hiding == Hiding.MASKED)[:, :, None], self.mask_embedding.to(words.dtype), words)


def words_look_back(valid: Tensor, n_frames: int) -> Tensor:
    """Bool (B, L, L) for frames | words: everything valid may be looked at, but no word looks at a later word.

    MedViLL's bidirectional-autoregressive mask.
    """
    length = valid.shape[1]
    allowed = torch.ones((length, length), dtype=torch.bool, device=valid.device)
    allowed[n_frames:, n_frames:] = allowed[n_frames:, n_frames:].tril()
    return allowed & valid[:, None, :]
