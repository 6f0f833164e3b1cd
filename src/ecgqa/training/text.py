"""The text side of a training run: which tokenizer it has, and what its word embeddings start from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from ecgqa.models.tokenizer import Tokenizer, train_tokenizer
from ecgqa.training.checkpoint import LAST

if TYPE_CHECKING:
    from ecgqa.training.recipe import DataConfig

TOKENIZER = "tokenizer.json"
OWN = "own"
"""`data.tokenizer` for sub-words learned from the training texts; anything else names a PretrainedText."""


def choose_tokenizer(data: DataConfig, texts: Callable[[], Iterable[str]], folder: Path | None) -> Tokenizer:
    """The tokenizer of the run folder if it has one, else the one that the recipe names, learned from `texts()`."""
    if folder is not None and (folder / TOKENIZER).is_file():
        return Tokenizer.load(folder / TOKENIZER)
    if data.tokenizer == OWN:
        return train_tokenizer(texts(), data.vocab_size)
    from ecgqa.models.pretrained_text import PretrainedText

    return PretrainedText(data.tokenizer).tokenizer()


def start_words(model: nn.Module, data: DataConfig, folder: Path | None) -> str | None:
    """Start a fresh model's words from the recipe's text encoder; returns a sentence on what was taken, if any.

    A run folder with a checkpoint needs none of it: its own weights follow.
    """
    if data.tokenizer == OWN or not data.text_weights or (folder is not None and (folder / LAST).is_file()):
        return None
    from ecgqa.models.pretrained_text import PretrainedText

    return PretrainedText(data.tokenizer).put_embeddings_into(model)
