"""ECGs seen through sets of leads, with the attributes that are known of them: what a classifier is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgqa.records import LEADS
from ecgqa.store.loader import Tensors


class Decodes(Protocol):
    """What turns rows into millivolts: a store's Decoder, or ECGs in memory."""

    @property
    def signals(self) -> Tensor:
        """What lies where the ECGs are made from."""

    def __call__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Millivolts float32 (n, 12, T) and lengths int64 (n,) of the ECGs in `rows` (n,)."""


@dataclass(slots=True)
class FindingsBatch(Tensors):
    """N looks at ECGs, each through a set of leads, and M things known of them in all.

    ecg: float32 (N, 12, T) millivolts, leads outside the lead set 0. length: int64 (N,) samples that belong to the ECG.
    leads: bool (N, 12) the lead set.
    look: int64 (M,) which of the N an item is about; attribute: int64 (M,) its class; label: float32 (M,) 1 for yes.
    row: int64 (N,) row of each look in the data set.
    """

    ecg: Tensor
    length: Tensor
    leads: Tensor
    look: Tensor
    attribute: Tensor
    label: Tensor
    row: Tensor

    def __len__(self) -> int:
        return self.row.shape[0]


class FindingsDataset:
    """Looks at ECGs in the order of (ECG, lead set), each with its items; what BatchLoader asks of a data set.

    ecg_row: int64 (n,) rows of the store's signals. leads: bool (n, 12). offset: int64 (n + 1,): the items of look i
    are `attribute[offset[i]:offset[i + 1]]` and the same of `label`.
    """

    def __init__(
        self,
        decoder: Decodes,
        ecg_row: NDArray[np.int64],
        lead_sets: NDArray[np.int64],
        offset: NDArray[np.int64],
        attribute: NDArray[np.int64],
        label: NDArray[np.bool_],
    ) -> None:
        self.decoder, self.ecg_row, self.lead_sets = decoder, ecg_row, lead_sets
        self.leads = (lead_sets[:, None] >> np.arange(len(LEADS)) & 1).astype(np.bool_)
        self.offset, self.attribute, self.label = offset, attribute, label
        self.ecg_rows = ecg_row[:, None]
        self.n_ecgs: NDArray[np.int64] = np.ones(len(ecg_row), dtype=np.int64)
        self.text_length: NDArray[np.int64] = np.zeros(len(ecg_row), dtype=np.int64)

    @classmethod
    def of_items(cls, decoder: Decodes, items: pl.DataFrame) -> FindingsDataset:
        """One look for each (ECG, lead set) of `items` (rows of table GROUNDING)."""
        items = items.sort("ecg_row", "leads", "class_id")
        looks = items.group_by("ecg_row", "leads", maintain_order=True).len()
        return cls(
            decoder,
            looks["ecg_row"].to_numpy().astype(np.int64),
            looks["leads"].to_numpy().astype(np.int64),
            np.append(0, np.cumsum(looks["len"].to_numpy())).astype(np.int64),
            items["class_id"].to_numpy().astype(np.int64),
            items["label"].to_numpy().astype(np.bool_),
        )

    @classmethod
    def of_looks(cls, decoder: Decodes, ecg_row: NDArray[np.int64], lead_sets: NDArray[np.int64]) -> FindingsDataset:
        """Looks of which nothing is known yet."""
        none = np.zeros(0, dtype=np.int64)
        offset = np.zeros(len(ecg_row) + 1, dtype=np.int64)
        return cls(decoder, ecg_row, lead_sets, offset, none, none.astype(np.bool_))

    def subset(self, rows: NDArray[np.int64]) -> FindingsDataset:
        """The looks in `rows` only."""
        item, _ = self.items_of(rows)
        offset = np.append(0, np.cumsum(np.diff(self.offset)[rows])).astype(np.int64)
        attribute, label = self.attribute[item], self.label[item]
        return FindingsDataset(self.decoder, self.ecg_row[rows], self.lead_sets[rows], offset, attribute, label)

    def __len__(self) -> int:
        return len(self.ecg_row)

    def items_of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Items of the looks in `rows`, and for each which of the rows it belongs to; both int64 (M,)."""
        counts = np.diff(self.offset)[rows]
        look = np.repeat(np.arange(len(rows)), counts)
        begins = np.cumsum(counts) - counts
        return np.arange(len(look)) - np.repeat(begins - self.offset[rows], counts), look

    def batch(self, rows: Sequence[int] | NDArray[np.int64], *, decoder: Decodes | None = None) -> FindingsBatch:
        """The batch of the looks in `rows`; an ECG that several of them share is decoded once."""
        rows = np.asarray(rows, dtype=np.int64)
        distinct, ecg_of = np.unique(self.ecg_row[rows], return_inverse=True)
        ecgs, length = (decoder or self.decoder)(distinct)
        place = torch.from_numpy(ecg_of.astype(np.int64)).to(ecgs.device)
        leads = torch.from_numpy(self.leads[rows])
        item, look = self.items_of(rows)
        return FindingsBatch(
            ecg=ecgs[place] * leads.to(ecgs.device).unsqueeze(-1),
            length=length[place],
            leads=leads,
            look=torch.from_numpy(look),
            attribute=torch.from_numpy(self.attribute[item]),
            label=torch.from_numpy(self.label[item].astype(np.float32)),
            row=torch.from_numpy(rows),
        )
