"""The ECG transformer encoder: samples in millivolts to a sequence of frame vectors, without any text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ecgqa.models.layers import (
    ConvolutionalPositions,
    build_transformer,
    decimated,
    positions_below,
    scale_gradient,
)
from ecgqa.records import LEADS

ConvLayer = tuple[int, int, int]


@dataclass
class EcgEncoderConfig:
    """Size of the front end and of the transformer; the defaults are those of the published base model.

    Args:
        n_layers: transformer layers.
        width: width of the transformer.
        feedforward: width inside its feed-forward blocks.
        n_heads: attention heads.
        conv_layers: (channels, kernel, stride) of each convolution; their strides multiply to samples per frame.
        conv_norm: "instance" normalises each channel of the first block over time, as published (which hides
            absolute voltage); "none" leaves millivolts as they are.
        decimate: average this many consecutive samples before the first convolution (4: 500 Hz becomes 125 Hz).
        positions_kernel: width in frames of the positional convolution.
        positions_groups: groups of the positional convolution.
        dropout: dropout inside the transformer.
        attention_dropout: dropout on attention weights.
        activation_dropout: dropout inside the feed-forward blocks.
        input_dropout: dropout on what enters the transformer.
        front_end_gradient: factor on the gradient that reaches the convolutions.
        init_std: standard deviation of the initial weights of linear maps. The published 0.02 suits a width of 768;
            a narrow model learns sooner from 0.02 * sqrt(768 / width).
        projection: whether a linear map leads from the convolutions to the transformer. The original leaves it out
            where both are equally wide.
    """

    n_layers: int = 12
    width: int = 768
    feedforward: int = 3072
    n_heads: int = 12
    conv_layers: list[ConvLayer] = field(default_factory=lambda: [(256, 2, 2)] * 4)
    conv_norm: str = "instance"
    decimate: int = 1
    positions_kernel: int = 128
    positions_groups: int = 16
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    input_dropout: float = 0.0
    front_end_gradient: float = 1.0
    init_std: float = 0.02
    projection: bool = True

    def __post_init__(self) -> None:
        self.conv_layers = [tuple(layer) for layer in self.conv_layers]  # type: ignore[misc]
        if not self.conv_layers or any(len(layer) != 3 or min(layer) < 1 for layer in self.conv_layers):
            raise ValueError("conv_layers wants (channels, kernel, stride) for each convolution")
        if self.conv_norm not in ("instance", "none"):
            raise ValueError(f"conv_norm is 'instance' or 'none', not {self.conv_norm!r}")
        if self.width % self.n_heads:
            raise ValueError(f"width {self.width} is not a multiple of n_heads {self.n_heads}")
        if self.width % self.positions_groups:
            raise ValueError(f"width {self.width} is not a multiple of positions_groups {self.positions_groups}")
        if self.decimate < 1:
            raise ValueError("decimate is 1 or more")
        if not self.projection and self.conv_layers[-1][0] != self.width:
            raise ValueError("without a projection the last convolution must be as wide as the transformer")


class InstanceNorm(nn.GroupNorm):
    """One group per channel; with `length`, the statistics come from each row's valid frames only."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        """x (B, channels, frames), length (B,) valid frames."""
        if length is None:
            return super().forward(x)
        weight = positions_below(length, x.shape[-1])[:, None].to(x.dtype)
        count = weight.sum(-1, keepdim=True).clamp_min(1.0)
        mean = (x * weight).sum(-1, keepdim=True) / count
        variance = (((x - mean) * weight) ** 2).sum(-1, keepdim=True) / count
        return (x - mean) * torch.rsqrt(variance + self.eps) * self.weight[:, None] + self.bias[:, None]


