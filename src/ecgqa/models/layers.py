"""The building blocks that the published ECG transformers share: attention, encoder layers, convolutional positions."""

from __future__ import annotations

import math
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations


class SelfAttention(nn.Module):
    """Multi-head self-attention with separate query, key and value maps, over PyTorch's fused kernel."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        if width % n_heads:
            raise ValueError(f"width {width} is not a multiple of {n_heads} heads")
        self.n_heads, self.dropout = n_heads, dropout
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, attend: Tensor | None) -> Tensor:
        """x (B, L, width); attend bool (B, L), True where a position may be looked at, or (B, L, L) by which."""
        n_batch, length, width = x.shape
        heads = (n_batch, length, self.n_heads, width // self.n_heads)
        query, key, value = (
            projection(x).view(heads).transpose(1, 2) for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=None if attend is None else attend.view(n_batch, 1, -1, length),
            dropout_p=self.dropout if self.training else 0.0,
        )
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(n_batch, length, width))
        return out


class EncoderLayer(nn.Module):
    """A post-norm transformer layer (Vaswani et al. 2017) with GELU."""

    def __init__(
        self,
        width: int,
        feedforward: int,
        n_heads: int,
        *,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, n_heads, attention_dropout)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, feedforward)
        self.fc2 = nn.Linear(feedforward, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.activation_dropout = nn.Dropout(activation_dropout)

    def forward(self, x: Tensor, attend: Tensor | None) -> Tensor:
        x = self.self_attn_layer_norm(x + self.dropout(self.self_attn(x, attend)))
        hidden = self.activation_dropout(F.gelu(self.fc1(x)))
        out: Tensor = self.final_layer_norm(x + self.dropout(self.fc2(hidden)))
        return out


class TransformerEncoder(nn.Module):
    """Embedding LayerNorm, then a stack of post-norm layers; the output is not normalised once more."""

    def __init__(
        self,
        width: int,
        feedforward: int,
        n_layers: int,
        n_heads: int,
        *,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation_dropout: float = 0.0,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            EncoderLayer(
                width,
                feedforward,
                n_heads,
                dropout=dropout,
                attention_dropout=attention_dropout,
                activation_dropout=activation_dropout,
            )
            for _ in range(n_layers)
        )
        self.apply(partial(_bert_init, std=init_std))

    def forward(self, x: Tensor, valid: Tensor | None = None, attend: Tensor | None = None) -> Tensor:
        """x (B, L, width) -> (B, L, width); valid (B, L) bool, True on real positions, or None if all are.

        attend (B, L, L) bool: which position (of the second L) each may look at; None: the valid ones.
        """
        if valid is not None:
            x = x.masked_fill(~valid[:, :, None], 0.0)
        x = self.dropout(self.layer_norm(x))
        for layer in self.layers:
            x = layer(x, valid if attend is None else attend)
        return x


class TransformerSettings(Protocol):
    """What a model's configuration says of its transformer."""

    n_layers: int
    width: int
    feedforward: int
    n_heads: int
    dropout: float
    attention_dropout: float
    activation_dropout: float
    init_std: float


def build_transformer(config: TransformerSettings) -> TransformerEncoder:
    """The transformer that `config` describes."""
    return TransformerEncoder(
        config.width,
        config.feedforward,
        config.n_layers,
        config.n_heads,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        activation_dropout=config.activation_dropout,
        init_std=config.init_std,
    )


class ConvolutionalPositions(nn.Module):
    """Relative positions by one wide grouped convolution with weight norm (Baevski et al. 2020)."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=groups)
        nn.init.normal_(conv.weight, mean=0.0, std=math.sqrt(4.0 / (kernel * width)))
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        self.conv = parametrizations.weight_norm(conv, dim=2)
        self.drop_last = kernel % 2 == 0  # an even kernel with symmetric padding yields one frame too many

    def forward(self, x: Tensor) -> Tensor:
        """x (B, L, width) -> the positional term (B, L, width) to add to it."""
        term = self.conv(x.transpose(1, 2))
        if self.drop_last:
            term = term[:, :, :-1]
        return F.gelu(term).transpose(1, 2)


def decimated(ecg: Tensor, factor: int) -> Tensor:
    """Means of `factor` consecutive samples of ecg (..., T); those left over at the end are dropped."""
    if factor == 1:
        return ecg
    whole = ecg.shape[-1] // factor * factor
    pieces = ecg[..., :whole].reshape(*ecg.shape[:-1], -1, factor)
    return pieces @ ecg.new_full((factor,), 1.0 / factor)  # on a CPU four times as fast as avg_pool1d


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """x itself, whose gradient arrives multiplied by `factor`."""
    if factor == 1.0 or not x.requires_grad:
        return x
    return x * factor + x.detach() * (1.0 - factor)


def masked_mean(x: Tensor, valid: Tensor) -> Tensor:
    """Mean of x (B, L, width) over the positions where valid (B, L) holds; zero where there are none."""
    weight = valid.to(x.dtype)[:, :, None]
    return (x * weight).sum(1) / weight.sum(1).clamp_min(1.0)


def nonzero_mean(x: Tensor, epsilon: float = 0.0) -> Tensor:
    """The published pooling: per channel the sum over L of x (B, L, width) divided by the count of non-zero entries."""
    return x.sum(1) / ((x != 0).sum(1) + epsilon)


def positions_below(length: Tensor, width: int) -> Tensor:
    """Bool (*length.shape, width): True at the first `length` positions."""
    return torch.arange(width, device=length.device) < length[..., None]


def _bert_init(module: nn.Module, std: float) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, mean=0.0, std=std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
