"""The deaf baseline ("deaf_transformer"): one or two ECGs, without the question, to a logit per answer class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from ecgqa.models.ecg_encoder import EcgEncoderConfig, EcgFrontEnd
from ecgqa.models.layers import ConvolutionalPositions, build_transformer, masked_mean, nonzero_mean, positions_below
from ecgqa.models.registry import register_model

if TYPE_CHECKING:
    from ecgqa.store.batch import Batch

Frames = tuple[Tensor, Tensor]
"""What the front end makes of ECGs: x (n, frames, width) and int64 (n,) how many frames of each are valid."""


@dataclass
class DeafTransformerConfig(EcgEncoderConfig):
    """Size of the deaf transformer; the defaults are the published ones.

    Args:
        dropout: dropout inside the transformer.
        attention_dropout: dropout on attention weights.
        activation_dropout: dropout inside the feed-forward blocks.
        compat: "off" repairs the defects of the published model; "published" keeps them: the first normalisation and
            the positional convolution see zero padding, the second ECG's mean holds the separator, both means hold
            padded positions, and a padded first ECG lends most of its frames to the second.
    """

    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.1
    compat: Literal["off", "published"] = "off"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.compat not in ("off", "published"):
            raise ValueError(f"compat is off or published, not {self.compat!r}")


@register_model("deaf_transformer", DeafTransformerConfig)
class DeafTransformer(nn.Module):
    """ECG frames | separator | frames of the second ECG through one transformer; their two means to the answers.

    What it gets right is what the ECG alone gives away. Source: the deaf transformer of ECG-QA (Oh et al. 2023), from
    fairseq-signals.
    """

    def __init__(self, config: DeafTransformerConfig, *, n_answers: int) -> None:
        super().__init__()
        self.config, self.repaired = config, config.compat == "off"
        self.front_end = EcgFrontEnd(config, ignore_padding=self.repaired)
        self.positions = ConvolutionalPositions(config.width, config.positions_kernel, config.positions_groups)
        self.separator = nn.Parameter(torch.empty(config.width).uniform_())
        self.encoder = build_transformer(config)
        self.proj = nn.Linear(2 * config.width, n_answers)
        nn.init.xavier_uniform_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, n_answers) of a Batch with 1 or 2 ECGs per question, in mV; the text is never looked at."""
        frames, n_frames = self.embed(batch.ecgs, batch.ecgs_length)  # once for all questions about an ECG
        out: Tensor = self.proj(self.pool([(frames[which], n_frames[which]) for which in batch.ecg_of.unbind(1)]))
        return out

    def embed(self, ecg: Tensor, length: Tensor) -> Frames:
        """Frames with positions (n, frames, width) of ecg (n, 12, T) in mV, and how many of each are valid (n,).

        length (n,): valid samples of each, 0 for an absent ECG.
        """
        padded = bool((length < ecg.shape[-1]).any())
        x, n_frames = self.front_end(ecg, length if padded else None), self.front_end.n_frames(length)
        if padded and self.repaired:
            x = x.masked_fill(~positions_below(n_frames, x.shape[1])[:, :, None], 0.0)
        return x + self.positions(x), n_frames

    def pool(self, ecgs: list[Frames]) -> Tensor:
        """Means (B, 2 * width) over the frames of the first ECG and of the second (zeros where there is none)."""
        x, valid, width = self._side_by_side(ecgs)
        out = self.encoder(x, None if bool(valid.all()) else valid)
        means = self._means if self.repaired else self._published_means
        # Without a second ECG the separator has no part in the result, but still a gradient: DDP waits for it.
        return means(out, valid, width) + 0.0 * self.separator.sum()

    def _side_by_side(self, ecgs: list[Frames]) -> tuple[Tensor, Tensor, int]:
        """Frames | separator | frames of the second ECG, which of them are valid, and the width of the first part."""
        frames, n_frames = ecgs[0]
        valid = positions_below(n_frames, frames.shape[1])
        if len(ecgs) == 1:
            return frames, valid, frames.shape[1]
        more, n_more = ecgs[1]
        separator = self.separator.to(frames.dtype).expand(len(frames), 1, -1)
        x = torch.cat([frames, separator, more], 1)
        return x, torch.cat([valid, (n_more > 0)[:, None], positions_below(n_more, more.shape[1])], 1), frames.shape[1]

    def _means(self, out: Tensor, valid: Tensor, width: int) -> Tensor:
        first, second = slice(width), slice(width + 1, None)
        return torch.cat([masked_mean(out[:, part], valid[:, part]) for part in (first, second)], 1)

    def _published_means(self, out: Tensor, valid: Tensor, width: int) -> Tensor:
        n_first = valid[:, :width].sum(1)
        cut = width
        if bool((n_first < width).any()):  # the published code takes the frames for samples, and shortens them again
            cut = int(self.front_end.n_frames(n_first * self.front_end.decimate).max())
        first = nonzero_mean(out[:, :cut])
        second = torch.zeros_like(first) if out.shape[1] == width else nonzero_mean(out[:, cut:], epsilon=1e-8)
        return torch.cat([first, second], 1)
