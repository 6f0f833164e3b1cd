"""Question answering by M3AE: one or two ECGs and a question in, a logit per answer class out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ecgqa.models.bert import bert_init
from ecgqa.models.layers import positions_below
from ecgqa.models.m3ae import M3aeBody, M3aeConfig, Stream
from ecgqa.models.registry import register_model

if TYPE_CHECKING:
    from ecgqa.store.batch import Batch


@register_model("m3ae_qa", M3aeConfig)
class M3aeQuestionAnswering(M3aeBody):
    """Class vector | first ECG | separator | second ECG in one tower, the question in the other, a head above both.

    Source: M3AE fine-tuned for ECG-QA (Oh et al. 2023), from fairseq-signals.
    """

    def __init__(self, config: M3aeConfig, *, n_answers: int, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        width = 2 * config.fusion_width
        self.separator = nn.Parameter(torch.empty(config.width))
        nn.init.normal_(self.separator, std=0.02)
        self.head = nn.Sequential(
            nn.Linear(width, width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, n_answers)
        ).apply(bert_init)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, n_answers) of a Batch: 1 or 2 ECGs per question, in mV, and text (B, L) padded with 0."""
        frames, n_frames = self.embed(batch.ecgs, batch.ecgs_length)  # once for all questions about an ECG
        asked, which = torch.unique(batch.ecg_of, dim=0, return_inverse=True)
        ecgs = [Stream(frames[one], positions_below(n_frames[one], frames.shape[1])) for one in asked.unbind(1)]
        ecg = self.encode_ecg(self.side_by_side(ecgs)).rows(which)
        out: Tensor = self.head(self.fuse(self.encode_text(batch.text, batch.text_length), ecg).pooled)
        return out

    def side_by_side(self, ecgs: list[Stream]) -> Stream:
        """Class vector | first ECG | separator | second ECG; the separator is valid where there is a second ECG.

        Nothing behind the positional convolution knows of places, so the separator alone would not tell which ECG comes
        first: repaired, it is added to every frame of the second.
        """
        first, *more = ecgs
        separator = self.separator.to(first.x.dtype).expand(len(first.x), 1, -1)
        has_second = torch.zeros_like(first.valid[:, :1])
        if more:
            has_second = more[0].valid.any(1, keepdim=True)
            if self.repaired:
                more = [Stream(more[0].x + separator, more[0].valid)]
        x = torch.cat([first.x, separator, *(one.x for one in more)], 1)
        return self.with_class(x, torch.cat([first.valid, has_second, *(one.valid for one in more)], 1))
