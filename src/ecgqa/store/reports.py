"""What was written about each ECG of a store: the text of its report, and the diagnoses coded beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl

from ecgqa.errors import EcgqaError
from ecgqa.records import AttributeType, Column, TableSchema, Value
from ecgqa.sources import Source
from ecgqa.sources.metadata_csv import integer, read_csv
from ecgqa.sources.mimic_iv_ecg import MEASUREMENTS, MimicIvEcg
from ecgqa.sources.ptbxl import Ptbxl

REPORTS: Final = TableSchema(
    "reports",
    {
        "ecg_id": Column(pl.Int64(), "the data set's own id of the ECG"),
        "ecg_row": Column(pl.Int32(), "row of the store's signals.npy"),
        "text": Column(pl.String(), "report as written, machine statements joined by spaces"),
        "diagnoses": Column(pl.List(pl.String()), "statement codes or names, sorted; empty where none are known"),
    },
)


def find_reports(source: Source | None, ids: pl.Series, translated: Path | None = None) -> pl.DataFrame:
    """ecg_id, text and diagnoses of those ECGs of `ids` that have a report, in ascending ecg_id.

    translated: csv with columns ecg_id and report whose texts take the place of the source's own; ECGs that it does not
    name have no report then. `source` None: a data set without metadata, which has no reports of its own.
    Raises EcgqaError if the csv names none of the ECGs, or if the source's metadata is damaged.
    """
    read = READERS.get(source.kind) if source else None
    found = read(source, ids) if read and source else _none()
    if translated is not None:
        texts = _texts(read_csv(translated, needs=["ecg_id", "report"]).with_columns(integer("ecg_id")), "report")
        texts = texts.filter(pl.col("ecg_id").is_in(ids.implode()))
        if not texts.height:
            raise EcgqaError(f"{translated} names none of the {ids.len():,} ECGs", found=f"ids such as {ids[0]}")
        found = texts.join(found.select("ecg_id", "diagnoses"), on="ecg_id", how="left")
    return found.with_columns(pl.col("diagnoses").fill_null(pl.lit([], dtype=pl.List(pl.String())))).sort("ecg_id")


def _ptbxl(source: Source, ids: pl.Series) -> pl.DataFrame:
    """The written report, and the codes of `scp_codes`."""
    from ecgqa.attributes.ptbxl import read_scp_codes

    frame = source.metadata()
    if "report" not in frame.columns:
        return _none()
    frame = frame.filter(pl.col("ecg_id").is_in(ids.implode()))
    cells = frame["scp_codes"].to_list() if "scp_codes" in frame.columns else [None] * frame.height
    codes = pl.Series([sorted(read_scp_codes(cell) or ()) for cell in cells], dtype=pl.List(pl.String()))
    return _texts(frame.with_columns(codes.alias("diagnoses")), "report", "diagnoses")


def _mimic(source: Source, ids: pl.Series) -> pl.DataFrame:
    """The machine's statements, and the attributes that they stand for."""
    from collections import Counter

    from ecgqa.attributes.mimic import statement_attributes

    assert isinstance(source, MimicIvEcg)
    if not (source.root / MEASUREMENTS).is_file():
        return _none()
    rows = source.measurements().filter(pl.col("ecg_id").is_in(ids.implode()))
    columns = [name for name in rows.collect_schema().names() if name.startswith("report_")]
    if not columns:
        return _none()
    statements = rows.select("ecg_id", *(pl.col(name).str.strip_chars().replace("", None) for name in columns))
    texts = statements.select("ecg_id", pl.concat_str(columns, separator=" ", ignore_nulls=True).alias("text"))
    said = statement_attributes(rows, Counter()).attributes
    named = said.filter(
        (pl.col("attribute_type") == AttributeType.SCP_CODE)
        & pl.col("value").is_in([Value.YES, Value.UNCERTAIN])
        & pl.col("lead").is_null()
    )
    named = named.group_by("ecg_id").agg(pl.col("attribute").unique().sort().alias("diagnoses"))
    return _texts(texts.collect().join(named, on="ecg_id", how="left"), "text", "diagnoses")


READERS: Final[dict[str, Callable[[Source, pl.Series], pl.DataFrame]]] = {
    Ptbxl.kind: _ptbxl,
    MimicIvEcg.kind: _mimic,
}
"""How the reports of each kind of source are read."""


def _texts(frame: pl.DataFrame, text: str, *others: str) -> pl.DataFrame:
    frame = frame.select("ecg_id", pl.col(text).str.strip_chars().alias("text"), *others)
    return frame.filter(pl.col("text").fill_null("") != "").unique("ecg_id", keep="first", maintain_order=True)


def _none() -> pl.DataFrame:
    names = ("ecg_id", "text", "diagnoses")
    return pl.DataFrame(schema={name: REPORTS.columns[name].dtype for name in names})
