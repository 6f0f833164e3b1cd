"""What the objectives on ECGs with their reports share: the texts, the tokenizer, and reports that do not belong."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from torch import nn

from ecgqa.artefacts import digest_of
from ecgqa.errors import EcgqaError
from ecgqa.store.report_batches import ReportLoader, Reports
from ecgqa.training.objectives.pretraining import Pretraining, PretrainingConfig
from ecgqa.training.text import OWN, TOKENIZER, choose_tokenizer, start_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ecgqa.training.recipe import Recipe


@dataclass
class EcgTextConfig(PretrainingConfig):
    """Which ECGs and reports are learned from.

    Args:
        hidden_words: share of a report's tokens that are hidden.
        mismatched: share of the ECGs that get the report of another one, whose diagnoses differ.
        min_tokens: shortest report in tokens, [CLS] and [SEP] included; ECGs with shorter ones are left out.
    """

    hidden_words: float = 0.25
    mismatched: float = 0.5
    min_tokens: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.hidden_words < 1 or not 0 <= self.mismatched < 1:
            raise EcgqaError(
                "hidden_words lies in (0, 1) and mismatched in [0, 1)", found=f"{self.hidden_words}, {self.mismatched}"
            )


class EcgTextPretraining(Pretraining, ABC):
    """Learns ECGs with their reports."""

    monitor = "negative_loss"

    masks_in_text = False
    """Whether a hidden word is a token of the vocabulary, and not a vector of the model's own."""

    def __init__(self, recipe: Recipe, folder: Path | None = None) -> None:
        super().__init__(recipe, folder)
        self.folder = folder
        self.tokenizer = choose_tokenizer(recipe, self._texts, folder, mask=self.masks_in_text).limited(
            recipe.model.max_text_tokens
        )
        self._words: str | None = None
        self.reports = Reports(self.store, self.tokenizer.encode_words)
        self.usable = {"train": self._usable(self.rows.train), "valid": self._usable(self.rows.valid)}
        if not len(self.usable["train"]):
            raise EcgqaError(
                f"{self.store.folder} holds no report to learn from",
                expected=f"reports of at least {self.settings.min_tokens} tokens",
                fix="lower --objective.min_tokens",
            )
        self.require_valid(self.usable["valid"])

    def _texts(self) -> list[str]:
        learned = pl.Series(self.rows.train)
        return self.store.reports.filter(pl.col("ecg_row").is_in(learned.implode()))["text"].to_list()

    def _usable(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        long_enough: NDArray[np.bool_] = self.reports.n_tokens(rows) >= self.settings.min_tokens
        return rows[long_enough]

    @property
    def inputs(self) -> dict[str, Any]:
        # The digest stands for data.tokenizer, so that a run can go on where that folder is not.
        pieces = {} if self.recipe.data.tokenizer == OWN else {"tokenizer": digest_of(self.tokenizer.to_json())}
        return super().inputs | pieces

    @property
    def n_train(self) -> int:
        return len(self.usable["train"])

    @property
    def notes(self) -> list[str]:
        rows = len(self.rows.train) + len(self.rows.valid)
        without = rows - sum(map(len, self.usable.values()))
        few = [f"{without:,} of them without a report of {self.settings.min_tokens} tokens"] if without else []
        return [*self.rows.notes, *few, *([self._words] if self._words else [])]

    @property
    def sizes(self) -> dict[str, Any]:
        return {"vocab_size": self.tokenizer.vocab_size}

    def build_model(self) -> nn.Module:
        model = super().build_model()
        self._words = start_words(model, self.recipe.data, self.folder)
        return model

    def write_files(self, folder: Path) -> None:
        self.tokenizer.save(folder / TOKENIZER)
        super().write_files(folder)

    def make_loader(self, part: str, batch_size: int, **options: Any) -> ReportLoader:
        return ReportLoader(
            self.store, self.reports, self.usable[part], batch_size, mismatched=self.settings.mismatched, **options
        )
