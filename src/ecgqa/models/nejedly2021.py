"""The residual network with attention of Nejedly et al. 2021: one ECG in, a logit per class out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ecgqa.models.layers import masked_mean, nonzero_mean, positions_below
from ecgqa.models.padded import batch_norm, blank, mean_pool, n_after, only_leads, ragged
from ecgqa.models.registry import Task, register_model
from ecgqa.records import LEADS


@dataclass
class Nejedly2021Config:
    """Size of the network; the defaults are those of the published upper bound.

    Args:
        n_blocks: residual blocks, each of which shortens the signal by `stride`.
        channels: channels of every convolution.
        first_kernel: width in samples of the first convolution.
        kernel: width of those of the blocks (odd).
        stride: step of the first convolution and of each block.
        conv_bias: whether convolutions have a bias.
        dropout: dropout after the last block.
        attention: whether frames attend to each other before they are averaged.
        n_heads: heads of that attention.
        indicate_leads: whether the last layer is told which leads hold a signal.
        compat: "published" keeps the defects of the published model: a lead counts as present only if none of its
            samples is exactly zero, padding is seen, and means divide by non-zero entries (which undoes dropout).
    """

    n_blocks: int = 5
    channels: int = 256
    first_kernel: int = 15
    kernel: int = 9
    stride: int = 2
    conv_bias: bool = False
    dropout: float = 0.5
    attention: bool = True
    n_heads: int = 8
    indicate_leads: bool = True
    compat: Literal["off", "published"] = "off"

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise ValueError("kernel is odd")
        if self.attention and self.channels % self.n_heads:
            raise ValueError(f"channels {self.channels} is not a multiple of n_heads {self.n_heads}")
        if self.compat not in ("off", "published"):
            raise ValueError(f"compat is 'off' or 'published', not {self.compat!r}")


class Block(nn.Module):
    """Two convolutions beside a shortcut of averages; (B, channels, L) to (B, channels, ceil(L / stride))."""

    def __init__(self, config: Nejedly2021Config) -> None:
        super().__init__()
        d, k, self.stride = config.channels, config.kernel, config.stride
        self.conv1 = nn.Conv1d(d, d, k, stride=self.stride, padding=k // 2, bias=config.conv_bias)
        self.bn1 = nn.BatchNorm1d(d)
        self.conv2 = nn.Conv1d(d, d, k, padding=k // 2, bias=config.conv_bias)
        self.bn2 = nn.BatchNorm1d(d)
        self.idfunc_1 = nn.Conv1d(d, d, 1, bias=config.conv_bias)  # the shortcut, as published checkpoints call it

    def forward(self, x: Tensor, n: Tensor | None) -> Tensor:
        """n (B,): valid frames of x; what lies beyond them is zero here and in the output."""
        n_out = n_after(n, self.stride)
        shortcut = self.idfunc_1(mean_pool(x, n, self.stride))
        x = blank(F.leaky_relu(batch_norm(self.bn1, self.conv1(x), n_out)), n_out)
        x = F.leaky_relu(batch_norm(self.bn2, self.conv2(x), n_out))
        return blank(x + shortcut, n_out)


@register_model("nejedly2021", Nejedly2021Config, Task.CLASSIFICATION)
class Nejedly2021(nn.Module):
    """Convolution, residual blocks, self-attention over time, mean, linear map.

    Source: Nejedly et al. 2021 (Computing in Cardiology; Physiol. Meas. 43, 2022), as fairseq-signals builds it for the
    upper bound of ECG-QA. While training, its batch norms make a row depend on the batch, by design.
    """

    def __init__(self, config: Nejedly2021Config, *, n_classes: int) -> None:
        super().__init__()
        self.config, self.repaired = config, config.compat == "off"
        d, k = config.channels, config.first_kernel
        self.stem = nn.Conv1d(len(LEADS), d, k, stride=config.stride, padding=(k - 1) // 2, bias=config.conv_bias)
        self.stem_norm = nn.BatchNorm1d(d)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_blocks))
        self.dropout = nn.Dropout(config.dropout)
        self.mha = nn.MultiheadAttention(d, config.n_heads, batch_first=True) if config.attention else None
        self.proj = nn.Linear(d + (len(LEADS) if config.indicate_leads else 0), n_classes)
        nn.init.xavier_uniform_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, ecg: Tensor, length: Tensor, leads: Tensor) -> Tensor:
        """ecg (B, 12, T) in mV, length (B,) valid samples, leads (B, 12) asked about -> logits (B, classes)."""
        out: Tensor = self.proj(self.pool(ecg, length, leads))
        return out

    def convolve(self, ecg: Tensor, n: Tensor | None) -> tuple[list[Tensor], Tensor | None]:
        """Output (B, channels, frames) of every block, and how many frames of the last are valid (None: all)."""
        n = n_after(n, self.config.stride, self.config.first_kernel)
        x = blank(F.leaky_relu(batch_norm(self.stem_norm, self.stem(ecg), n)), n)
        outputs = []
        for block in self.blocks:
            x = block(x, n)
            n = n_after(n, self.config.stride)
            outputs.append(x)
        return outputs, n

    def attend(self, x: Tensor, n: Tensor | None) -> Tensor:
        """Frames x (B, L, channels) after attention over the valid ones."""
        if self.mha is None:
            return x
        hidden = None if n is None else ~positions_below(n, x.shape[1])
        out: Tensor = self.mha(x, x, x, key_padding_mask=hidden, need_weights=False)[0]
        return out

    def pool(self, ecg: Tensor, length: Tensor, leads: Tensor) -> Tensor:
        """What the last layer sees: means over time, then the lead indicator."""
        ecg = only_leads(ecg, leads)
        outputs, n = self.convolve(ecg, ragged(length, ecg) if self.repaired else None)
        x = self.attend(self.dropout(outputs[-1]).transpose(1, 2), n)
        if not self.repaired:
            mean = nonzero_mean(x)
        else:
            mean = x.mean(1) if n is None else masked_mean(x, positions_below(n, x.shape[1]))
        return torch.cat([mean, self.indicator(ecg)], 1) if self.config.indicate_leads else mean

    def indicator(self, ecg: Tensor) -> Tensor:
        """1 for each lead of ecg (B, 12, T) that holds a signal, else 0."""
        is_signal = ecg != 0
        return (is_signal.any(-1) if self.repaired else is_signal.all(-1)).to(ecg.dtype)
