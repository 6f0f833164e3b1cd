"""Reading the metadata csv of a data set: checked columns, integer ids, and what is wrong counted."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from ecgqa.errors import EcgqaError

_LAST_ROW_BYTES: Final = 1 << 16


def read_csv(path: Path, *, needs: Sequence[str] = ()) -> pl.DataFrame:
    """All columns of a csv file as strings; empty fields are null.

    Raises EcgqaError if it is absent, no csv, cut within a row, or lacks one of the columns it `needs`.
    """
    if not path.is_file():
        raise EcgqaError(f"no such file: {path}", expected="a csv file")
    if not path.stat().st_size:
        raise EcgqaError(f"{path} is empty", expected="a csv file", fix="fetch or copy it again")
    try:
        frame = pl.read_csv(path, infer_schema=False, encoding="utf8", truncate_ragged_lines=False)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise EcgqaError(
            f"{path} cannot be read as csv: {str(error).splitlines()[0][:200]}", fix="fetch or copy it again"
        ) from None
    _refuse_if_cut(path, frame)
    frame = frame.rename({name: name.strip().lstrip("\ufeff") for name in frame.columns})
    missing = [name for name in needs if name not in frame.columns]
    if missing:
        raise EcgqaError(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            expected=", ".join(needs),
            found=", ".join(frame.columns)[:200] or "no columns",
        )
    return frame


def _refuse_if_cut(path: Path, frame: pl.DataFrame) -> None:
    """Raise EcgqaError if the last row ends before its last column and without a line end: polars fills such up."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _LAST_ROW_BYTES))
        tail = stream.read()
    if tail.endswith((b"\n", b"\r")) or not frame.height or frame[-1, -1] is not None:
        return
    fields = next(csv.reader([tail.splitlines()[-1].decode("utf-8", "replace")]))
    if len(fields) < frame.width:
        raise EcgqaError(
            f"{path} is cut off in its last row",
            expected=f"{frame.width} fields",
            found=f"{len(fields)} in row {frame.height}",
            fix="fetch or copy it again",
        )


def integer(name: str) -> pl.Expr:
    """A string column as Int64, "15709" and "15709.0" alike; null where it is no whole number."""
    text = pl.col(name).str.strip_chars().str.replace(r"\.0+$", "")
    return text.cast(pl.Int64, strict=False)


def moment(name: str) -> pl.Expr:
    """A string column "1984-11-09 09:17:34" as Datetime("us"); null where it is none."""
    return pl.col(name).str.strip_chars().str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False)


def with_ids(frame: pl.DataFrame, column: str, where: Path) -> tuple[pl.DataFrame, list[str]]:
    """`frame` with `column` as unique Int64 ids, and notes on the rows left out for it.

    A row without a usable id, and a verbatim repetition of a row, is left out and counted. Raises EcgqaError if
    different rows share an id (whichever were taken could be the wrong one), or if no row is left.
    """
    notes: list[str] = []
    n_rows = frame.height
    frame = frame.with_columns(integer(column)).filter(pl.col(column).is_not_null())
    if frame.height < n_rows:
        notes.append(f"{where.name}: {n_rows - frame.height} of {n_rows} rows have no {column} and are left out")
    if frame[column].is_duplicated().any():
        n_rows = frame.height
        frame = frame.unique(maintain_order=True)
        if frame.height < n_rows:
            notes.append(f"{where.name}: {n_rows - frame.height} rows are verbatim repetitions and are left out")
        again = frame.filter(pl.col(column).is_duplicated())[column]
        if again.len():
            ids = again.unique().sort()
            raise EcgqaError(
                f"{where}: {ids.len()} ids stand in more than one row",
                expected=f"one row per {column}",
                found=", ".join(map(str, ids.head(5))) + (" …" if ids.len() > 5 else ""),
                fix="fetch or copy the file again",
            )
    if not frame.height:
        raise EcgqaError(f"{where} holds no ECG", expected=f"rows with a {column}", found=f"{n_rows} rows without")
    return frame, notes


def refuse_paths_outside(paths: pl.Series, where: Path) -> None:
    """Raise EcgqaError if a path is absolute or climbs out of the root: metadata must not choose what is opened."""
    bad = paths.filter(paths.str.contains(r"^[/\\~]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|\x00"))
    if bad.len():
        raise EcgqaError(
            f"{where}: {bad.len()} record paths lead out of the folder",
            expected="paths below it",
            found=repr(bad[0][:100]),
        )
