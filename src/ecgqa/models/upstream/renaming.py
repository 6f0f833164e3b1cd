"""Parameter names of the original checkpoints in terms of ours, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

Pair = tuple[str, str]

ENCODER: tuple[Pair, ...] = (
    ("feature_extractor.", "front_end."),
    ("layer_norm.", "front_end.layer_norm."),
    ("post_extract_proj.", "front_end.projection."),
    ("conv_pos.pos_conv.0.", "positions.conv."),
)
"""The original's ECG encoder (prefix of the original, prefix of `EcgEncoder`); other names are the same in both."""

TEXT: tuple[Pair, ...] = (
    ("layer_norm.", "text_layer_norm."),
    ("language_embedding.", "word_embedding."),
    ("position_embedding.", "text_positions."),
    ("token_type_embedding.", "token_type."),
)
"""What the original's transformers make of words."""

FUSION: tuple[Pair, ...] = (
    *(pair for pair in ENCODER if pair[0] != "layer_norm."),
    ("feats_layer_norm.", "front_end.layer_norm."),
    *TEXT,
)
"""The original's transformer over ECG and text."""

_SPELLED_BEFORE_2025 = ((re.compile(r"\bweight_g$"), "original0"), (re.compile(r"\bweight_v$"), "original1"))


class Renaming:
    """Replaces the beginning of names, the longest that fits first; what fits none stays. Works in both directions."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self.pairs = tuple(pairs)

    def below(self, theirs: str, ours: str = "") -> Renaming:
        """The same renaming of a part that lies below prefix `theirs` in the original and below `ours` here."""
        return Renaming([(theirs, ours), *((theirs + one, ours + other) for one, other in self.pairs)])

    def __add__(self, other: Renaming) -> Renaming:
        return Renaming([*self.pairs, *other.pairs])

    def ours(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The original's tensors under our names; both spellings of weight norm are understood."""
        return {_replace(_modern(name), self.pairs): tensor for name, tensor in weights.items()}

    def theirs(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our tensors under the original's names."""
        pairs = [(ours, theirs) for theirs, ours in self.pairs]
        return {_replace(name, pairs): tensor for name, tensor in weights.items()}


def _replace(name: str, pairs: Iterable[Pair]) -> str:
    fitting = [pair for pair in pairs if name.startswith(pair[0])]
    if not fitting:
        return name
    before, after = max(fitting, key=lambda pair: len(pair[0]))
    return after + name.removeprefix(before)


def _modern(name: str) -> str:
    for pattern, part in _SPELLED_BEFORE_2025:
        name = pattern.sub(f"parametrizations.weight.{part}", name)
    return name
