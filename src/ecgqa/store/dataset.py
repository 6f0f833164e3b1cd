"""The questions of one split as flat arrays: everything a batch needs, looked up by row number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from ecgqa.errors import EcgqaError
from ecgqa.records import NONE
from ecgqa.store.batch import Batch
from ecgqa.store.decode import NO_ECG, Decoder
from ecgqa.store.open import Store

_SEPARATOR = "\x1f"


class QuestionDataset(torch.utils.data.Dataset[Batch]):
    """The questions of a store's split and wording, ready to be batched; row i is row i of `frame`.

    `encode` turns texts into token ids; it is called once, with the distinct question texts. `dataset[i]` is a batch of
    one; `dataset.batch(rows)` and the `__getitems__` of PyTorch's own DataLoader (with `collate_fn=torch_collate`)
    make batches of any rows. `ecg_rows` int64 (n, K) and `n_ecgs` int64 (n,) tell which ECGs a question asks about
    (rows of the store's signals, -1 for none). Raises EcgqaError if a right answer or a candidate is not in the answer
    list.
    """

    def __init__(
        self, store: Store, *, split: str | None, version: str | None, encode: Callable[[list[str]], list[list[int]]]
    ) -> None:
        self.store = store
        self.frame = store.questions(split, version)
        self.decoder = Decoder.mapped(store)
        texts, self._text_of = _distinct(self.frame["question"])
        tokens = encode(texts.to_list())
        if len(tokens) != len(texts):
            raise EcgqaError(f"the tokenizer returned {len(tokens)} token lists for {len(texts)} questions")
        self._token_counts = np.array([len(ids) for ids in tokens], dtype=np.int64)
        width = int(self._token_counts.max(initial=1))
        self._tokens = np.zeros((len(tokens), width), dtype=np.int32)
        for row, ids in enumerate(tokens):
            self._tokens[row, : len(ids)] = ids
        self._targets, self._target_of = _multi_hot(self.frame["answer"], store.answers, "answer")
        self._candidates, self._candidates_of = _multi_hot(self.frame["candidates"], store.answers, "candidate")
        rows = self.frame["ecg_row"]
        self.n_ecgs: NDArray[np.int64] = rows.list.len().to_numpy().astype(np.int64)
        if self.n_ecgs.size and self.n_ecgs.min() < 1:
            raise EcgqaError(f"{store.folder} holds a question without an ECG")
        self.ecg_rows: NDArray[np.int64] = np.full((len(self), int(self.n_ecgs.max(initial=1))), NO_ECG, dtype=np.int64)
        for k in range(self.ecg_rows.shape[1]):
            self.ecg_rows[:, k] = rows.list.get(k, null_on_oob=True).fill_null(NO_ECG).to_numpy()

    def __len__(self) -> int:
        return self.frame.height

    @property
    def text_length(self) -> NDArray[np.int64]:
        """Number of tokens of each question, int64 (n_questions,)."""
        return self._token_counts[self._text_of]

    def __getitem__(self, index: int) -> Batch:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.batch([index % len(self)])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        return self.batch(indices)

    def __iter__(self) -> Iterator[Batch]:
        return (self[index] for index in range(len(self)))

    def batch(self, rows: Sequence[int] | NDArray[np.int64], *, decoder: Decoder | None = None) -> Batch:
        """The batch of the questions in `rows`, in that order; a missing second ECG is zero with length 0."""
        rows = np.asarray(rows, dtype=np.int64)
        ecg_rows = self.ecg_rows[rows, : int(self.n_ecgs[rows].max(initial=1))]
        distinct, ecg_of = np.unique(ecg_rows, return_inverse=True)
        ecgs, ecgs_length = (decoder or self.decoder)(distinct)
        text_rows = self._text_of[rows]
        text_length = self._token_counts[text_rows]
        text = self._tokens[text_rows, : int(text_length.max(initial=1))].astype(np.int64)
        return Batch(
            ecgs=ecgs,
            ecgs_length=ecgs_length,
            ecg_of=torch.from_numpy(ecg_of.reshape(ecg_rows.shape).astype(np.int64)),
            text=torch.from_numpy(text),
            text_length=torch.from_numpy(text_length),
            target=torch.from_numpy(self._targets[self._target_of[rows]].astype(np.float32)),
            candidates=torch.from_numpy(self._candidates[self._candidates_of[rows]]),
            row=torch.from_numpy(rows),
        )


def torch_collate(batch: Batch) -> Batch:
    """`collate_fn` for PyTorch's DataLoader over a QuestionDataset, whose `__getitems__` has made the batch already."""
    return batch


def _distinct(values: pl.Series) -> tuple[pl.Series, NDArray[np.int64]]:
    """The distinct values in order of first appearance, and for each row the number of its value."""
    distinct = values.unique(maintain_order=True)
    numbers = pl.arange(distinct.len(), dtype=pl.Int64(), eager=True)
    return distinct, values.replace_strict(distinct, numbers, return_dtype=pl.Int64()).to_numpy()


def _multi_hot(lists: pl.Series, answers: list[str], what: str) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Distinct sets of answers as rows of a boolean matrix (n_sets, C), and for each question the row of its set."""
    distinct, row_of = _distinct(lists.list.join(_SEPARATOR))
    column_of = {answer: column for column, answer in enumerate(answers)}
    matrix = np.zeros((distinct.len(), len(answers)), dtype=np.bool_)
    for row, joined in enumerate(distinct):
        for name in joined.split(_SEPARATOR) if joined else ():
            if name == NONE:
                continue
            if name not in column_of:
                raise EcgqaError(
                    f"{what} {name!r} is not in the store's answer list",
                    expected=f"one of {len(answers)} answers",
                    fix="ecgqa questions check finds such samples; build the store from answers that belong together",
                )
            matrix[row, column_of[name]] = True
    return matrix, row_of
