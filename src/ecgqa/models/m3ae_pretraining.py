"""Pretraining of M3AE: hidden words, removed frames and whether ECG and text belong together, from one look at both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ecgqa.models.bert import WordHead, bert_init
from ecgqa.models.frame_decoder import FrameDecoder
from ecgqa.models.layers import decimated, positions_below
from ecgqa.models.m3ae import M3aeBody, M3aeConfig
from ecgqa.models.registry import Task, register_model
from ecgqa.records import LEADS


@dataclass
class M3aePretrainingConfig(M3aeConfig):
    """Sizes of M3AE with its three heads; the defaults are those of the published model.

    Args:
        removed: share of an ECG's frames that is removed and to be reconstructed.
        reconstruct_before: number of the fusion layer (from 0) before which the ECG stream is reconstructed from.
        decoder_width: width of the decoder that reconstructs.
        decoder_layers: its layers.
        decoder_heads: its attention heads.
        decoder_positions: most frames of an ECG that it can place, and one.
    """

    removed: float = 0.75
    reconstruct_before: int = 3
    decoder_width: int = 384
    decoder_layers: int = 4
    decoder_heads: int = 6
    decoder_positions: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.removed < 1:
            raise ValueError("removed lies between 0 and 1")
        if not 0 <= self.reconstruct_before < self.fusion_layers:
            raise ValueError(f"reconstruct_before is 0 to {self.fusion_layers - 1}")
        if any(kernel < stride for _, kernel, stride in self.conv_layers):
            raise ValueError("a frame is reconstructed only if no convolution's stride is larger than its kernel")
        if self.decoder_width % self.decoder_heads:
            raise ValueError("decoder_width is no multiple of decoder_heads")


class Kept(NamedTuple):
    """Which frames remain of an ECG.

    order int64 (B, most kept): numbers of the kept frames, in the order of the sequence. n_kept int64 (B,) how many of
    them are valid. place int64 (B, frames): where each frame stands, kept ones first. removed bool (B, frames).
    """

    order: Tensor
    n_kept: Tensor
    place: Tensor
    removed: Tensor


class M3aeOutput(NamedTuple):
    """word_logits (B, L, V), frame_values (B, frames, values), removed bool (B, frames), match_logits (B, 2)."""

    word_logits: Tensor
    frame_values: Tensor
    removed: Tensor
    match_logits: Tensor


@register_model("m3ae_pretraining", M3aePretrainingConfig, Task.PRETRAINING)
class M3aePretraining(M3aeBody):
    """M3AE with its heads for hidden words, removed frames and matching."""

    def __init__(self, config: M3aePretrainingConfig, *, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        self.samples_per_frame = math.prod(stride for _, _, stride in config.conv_layers)
        self.decoder = FrameDecoder(
            config.fusion_width,
            config.decoder_width,
            config.decoder_layers,
            config.decoder_heads,
            len(LEADS) * self.samples_per_frame,
            config.decoder_positions,
        )
        self.word_head = WordHead(config.fusion_width, vocab_size)
        self.match_head = nn.Linear(2 * config.fusion_width, 2)
        self.match_head.apply(bert_init)

    def n_frames(self, n_samples: int) -> int:
        """Frames of an ECG of so many samples."""
        return int(self.ecg_encoder.front_end.n_frames(torch.tensor(n_samples)))

    def forward(self, ecg: Tensor, ecg_length: Tensor, text: Tensor, text_length: Tensor, noise: Tensor) -> M3aeOutput:
        """What the heads say of ECGs (B, 12, T) in mV and texts (B, L) some of whose words are hidden already.

        noise (B, >= frames): of each ECG the frames with the smallest noise remain.
        """
        frames, n_frames = self.embed(ecg, ecg_length)
        kept = self.keep(noise[:, : frames.shape[1]], n_frames)
        x = frames.gather(1, kept.order[:, :, None].expand(-1, -1, frames.shape[-1]))
        stream = self.encode_ecg(self.with_class(x, positions_below(kept.n_kept, x.shape[1])))
        before = self.config.reconstruct_before  # type: ignore[attr-defined]
        fused = self.fuse(self.encode_text(text, text_length), stream, before)
        return M3aeOutput(
            self.word_head(fused.text),
            self.decoder(fused.ecg_between, kept.place, kept.n_kept, n_frames),
            kept.removed,
            self.match_head(fused.pooled),
        )

    def keep(self, noise: Tensor, n_frames: Tensor) -> Kept:
        """Which frames remain: of each row's n_frames valid ones the share with the smallest noise (B, frames)."""
        valid = positions_below(n_frames, noise.shape[1])
        order = noise.masked_fill(~valid, math.inf).argsort(1)
        place = order.argsort(1)
        share = 1 - self.config.removed  # type: ignore[attr-defined]
        count = (n_frames * share).floor().long().clamp_min(1).minimum(n_frames)
        removed = valid & (place >= count[:, None])
        return Kept(order[:, : int(count.max())], count, place, removed)

    def frame_targets(self, ecg: Tensor, ecg_length: Tensor) -> Tensor:
        """What the frames are reconstructed to, (B, frames, 12 * samples per frame), lead after lead.

        Every lead of ecg (B, 12, T) is standardised over the frames of its record; padding is zero.
        """
        front = self.ecg_encoder.front_end
        n_frames = front.n_frames(ecg_length)
        width = self.n_frames(ecg.shape[-1])
        per_frame = self.samples_per_frame
        x = decimated(ecg, front.decimate)[..., : width * per_frame]
        valid = positions_below(n_frames * per_frame, x.shape[-1])[:, None].to(x.dtype)
        count = valid.sum(-1, keepdim=True).clamp_min(2)
        mean = (x * valid).sum(-1, keepdim=True) / count
        centred = (x - mean) * valid
        variance = centred.square().sum(-1, keepdim=True) / (count - 1)
        x = centred / (variance + 1e-6).sqrt()
        return x.reshape(*x.shape[:2], width, per_frame).transpose(1, 2).flatten(2)
