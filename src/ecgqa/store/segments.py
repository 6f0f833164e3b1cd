"""Pieces of ECGs without any question: one a time, or pairs of one patient for contrastive pretraining."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Unpack

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgqa.errors import EcgqaError
from ecgqa.store.decode import Decoder
from ecgqa.store.layout import N_LEADS
from ecgqa.store.loader import Loader, LoaderOptions, Tensors
from ecgqa.store.open import Store

Pairs = Literal["consecutive", "records"]
Positives = Literal["patient", "record"]


@dataclass(slots=True)
class SegmentBatch(Tensors):
    """N segments of ECGs, all of the same number T of samples; the two of a pair follow each other.

    ecg: float32 (N, 12, T) millivolts, leads in canonical order; 0 where there is no valid sample.
    length: int64 (N,) samples per lead that belong to the ECG.
    patient: int64 (N,) a number per patient: rows that share it are positives of each other.
    segment: int64 (N,) 0 for the first of a pair, 1 for the second; 0 without pairs.
    row: int64 (N,) row of the ECG in the store.
    """

    ecg: Tensor
    length: Tensor
    patient: Tensor
    segment: Tensor
    row: Tensor

    def __len__(self) -> int:
        return self.row.shape[0]


class SegmentLoader(Loader[SegmentBatch]):
    """Batches of segments of the ECGs in `rows` of a store; see `Loader` for what all loaders have in common.

    batch_size counts ECGs of one rank: with pairs a batch holds twice as many segments. With `world_size` > 1 ECGs are
    repeated to fill the last batch (drop_last: left out): count each `SegmentBatch.row` once.

    seconds: length of a segment; None takes ECGs as a whole. ECGs with too few valid samples for the segments asked
    for, or without any signal, are left out: `rows` holds those that remain, `n_left_out` counts the others.
    n_segments: 1, or 2 for pairs: consecutive segments of an ECG that do not overlap (CMSC, Kiyasseh et al. 2021).
    pairs: "records" takes the second segment from another ECG of the same patient, wherever there is one.
    positives: whose segments share a number: those of a "patient", or only those of a "record" (as published, where
        two ECGs of a patient were negatives of each other).
    random_crop: begin at a place drawn for each epoch; otherwise at the first sample.
    """

    def __init__(
        self,
        store: Store,
        rows: NDArray[np.int64],
        batch_size: int,
        *,
        seconds: float | None = 5.0,
        n_segments: int = 1,
        pairs: Pairs = "consecutive",
        positives: Positives = "patient",
        random_crop: bool = True,
        **options: Unpack[LoaderOptions],
    ) -> None:
        if n_segments not in (1, 2):
            raise EcgqaError("n_segments is 1 or 2", found=str(n_segments))
        super().__init__(Decoder.mapped(store), batch_size, **options)
        self.store, self.n_segments, self.pairs, self.random_crop = store, n_segments, pairs, random_crop
        self.n_samples = store.n_samples if seconds is None else round(seconds * store.fs_hz)
        if not 1 <= self.n_samples <= store.n_samples:
            raise EcgqaError(
                f"segments of {seconds} s cannot be cut from {store.folder}",
                expected=f"at most {store.n_samples / store.fs_hz:g} s",
                found=f"{self.n_samples} samples at {store.fs_hz:g} Hz",
            )
        self._length = store.records["n_samples"].to_numpy().astype(np.int64)
        rows = np.asarray(rows, dtype=np.int64)
        one = 1 if seconds is None else self.n_samples
        usable = rows[(self._length[rows] >= one) & has_signal(store)[rows]]
        self._family = Family(usable, patient_numbers(store))
        self._apart = self._family.has_others & (n_segments == 2 and pairs == "records")
        needed = np.where((n_segments == 1) | self._apart, one, 2 * self.n_samples)
        self.rows: NDArray[np.int64] = usable[self._length[usable] >= needed[usable]]
        self.n_left_out = len(rows) - len(self.rows)
        if not len(self.rows):
            raise EcgqaError(
                f"none of {len(rows):,} ECGs of {store.folder} is long enough",
                expected=f"{n_segments} x {self.n_samples / store.fs_hz:g} s with a signal",
                fix="ask for shorter segments",
            )
        self._number = self._family.patient if positives == "patient" else np.arange(store.n_ecgs)
        self._drawn: tuple[int, Places] | None = None

    def __len__(self) -> int:
        size = self.batch_size * self.world_size
        return len(self.rows) // size if self.drop_last else -(-len(self.rows) // size)

    def plan(self, epoch: int | None = None) -> list[NDArray[np.int64]]:
        rows = self.rows
        if self.shuffle:
            rows = self._generator("order", self.epoch if epoch is None else epoch).permutation(rows)
        size = self.batch_size * self.world_size
        if self.drop_last:
            rows = rows[: len(rows) // size * size]
        elif len(rows) % self.world_size:
            rows = np.concatenate([rows, np.resize(rows, self.world_size - len(rows) % self.world_size)])
        return [rows[first : first + size][self.rank :: self.world_size] for first in range(0, len(rows), size)]

    def make(self, rows: NDArray[np.int64], decoder: Decoder, epoch: int) -> SegmentBatch:
        places = self._places(epoch)
        if self.n_segments == 1:
            owner, starts = rows, places.first[rows]
        else:
            owner = np.stack([rows, places.partner[rows]], 1).ravel()
            starts = np.stack([places.first[rows], places.second[rows]], 1).ravel()
        ecg, length = decoder(owner, starts, self.n_samples)
        return SegmentBatch(
            ecg=ecg,
            length=length,
            patient=torch.from_numpy(np.repeat(self._number[rows], self.n_segments)),
            segment=torch.arange(self.n_segments).repeat(len(rows)),
            row=torch.from_numpy(owner),
        )

    def _places(self, epoch: int) -> Places:
        """Where the segments of every ECG begin in `epoch`, whichever rank and batch it falls to."""
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = (epoch, self._draw(epoch))
        return self._drawn[1]

    def _draw(self, epoch: int) -> Places:
        n = len(self._length)
        draw = self._generator("crop", epoch).random((3, n)) if self.random_crop else np.zeros((3, n))
        taken = np.where((self.n_segments == 2) & ~self._apart, 2, 1) * self.n_samples

        def start(uniform: NDArray[np.float64]) -> NDArray[np.int64]:
            room: NDArray[np.int64] = np.maximum(self._length - taken, 0)
            place: NDArray[np.int64] = np.minimum((uniform * (room + 1)).astype(np.int64), room)
            return place

        first = start(draw[0])
        partner = np.where(self._apart, self._family.another(draw[2]), np.arange(n))
        return Places(first, np.where(self._apart, start(draw[1])[partner], first + self.n_samples), partner)

    def _generator(self, purpose: str, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch, *purpose.encode()])


@dataclass(frozen=True)
class Places:
    """For every row of the store, int64 (n_ecgs,): first sample of its segment; row and first sample of the second."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    partner: NDArray[np.int64]


