"""Which record path belongs to an ECG id below a folder of records, each id looked up on disk once."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import polars as pl

from ecgqa.errors import EcgqaError

KINDS: Final = ("ptbxl", "mimic-iv-ecg")
_NEEDED: Final = {
    "ptbxl": "a PTB-XL folder, holding records500/ (or records100/)",
    "mimic-iv-ecg": "a MIMIC-IV-ECG folder, holding files/ and record_list.csv",
}


class RecordPaths(ABC):
    """Record paths of one data set. `missing` collects the ids asked for whose header or signal file is not there."""

    kind: str

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self.missing: dict[int, None] = {}  # a dict keeps the order in which they were asked for
        self._known: dict[int, str | None] = {}

    def find(self, ecg_id: int) -> str | None:
        """Path of the record below the root, '/' separated, without extension; None if it is missing."""
        try:
            return self._known[ecg_id]
        except KeyError:
            path = self._path_of(ecg_id)
            if path is not None and not self._is_there(path):
                path = None
            if path is None:
                self.missing[ecg_id] = None
            self._known[ecg_id] = path
            return path

    @property
    def n_asked(self) -> int:
        """Number of distinct ECGs asked for so far."""
        return len(self._known)

    @abstractmethod
    def _path_of(self, ecg_id: int) -> str | None: ...

    @abstractmethod
    def _is_there(self, path: str) -> bool: ...


class PtbxlPaths(RecordPaths):
    """records500/12000/12662_hr for ECG 12662 (records100/12000/12662_lr at 100 Hz): the layout of PTB-XL 1.0.x."""

    kind = "ptbxl"

    def __init__(self, root: Path, *, records100: bool = False) -> None:
        super().__init__(root)
        self._folder, self._suffix = ("records100", "lr") if records100 else ("records500", "hr")
        self._names: dict[str, frozenset[str]] = {}
        if not (self.root / self._folder).is_dir():
            raise EcgqaError(
                f"{self.root} has no {self._folder}/",
                expected=_NEEDED["ptbxl"],
                found=_listing(self.root),
                fix="name the folder that holds it with --records, or ecgqa fetch ptbxl",
            )

    def _path_of(self, ecg_id: int) -> str | None:
        return f"{self._folder}/{ecg_id // 1000 * 1000:05d}/{ecg_id:05d}_{self._suffix}"

    def _is_there(self, path: str) -> bool:
        folder, name = path.rsplit("/", 1)
        names = self._names.get(folder)
        if names is None:  # one listing per thousand ECGs instead of two calls per ECG
            try:
                names = frozenset(os.listdir(self.root / folder))
            except OSError:
                names = frozenset()
            self._names[folder] = names
        return f"{name}.dat" in names and f"{name}.hea" in names


class MimicPaths(RecordPaths):
    """The `path` that record_list.csv gives for a study id: the layout of MIMIC-IV-ECG 1.0."""

    kind = "mimic-iv-ecg"

    def __init__(self, root: Path, *, wanted: Iterable[int] | None = None) -> None:
        super().__init__(root)
        listing = self.root / "record_list.csv"
        if not listing.is_file():
            raise EcgqaError(
                f"{self.root} has no record_list.csv",
                expected=_NEEDED["mimic-iv-ecg"],
                found=_listing(self.root),
                fix="name the folder that holds it with --records, or ecgqa fetch mimic-iv-ecg",
            )
        try:
            table = pl.read_csv(
                listing, columns=["study_id", "path"], schema_overrides={"study_id": pl.Int64, "path": pl.String}
            )
        except (pl.exceptions.PolarsError, OSError) as error:
            raise EcgqaError(
                f"{listing} cannot be read: {str(error).splitlines()[0]}",
                expected="a CSV file with the columns study_id and path",
            ) from None
        if wanted is not None:
            table = table.filter(pl.col("study_id").is_in(list(wanted)))
        table = table.drop_nulls()
        repeated = table.filter(pl.col("study_id").is_duplicated())
        if repeated.height:
            raise EcgqaError(f"{listing} lists study {repeated['study_id'][0]} more than once", expected="one row each")
        bad = table.filter(pl.col("path").str.contains(r"(^/)|(^|/)\.\.(/|$)"))
        if bad.height:
            raise EcgqaError(f"{listing}: path {bad['path'][0]!r} leads out of the folder", expected="files/p…/p…/s…/…")
        self._listed = dict(zip(table["study_id"].to_list(), table["path"].to_list(), strict=True))

    def _path_of(self, ecg_id: int) -> str | None:
        return self._listed.get(ecg_id)

    def _is_there(self, path: str) -> bool:
        stem = f"{self.root}/{path}"  # plain strings: this runs once for each of up to 800,000 ECGs
        return os.path.isfile(f"{stem}.dat") and os.path.isfile(f"{stem}.hea")  # noqa: PTH113


def kind_of_records(root: Path) -> str | None:
    """Which data set a folder of records is; None if it is neither (or not there)."""
    if (root / "record_list.csv").is_file():
        return "mimic-iv-ecg"
    if any((root / name).exists() for name in ("records500", "records100", "ptbxl_database.csv")):
        return "ptbxl"
    return None


def kind_of_ids(ecg_ids: Iterable[int]) -> str:
    """Which data set ECG ids belong to: PTB-XL's end at 21,837, MIMIC-IV-ECG's study ids begin at 40,000,000."""
    return "mimic-iv-ecg" if min(ecg_ids, default=0) >= 100_000 else "ptbxl"


def open_record_paths(root: Path, kind: str, *, records100: bool = False) -> RecordPaths:
    """Record paths of `kind` below `root`; EcgqaError if the folder does not hold that data set."""
    if kind not in KINDS:
        raise EcgqaError(f"no such kind of records: {kind!r}", expected=" or ".join(KINDS))
    if not root.is_dir():
        raise EcgqaError(f"no such folder: {root}", expected=_NEEDED[kind], fix=f"ecgqa fetch {kind}")
    if kind == "ptbxl":
        return PtbxlPaths(root, records100=records100)
    if records100:
        raise EcgqaError("MIMIC-IV-ECG has no 100 Hz records", fix="leave out --records100")
    return MimicPaths(root)


def _listing(folder: Path) -> str:
    try:
        return ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "an empty folder"
    except OSError:
        return "no readable folder"
