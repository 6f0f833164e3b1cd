"""Any folder of WFDB records: every *.hea below it is an ECG, with an id that stays when records are added.

A record whose name is a number (100.hea, ecgs/00017.hea) has that number as its id. Any other record has the first 53
bits of the SHA-256 of its path below the root (so that the id survives JSON and spreadsheets). A file `records.csv` in
the root may say more: column `path` (below the root, without extension) and any of `ecg_id`, `patient_id`,
`recorded_at`, `sex` (female, male), `age` (years).
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final

from ecgqa.errors import EcgqaError
from ecgqa.sources.base import Source

if TYPE_CHECKING:
    import polars as pl

    from ecgqa.signals.wfdb_header import Header

EXTRA_CSV: Final = "records.csv"
_COMMENT: Final = re.compile(r"\s*<?\s*(age|sex|gender|subject_id)\s*>?\s*[:=]\s*(.*?)\s*", re.IGNORECASE)
_SEX: Final = {"m": "male", "male": "male", "f": "female", "female": "female"}


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    header: Header | None


def header_paths(root: str | os.PathLike[str]) -> Iterator[str]:
    """Paths below `root`, '/' separated, of all *.hea files, folder by folder, sorted; links are followed once."""
    seen: set[tuple[int, int]] = set()
    pending = [(os.fspath(root), "")]
    while pending:
        folder, below = pending.pop()
        try:
            status = os.stat(folder)  # noqa: PTH116  (plain strings: millions of files are walked)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                children = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        folders = []
        for entry in children:
            if entry.name.startswith("."):
                continue
            if entry.name.endswith(".hea"):
                yield below + entry.name
            elif entry.is_dir():
                folders.append((entry.path, f"{below}{entry.name}/"))
        pending += reversed(folders)


def ecg_id_of(path: str) -> int:
    """Id of a record at `path` (below the root, '/' separated, without extension): see the top of this module."""
    name = path.rsplit("/", 1)[-1]
    if name.isascii() and name.isdecimal() and len(name) <= 15:
        return int(name)
    # Some file systems decompose letters with accents; the id must not depend on the file system.
    digest = hashlib.sha256(unicodedata.normalize("NFC", path).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") >> 3


class WfdbFolder(Source):
    """Every WFDB record below a folder; headers are read for rate, length, time, age and sex."""

    kind: ClassVar[str] = "wfdb"
    rates: ClassVar[tuple[str, ...]] = ("500", "100")
    """A folder has its records as they are; either name gives them all, `fs_hz` tells the rate."""

    @cached_property
    def _found(self) -> list[_Found]:
        from ecgqa.signals.read import read_header

        found: list[_Found] = []
        unreadable: list[str] = []
        inner: set[str] = set()
        not_text = 0
        for name in header_paths(self.root):
            path = name.removesuffix(".hea")
            if not path.isprintable() and _is_no_text(path):
                not_text += 1
                continue
            try:
                header: Header | None = read_header(os.path.join(self.root, path))  # noqa: PTH118
            except EcgqaError:
                header = None
                unreadable.append(path)
            if header is not None and header.segments:
                folder = path[: path.rfind("/") + 1]
                inner.update(folder + segment.name for segment in header.segments)
            found.append(_Found(path, header))
        if not_text:
            self._note([f"{not_text} records whose names are no valid UTF-8 are left out; rename them"])
        if unreadable:
            self._note([f"{len(unreadable)} headers cannot be read, e.g. {unreadable[0]}.hea; they stay in the list"])
        kept = [record for record in found if record.path not in inner]
        if len(kept) < len(found):
            self._note([f"{len(found) - len(kept)} records are segments of others and not listed by themselves"])
        if not kept:
            raise EcgqaError(f"no WFDB record below {self.root}", expected="*.hea in any subfolder")
        return kept

    @cached_property
    def _extra(self) -> pl.DataFrame | None:
        from ecgqa.sources.metadata_csv import read_csv

        path = self.root / EXTRA_CSV
        return read_csv(path, needs=["path"]) if path.is_file() else None

    def metadata(self) -> pl.DataFrame:
        """`ecg_id` and `path` of every record, the header's comments, and all columns of `records.csv` as strings."""
        import polars as pl

        records = self.records()
        comments = {found.path: list(found.header.comments) if found.header else [] for found in self._found}
        frame = records.select(
            "ecg_id",
            "path",
            pl.Series("comments", [comments[path] for path in records["path"]], dtype=pl.List(pl.String)),
        )
        if self._extra is None:
            return frame
        extra = self._extra.with_columns(_plain_path()).drop([n for n in ("ecg_id", "comments") if n in self._extra])
        return frame.join(extra, on="path", how="left", maintain_order="left")

    def digest(self) -> str:
        """SHA-256 over the paths and headers of all records (headers hold the checksums of the signals)."""
        from ecgqa.artefacts import digest_file

        total = hashlib.sha256(self.kind.encode())
        for found in self._found:
            header = self.root / f"{found.path}.hea"
            total.update(f"\0{found.path}\0".encode("utf-8", "surrogatepass"))
            total.update((digest_file(header) if found.header is not None else "unreadable").encode())
        if self._extra is not None:
            total.update(digest_file(self.root / EXTRA_CSV).encode())
        return total.hexdigest()

    def _read_records(self, rate: str) -> pl.DataFrame:
        import polars as pl

        rows = [_row(found) for found in self._found]
        frame = pl.DataFrame(
            rows,
            schema={
                "path": pl.String(), "ecg_id": pl.Int64(), "patient_id": pl.Int64(), "recorded_at": pl.Datetime("us"),
                "fs_hz": pl.Float64(), "n_samples": pl.Int64(), "sex": pl.String(), "age": pl.Float64(),
            },
            orient="row",
        )  # fmt: skip
        if self._extra is not None:
            frame = self._merge(frame, self._extra)
        twice = frame.filter(pl.col("ecg_id").is_duplicated()).sort("ecg_id", "path")
        if twice.height:
            raise EcgqaError(
                f"{self.root}: records {twice['path'][0]} and {twice['path'][1]} have the same id {twice['ecg_id'][0]}",
                expected="record names that are numbers to be unique",
                found=f"{twice.height} records that share an id",
                fix=f"name one of the subfolders, or give ids in {self.root / EXTRA_CSV} (columns path, ecg_id)",
            )
        return frame.with_columns(pl.lit(self.kind).alias("source"))

    def _merge(self, frame: pl.DataFrame, extra: pl.DataFrame) -> pl.DataFrame:
        """Values of `records.csv` in the place of those told by the headers."""
        import polars as pl

        from ecgqa.sources.metadata_csv import integer, moment

        where = self.root / EXTRA_CSV
        extra = extra.with_columns(_plain_path())
        if extra["path"].is_duplicated().any():
            raise EcgqaError(f"{where}: a path stands in more than one row", expected="one row per record")
        unknown = extra.join(frame, on="path", how="anti")
        if unknown.height:
            self._note([f"{EXTRA_CSV}: {unknown.height} rows name no record here, e.g. {unknown['path'][0]}"])
        parsers = {
            "ecg_id": integer("ecg_id"),
            "patient_id": integer("patient_id"),
            "recorded_at": moment("recorded_at"),
            "sex": pl.col("sex").str.strip_chars().str.to_lowercase().replace_strict(_SEX, default=None),
            "age": pl.col("age").str.strip_chars().cast(pl.Float64, strict=False),
        }
        present = [name for name in parsers if name in extra.columns]
        given = extra.select("path", *(parsers[name].alias(f"{name}_given") for name in present))
        lost = [name for name in present if given[f"{name}_given"].null_count() > _empty(extra[name])]
        if lost:
            raise EcgqaError(
                f"{where}: column {lost[0]} has values that cannot be read",
                expected={"sex": "female or male", "recorded_at": "1984-11-09 09:17:34"}.get(lost[0], "a number"),
            )
        frame = frame.join(given, on="path", how="left", maintain_order="left")
        frame = frame.with_columns(pl.coalesce(f"{name}_given", name).alias(name) for name in present)
        return frame.drop(f"{name}_given" for name in present)


