"""The ResNet-LSTM baseline ("resnet_lstm"): a 1-D ResNet over each ECG times an LSTM over the question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from ecgqa.models.layers import decimated
from ecgqa.models.registry import register_model
from ecgqa.models.resnet import ResNet

if TYPE_CHECKING:
    from ecgqa.store.batch import Batch


@dataclass
class ResnetLstmConfig:
    """Size of the ResNet-LSTM; the defaults are the published ones.

    Args:
        decimate: average this many consecutive samples before the first convolution (4: 500 Hz becomes 125 Hz).
        stem_channels: channels of the first convolution.
        planes: inner channels of the blocks of each stage, whose outputs have four times as many.
        blocks: bottleneck blocks of each stage; 3, 4, 6, 3 is ResNet-50.
        word_width: width of the word embedding.
        lstm_width: width of the LSTM's states.
        lstm_layers: layers of the LSTM.
        dropout: dropout between the layers of the LSTM.
        final_width: width in which ECG and question are multiplied.
        compat: "off" keeps padding of an ECG out of every convolution, statistic and mean; "published" lets it in.
    """

    decimate: int = 1
    stem_channels: int = 64
    planes: list[int] = field(default_factory=lambda: [64, 128, 256, 512])
    blocks: list[int] = field(default_factory=lambda: [3, 4, 6, 3])
    word_width: int = 768
    lstm_width: int = 512
    lstm_layers: int = 2
    dropout: float = 0.0
    final_width: int = 1024
    compat: Literal["off", "published"] = "off"

    def __post_init__(self) -> None:
        if not self.planes or len(self.planes) != len(self.blocks) or min(*self.planes, *self.blocks) < 1:
            raise ValueError("planes and blocks want a positive number for each stage")
        if self.decimate < 1:
            raise ValueError("decimate is 1 or more")
        if self.compat not in ("off", "published"):
            raise ValueError(f"compat is off or published, not {self.compat!r}")


@register_model("resnet_lstm", ResnetLstmConfig)
class ResnetLstm(nn.Module):
    """Features of the ECG (of two: their sum) times features of the question, to the answers.

    After Antol et al. 2015 (VQA) with a ResNet-50 (He et al. 2016). Source: the ResNet-LSTM of ECG-QA (Oh et al. 2023),
    from fairseq-signals.
    """

    def __init__(self, config: ResnetLstmConfig, *, n_answers: int, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.resnet = ResNet(config.stem_channels, config.planes, config.blocks, ignore_padding=config.compat == "off")
        self.ecg_projection = nn.Linear(self.resnet.width, config.final_width)
        self.word_embedding = nn.Embedding(vocab_size, config.word_width)
        self.lstm = nn.LSTM(
            config.word_width, config.lstm_width, config.lstm_layers, batch_first=True, dropout=config.dropout
        )
        self.text_projection = nn.Linear(2 * config.lstm_layers * config.lstm_width, config.final_width)
        self.proj = nn.Linear(config.final_width, n_answers)
        nn.init.normal_(self.word_embedding.weight, std=0.02)
        nn.init.xavier_uniform_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, n_answers) of a Batch: 1 or 2 ECGs per question, in mV, and text (B, L) padded with 0."""
        ecgs = self.embed_ecg(batch.ecgs, batch.ecgs_length)  # once for all questions about an ECG
        text = self.text_projection(self.text_states(batch.text, batch.text_length))
        out: Tensor = self.proj(ecgs[batch.ecg_of].sum(1) * text)
        return out

    def embed_ecg(self, ecg: Tensor, length: Tensor) -> Tensor:
        """Features (n, final_width) of ecg (n, 12, T) in mV with `length` (n,) valid samples; zero where that is 0."""
        by = self.config.decimate
        features: Tensor = self.ecg_projection(self.resnet(decimated(ecg, by), length // by))
        return features.masked_fill((length == 0)[:, None], 0.0)

    def text_states(self, text: Tensor, text_length: Tensor) -> Tensor:
        """Last hidden states of all layers, then last cell states (B, 2 * layers * lstm_width), of text (B, L)."""
        words = nn.utils.rnn.pack_padded_sequence(
            self.word_embedding(text), text_length.cpu(), batch_first=True, enforce_sorted=False
        )
        _, states = self.lstm(words)
        return torch.cat([layer for state in states for layer in state], 1)
