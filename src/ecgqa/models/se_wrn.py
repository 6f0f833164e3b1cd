"""The wide residual network with squeeze-and-excitation: one ECG in, a logit per class out."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ecgqa.models.layers import masked_mean, positions_below
from ecgqa.models.padded import batch_norm, blank, mean_pool, n_after, only_leads, ragged
from ecgqa.models.registry import Task, register_model
from ecgqa.records import LEADS

GROUP_STRIDE = 2


@dataclass
class SeWrnConfig:
    """Size of the network; the defaults are those of the published upper bound.

    Args:
        channels: channels of the first convolution, then of each group of blocks.
        n_blocks: blocks of a group; the first halves the length of the signal.
        kernel: width in samples of every convolution (odd).
        squeeze: factor by which the squeeze-and-excitation narrows the channels.
        conv_bias: whether the first convolution has a bias.
        block_dropout: dropout between the two convolutions of a block.
        dropout: dropout before the maximum over time.
        compat: "published" lets the network see padding, as the published model does.
    """

    channels: list[int] = field(default_factory=lambda: [16, 16, 32, 64, 128])
    n_blocks: int = 3
    kernel: int = 11
    squeeze: int = 8
    conv_bias: bool = False
    block_dropout: float = 0.3
    dropout: float = 0.3
    compat: Literal["off", "published"] = "off"

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise ValueError("kernel is odd")
        if len(self.channels) < 2 or any(width % self.squeeze for width in self.channels[1:]):
            raise ValueError(f"channels names the first convolution and each group, in multiples of {self.squeeze}")
        if self.compat not in ("off", "published"):
            raise ValueError(f"compat is 'off' or 'published', not {self.compat!r}")


class Block(nn.Module):
    """A pre-activation block: two convolutions, rescaled channels, and a shortcut."""

    def __init__(self, config: SeWrnConfig, n_in: int, n_out: int, stride: int, *, is_first: bool) -> None:
        super().__init__()
        self.stride, k = stride, config.kernel
        self.bn1 = None if is_first else nn.BatchNorm1d(n_in)  # the stem normalised it already
        self.conv1 = nn.Conv1d(n_in, n_out, k, stride=stride, padding=k // 2, bias=False)
        self.bn2 = nn.BatchNorm1d(n_out)
        self.conv2 = nn.Conv1d(n_out, n_out, k, padding=k // 2, bias=False)
        self.fc1 = nn.Linear(n_out, n_out // config.squeeze)
        self.fc2 = nn.Linear(n_out // config.squeeze, n_out)
        self.dropout = nn.Dropout(config.block_dropout)
        # The shortcut keeps the name it has in published checkpoints.
        self.idfunc_1 = nn.Conv1d(n_in, n_out, 1, bias=False) if stride > 1 else None

    def forward(self, x: Tensor, n: Tensor | None) -> Tensor:
        """x (B, channels, L), n (B,): its valid frames; what lies beyond them is zero here and in the output."""
        n_out = n_after(n, self.stride)
        shortcut = x if self.idfunc_1 is None else self.idfunc_1(mean_pool(x, n, self.stride))
        if self.bn1 is not None:
            x = blank(F.relu(batch_norm(self.bn1, x, n)), n)
        x = F.relu(batch_norm(self.bn2, self.conv1(x), n_out))
        x = self.conv2(blank(self.dropout(x), n_out))
        mean = x.mean(-1) if n_out is None else masked_mean(x.transpose(1, 2), positions_below(n_out, x.shape[-1]))
        scale = torch.sigmoid(self.fc2(F.relu(self.fc1(mean))))[:, :, None]
        return blank(x * scale + shortcut, n_out)


class Group(nn.Module):
    """Blocks of one width; the first halves the length."""

    def __init__(self, config: SeWrnConfig, n_in: int, n_out: int, *, is_first: bool) -> None:
        super().__init__()
        more = [Block(config, n_out, n_out, 1, is_first=False) for _ in range(config.n_blocks - 1)]
        self.layers = nn.ModuleList([Block(config, n_in, n_out, GROUP_STRIDE, is_first=is_first), *more])

    def forward(self, x: Tensor, n: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """x (B, channels, L), n (B,): its valid frames; the same of the output."""
        for layer in self.layers:
            assert isinstance(layer, Block)
            x = layer(x, n)
            n = n_after(n, layer.stride)
        return x, n


@register_model("se_wrn", SeWrnConfig, Task.CLASSIFICATION)
class SeWrn(nn.Module):
    """Convolution, groups of squeeze-and-excitation blocks, maximum over time, linear map.

    Source: the SE-WRN of fairseq-signals for the upper bound of ECG-QA, after Zagoruyko and Komodakis 2016 and
    Hu et al. 2018. While training, its batch norms make a row depend on the batch, by design.
    """

    def __init__(self, config: SeWrnConfig, *, n_classes: int) -> None:
        super().__init__()
        self.config = config
        first, last, k = config.channels[0], config.channels[-1], config.kernel
        self.stem = nn.Conv1d(len(LEADS), first, k, padding=k // 2, bias=config.conv_bias)
        self.stem_norm = nn.BatchNorm1d(first)
        self.groups = nn.ModuleList(
            Group(config, n_in, n_out, is_first=index == 0)
            for index, (n_in, n_out) in enumerate(pairwise(config.channels))
        )
        self.norm = nn.BatchNorm1d(last)
        self.dropout = nn.Dropout(config.dropout)
        self.proj = nn.Linear(last, n_classes)
        nn.init.xavier_uniform_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, ecg: Tensor, length: Tensor, leads: Tensor) -> Tensor:
        """ecg (B, 12, T) in mV, length (B,) valid samples, leads (B, 12) asked about -> logits (B, classes)."""
        out: Tensor = self.proj(self.pool(ecg, length, leads))
        return out

    def convolve(self, ecg: Tensor, n: Tensor | None) -> tuple[list[Tensor], Tensor | None]:
        """Output (B, channels, frames) of every group, and how many frames of the last are valid (None: all)."""
        x = blank(F.relu(batch_norm(self.stem_norm, self.stem(ecg), n)), n)
        outputs = []
        for group in self.groups:
            x, n = group(x, n)
            outputs.append(x)
        return outputs, n

    def pool(self, ecg: Tensor, length: Tensor, leads: Tensor) -> Tensor:
        """Maxima (B, channels) over time: what the last layer sees."""
        ecg = only_leads(ecg, leads)
        outputs, n = self.convolve(ecg, ragged(length, ecg) if self.config.compat == "off" else None)
        # Blanked frames hold zero, which no maximum of rectified values falls below.
        x = blank(self.dropout(F.relu(batch_norm(self.norm, outputs[-1], n))), n)
        return x.amax(-1)
