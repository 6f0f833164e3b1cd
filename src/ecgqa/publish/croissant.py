"""Croissant metadata (MLCommons, version 1.0): files with their digests, and what the columns of the tables mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from ecgqa import __version__
from ecgqa.artefacts import digest_file, write_json
from ecgqa.errors import EcgqaError
from ecgqa.publish.origin import Origin, origin_of, source_of
from ecgqa.records import QUESTIONS, RECORDS, Column
from ecgqa.tables import scan_table

FILE: Final = "croissant.json"
_CROISSANT_WORDS: Final = (
    "citeAs", "column", "extract", "field", "fileObject", "fileSet", "format", "includes", "isLiveDataset", "key",
    "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "separator", "source",
    "subField", "transform", "fileProperty", "jsonPath", "md5", "samplingRate", "equivalentProperty",
)  # fmt: skip
_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{word: f"cr:{word}" for word in _CROISSANT_WORDS},
}
_TYPES: Final[dict[Any, str]] = {
    pl.Int16: "sc:Integer", pl.Int32: "sc:Integer", pl.Int64: "sc:Integer", pl.Float32: "sc:Float",
    pl.Float64: "sc:Float", pl.String: "sc:Text", pl.Enum: "sc:Text", pl.Boolean: "sc:Boolean",
    pl.Datetime: "sc:DateTime", pl.Binary: "sc:Text",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """One table of a folder: its columns, and the files (a pattern below the folder) that hold its rows."""

    name: str
    columns: Mapping[str, Column]
    pattern: str


def croissant(folder: str | Path, *, source: str | None = None) -> Path:
    """Write croissant.json into a store or a data set that ecgqa built; returns its path.

    source: of the ECGs, where the folder does not tell. Raises EcgqaError if there is no questions.parquet.
    """
    folder = Path(folder)
    if not (folder / "questions.parquet").is_file():
        raise EcgqaError(
            f"{folder} has no questions.parquet",
            expected="a store, or a data set of ecgqa questions build",
            fix=f"ecgqa export hf {folder} DEST writes tables and metadata of any question set",
        )
    scan_table(folder / "questions.parquet", QUESTIONS)  # refused if it is another table
    origin = origin_of(source_of(folder, source))
    tables = [Table("questions", QUESTIONS.columns, "questions.parquet")]
    if (folder / "records.parquet").is_file():
        tables.append(Table("records", RECORDS.columns, "records.parquet"))
    title = f"Questions about ECGs ({origin.source})"
    return write_json(folder / FILE, croissant_of(folder, tables, title, origin))


def croissant_of(folder: Path, tables: Sequence[Table], title: str, origin: Origin) -> dict[str, Any]:
    """The JSON-LD of the files in `folder`. The same folder gives the same metadata: no date is in it."""
    files = sorted(path for table in tables for path in folder.glob(table.pattern))
    sets = [
        {
            "@type": "cr:FileSet", "@id": f"{table.name}-files", "name": f"{table.name}-files",
            "encodingFormat": "application/x-parquet", "includes": table.pattern,
        }
        for table in tables
    ]  # fmt: skip
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": title,
        "description": (
            f"{title}: templates of ECG-QA asked about single ECGs and pairs of ECGs, with right answers and "
            "candidates. Made by ecgqa. Research use only, not for clinical use."
        ),
        "url": origin.parts[0].page,
        "license": origin.licence_url or "unknown",
        "citeAs": "\n".join(origin.citations),
        "creator": {"@type": "sc:Organization", "name": f"ecgqa {__version__}"},
        "version": _version(__version__),
        "isLiveDataset": False,
        "distribution": [*(_file(folder, path) for path in files), *sets],
        "recordSet": [_record_set(table) for table in tables],
    }


def _version(text: str) -> str:
    """Three numbers, as Croissant asks for."""
    return ".".join([*text.split("+")[0].split("."), "0", "0"][:3])


def _file(folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": digest_file(path),
    }


def _record_set(table: Table) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": f"One row per {'ECG' if table.name in ('ecgs', 'records') else 'question'}.",
        "field": [_field(table, name, column) for name, column in table.columns.items()],
    }


def _field(table: Table, name: str, column: Column) -> dict[str, Any]:
    unit = f" ({column.unit})" if column.unit else ""
    is_list = isinstance(column.dtype, pl.List)
    inner = column.dtype.inner if isinstance(column.dtype, pl.List) else column.dtype
    return {
        "@type": "cr:Field",
        "@id": f"{table.name}/{name}",
        "name": name,
        "description": f"{column.meaning}{unit}",
        "dataType": _TYPES[type(inner)],
        **({"repeated": True} if is_list else {}),
        "source": {"fileSet": {"@id": f"{table.name}-files"}, "extract": {"column": name}},
    }
