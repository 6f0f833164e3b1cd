"""Opening a finished store: what it holds is read only when it is asked for."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgqa.artefacts import MANIFEST, read_manifest
from ecgqa.errors import EcgqaError
from ecgqa.records import NONE, QUESTIONS, RECORDS, Split, Version
from ecgqa.store import layout
from ecgqa.tables import read_table, scan_table

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from ecgqa.signals.read import Ecg


class Store:
    """ECGs and questions packed for training; make one with `open_store`.

    `folder` is where it lies and `manifest` says how it was made. Everything else is read on first use.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest

    def __repr__(self) -> str:
        counts = self.manifest.get("counts", {})
        return f"Store({str(self.folder)!r}, {counts.get('ecgs')} ECGs, {counts.get('questions')} questions)"

    def __reduce__(self) -> tuple[object, ...]:
        # A memory map would travel to worker processes as a full copy: send the path and map it again there.
        return (open_store, (self.folder,))

    @cached_property
    def signals(self) -> NDArray[np.int16]:
        """Read-only memory map, int16 (n_ecgs, 12, n_samples), leads in canonical order.

        Millivolts are `signals[row] / gain_per_mv[:, None]` with the gains of `records`; INVALID_SAMPLE marks samples
        that do not exist.
        """
        import numpy as np

        path = self.folder / layout.SIGNALS
        shape, offset = layout.signals_shape(path)
        if shape[0] == 0:
            return np.zeros(shape, dtype=np.int16)
        return np.memmap(path, dtype="<i2", mode="r", offset=offset, shape=shape)

    @cached_property
    def records(self) -> pl.DataFrame:
        """Table 1, one row per ECG; row i describes `signals[i]`."""
        return read_table(self.folder / layout.RECORDS_FILE, RECORDS)

    @cached_property
    def reports(self) -> pl.DataFrame:
        """One row per ECG that has a report: ecg_id, ecg_row, text, diagnoses; raises EcgqaError if there are none."""
        from ecgqa.store.reports import REPORTS

        path = self.folder / layout.REPORTS_FILE
        if not path.is_file():
            raise EcgqaError(
                f"{self.folder} holds no reports",
                expected="ECGs of a source that has them (PTB-XL, MIMIC-IV-ECG, a synthetic cohort)",
                fix="ecgqa store build DEST --records FOLDER, or --reports CSV with the columns ecg_id and report",
            )
        return read_table(path, REPORTS)

    @property
    def fs_hz(self) -> float:
        """Sampling rate of every ECG in the store, in Hz."""
        return float(self.manifest["signals"]["fs_hz"])

    @property
    def n_samples(self) -> int:
        """Samples per lead of `signals`."""
        return int(self.manifest["signals"]["n_samples"])

    @property
    def n_ecgs(self) -> int:
        return int(self.manifest["counts"]["ecgs"])

    def scan(self) -> pl.LazyFrame:
        """All questions (table 3 plus `ecg_row`, the rows of `signals`), without reading them."""
        lazy = scan_table(self.folder / layout.QUESTIONS_FILE, QUESTIONS)
        if "ecg_row" not in lazy.collect_schema().names():
            raise EcgqaError(f"{self.folder / layout.QUESTIONS_FILE} has no column 'ecg_row'", fix=_REBUILD)
        return lazy

    def questions(self, split: str | None = None, version: str | None = None) -> pl.DataFrame:
        """The questions of one split and wording (None: all), table 3 plus `ecg_row` list[int32].

        Only the wanted part of the file is read. Raises EcgqaError if the store holds no such questions, or if they
        point at ECGs that it does not hold.
        """
        import polars as pl

        for name, wanted, known in (("split", split, Split), ("version", version, Version)):
            if wanted is not None and wanted not in list(known):
                raise EcgqaError(f"no {name} {wanted!r}", expected=", ".join(known))
        parts = [
            part
            for part in self.manifest["parts"]
            if split in (None, part["split"]) and version in (None, part["version"])
        ]
        if not parts:
            held = sorted({f"{part['split']} ({part['version']})" for part in self.manifest["parts"]})
            raise EcgqaError(
                f"{self.folder} holds no {' '.join(filter(None, (version, split, 'questions')))}",
                found=", ".join(held) or "no questions at all",
                fix="build the store with --splits and --versions that name them"
                if held
                else "ecgqa store build QUESTIONS DEST makes a store with questions",
            )
        lazy = self.scan()
        frame = pl.concat([lazy.slice(part["offset"], part["questions"]).collect() for part in parts], rechunk=True)
        rows = frame["ecg_row"].explode()
        lowest, highest = rows.min(), rows.max()
        expected = sum(part["questions"] for part in parts)
        if frame.height != expected or rows.null_count():
            raise EcgqaError(
                f"{self.folder / layout.QUESTIONS_FILE} does not fit {MANIFEST}",
                expected=f"{expected:,} questions",
                found=f"{frame.height:,}",
                fix=_REBUILD,
            )
        if isinstance(lowest, int) and isinstance(highest, int) and not 0 <= lowest <= highest < self.n_ecgs:
            raise EcgqaError(
                f"{self.folder}: questions point at ECG rows that do not exist",
                expected=f"rows 0 to {self.n_ecgs - 1}",
                found=f"rows {lowest} to {highest}",
                fix=_REBUILD,
            )
        return frame

    @cached_property
    def answer_lists(self) -> dict[str, Any]:
        """The answer lists of the data set: `classes` (with "none") and `by_template` (template id as text)."""
        path = self.folder / layout.ANSWERS
        try:
            lists = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(lists["classes"], list):
                raise TypeError("classes")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EcgqaError(f"{path} cannot be read: {error}", fix=_REBUILD) from None
        return dict(lists)

    @cached_property
    def answers(self) -> list[str]:
        """Answer classes without "none", in the order of the answer list: the order of a model's outputs."""
        return [name for name in self.answer_lists["classes"] if name != NONE]

    @cached_property
    def scale_mv(self) -> NDArray[np.float32]:
        """Millivolts per int16 unit, float32 (n_ecgs, 12)."""
        import numpy as np

        gains = self.records["gain_per_mv"].to_list()
        return (1.0 / np.array(gains, dtype=np.float64).reshape(-1, layout.N_LEADS)).astype(np.float32)

    def ecg(self, ecg_id: int) -> Ecg:
        """One ECG by the data set's own id, as `read_ecg` gives it; raises EcgqaError if it is not there."""
        rows = (self.records["ecg_id"] == ecg_id).arg_true()
        if rows.is_empty():
            ids = self.records["ecg_id"].sort().to_list()
            raise EcgqaError(f"{self.folder} holds no ECG {ecg_id}", found=f"{len(ids):,} ids, {ids[:1]} to {ids[-1:]}")
        return self.ecg_at(rows[0])

    def ecg_at(self, row: int) -> Ecg:
        """The ECG in a row of `signals`, as `read_ecg` gives it, without the samples it was padded by."""
        import numpy as np

        from ecgqa.signals.read import Ecg

        record = self.records.row(row, named=True)
        length = record["n_samples"] or self.n_samples
        return Ecg(
            np.array(self.signals[row][:, :length]),
            np.array(record["gain_per_mv"], dtype=np.float64),
            self.fs_hz,
            record["recorded_at"],
            flags=tuple(record["flags"] or ()),
        )


_REBUILD = "build the store again with --overwrite true"


def open_store(path: str | Path) -> Store:
    """Open the store in folder `path`; reads its manifest and checks the file sizes, nothing more.

    Raises EcgqaError if the folder is absent, unfinished, of another kind, or damaged.
    """
    folder = Path(path)
    manifest = read_manifest(folder, kind=layout.KIND)
    missing = [key for key in ("counts", "parts", "signals", "files") if key not in manifest]
    if missing:
        raise EcgqaError(f"{folder / MANIFEST} has no {missing[0]!r}", expected="the manifest of a store", fix=_REBUILD)
    for name, size in manifest["files"].items():
        try:
            found = (folder / name).stat().st_size
        except OSError:
            raise EcgqaError(f"{folder / name} is missing", expected=f"{size:,} bytes", fix=_REBUILD) from None
        if found != size:
            raise EcgqaError(
                f"{folder / name} is not the file that was written",
                expected=f"{size:,} bytes",
                found=f"{found:,} bytes",
                fix=_REBUILD,
            )
    return Store(folder, manifest)
