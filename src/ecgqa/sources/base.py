"""What every source of ECGs can be asked: its records table, the path of an ECG, its raw metadata, its digest."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ecgqa.errors import EcgqaError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl


class Source(ABC):
    """One folder of ECGs. Nothing is read before it is asked for; no signal is opened at all."""

    kind: ClassVar[str]
    rates: ClassVar[tuple[str, ...]] = ("500",)
    """Sampling rates (Hz, as folder names spell them) at which the data set offers its records."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.notes: tuple[str, ...] = ()
        """What was passed over while reading the metadata, one sentence each; complete once `records` was called."""
        self._records: dict[str, pl.DataFrame] = {}
        self._index: dict[str, tuple[npt.NDArray[np.int64], pl.Series]] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.root)!r})"

    @property
    def name(self) -> str:
        """What the records table says in column `source`: the data set, where it is not just the layout `kind`."""
        return self.kind

    @abstractmethod
    def metadata(self) -> pl.DataFrame:
        """The raw metadata rows of the data set: its own columns and spellings as strings, ids as Int64."""

    @abstractmethod
    def _read_records(self, rate: str) -> pl.DataFrame: ...

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 that changes whenever the ids, paths or metadata of this source change."""

    def records(self, rate: str = "500") -> pl.DataFrame:
        """One row per ECG (RECORDS schema), in ascending `ecg_id`; columns that only the signal tells are null.

        Raises EcgqaError for a rate the data set does not offer, or metadata that cannot be trusted (repeated ids with
        different contents, no ids at all, paths that lead out of the root).
        """
        if rate not in self.rates:
            raise EcgqaError(
                f"{self.root} offers no records at {rate} Hz", expected=" or ".join(self.rates), found=rate
            )
        if rate not in self._records:
            from ecgqa.records import RECORDS
            from ecgqa.tables import conform

            frame = conform(self._read_records(rate), RECORDS, where=str(self.root))
            self._records[rate] = frame.select(list(RECORDS.columns)).sort("ecg_id")
        return self._records[rate]

    def path_of(self, ecg_id: int, rate: str = "500") -> str:
        """Record path of an ECG below the root, '/' separated, without extension; raises EcgqaError if unknown."""
        import numpy as np

        if rate not in self._index:
            frame = self.records(rate)
            self._index[rate] = (frame["ecg_id"].to_numpy(), frame["path"])
        ids, paths = self._index[rate]
        row = int(np.searchsorted(ids, ecg_id))
        if row == len(ids) or ids[row] != ecg_id:
            raise EcgqaError(f"no ECG {ecg_id} in {self.root}", expected=f"one of its {len(ids)} ids")
        return str(paths[row])

    def absolute_path(self, ecg_id: int, rate: str = "500") -> Path:
        """Path of an ECG's record on this machine, without extension; raises EcgqaError if the id is unknown."""
        return self.root / self.path_of(ecg_id, rate)

    def present(self, rate: str = "500") -> frozenset[int]:
        """Ids of the ECGs whose header and data file are there; each folder is listed once, no file is opened."""
        names: dict[str, frozenset[str]] = {}
        there = set()
        for ecg_id, path in self.records(rate).select("ecg_id", "path").iter_rows():
            folder, _, name = path.rpartition("/")
            if folder not in names:
                try:
                    names[folder] = frozenset(os.listdir(self.root / folder))
                except OSError:
                    names[folder] = frozenset()
            if f"{name}.hea" in names[folder] and f"{name}.dat" in names[folder]:
                there.add(ecg_id)
        return frozenset(there)

    def _note(self, notes: Iterable[str]) -> None:
        self.notes = tuple(dict.fromkeys((*self.notes, *notes)))
