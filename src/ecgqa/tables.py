"""Reading and writing the four tables as Parquet files whose schema, units included, travels in the file."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from ecgqa.artefacts import atomic_path
from ecgqa.errors import EcgqaError
from ecgqa.records import TableSchema


def conform(frame: pl.DataFrame, schema: TableSchema, *, where: str = "table") -> pl.DataFrame:
    """`frame` with the schema's columns in the schema's order and types; further columns are kept behind them.

    Raises EcgqaError if a column is missing, cannot be cast, or holds nulls where the schema allows none.
    """
    missing = [name for name in schema.columns if name not in frame.columns and not schema.columns[name].nullable]
    if missing:
        raise EcgqaError(
            f"{where} is no {schema.name} table: column {missing[0]!r} is missing",
            expected=", ".join(schema.columns),
            found=", ".join(frame.columns) or "no columns",
        )
    absent = [name for name in schema.columns if name not in frame.columns]
    frame = frame.with_columns(pl.lit(None, dtype=schema.columns[name].dtype).alias(name) for name in absent)
    try:
        frame = frame.with_columns(pl.col(name).cast(column.dtype) for name, column in schema.columns.items())
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise EcgqaError(f"{where} does not fit the {schema.name} table: {reason}") from None
    for name, column in schema.columns.items():
        if not column.nullable and frame[name].null_count():
            raise EcgqaError(
                f"{where}: column {name!r} of the {schema.name} table has {frame[name].null_count()} nulls"
            )
    extra = [name for name in frame.columns if name not in schema.columns]
    return frame.select([*schema.columns, *extra])


def write_table(frame: pl.DataFrame, path: str | Path, schema: TableSchema, *, row_group_size: int = 65_536) -> Path:
    """Write `frame` to `path` as Parquet (zstd), whole or not at all; returns the path."""
    frame = conform(frame, schema, where=str(path))
    described = {
        name: {"type": str(column.dtype), "meaning": column.meaning, "unit": column.unit}
        for name, column in schema.columns.items()
    }
    metadata = {"ecgqa.table": schema.name, "ecgqa.schema": json.dumps(described)}
    path = Path(path)
    with atomic_path(path) as temporary:
        # Slice by slice: a table of lists written whole is copied several times over.
        starts = range(0, max(frame.height, 1), row_group_size)
        slices = pl.concat([frame.slice(start, row_group_size).lazy() for start in starts])
        slices.sink_parquet(temporary, compression="zstd", row_group_size=row_group_size, metadata=metadata)
    return path


def read_table(path: str | Path, schema: TableSchema) -> pl.DataFrame:
    """Read a Parquet file and check it against `schema`; raises EcgqaError if absent, damaged or another table."""
    return conform(_open(path, schema).collect(), schema, where=str(path))


def scan_table(path: str | Path, schema: TableSchema) -> pl.LazyFrame:
    """Open a Parquet file without reading its rows (the column names are checked, the types are trusted)."""
    lazy = _open(path, schema)
    missing = [name for name in schema.columns if name not in lazy.collect_schema().names()]
    if missing:
        raise EcgqaError(f"{path} is no {schema.name} table: column {missing[0]!r} is missing")
    return lazy


def _open(path: str | Path, schema: TableSchema) -> pl.LazyFrame:
    path = Path(path)
    if not path.is_file():
        raise EcgqaError(f"no such file: {path}", expected=f"a Parquet file with the {schema.name} table")
    try:
        lazy = pl.scan_parquet(path, glob=False)
        lazy.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise EcgqaError(
            f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}",
            expected=f"a Parquet file with the {schema.name} table",
        ) from None
    return lazy
