"""The decoder of masked ECG modelling: from the frames that were kept to the samples of those that were removed."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ecgqa.models.bert import bert_init


class _QuickGelu(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class _FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.gelu = _QuickGelu()
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c_proj(self.gelu(self.c_fc(x)))
        return out


class _Block(nn.Module):
    """A pre-norm transformer block, its parts named as in the published weights."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, n_heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = _FeedForward(width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, key_padding_mask=padding, need_weights=False)[0]
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class FrameDecoder(nn.Module):
    """Puts kept frames back at their places, a learned vector in the gaps, and predicts every frame's samples.

    positions: most frames of an ECG, and one for the class vector in front of them.
    """

    def __init__(self, width_in: int, width: int, n_layers: int, n_heads: int, n_values: int, positions: int) -> None:
        super().__init__()
        self.embed = nn.Linear(width_in, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions: Tensor
        self.register_buffer("positions", sinusoids(positions, width)[None])
        self.blocks = nn.ModuleList(_Block(width, n_heads) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)
        self.predict = nn.Linear(width, n_values)
        self.apply(bert_init)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, x: Tensor, place: Tensor, n_kept: Tensor, n_frames: Tensor) -> Tensor:
        """Predicted samples (B, frames, n_values) of every frame.

        x (B, 1 + most kept, width_in): the class vector and the kept frames. place (B, frames): where in this order,
        kept frames first, each frame stands; n_kept (B,) how many are kept, n_frames (B,) how many are valid.
        """
        if place.shape[1] + 1 > self.positions.shape[1]:
            raise ValueError(f"an ECG has {place.shape[1]} frames, the decoder takes {self.positions.shape[1] - 1}")
        x = self.embed(x)
        head, kept = x[:, :1], x[:, 1:]
        at = place.clamp(max=kept.shape[1] - 1)[:, :, None].expand(-1, -1, x.shape[-1])
        gone = (place >= n_kept[:, None])[:, :, None]
        frames = torch.where(gone, self.mask_token.to(x.dtype), kept.gather(1, at))
        x = torch.cat([head, frames], 1)
        x = x + self.positions[:, : x.shape[1]].to(x.dtype)
        padding = torch.arange(x.shape[1], device=x.device) > n_frames[:, None]
        for block in self.blocks:
            x = block(x, padding)
        out: Tensor = self.predict(self.norm(x))[:, 1:]
        return out


def sinusoids(n_positions: int, width: int) -> Tensor:
    """Fixed positions (n_positions, width): sine at even places, cosine at odd ones (Vaswani et al. 2017)."""
    angle = torch.arange(n_positions)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    out = torch.zeros(n_positions, width)
    out[:, 0::2], out[:, 1::2] = torch.sin(angle), torch.cos(angle)
    return out
