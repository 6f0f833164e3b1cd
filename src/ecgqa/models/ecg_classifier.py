"""The classifier on the ECG transformer encoder, scratch or pretrained: one ECG in, a logit per class out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from ecgqa.models.ecg_encoder import EcgEncoder, EcgEncoderConfig
from ecgqa.models.layers import masked_mean, nonzero_mean
from ecgqa.models.padded import only_leads
from ecgqa.models.registry import Task, register_model


@dataclass
class EcgClassifierConfig(EcgEncoderConfig):
    """Size of the encoder; the defaults are those of the published upper bound, fine-tuned from W2V+CMSC+RLM.

    Args:
        dropout: dropout inside the transformer.
        attention_dropout: dropout on attention weights.
        activation_dropout: dropout inside the feed-forward blocks.
        front_end_gradient: factor on the gradient that reaches the convolutions.
        final_dropout: dropout on the frames before their mean.
        compat: "published" keeps the defects of the published model: the first normalisation and the positional
            convolution see padding, and means divide by non-zero entries (which undoes final_dropout).
    """

    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.1
    front_end_gradient: float = 0.1
    final_dropout: float = 0.0
    compat: Literal["off", "published"] = "off"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.compat not in ("off", "published"):
            raise ValueError(f"compat is 'off' or 'published', not {self.compat!r}")


@register_model("ecg_transformer_classifier", EcgClassifierConfig, Task.CLASSIFICATION)
class EcgClassifier(EcgEncoder):
    """The encoder's frames, their mean over time, a linear map; the upper bound of ECG-QA (Oh et al. 2023)."""

    def __init__(self, config: EcgClassifierConfig, *, n_classes: int) -> None:
        super().__init__(config, ignore_padding=config.compat == "off")
        self.config = config
        self.dropout = nn.Dropout(config.final_dropout)
        self.proj = nn.Linear(config.width, n_classes)
        nn.init.xavier_uniform_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, ecg: Tensor, length: Tensor, leads: Tensor) -> Tensor:  # type: ignore[override]
        """ecg (B, 12, T) in mV, length (B,) valid samples, leads (B, 12) asked about -> logits (B, classes)."""
        out: Tensor = self.proj(self.pool(ecg, length, leads))
        return out

    def pool(self, ecg: Tensor, length: Tensor, leads: Tensor) -> Tensor:
        """Means (B, width) of the valid frames over time: what the last layer sees."""
        x, valid = super().forward(only_leads(ecg, leads), length)
        x = self.dropout(x)
        if not self.ignore_padding:
            return nonzero_mean(x if valid is None else x.masked_fill(~valid[:, :, None], 0.0))
        return x.mean(1) if valid is None else masked_mean(x, valid)