def _is_no_text(name: str) -> bool:
    """Whether a file name holds bytes that are no UTF-8 (Python stands surrogates in for them; no table can)."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _plain_path() -> pl.Expr:
    import polars as pl

    return pl.col("path").str.strip_chars().str.replace(r"\.(hea|dat)$", "").str.replace(r"^\./", "")


def _empty(column: pl.Series) -> int:
    return int((column.fill_null("").str.strip_chars() == "").sum())


def _row(
    found: _Found,
) -> tuple[str, int, int | None, datetime | None, float | None, int | None, str | None, float | None]:
    header = found.header
    if header is None:
        return found.path, ecg_id_of(found.path), None, None, None, None, None, None
    told: dict[str, str] = {}
    for comment in header.comments:
        # Older records put all on one line: "age: 65  sex: M".
        for part in re.split(r"\s{2,}|[,;]\s*(?=<?\s*(?:age|sex|gender)\b)", comment):
            match = _COMMENT.fullmatch(part)
            if match:
                told.setdefault(match[1].lower(), match[2])
    per_frame = {line.samples_per_frame for line in header.signals}
    factor = per_frame.pop() if len(per_frame) == 1 else 1
    patient = told.get("subject_id", "")
    return (
        found.path,
        ecg_id_of(found.path),
        int(patient) if patient.isascii() and patient.isdecimal() and len(patient) <= 18 else None,
        header.recorded_at,
        header.fs_hz * factor,
        None if header.n_samples is None else header.n_samples * factor,
        _SEX.get(told.get("sex", told.get("gender", "")).lower()),
        _age(told.get("age", "")),
    )


def _age(text: str) -> float | None:
    try:
        age = float(text)
    except ValueError:
        return None
    return age if 0 <= age <= 150 else None
