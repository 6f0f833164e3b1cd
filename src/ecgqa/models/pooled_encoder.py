"""The ECG encoder with one vector per ECG, the mean of its frames: what CMSC, SimCLR and 3KG pretrain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ecgqa.models.ecg_encoder import EcgEncoder, EcgEncoderConfig
from ecgqa.models.layers import masked_mean, nonzero_mean
from ecgqa.models.registry import Task, register_model


@dataclass
class PooledEncoderConfig(EcgEncoderConfig):
    """Size of the encoder; the defaults are those of the published base model in pretraining.

    Args:
        input_dropout: dropout on what enters the transformer.
        front_end_gradient: factor on the gradient that reaches the convolutions.
        compat: "off", or "published" to keep the defects of the original: the first normalisation and the positional
            convolution see zero padding, means divide by the count of non-zero entries, contrastive losses send no
            gradient through the norm of the features, see the ECGs of one process only and take two ECGs of a patient
            for strangers.
    """

    input_dropout: float = 0.1
    front_end_gradient: float = 0.1
    compat: Literal["off", "published"] = "off"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.compat not in ("off", "published"):
            raise ValueError(f"compat is 'off' or 'published', not {self.compat!r}")

    @property
    def repaired(self) -> bool:
        """Whether the defects of the original are repaired."""
        return self.compat == "off"


@register_model("ecg_encoder", PooledEncoderConfig, Task.PRETRAINING)
class PooledEncoder(EcgEncoder):
    """One vector per ECG. Source: the pretraining of ECG-QA's encoders in fairseq-signals."""

    def __init__(self, config: PooledEncoderConfig) -> None:
        super().__init__(config, ignore_padding=config.repaired)
        self.config = config

    def forward(self, ecg: Tensor, length: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """ecg (B, 12, T) in mV, length (B,) valid samples -> (B, width)."""
        frames, valid = super().forward(ecg, length)
        return pool(frames, valid, repaired=self.config.repaired)


def pool(frames: Tensor, valid: Tensor | None, *, repaired: bool = True) -> Tensor:
    """Mean over the valid frames of (B, L, width); unrepaired, over the entries that are not zero."""
    if valid is None:
        return frames.mean(1) if repaired else nonzero_mean(frames)
    if repaired:
        return masked_mean(frames, valid)
    return nonzero_mean(frames.masked_fill(~valid[:, :, None], 0.0))
