"""The QA fusion transformer ("ecg_transformer"): one or two ECGs and a question in, a logit per answer class out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ecgqa.models.ecg_encoder import EcgEncoderConfig, EcgFrontEnd
from ecgqa.models.layers import ConvolutionalPositions, build_transformer, masked_mean, nonzero_mean, positions_below
from ecgqa.models.registry import register_model
from ecgqa.models.tokenizer import SEP_ID

if TYPE_CHECKING:
    from ecgqa.store.batches import Batch


class Repairs(NamedTuple):
    """Which defects of the published model are repaired."""

    text_mask: bool
    pooling: bool
    padding: bool


COMPAT = {
    "off": Repairs(text_mask=True, pooling=True, padding=True),
    "padding": Repairs(text_mask=True, pooling=True, padding=False),
    "pooling": Repairs(text_mask=True, pooling=False, padding=False),
    "published": Repairs(text_mask=False, pooling=False, padding=False),
}


@dataclass
class FusionTransformerConfig(EcgEncoderConfig):
    """Size of the QA fusion transformer; the defaults are those of the published base model.

    Args:
        dropout: dropout inside the transformer.
        attention_dropout: dropout on attention weights.
        activation_dropout: dropout inside the feed-forward blocks.
        max_text_tokens: longest question in word pieces; longer ones are cut.
        compat: which defects of the published model are kept. "off": none. "padding": the first normalisation and the
            positional convolution see zero padding. "pooling": also the second ECG's mean starts at the separator and
            misses its last frame, and means divide by non-zero entries. "published": also padding of the text is read
            as text.
    """

    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.1
    max_text_tokens: int = 512
    compat: Literal["off", "padding", "pooling", "published"] = "off"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.compat not in COMPAT:
            raise ValueError(f"compat is one of {', '.join(COMPAT)}, not {self.compat!r}")


class Frames(NamedTuple):
    """What the front end makes of ECGs: x (n, frames, width) and int64 (n,) how many frames of each are valid."""

    x: Tensor
    n_valid: Tensor


class Sequence(NamedTuple):
    """ECG tokens side by side: x (B, L, width) and bool (B, L) masks of valid positions and of each ECG's frames."""

    x: Tensor
    valid: Tensor
    first: Tensor
    second: Tensor


class FusionBody(nn.Module):
    """What models hold that read ECG and text as one sequence: front end, positions, words, transformer.

    MedViLL's pretraining and the QA transformer inherit it, so that the parts have equal names.
    """

    def __init__(
        self, config: EcgEncoderConfig, *, max_text_tokens: int, vocab_size: int, ignore_padding: bool
    ) -> None:
        super().__init__()
        width = config.width
        self.ignore_padding = ignore_padding
        self.front_end = EcgFrontEnd(config, ignore_padding=ignore_padding)
        self.positions = ConvolutionalPositions(width, config.positions_kernel, config.positions_groups)
        self.word_embedding = nn.Embedding(vocab_size, width)
        self.text_layer_norm = nn.LayerNorm(width)
        self.text_positions = nn.Embedding(max_text_tokens, width)
        self.token_type = nn.Embedding(2, width)
        self.text_dropout = nn.Dropout(config.input_dropout)
        self.encoder = build_transformer(config)

    def init_embeddings(self) -> None:
        for embedding in (self.word_embedding, self.text_positions, self.token_type):
            nn.init.normal_(embedding.weight, std=0.02)

    def embed_words(self, text: Tensor) -> Tensor:
        """text (B, L) -> normalised vectors (B, L, width), without positions."""
        out: Tensor = self.text_dropout(self.text_layer_norm(self.word_embedding(text)))
        return out

    def place_words(self, words: Tensor) -> Tensor:
        """words (B, L, width) with what tells their positions, and that they are text."""
        if words.shape[1] > self.text_positions.num_embeddings:
            raise ValueError(
                f"a text has {words.shape[1]} tokens, the model takes {self.text_positions.num_embeddings}"
            )
        return words + self.text_positions.weight[: words.shape[1]] + self.token_type.weight[1]

    def place_frames(self, x: Tensor, valid: Tensor) -> Tensor:
        """Frames x (B, L, width), of which valid (B, L) count, with their positions, and told apart from words."""
        if self.ignore_padding:
            x = x.masked_fill(~valid[:, :, None], 0.0)
        out: Tensor = x + self.positions(x) + self.token_type.weight[0]
        return out

    def frames(self, ecg: Tensor, length: Tensor) -> Frames:
        """The front end over ecg (n, 12, T) in mV, of which length (n,) samples are valid."""
        padded = bool((length < ecg.shape[-1]).any())
        return Frames(self.front_end(ecg, length if padded else None), self.front_end.n_frames(length))


