"""Which questions go into which batch of an epoch, and the loader that makes these batches one after another."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from ecgqa.store.batch import Batch
from ecgqa.store.dataset import QuestionDataset, torch_collate
from ecgqa.store.decode import Decoder
from ecgqa.store.loader import Loader, LoaderOptions

__all__ = ["Batch", "BatchLoader", "QuestionDataset", "torch_collate"]

POOL = 64
"""Batches whose questions are sorted by length together: enough for little padding, few enough to stay random."""


class BatchLoader(Loader[Batch]):
    """Batches of questions; see `Loader` for what all loaders have in common.

    One-ECG and two-ECG questions never share a batch, and questions of like length go together. `batch_size` counts
    the questions of one rank; all ranks get the same number of batches, at each step of the same K. With
    `world_size` > 1 questions are repeated to fill the last batches (drop_last: left out): count each `Batch.row` once.
    Without `shuffle` the order is that of K, then of text length within a pool.

    questions_per_ecg: up to so many questions about the same ECG (of two: the same first one) are drawn together, and
    a model can look at each ECG once for all of them.
    """

    def __init__(
        self,
        dataset: QuestionDataset,
        batch_size: int,
        *,
        questions_per_ecg: int = 1,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(dataset.decoder, batch_size, **options)
        self.dataset, self.questions_per_ecg = dataset, questions_per_ecg

    def __len__(self) -> int:
        size = self.batch_size * self.world_size
        counts = [int((self.dataset.n_ecgs == k).sum()) for k in np.unique(self.dataset.n_ecgs)]
        return sum(count // size if self.drop_last else -(-count // size) for count in counts)

    def plan(self, epoch: int | None = None) -> list[NDArray[np.int64]]:
        generator = np.random.default_rng([self.seed, self.epoch if epoch is None else epoch])
        n_ecgs, text_length = self.dataset.n_ecgs, self.dataset.text_length
        whole: list[NDArray[np.int64]] = []
        for k in np.unique(n_ecgs):
            rows = np.flatnonzero(n_ecgs == k)
            if self.shuffle:
                rows = generator.permutation(rows)
            by_length = text_length
            if self.questions_per_ecg > 1:
                rows, by_length = self._by_ecg(rows, text_length, generator)
            whole += self._groups(rows, by_length)
        if self.shuffle:
            whole = [whole[place] for place in generator.permutation(len(whole))]
        if self.questions_per_ecg > 1:
            return [np.split(rows, self.world_size)[self.rank] for rows in whole]
        return [rows[self.rank :: self.world_size] for rows in whole]

    def _by_ecg(
        self, rows: NDArray[np.int64], text_length: NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`rows` in runs about the same ECG and of like length; `text_length` with that of its longest for each run."""
        if not rows.size:
            return rows, text_length
        rows = rows[np.lexsort([text_length[rows], *self.dataset.ecg_rows[rows].T[::-1]])]
        begins = np.flatnonzero(np.diff(self.dataset.ecg_rows[rows, 0], prepend=-1))
        place = np.arange(len(rows)) - np.repeat(begins, np.diff(begins, append=len(rows)))
        starts = np.flatnonzero(place % self.questions_per_ecg == 0)
        run = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(rows)))
        longest = text_length.copy()
        longest[rows] = np.maximum.reduceat(text_length[rows], starts)[run]
        if self.shuffle:
            rows = rows[np.argsort(generator.permutation(len(starts))[run], kind="stable")]
        return rows, longest

    def _groups(self, rows: NDArray[np.int64], text_length: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """`rows` cut into groups of world_size batches; the one group that is not full is made of the last rows."""
        size = self.batch_size * self.world_size
        if self.drop_last:
            rows = rows[: len(rows) // size * size]
        groups: list[NDArray[np.int64]] = []
        for start in range(0, len(rows), POOL * size):
            pool = rows[start : start + POOL * size]
            pool = pool[np.argsort(text_length[pool], kind="stable")]
            groups += [pool[first : first + size] for first in range(0, len(pool), size)]
        if groups and len(groups[-1]) % self.world_size:
            lacking = self.world_size - len(groups[-1]) % self.world_size
            groups[-1] = np.concatenate([groups[-1], np.resize(rows, lacking)])
        return groups

    def make(self, rows: NDArray[np.int64], decoder: Decoder, epoch: int) -> Batch:
        return self.dataset.batch(rows, decoder=decoder)
