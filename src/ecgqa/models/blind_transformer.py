"""The blind baseline ("blind_transformer"): the question alone, without any ECG, to a logit per answer class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ecgqa.models.layers import build_transformer, masked_mean, positions_below
from ecgqa.models.registry import register_model

if TYPE_CHECKING:
    from ecgqa.store.batch import Batch


@dataclass
class BlindTransformerConfig:
    """Size of the blind transformer; the defaults are the published ones.

    Args:
        n_layers: transformer layers.
        width: width of the transformer.
        feedforward: width inside its feed-forward blocks.
        n_heads: attention heads.
        dropout: dropout inside the transformer.
        attention_dropout: dropout on attention weights.
        activation_dropout: dropout inside the feed-forward blocks.
        input_dropout: dropout on the normalised words.
        init_std: standard deviation of the initial weights of linear maps.
        max_text_tokens: longest question in word pieces; longer ones are cut.
    """

    n_layers: int = 12
    width: int = 768
    feedforward: int = 3072
    n_heads: int = 12
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.1
    input_dropout: float = 0.0
    init_std: float = 0.02
    max_text_tokens: int = 512

    def __post_init__(self) -> None:
        if self.width % self.n_heads:
            raise ValueError(f"width {self.width} is not a multiple of n_heads {self.n_heads}")


@register_model("blind_transformer", BlindTransformerConfig)
class BlindTransformer(nn.Module):
    """Question tokens through a bidirectional transformer, their mean to the answers; the ECGs are never looked at.

    What it gets right is what the wording alone gives away. Source: the blind transformer of ECG-QA (Oh et al. 2023),
    from fairseq-signals. It has no defect to repair.
    """

    def __init__(self, config: BlindTransformerConfig, *, n_answers: int, vocab_size: int) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.word_embedding = nn.Embedding(vocab_size, width)
        self.text_layer_norm = nn.LayerNorm(width)
        self.text_positions = nn.Embedding(config.max_text_tokens, width)
        self.token_type = nn.Embedding(2, width)
        self.text_dropout = nn.Dropout(config.input_dropout)
        self.encoder = build_transformer(config)
        self.proj = nn.Linear(width, n_answers)
        for embedding in (self.word_embedding, self.text_positions, self.token_type):
            nn.init.normal_(embedding.weight, std=0.02)
        nn.init.xavier_uniform_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, n_answers) of a Batch, of which only text (B, L) and text_length (B,) are read."""
        out: Tensor = self.proj(self.pool(batch.text, batch.text_length))
        return out

    def pool(self, text: Tensor, text_length: Tensor) -> Tensor:
        """Mean (B, width) of the transformer's output over the tokens of each question."""
        if text.shape[1] > self.text_positions.num_embeddings:
            raise ValueError(f"a question has {text.shape[1]} tokens, the model takes {self.config.max_text_tokens}")
        words = self.text_dropout(self.text_layer_norm(self.word_embedding(text)))
        words = words + self.text_positions.weight[: text.shape[1]] + self.token_type.weight[0]
        valid = positions_below(text_length, text.shape[1])
        return masked_mean(self.encoder(words, valid), valid)
