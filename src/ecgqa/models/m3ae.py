"""M3AE's body (Chen et al. 2022, on ECGs): a tower for the text, one for the ECGs, and layers in which they meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ecgqa.models.bert import BertEncoder, CoAttentionLayer, bert_init
from ecgqa.models.ecg_encoder import EcgEncoder, EcgEncoderConfig
from ecgqa.models.layers import positions_below


@dataclass
class M3aeConfig(EcgEncoderConfig):
    """Sizes of the two towers and of the layers above them; the defaults are those of the published base model.

    Args:
        input_dropout: dropout on what enters the ECG transformer.
        text_layers: layers of the text tower.
        text_width: width of the text tower.
        text_feedforward: width inside its feed-forward blocks.
        text_heads: its attention heads.
        text_dropout: dropout inside the text tower.
        max_text_tokens: longest text in word pieces; longer ones are cut.
        fusion_layers: layers of each stream in which it looks at the other.
        fusion_width: their width.
        fusion_heads: their attention heads.
        fusion_dropout: dropout inside them.
        compat: which defects of the published model are kept. "off": none. "published": padding of an ECG is seen by
            the first normalisation and by the positional convolution, and of two ECGs it cannot be told which is the
            first.
    """

    text_layers: int = 12
    text_width: int = 768
    text_feedforward: int = 3072
    text_heads: int = 12
    text_dropout: float = 0.1
    max_text_tokens: int = 512
    fusion_layers: int = 6
    fusion_width: int = 768
    fusion_heads: int = 12
    fusion_dropout: float = 0.1
    compat: Literal["off", "published"] = "off"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.compat not in ("off", "published"):
            raise ValueError(f"compat is 'off' or 'published', not {self.compat!r}")
        for part in ("text", "fusion"):
            if getattr(self, f"{part}_width") % getattr(self, f"{part}_heads"):
                raise ValueError(f"{part}_width is no multiple of {part}_heads")


class Stream(NamedTuple):
    """One modality: x (B, L, width) and bool (B, L) which positions are valid."""

    x: Tensor
    valid: Tensor

    def rows(self, which: Tensor) -> Stream:
        """The rows of these numbers."""
        return Stream(self.x[which], self.valid[which])


class Fused(NamedTuple):
    """Both streams after the last layer, the ECG stream before the layer asked for, and the pooled (B, 2 width)."""

    text: Tensor
    ecg: Tensor
    ecg_between: Tensor
    pooled: Tensor


class M3aeBody(nn.Module):
    """What pretraining and question answering have in common; both inherit it, so that the parts have equal names."""

    def __init__(self, config: M3aeConfig, vocab_size: int) -> None:
        super().__init__()
        width = config.fusion_width
        self.config = config
        self.repaired = config.compat == "off"
        self.class_embedding = nn.Parameter(torch.empty(config.width))
        self.ecg_encoder = EcgEncoder(config, ignore_padding=self.repaired)
        self.text_encoder = BertEncoder(
            vocab_size,
            max_tokens=config.max_text_tokens,
            width=config.text_width,
            feedforward=config.text_feedforward,
            n_layers=config.text_layers,
            n_heads=config.text_heads,
            dropout=config.text_dropout,
        )
        self.text_projection = nn.Linear(config.text_width, width)
        self.ecg_projection = nn.Linear(config.width, width)
        self.modality = nn.Embedding(2, width)
        self.text_layers, self.ecg_layers = (
            nn.ModuleList(
                CoAttentionLayer(width, 4 * width, config.fusion_heads, config.fusion_dropout)
                for _ in range(config.fusion_layers)
            )
            for _ in range(2)
        )
        self.text_pooler, self.ecg_pooler = (nn.Linear(width, width) for _ in range(2))
        nn.init.normal_(self.class_embedding, std=0.02)
        for name, part in self.named_children():
            if name not in ("ecg_encoder", "text_encoder"):
                part.apply(bert_init)

    def embed(self, ecg: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """ecg (B, 12, T) in mV, length (B,) samples -> frames (B, L, width) with positions, valid (B,) of them."""
        tower = self.ecg_encoder
        padded = bool((length < ecg.shape[-1]).any())
        x = tower.front_end(ecg, length if padded else None)
        n_frames = tower.front_end.n_frames(length)
        if padded and self.repaired:
            x = x.masked_fill(~positions_below(n_frames, x.shape[1])[:, :, None], 0.0)
        return x + tower.positions(x), n_frames

    def with_class(self, x: Tensor, valid: Tensor) -> Stream:
        """The class vector, which is always valid, in front of x (B, L, width)."""
        head = self.class_embedding.to(x.dtype).expand(len(x), 1, -1)
        return Stream(torch.cat([head, x], 1), torch.cat([torch.ones_like(valid[:, :1]), valid], 1))

    def encode_ecg(self, stream: Stream) -> Stream:
        """The ECG tower over embedded frames, in the width of the layers above."""
        return Stream(self.ecg_projection(self.ecg_encoder.encoder(stream.x, stream.valid)), stream.valid)

    def encode_text(self, text: Tensor, text_length: Tensor) -> Stream:
        """The text tower over token ids (B, L), in the width of the layers above."""
        x, valid = self.text_encoder(text, text_length)
        return Stream(self.text_projection(x), valid)

    def fuse(self, text: Stream, ecg: Stream, before: int = 0) -> Fused:
        """Both streams through the layers in which each looks at what the other was before the layer.

        before: number of the layer whose input of the ECG stream is returned as well.
        """
        x, y = text.x + self.modality.weight[0], ecg.x + self.modality.weight[1]
        between = y
        for number, (text_layer, ecg_layer) in enumerate(zip(self.text_layers, self.ecg_layers, strict=True)):
            if number == before:
                between = y
            x, y = text_layer(x, text.valid, y, ecg.valid), ecg_layer(y, ecg.valid, x, text.valid)
        pooled = torch.cat([torch.tanh(self.text_pooler(x[:, 0])), torch.tanh(self.ecg_pooler(y[:, 0]))], -1)
        return Fused(x, y, between, pooled)
