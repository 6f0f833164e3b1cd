"""BERT as a text encoder (Devlin et al. 2019), its layers and its head that predicts words.

The parts inside a layer keep the names of the published weights, so that these fit without a table.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ecgqa.models.layers import positions_below

LAYER_NORM_EPS = 1e-12
INIT_STD = 0.02


class _Projections(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))


class _Output(nn.Module):
    """Back to the width of the stream, added to it and normalised."""

    def __init__(self, width_in: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(width_in, width)
        self.LayerNorm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, stream: Tensor) -> Tensor:
        out: Tensor = self.LayerNorm(stream + self.dropout(self.dense(hidden)))
        return out


class BertAttention(nn.Module):
    """Post-norm multi-head attention of a stream to itself or to another one."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        if width % n_heads:
            raise ValueError(f"width {width} is not a multiple of {n_heads} heads")
        self.n_heads, self.dropout = n_heads, dropout
        self.self = _Projections(width)
        self.output = _Output(width, width, dropout)

    def forward(self, stream: Tensor, looked_at: Tensor, valid: Tensor) -> Tensor:
        """stream (B, L, width), looked_at (B, M, width), valid (B, M) bool, True where it may be looked at."""
        query, key, value = (
            projection(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for projection, x in (
                (self.self.query, stream),
                (self.self.key, looked_at),
                (self.self.value, looked_at),
            )
        )
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=valid[:, None, None, :], dropout_p=self.dropout if self.training else 0.0
        )
        out: Tensor = self.output(mixed.transpose(1, 2).flatten(2), stream)
        return out


class _Intermediate(nn.Module):
    def __init__(self, width: int, feedforward: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, feedforward)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.dense(x))


class BertLayer(nn.Module):
    """Self-attention, then a feed-forward block, both post-norm."""

    def __init__(self, width: int, feedforward: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = BertAttention(width, n_heads, dropout)
        self.intermediate = _Intermediate(width, feedforward)
        self.output = _Output(feedforward, width, dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, L, width), valid (B, L) bool."""
        x = self.attention(x, x, valid)
        out: Tensor = self.output(self.intermediate(x), x)
        return out


class CoAttentionLayer(BertLayer):
    """A BERT layer of one stream that also looks at the other, between its own attention and its feed-forward block."""

    def __init__(self, width: int, feedforward: int, n_heads: int, dropout: float) -> None:
        super().__init__(width, feedforward, n_heads, dropout)
        self.crossattention = BertAttention(width, n_heads, dropout)

    def forward(  # type: ignore[override]
        self, x: Tensor, valid: Tensor, other: Tensor, other_valid: Tensor
    ) -> Tensor:
        """x (B, L, width) and other (B, M, width) with their bool masks of valid positions."""
        x = self.attention(x, x, valid)
        x = self.crossattention(x, other, other_valid)
        out: Tensor = self.output(self.intermediate(x), x)
        return out


class _Embeddings(nn.Module):
    def __init__(self, vocab_size: int, max_tokens: int, width: int, dropout: float) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, width)
        self.position_embeddings = nn.Embedding(max_tokens, width)
        self.token_type_embeddings = nn.Embedding(2, width)
        self.LayerNorm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, text: Tensor) -> Tensor:
        if text.shape[1] > self.position_embeddings.num_embeddings:
            raise ValueError(
                f"a text has {text.shape[1]} tokens, the model takes {self.position_embeddings.num_embeddings}"
            )
        x = self.word_embeddings(text) + self.position_embeddings.weight[: text.shape[1]]
        out: Tensor = self.dropout(self.LayerNorm(x + self.token_type_embeddings.weight[0]))
        return out


class _Layers(nn.Module):
    def __init__(self, layers: list[BertLayer]) -> None:
        super().__init__()
        self.layer = nn.ModuleList(layers)


class BertEncoder(nn.Module):
    """Token ids to vectors; BERT without its pooler. The defaults are the sizes of bert-base."""

    def __init__(
        self,
        vocab_size: int,
        *,
        max_tokens: int = 512,
        width: int = 768,
        feedforward: int = 3072,
        n_layers: int = 12,
        n_heads: int = 12,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embeddings = _Embeddings(vocab_size, max_tokens, width, dropout)
        self.encoder = _Layers([BertLayer(width, feedforward, n_heads, dropout) for _ in range(n_layers)])
        self.apply(bert_init)

    def forward(self, text: Tensor, text_length: Tensor) -> tuple[Tensor, Tensor]:
        """text (B, L) padded on the right, text_length (B,) -> vectors (B, L, width), valid (B, L) bool."""
        valid = positions_below(text_length, text.shape[1])
        x = self.embeddings(text)
        for layer in self.encoder.layer:
            x = layer(x, valid)
        return x, valid


class _Transform(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.LayerNorm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.LayerNorm(F.gelu(self.dense(x)))
        return out


class WordHead(nn.Module):
    """A logit for every word of the vocabulary at each position."""

    def __init__(self, width: int, vocab_size: int) -> None:
        super().__init__()
        self.transform = _Transform(width)
        self.decoder = nn.Linear(width, vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.apply(bert_init)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., width) -> (..., vocab_size)."""
        out: Tensor = self.decoder(self.transform(x)) + self.bias
        return out


def bert_init(module: nn.Module) -> None:
    """Initialise a linear map or an embedding as BERT does."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INIT_STD)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
