"""A plain WFDB folder's statement codes (columns of a csv, "Dx" comments of the headers) to attribute rows."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from ecgqa.attributes import vocabulary as names
from ecgqa.attributes.ptbxl import read_scp_codes
from ecgqa.errors import EcgqaError
from ecgqa.records import ATTRIBUTES, Value

if TYPE_CHECKING:
    from ecgqa.attributes.build import BuiltAttributes

KEYS: Final = ("ecg_id", "path", "record", "file_name", "id")
"""Columns that may name the record of a row, in the order in which they are looked for."""
ABOUT: Final = (*KEYS, "patient_id", "recorded_at", "sex", "age", "comments")
"""Columns that hold no statements."""
DX: Final = "Dx"
"""Name under which the mapping may single out the codes of header comments."""
LISTED: Final = 50
_COMMENT: Final = re.compile(r"\s*#?\s*<?\s*(?:dx|diagnos[ie]s)\s*>?\s*[:=]\s*(.*)", re.IGNORECASE)
_PARTS: Final = re.compile(r"[\n\r;|]+")
_NOTHING: Final = ("", "unknown", "nan", "none", "[]")

Row = tuple[int, str, str, str | None, str, float | None, str | None, str]


@dataclass(frozen=True)
class Mapping:
    """What codes mean: (column or "", code) to (attribute, value); an empty attribute means "nothing asked about".

    named: whether columns are named, so that all others hold no statements.
    """

    meanings: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)
    columns: frozenset[str] = frozenset()

    def get(self, column: str, code: str) -> list[tuple[str, str]] | None:
        """Meanings of `code` in `column`, the built-in ones after those given; None if there is none."""
        plain = _plain(code)
        for where in (_plain(column), ""):
            if (where, plain) in self.meanings:
                return self.meanings[where, plain]
        return built_in_mapping().get(plain)

    @property
    def attributes(self) -> frozenset[str]:
        return frozenset(name for given in self.meanings.values() for name, _ in given if name)


def _plain(text: str) -> str:
    """Case, a final full stop and the length of blanks do not matter."""
    return " ".join(text.split()).rstrip(".").lower()


def _askable() -> dict[str, str]:
    """Attribute type by attribute name, of what a mapping may give."""
    vocabulary = names.ptbxl_vocabulary()
    types = dict.fromkeys(vocabulary.symptoms, "scp_code") | {names.NORMAL_ECG: "scp_code"}
    types |= dict.fromkeys(vocabulary.axes, "heart_axis")
    types |= dict.fromkeys((*vocabulary.stages, names.UNKNOWN_STAGE, names.NO_STAGE), "stage_of_infarction")
    return types | dict.fromkeys(vocabulary.extra_systoles, "extra_systole")


@cache
def built_in_mapping() -> dict[str, list[tuple[str, str]]]:
    """SCP codes as PTB-XL has them, SNOMED CT codes of the PhysioNet/CinC Challenge 2021, and the attributes' names.

    Source of the SNOMED CT codes: Reyna et al. 2021, doi:10.23919/CinC53138.2021.9662687. A code without an attribute
    is known, but nothing is asked about it.
    """
    meanings: dict[str, list[tuple[str, str]]] = {name: [(name, "yes")] for name in _askable()}
    for statement in names.ptbxl_statements().values():
        asked = statement.kept or statement.code == "NORM"
        meanings[statement.code.lower()] = [(statement.attribute, "yes")] if asked else []
    with files("ecgqa.attributes").joinpath("snomed_codes.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            meanings[row["code"]] = [(row["attribute"], "yes")] if row["attribute"] else []
    return meanings


def read_mapping(path: str | Path) -> Mapping:
    """A mapping file: csv with the columns code, attribute and, if wanted, column and value.

    code: text of a statement as it stands in the cell (case does not matter). attribute: name of an attribute or SCP
    code; empty: the statement is known, but nothing is asked about it. column: column of the statement file that this
    row is about (empty: any). value: yes (default) or uncertain. A code may stand in several rows.

    Raises EcgqaError naming the line of an unknown attribute or value.
    """
    from ecgqa.sources.metadata_csv import read_csv

    path = Path(path)
    frame = read_csv(path, needs=("code", "attribute"))
    askable, codes = _askable(), names.ptbxl_statements()
    meanings: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for line, row in enumerate(frame.iter_rows(named=True), 2):
        code = _plain(row["code"] or "")
        if not code:
            continue
        name = (row["attribute"] or "").strip()
        if name in codes:
            name = codes[name].attribute
        value = (row.get("value") or "yes").strip().lower()
        if name and name.lower() not in askable:
            near = _near(name.lower(), askable)
            raise EcgqaError(
                f"{path}, row {line}: no attribute {name!r}",
                expected=f"a name such as {', '.join(near)}, an SCP code, or nothing",
            )
        if value not in (Value.YES, Value.UNCERTAIN):
            raise EcgqaError(f"{path}, row {line}: no value {value!r}", expected="yes or uncertain")
        given = meanings.setdefault((_plain(row.get("column") or ""), code), [])
        if name and (name.lower(), value) not in given:
            given.append((name.lower(), value))
    return Mapping(meanings, frozenset(column for column, _ in meanings if column))


def _near(name: str, askable: Iterable[str]) -> list[str]:
    from difflib import get_close_matches

    known = list(askable)
    return get_close_matches(name, known, 3, 0.3) or known[:3]


def folder_attributes(
    source: Any,
    only: Collection[int] | None = None,
    *,
    statements: str | Path | None = None,
    mapping: str | Path | None = None,
) -> BuiltAttributes:
    """Attributes of the ECGs of a WFDB folder (a `WfdbFolder`), from codes in csv columns and header comments.

    statements: csv with one row per ECG, named in a column ecg_id, path, record, file_name or ID; without it the
        folder's records.csv. mapping: see `read_mapping`; what it does not say, `built_in_mapping` does.
    only: keep these ids.

    An ECG without any statement is unknown. What is asked about is what the mapping and the ECGs name: nothing is
    said about an attribute that this collection never states. Raises EcgqaError if no ECG has a code that is known.
    """
    from ecgqa.attributes.build import BuiltAttributes

    notes: Counter[str] = Counter()
    meanings = Mapping() if mapping is None else read_mapping(mapping)
    metadata = source.metadata()
    ecg_ids = [e for e in metadata["ecg_id"].to_list() if only is None or e in only]
    cells: dict[int, list[tuple[str, str]]] = {ecg_id: [] for ecg_id in ecg_ids}
    for ecg_id, column, cell in _cells(source, metadata, statements, meanings, notes):
        if ecg_id in cells:
            cells[ecg_id].append((column, cell))
    unmapped: Counter[str] = Counter()
    found = {ecg_id: _meant(told, meanings, unmapped) for ecg_id, told in cells.items()}
    named = meanings.attributes | {name for given in found.values() for name in given}
    if not any(found.values()):
        raise EcgqaError(
            f"no ECG of {source.root} has a statement that is known",
            expected="SCP or SNOMED CT codes, or texts that a mapping file explains",
            found="; ".join(code for code, _ in unmapped.most_common(5)) or "no statements at all",
            fix="give --statements FILE.csv and --mapping MAP.csv (columns code, attribute)",
        )
    rows: list[Row] = []
    for ecg_id in sorted(cells):
        lost = any(meanings.get(column, code.rstrip("?")) is None for column, code in cells[ecg_id])
        rows += _rows(ecg_id, found[ecg_id], named, told=bool(cells[ecg_id]), lost=lost)
    notes["ECGs without a statement"] += sum(not told for told in cells.values())
    notes["statements that no mapping knows"] += sum(unmapped.values())
    listed = sorted(unmapped.items(), key=lambda item: (-item[1], item[0]))[:LISTED]
    return BuiltAttributes(
        pl.DataFrame(rows, schema=ATTRIBUTES.polars, orient="row"),
        frozenset(ecg_ids),
        "ptbxl",
        {note: n for note, n in sorted(notes.items()) if n},
        {"statements that no mapping knows": listed} if listed else {},
        tuple(name for name in _askable() if name in named),
    )


# -- cells -------------------------------------------------------------------------------------------------------


def _cells(
    source: Any, metadata: pl.DataFrame, statements: str | Path | None, mapping: Mapping, notes: Counter[str]
) -> Iterator[tuple[int, str, str]]:
    """ecg_id, column, one statement."""
    for ecg_id, comments in metadata.select("ecg_id", "comments").iter_rows():
        for comment in comments or ():
            match = _COMMENT.fullmatch(comment)
            if match:
                yield from ((ecg_id, DX, code) for code in _split(DX, match[1], mapping))
    if statements is None:
        table = metadata
    else:
        table = _with_ids(Path(statements), metadata, source, notes)
    wanted = [
        name
        for name in table.columns
        if name.lower() not in ABOUT and (not mapping.columns or _plain(name) in mapping.columns)
    ]
    lost = mapping.columns - {_plain(name) for name in table.columns} - {_plain(DX)}
    if lost:
        raise EcgqaError(
            f"the mapping speaks of a column {sorted(lost)[0]!r} that there is not",
            found=", ".join(table.columns)[:200],
        )
    for row in table.select("ecg_id", *wanted).iter_rows(named=True):
        for name in wanted:
            yield from ((row["ecg_id"], name, code) for code in _split(name, str(row[name] or ""), mapping))


def _with_ids(path: Path, metadata: pl.DataFrame, source: Any, notes: Counter[str]) -> pl.DataFrame:
    """The statement table with the ecg_id of each row; rows that name no record here are counted and left out."""
    from ecgqa.sources.metadata_csv import read_csv

    table = read_csv(path)
    by_name = {name.lower(): name for name in reversed(table.columns)}
    key = next((by_name[name] for name in KEYS if name in by_name), None)
    if key is None:
        raise EcgqaError(
            f"{path} does not tell which record a row is about",
            expected=f"a column {', '.join(KEYS[:-1])} or {KEYS[-1]}",
            found=", ".join(table.columns)[:200],
        )
    ids = {str(ecg_id): ecg_id for ecg_id in metadata["ecg_id"]}
    if key.lower() not in ("ecg_id", "id"):
        ids = {}
        for ecg_id, record in metadata.select("ecg_id", "path").iter_rows():
            ids.setdefault(record.rsplit("/", 1)[-1], ecg_id)
            ids[record] = ecg_id
    text = pl.col(key).str.strip_chars().str.replace(r"^\./", "").str.replace(r"\.(hea|dat|mat)$", "")
    table = table.with_columns(text.replace_strict(ids, default=None, return_dtype=pl.Int64).alias("ecg_id"))
    notes[f"rows of {path.name} that name no record here"] += table["ecg_id"].null_count()
    table = table.drop_nulls("ecg_id")
    if table.is_empty():
        raise EcgqaError(f"{path}: no row names a record of {source.root}", found=f"column {key}")
    if table["ecg_id"].is_duplicated().any():
        twice = table.filter(pl.col("ecg_id").is_duplicated())["ecg_id"][0]
        raise EcgqaError(f"{path}: ECG {twice} stands in more than one row", expected="one row per record")
    return table


def _split(column: str, cell: str, mapping: Mapping) -> list[str]:
    """Statements of a cell: lines, parts between ; or |, and between commas where the whole part has no meaning."""
    weighted = read_scp_codes(cell) if cell.startswith("{") else None
    if weighted is not None:
        return [f"{code}?" if 0 < likelihood < 100 else code for code, likelihood in weighted.items()]
    codes: list[str] = []
    for part in _PARTS.split(cell):
        whole = part.strip()
        if mapping.get(column, whole) is None and "," in whole:
            pieces = [piece.strip() for piece in whole.split(",")]
            known = [piece for piece in pieces if mapping.get(column, piece) is not None]
            # A sentence with a comma in it stays whole, so that it is listed as it stands.
            codes += pieces if known or all(piece.isalnum() for piece in pieces) else [whole]
        else:
            codes.append(whole)
    return [code for code in codes if _plain(code) not in _NOTHING]


def _meant(told: list[tuple[str, str]], mapping: Mapping, unmapped: Counter[str]) -> dict[str, str]:
    """Attributes of one ECG with their value; yes wins over uncertain. Codes without a meaning are counted."""
    found: dict[str, str] = {}
    for column, code in told:
        given = mapping.get(column, code)
        doubtful = given is None and code.endswith("?")
        if doubtful:
            given = mapping.get(column, code[:-1])
        if given is None:
            unmapped[code if column == DX else f"{column}: {code}"] += 1
            continue
        for name, value in given:
            value = Value.UNCERTAIN.value if doubtful else value
            if found.get(name) != Value.YES:
                found[name] = value
    return found


# -- rows --------------------------------------------------------------------------------------------------------


def _rows(ecg_id: int, found: dict[str, str], named: Collection[str], *, told: bool, lost: bool) -> Iterator[Row]:
    types = _askable()

    def row(attribute: str, value: str, attribute_type: str = "scp_code") -> Row:
        return ecg_id, attribute_type, attribute, None, value, None, None, "metadata"

    if not told:
        yield row(names.NORMAL_ECG, "unknown")
        return
    symptoms = [name for name in found if types[name] == "scp_code" and name != names.NORMAL_ECG]
    yield from (row(name, found[name]) for name in symptoms)
    superclass = {s.attribute: s.superclass for s in names.ptbxl_statements().values() if s.superclass and s.kept}
    shown = {superclass[name] for name in symptoms if name in superclass}
    yield from (row(name, "yes") for name in names.SUPERCLASSES if name in shown)
    yield row(names.NORMAL_ECG, found.get(names.NORMAL_ECG, "no"))
    abnormal = any(name != "sinus rhythm" for name in symptoms)
    yield row(names.ANY_ABNORMAL, "yes" if abnormal else "unknown" if lost else "no")
    for attribute_type, none in (("extra_systole", names.ANY_EXTRA_SYSTOLE), ("stage_of_infarction", names.NO_STAGE)):
        mine = [name for name in found if types[name] == attribute_type]
        yield from (row(name, found[name], attribute_type) for name in mine)
        if any(types[name] == attribute_type for name in named):
            if attribute_type == "extra_systole":
                yield row(none, "yes" if mine else "no", attribute_type)
            elif not mine:
                yield row(none, "yes", attribute_type)
    axes = [name for name in found if types[name] == "heart_axis"]
    if len(axes) == 1:  # two axes at once are none
        yield row(axes[0], found[axes[0]], "heart_axis")