class Family:
    """Which of some rows of a store belong to the same patient.

    patient: int64 (n_ecgs,) number of the patient of every row. has_others: bool (n_ecgs,) rows with a relative.
    """

    def __init__(self, rows: NDArray[np.int64], patient: NDArray[np.int64]) -> None:
        self.patient = patient
        self._rows = rows[np.argsort(patient[rows], kind="stable")]
        of = patient[self._rows]
        self._begin = np.searchsorted(of, of, side="left")
        self._size = np.searchsorted(of, of, side="right") - self._begin
        self.has_others = np.zeros(len(patient), dtype=np.bool_)
        self.has_others[self._rows] = self._size > 1

    def another(self, uniform: NDArray[np.float64]) -> NDArray[np.int64]:
        """For every row another of the same patient, chosen by a `uniform` (n_ecgs,) number; itself where none is."""
        place = np.arange(len(self._rows)) - self._begin
        steps = (uniform[self._rows] * (self._size - 1)).astype(np.int64) + 1
        other = np.arange(len(self.patient))
        other[self._rows] = self._rows[self._begin + (place + steps) % self._size]
        return other


def patient_numbers(store: Store) -> NDArray[np.int64]:
    """A number per patient for every row of the store, int64 (n_ecgs,); an ECG of an unknown patient has its own."""
    known = store.records["patient_id"]
    own = pl.arange(known.len(), dtype=pl.Int64(), eager=True) + known.len()
    return np.asarray((known.rank("dense").cast(pl.Int64) - 1).fill_null(own).to_numpy())


def has_signal(store: Store) -> NDArray[np.bool_]:
    """Bool (n_ecgs,): whether any lead of an ECG is neither missing nor flat."""
    silent = pl.element().filter(pl.element().str.contains("^(flat|missing):")).str.replace("^[a-z]+:", "")
    flags = store.records["flags"].fill_null([])
    return np.asarray((flags.list.eval(silent).list.n_unique() < N_LEADS).to_numpy())