class EcgFrontEnd(nn.Module):
    """Convolutions, LayerNorm and a linear map: (B, 12, T) millivolts to (B, frames, width)."""

    def __init__(self, config: EcgEncoderConfig, *, ignore_padding: bool = True) -> None:
        super().__init__()
        self.shapes: Sequence[ConvLayer] = config.conv_layers
        self.decimate, self.gradient = config.decimate, config.front_end_gradient
        self.ignore_padding = ignore_padding
        self.conv_layers = nn.ModuleList()
        n_in = len(LEADS)
        for index, (channels, kernel, stride) in enumerate(self.shapes):
            conv = nn.Conv1d(n_in, channels, kernel, stride=stride, bias=False)
            nn.init.kaiming_normal_(conv.weight)
            # The published blocks hold a dropout of zero at place 1; the places keep their numbers.
            block = [conv, nn.Identity()]
            if index == 0 and config.conv_norm == "instance":
                block.append(InstanceNorm(channels))
            self.conv_layers.append(nn.Sequential(*block, nn.GELU()))
            n_in = channels
        self.layer_norm = nn.LayerNorm(n_in)
        self.projection = nn.Linear(n_in, config.width) if config.projection else nn.Identity()
        if isinstance(self.projection, nn.Linear):
            nn.init.normal_(self.projection.weight, std=config.init_std)
            nn.init.zeros_(self.projection.bias)
        self.dropout = nn.Dropout(config.input_dropout)

    def n_frames(self, length: Tensor) -> Tensor:
        """Valid frames of signals with `length` valid samples (any shape)."""
        length = torch.div(length, self.decimate, rounding_mode="floor")
        for _, kernel, stride in self.shapes:
            length = torch.div(length - kernel, stride, rounding_mode="floor") + 1
        return length.clamp_min(0)

    def convolve(self, ecg: Tensor, length: Tensor | None) -> list[Tensor]:
        """Output (B, channels, frames) of every block; `length` (B,) in samples, None if nothing is padded."""
        outputs = []
        x = decimated(ecg, self.decimate)
        for index, block in enumerate(self.conv_layers):
            assert isinstance(block, nn.Sequential)
            if index == 0 and length is not None and self.ignore_padding and isinstance(block[2], InstanceNorm):
                _, kernel, stride = self.shapes[0]
                frames = torch.div(length // self.decimate - kernel, stride, rounding_mode="floor") + 1
                x = block[3](block[2](block[0](x), frames))
            else:
                x = block(x)
            outputs.append(x)
        return outputs

    def features(self, ecg: Tensor, length: Tensor | None = None) -> Tensor:
        """What the convolutions make of ECGs, before the LayerNorm: (B, frames, channels)."""
        return scale_gradient(self.convolve(ecg, length)[-1], self.gradient).transpose(1, 2)

    def forward(self, ecg: Tensor, length: Tensor | None = None) -> Tensor:
        out: Tensor = self.dropout(self.projection(self.layer_norm(self.features(ecg, length))))
        return out


class EcgEncoder(nn.Module):
    """Front end, convolutional positions and transformer over one ECG; the body of every self-supervised objective.

    With `ignore_padding` (the default) a padded signal gives on its valid frames what it gives alone; without, the
    normalisation and the positional convolution see the zero padding, as in the published models.
    """

    def __init__(self, config: EcgEncoderConfig, *, ignore_padding: bool = True) -> None:
        super().__init__()
        self.ignore_padding = ignore_padding
        self.front_end = EcgFrontEnd(config, ignore_padding=ignore_padding)
        self.positions = ConvolutionalPositions(config.width, config.positions_kernel, config.positions_groups)
        self.encoder = build_transformer(config)

    def forward(self, ecg: Tensor, length: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """ecg (B, 12, T) in mV, length (B,) valid samples -> frames (B, L, width), valid (B, L) bool or None."""
        if length is not None and bool((length >= ecg.shape[-1]).all()):
            length = None
        x = self.front_end(ecg, length)
        valid = None if length is None else positions_below(self.front_end.n_frames(length), x.shape[1])
        return self.contextualise(x, valid), valid

    def contextualise(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """What positions and transformer make of projected frames x (B, L, width); valid (B, L) bool or None."""
        if valid is not None and self.ignore_padding:
            x = x.masked_fill(~valid[:, :, None], 0.0)
        out: Tensor = self.encoder(x + self.positions(x), valid)
        return out
