"""ECGs with their reports, some of them with the report of another ECG: batches for learning which belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgqa.errors import EcgqaError
from ecgqa.store.decode import Decoder
from ecgqa.store.loader import Loader, LoaderOptions, Tensors
from ecgqa.store.open import Store

Encode = Callable[[list[str]], list[tuple[list[int], list[int]]]]
"""Token ids of each text, and which word each token belongs to (-1: a special token)."""

ROUNDS = 8
"""How often ECGs that found no unlike partner are shuffled for another try."""


UNKNOWN = -1
"""In place of a number: no diagnoses are known."""


@dataclass(slots=True)
class ReportBatch(Tensors):
    """B ECGs, each beside a report that is its own or another's.

    ecg: float32 (B, 12, T) millivolts, leads in canonical order; 0 where there is no valid sample.
    length: int64 (B,) samples per lead that belong to the ECG.
    text: int64 (B, L) token ids, padded on the right with 0. text_length: int64 (B,).
    word: int64 (B, L) which word of the text a token belongs to; -1 for special tokens and padding.
    belongs: bool (B,) whether the report is that of the ECG.
    row: int64 (B,) row of the ECG in the store. text_row: int64 (B,) row of the ECG that the report is about.
    """

    ecg: Tensor
    length: Tensor
    text: Tensor
    text_length: Tensor
    word: Tensor
    belongs: Tensor
    row: Tensor
    text_row: Tensor

    def __len__(self) -> int:
        return self.row.shape[0]


class Reports:
    """The reports of a store as token ids, and which of them say the same."""

    def __init__(self, store: Store, encode: Encode) -> None:
        frame = store.reports
        texts = frame["text"].to_list()
        said = list(dict.fromkeys(texts))
        encoded = dict(zip(said, encode(said), strict=True))
        self._encoded: list[tuple[list[int], list[int]]] = [encoded[text] for text in texts]
        self._place: NDArray[np.int64] = np.full(store.n_ecgs, -1, dtype=np.int64)
        self._place[frame["ecg_row"].to_numpy()] = np.arange(frame.height)
        self._says = _numbered(frame["text"].str.to_lowercase().str.replace_all(r"\s+", " "))
        self._means = _numbered(frame["diagnoses"].list.sort().list.join("\x1f"))
        self._means[frame["diagnoses"].list.len().to_numpy() == 0] = UNKNOWN

    def n_tokens(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens, special ones included, of the reports of ECGs `rows`; 0 for an ECG without a report."""
        return np.array([len(self._encoded[place][0]) if place >= 0 else 0 for place in self._place[rows]])

    def tokens(self, row: int) -> tuple[list[int], list[int]]:
        """Token ids and words of the report of ECG `row`."""
        return self._encoded[int(self._place[row])]

    def alike(self, rows: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the reports of two ECGs, pair by pair, say the same: the same words, or the same diagnoses."""
        one, two = self._place[rows], self._place[others]
        same_words: NDArray[np.bool_] = self._says[one] == self._says[two]
        same_diagnoses: NDArray[np.bool_] = (self._means[one] == self._means[two]) & (self._means[one] != UNKNOWN)
        return same_words | same_diagnoses

    def exchanged(self, rows: NDArray[np.int64], share: float, generator: np.random.Generator) -> NDArray[np.int64]:
        """The row whose report each of `rows` gets: for about `share` of them that of another.

        Two ECGs exchange their reports, so that each report is as often right as wrong. Those that say the same are not
        exchanged; if too few unlike ones are found, fewer are.
        """
        gets = rows.copy()
        waiting = generator.permutation(len(rows))[: round(share * len(rows)) // 2 * 2]
        for _ in range(ROUNDS):
            one, two = waiting[0::2], waiting[1::2]
            alike = self.alike(rows[one], rows[two])
            gets[one[~alike]], gets[two[~alike]] = rows[two[~alike]], rows[one[~alike]]
            waiting = generator.permutation(np.concatenate([one[alike], two[alike]]))
        return gets


class ReportLoader(Loader[ReportBatch]):
    """Batches of the ECGs in `rows` with reports; see `Loader` for what all loaders have in common.

    mismatched: share of ECGs that get the report of another one, drawn anew in each epoch, the same whatever the
    batches and processes. With `world_size` > 1 ECGs are repeated to fill the last batch.
    """

    def __init__(
        self,
        store: Store,
        reports: Reports,
        rows: NDArray[np.int64],
        batch_size: int,
        *,
        mismatched: float,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(Decoder.mapped(store), batch_size, **options)
        if not 0 <= mismatched < 1:
            raise EcgqaError("the share of mismatched reports lies in [0, 1)", found=str(mismatched))
        self.reports, self.rows, self.mismatched = reports, rows, mismatched
        self._drawn: tuple[int, NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return -(-len(self.rows) // (self.batch_size * self.world_size))

    def plan(self, epoch: int | None = None) -> list[NDArray[np.int64]]:
        rows = self.rows
        if self.shuffle:
            rows = self._generator("order", self.epoch if epoch is None else epoch).permutation(rows)
        size = self.batch_size * self.world_size
        if len(rows) % self.world_size:
            rows = np.concatenate([rows, np.resize(rows, self.world_size - len(rows) % self.world_size)])
        return [rows[first : first + size][self.rank :: self.world_size] for first in range(0, len(rows), size)]

    def make(self, rows: NDArray[np.int64], decoder: Decoder, epoch: int) -> ReportBatch:
        text_rows = self._gets(epoch)[rows]
        ecg, length = decoder(rows)
        texts = [self.reports.tokens(row) for row in text_rows.tolist()]
        return ReportBatch(
            ecg=ecg,
            length=length,
            text=_padded([ids for ids, _ in texts], 0),
            text_length=torch.tensor([len(ids) for ids, _ in texts]),
            word=_padded([words for _, words in texts], -1),
            belongs=torch.from_numpy(rows == text_rows),
            row=torch.from_numpy(rows),
            text_row=torch.from_numpy(text_rows),
        )

    def _gets(self, epoch: int) -> NDArray[np.int64]:
        """Row whose report each ECG of the store gets in `epoch`."""
        if self._drawn is None or self._drawn[0] != epoch:
            gets = np.arange(self._decoder.signals.shape[0])
            gets[self.rows] = self.reports.exchanged(self.rows, self.mismatched, self._generator("mismatched", epoch))
            self._drawn = (epoch, gets)
        return self._drawn[1]

    def _generator(self, purpose: str, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch, *f"reports {purpose}".encode()])


def _padded(lists: Sequence[list[int]], fill: int) -> Tensor:
    out = torch.full((len(lists), max(map(len, lists), default=1)), fill, dtype=torch.int64)
    for row, values in enumerate(lists):
        out[row, : len(values)] = torch.tensor(values)
    return out


def _numbered(values: pl.Series) -> NDArray[np.int64]:
    """A number for every value, the same for equal ones."""
    return values.rank("dense").cast(pl.Int64).to_numpy().copy()