@register_model("ecg_transformer", FusionTransformerConfig)
class FusionTransformer(FusionBody):
    """ECG frames | separator | frames of the second ECG | question tokens through one bidirectional transformer.

    Source: the scratch model of ECG-QA (Oh et al. 2023), from fairseq-signals.
    """

    def __init__(
        self, config: FusionTransformerConfig, *, n_answers: int, vocab_size: int, separator_id: int = SEP_ID
    ) -> None:
        repairs = COMPAT[config.compat]
        super().__init__(
            config, max_text_tokens=config.max_text_tokens, vocab_size=vocab_size, ignore_padding=repairs.padding
        )
        self.config, self.separator_id, self.repairs = config, separator_id, repairs
        self.proj = nn.Linear(3 * config.width, n_answers)
        self.init_embeddings()
        nn.init.xavier_uniform_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B, n_answers) of a Batch: 1 or 2 ECGs per question, in mV, and text (B, L) padded with 0."""
        frames, n_frames = self.frames(batch.ecgs, batch.ecgs_length)  # once for all questions about an ECG
        ecgs = [Frames(frames[which], n_frames[which]) for which in batch.ecg_of.unbind(1)]
        out: Tensor = self.proj(self._pool(ecgs, batch.text, batch.text_length))
        return out

    def pool(
        self,
        first: Tensor,
        first_length: Tensor,
        second: Tensor | None,
        second_length: Tensor | None,
        text: Tensor,
        text_length: Tensor,
    ) -> Tensor:
        """Means (B, 3 * width) of the first ECG's frames, the second's (zeros if there is none) and the text.

        first, second (B, 12, T) in mV, whose T may differ; lengths (B,) in samples, 0 for an absent second ECG.
        """
        ecgs = [self.frames(first, first_length)]
        if second is not None and second_length is not None:
            ecgs.append(self.frames(second, second_length))
        return self._pool(ecgs, text, text_length)

    def _pool(self, ecgs: list[Frames], text: Tensor, text_length: Tensor) -> Tensor:
        ecg = self._side_by_side(ecgs)
        words = self.place_words(self.embed_words(text))
        text_valid = positions_below(text_length, text.shape[1])
        attended = text_valid if self.repairs.text_mask else torch.ones_like(text_valid)
        valid = torch.cat([ecg.valid, attended], 1)
        out = self.encoder(torch.cat([ecg.x, words], 1), valid)
        n_ecg = ecg.x.shape[1]
        if self.repairs.pooling:
            return torch.cat(
                [
                    masked_mean(out[:, :n_ecg], ecg.first),
                    masked_mean(out[:, :n_ecg], ecg.second),
                    masked_mean(out[:, n_ecg:], attended),
                ],
                1,
            )
        out = out.masked_fill(~valid[:, :, None], 0.0)
        n_first, n_second = int(ecg.first.sum(1).max()), int(ecg.second.sum(1).max())
        first_mean = nonzero_mean(out[:, :n_first])
        second_mean = (
            torch.zeros_like(first_mean)
            if len(ecgs) == 1
            else nonzero_mean(out[:, n_first : n_first + n_second], epsilon=1e-8)
        )
        return torch.cat([first_mean, second_mean, nonzero_mean(out[:, n_ecg:])], 1)

    def _side_by_side(self, ecgs: list[Frames]) -> Sequence:
        frames, n_frames = ecgs[0]
        if len(ecgs) == 1:
            x, valid = frames, positions_below(n_frames, frames.shape[1])
            membership = (valid, torch.zeros_like(valid))
        else:
            more, n_more = ecgs[1]
            separator = self.word_embedding.weight[self.separator_id].expand(len(frames), 1, -1)
            x = torch.cat([frames, separator.to(frames.dtype), more], 1)
            ragged = bool((n_frames < frames.shape[1]).any() | (n_more < more.shape[1]).any())
            if self.repairs.padding and ragged:
                x, valid, *both = _close_gaps(x, frames.shape[1], n_frames, n_more)
                membership = (both[0], both[1])
            else:
                in_first = positions_below(n_frames, frames.shape[1])
                in_second = positions_below(n_more, more.shape[1])
                has_second = (n_more > 0)[:, None]
                valid = torch.cat([in_first, has_second, in_second], 1)
                never = torch.zeros_like(has_second)
                membership = (
                    torch.cat([in_first, never, torch.zeros_like(in_second)], 1),
                    torch.cat([torch.zeros_like(in_first), never, in_second], 1),
                )
        return Sequence(self.place_frames(x, valid), valid, *membership)


def _close_gaps(
    x: Tensor, first_width: int, n_first: Tensor, n_second: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Move each row's valid tokens together, so that nothing depends on how far its batch was padded.

    x (B, first_width + 1 + second_width, width); a row without second ECG loses its separator too.
    Returns x and the bool (B, L) masks: valid, in the first ECG, in the second.
    """
    place = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
    n_first, n_second = n_first[:, None], n_second[:, None]
    first = place < n_first
    second = (place > n_first) & (place <= n_first + n_second)
    valid = first | second | ((place == n_first) & (n_second > 0))
    source = torch.where(first, place, place - n_first + first_width).clamp(max=x.shape[1] - 1)
    x = torch.gather(x, 1, source[:, :, None].expand_as(x))
    return x, valid, first, second
