"""wav2vec 2.0 on ECGs: the encoder sees masked frames and predicts their quantised features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ecgqa.models.ecg_encoder import EcgEncoder
from ecgqa.models.layers import positions_below
from ecgqa.models.pooled_encoder import PooledEncoderConfig, pool
from ecgqa.models.registry import Task, register_model


@dataclass
class Wav2Vec2Config(PooledEncoderConfig):
    """Size of the encoder and of the quantiser; the defaults are those of the published base model.

    Args:
        n_codebooks: codebooks, of each of which a frame takes one entry.
        n_codes: entries of a codebook.
        code_width: width of the entries of all codebooks side by side; null takes prediction_width.
        prediction_width: width in which predictions and targets are compared.
        feature_dropout: dropout on what enters the quantiser.
        compat: "off", or "published" to keep the defects of the original: the first normalisation, the positional
            convolution and the feature penalty see zero padding, means divide by the count of non-zero entries, every
            row of a batch has as few masked frames as its poorest, CMSC sends no gradient through the norm of the
            features, sees the ECGs of one process only and takes two ECGs of a patient for strangers.
    """

    n_codebooks: int = 2
    n_codes: int = 320
    code_width: int | None = None
    prediction_width: int = 256
    feature_dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.code_width or self.prediction_width) % self.n_codebooks:
            raise ValueError(f"the width of codes is not a multiple of n_codebooks {self.n_codebooks}")


class Quantised(NamedTuple):
    """x (..., code_width), the codes int64 (..., n_codebooks), and what each code's softmax gave without noise."""

    x: Tensor
    codes: Tensor
    probabilities: Tensor


class Prediction(NamedTuple):
    """One pass over masked ECGs; M is the largest number of masked frames in a row, `held` tells which are there.

    predicted, targets: (B, M, prediction_width). held: bool (B, M). codes: int64 (B, M, n_codebooks).
    probabilities: (B, M, n_codebooks, n_codes). energy: (B,) mean square of the convolved
    features. pooled: (B, width) mean of the frames, masked ones among them, of each ECG.
    """

    predicted: Tensor
    targets: Tensor
    held: Tensor
    codes: Tensor
    probabilities: Tensor
    energy: Tensor
    pooled: Tensor


class GumbelQuantizer(nn.Module):
    """Picks one entry of each codebook, in training by a hard Gumbel softmax (Jang et al. 2017)."""

    def __init__(self, n_features: int, n_codebooks: int, n_codes: int, width: int) -> None:
        super().__init__()
        self.n_codebooks, self.n_codes = n_codebooks, n_codes
        self.vars = nn.Parameter(torch.rand(1, n_codebooks * n_codes, width // n_codebooks))
        self.weight_proj = nn.Linear(n_features, n_codebooks * n_codes)
        nn.init.normal_(self.weight_proj.weight)
        nn.init.zeros_(self.weight_proj.bias)

    def forward(self, features: Tensor, temperature: float, noise: Tensor | None = None) -> Quantised:
        """features (..., n_features); noise (..., n_codebooks, n_codes) of Gumbel's distribution, None draws it."""
        logits = self.weight_proj(features).unflatten(-1, (self.n_codebooks, self.n_codes)).float()
        probabilities = logits.softmax(-1)
        codebooks = self.vars.view(self.n_codebooks, self.n_codes, -1)
        if not self.training:
            codes = logits.argmax(-1)
            place = torch.arange(self.n_codebooks, device=codes.device)
            return Quantised(codebooks[place, codes].flatten(-2), codes, probabilities)
        if noise is None:
            noise = -torch.empty_like(logits).exponential_().log()
        soft = ((logits + noise) / temperature).softmax(-1)
        codes = soft.argmax(-1)
        choice = F.one_hot(codes, self.n_codes).to(soft.dtype) - soft.detach() + soft  # forward hard, backward soft
        return Quantised(torch.einsum("...gv,gvd->...gd", choice, codebooks).flatten(-2), codes, probabilities)


@register_model("wav2vec2", Wav2Vec2Config, Task.PRETRAINING)
class Wav2Vec2(EcgEncoder):
    """Baevski et al. 2020, with the convolutions of ECG-QA's encoder; also the model of W2V+CMSC (Oh et al. 2022)."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__(config, ignore_padding=config.repaired)
        self.config = config
        n_features, width = config.conv_layers[-1][0], config.code_width or config.prediction_width
        self.mask_emb = nn.Parameter(torch.rand(config.width))
        self.feature_dropout = nn.Dropout(config.feature_dropout)
        self.quantizer = GumbelQuantizer(n_features, config.n_codebooks, config.n_codes, width)
        self.project_q = nn.Linear(width, config.prediction_width)
        self.final_proj = nn.Linear(config.width, config.prediction_width)

    def n_frames(self, length: Tensor) -> Tensor:
        """Frames of ECGs with `length` valid samples; those are what a mask may cover."""
        return self.front_end.n_frames(length)

    def forward(  # type: ignore[override]
        self, ecg: Tensor, length: Tensor, mask: Tensor, *, temperature: float = 1.0, noise: Tensor | None = None
    ) -> Prediction:
        """Predict the masked frames.

        ecg (B, 12, T) in mV, length (B,) valid samples, mask bool (B, frames) True on valid frames to hide.
        temperature: of the Gumbel softmax. noise: (B, M, n_codebooks, n_codes) for it; None draws it in training.
        """
        padded = bool((length < ecg.shape[-1]).any())
        features = self.front_end.features(ecg, length if padded else None)
        valid = positions_below(self.n_frames(length), features.shape[1]) if padded else None
        normed = self.front_end.layer_norm(features)
        x = self.front_end.dropout(self.front_end.projection(normed))
        frames = self.contextualise(torch.where(mask[:, :, None], self.mask_emb.to(x.dtype), x), valid)
        place, held = masked_places(mask)
        quantised = self.quantizer(_take(self.feature_dropout(normed), place), temperature, noise)
        energy = features.float().square().mean(-1, keepdim=True)
        return Prediction(
            predicted=self.final_proj(_take(frames, place)),
            targets=self.project_q(quantised.x),
            held=held,
            codes=quantised.codes,
            probabilities=quantised.probabilities,
            energy=pool(energy, valid if self.config.repaired else None)[:, 0],
            pooled=pool(frames, valid, repaired=self.config.repaired),
        )


def masked_places(mask: Tensor) -> tuple[Tensor, Tensor]:
    """The True places of mask (B, L) in order, int64 (B, M), and bool (B, M) which of these are there."""
    count = mask.sum(1)
    place = torch.argsort(~mask, dim=1, stable=True)[:, : int(count.max())]
    return place, positions_below(count, place.shape[1])


def _take(x: Tensor, place: Tensor) -> Tensor:
    """Frames x (B, L, D) at place (B, M)."""
    return torch.gather(x, 1, place[:, :, None].expand(-1, -1, x.shape[-1]))
