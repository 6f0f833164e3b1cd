"""The text side of a training run: which tokenizer it has, and what its words start from."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from ecgqa.errors import EcgqaError
from ecgqa.models.tokenizer import Tokenizer, train_tokenizer
from ecgqa.run_folder import TRAINING
from ecgqa.training.checkpoint import LAST
from ecgqa.training.distributed import process_rank

if TYPE_CHECKING:
    from ecgqa.training.recipe import DataConfig, Recipe

TOKENIZER, RECIPE = "tokenizer.json", TRAINING.file
OWN = "own"
"""`data.tokenizer` for the tokenizer of the run to start from, or else one learned from the training texts; anything
else names a PretrainedText."""


def choose_tokenizer(
    recipe: Recipe, texts: Callable[[], Iterable[str]], folder: Path | None, *, mask: bool = False
) -> Tokenizer:
    """The tokenizer of the run folder if it has one, else that of the run to start from, else what the recipe names.

    Words learned elsewhere mean something only to a model that numbers them alike. "own" learns from `texts()`, with a
    token for hidden words if there is to be a `mask`. Raises EcgqaError if the recipe names another tokenizer than that
    of the run to start from.
    """
    data = recipe.data
    data.tokenizer = _at_hand(data.tokenizer, folder)
    if folder is not None and (folder / TOKENIZER).is_file():
        return Tokenizer.load(folder / TOKENIZER)
    before = Path(recipe.run.start_from) / TOKENIZER if recipe.run.start_from else None
    learned = Tokenizer.load(before) if before is not None and before.is_file() else None
    if data.tokenizer == OWN:
        return learned or train_tokenizer(texts(), data.vocab_size, mask=mask)
    from ecgqa.models.pretrained_text import PretrainedText

    named = PretrainedText(data.tokenizer).tokenizer()
    if learned is not None and learned.to_json() != named.to_json():
        raise EcgqaError(
            f"{recipe.run.start_from} numbers its words otherwise than {data.tokenizer}",
            fix=f"--data.tokenizer {OWN} takes the tokenizer of the run to start from",
        )
    return named


def _at_hand(names: str, folder: Path | None) -> str:
    """The first of "bert-base-uncased, own" that is at hand; a run that has begun keeps the one it has chosen."""
    if "," not in names:
        return names
    if folder is not None and (folder / RECIPE).is_file():
        begun = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
        return str(begun.get("data", {}).get("tokenizer", OWN))
    from ecgqa.models.pretrained_text import PretrainedText

    *wished, last = (name.strip() for name in names.split(","))
    for name in wished:
        try:
            PretrainedText(name).tokenizer()
            return name
        except EcgqaError as error:
            if process_rank() == 0:
                print(f"{error.message}: taking {last} instead", file=sys.stderr)
    return last


def start_words(model: nn.Module, data: DataConfig, folder: Path | None) -> str | None:
    """Start a fresh model's words from the recipe's text encoder; returns a sentence on what was taken, if any.

    A run folder with a checkpoint needs none of it: its own weights follow.
    """
    if data.tokenizer == OWN or not data.text_weights or (folder is not None and (folder / LAST).is_file()):
        return None
    from ecgqa.models.pretrained_text import PretrainedText

    return PretrainedText(data.tokenizer).put_into(model)
