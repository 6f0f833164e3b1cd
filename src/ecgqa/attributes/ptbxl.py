"""PTB-XL's metadata (statements, noise columns, extra beats, stage, report) to rows of the attribute table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

import polars as pl

from ecgqa.attributes import vocabulary as names
from ecgqa.attributes.noise import extra_systoles_named, leads_named
from ecgqa.attributes.report import leads_of_forms
from ecgqa.records import ATTRIBUTES, LEADS

NOISE_COLUMNS = {
    "baseline_drift": "baseline drift",
    "static_noise": "static noise",
    "burst_noise": "burst noise",
    "electrodes_problems": "electrodes problems",
}
COLUMNS = ("ecg_id", "scp_codes", "report", *NOISE_COLUMNS, "extra_beats", "infarction_stadium1", "infarction_stadium2")

Row = tuple[int, str, str, str | None, str, float | None, str | None, str]


def ptbxl_attributes(metadata: pl.DataFrame, notes: Counter[str] | None = None) -> pl.DataFrame:
    """Attribute rows of every ECG in PTB-XL's `metadata` (columns as in ptbxl_database.csv, any type).

    What cannot be read is counted in `notes` and left unknown: malformed statement cells, unknown statement codes,
    absent columns, noise cells that name no lead. An absent column leaves its attributes unknown, not absent.
    """
    notes = Counter() if notes is None else notes
    for column in COLUMNS:
        if column not in metadata.columns:
            notes[f"missing column {column}"] += 1
    text = metadata.select(
        pl.col("ecg_id").cast(pl.Float64, strict=False).cast(pl.Int64, strict=False),
        *(
            (pl.col(name).cast(pl.String) if name in metadata.columns else pl.lit(None, dtype=pl.String)).alias(name)
            for name in COLUMNS[1:]
        ),
    )
    notes["rows without an ecg_id"] += text["ecg_id"].null_count()
    text = text.drop_nulls("ecg_id")
    has = {name: name in metadata.columns for name in COLUMNS}
    rows: list[Row] = []
    for record in text.iter_rows(named=True):
        ecg_id = record["ecg_id"]
        codes = read_scp_codes(record["scp_codes"]) if has["scp_codes"] else None
        if codes is None:
            notes["ECGs with unreadable scp_codes"] += has["scp_codes"]
            rows.append((ecg_id, "scp_code", names.NORMAL_ECG, None, "unknown", None, None, "metadata"))
        else:
            rows += _statements(ecg_id, codes, notes)
            if record["report"]:
                rows += _forms_in_leads(ecg_id, codes, record["report"])
        if all(has[column] for column in NOISE_COLUMNS):
            rows += _noise(ecg_id, record, notes)
        if has["extra_beats"]:
            rows += _extra_systoles(ecg_id, record["extra_beats"] or "")
        if has["infarction_stadium1"] and has["infarction_stadium2"]:
            name, value = stage_of_infarction(record["infarction_stadium1"], record["infarction_stadium2"], notes)
            if name:
                rows.append((ecg_id, "stage_of_infarction", name, None, value, None, None, "metadata"))
    return pl.DataFrame(rows, schema=ATTRIBUTES.polars, orient="row")


_ITEM = r"'([^']*)'\s*:\s*([-+]?\d+(?:\.\d*)?)"
_CELL = re.compile(rf"\s*\{{\s*(?:{_ITEM}\s*(?:,\s*{_ITEM}\s*)*)?,?\s*\}}\s*")
_ITEMS = re.compile(_ITEM)


@cache
def read_scp_codes(cell: str | None) -> dict[str, float] | None:
    """Statement codes and likelihoods (0 to 100, 0 = not given) of an `scp_codes` cell; None if it is malformed."""
    if cell is None or not _CELL.fullmatch(cell):
        return None
    return {code: float(likelihood) for code, likelihood in _ITEMS.findall(cell)}


def _statements(ecg_id: int, codes: dict[str, float], notes: Counter[str]) -> Iterator[Row]:
    """Symptoms with their certainty, superclasses (whatever the likelihood), and the two overall judgements."""
    statements = names.ptbxl_statements()

    def row(attribute: str, value: str, likelihood: float | None = None) -> Row:
        unit = None if likelihood is None else "%"
        return ecg_id, "scp_code", attribute, None, value, likelihood, unit, "metadata"

    superclasses = set()
    for code, likelihood in codes.items():
        if code not in statements:
            notes[f"unknown statement code {code}"] += 1
            continue
        statement = statements[code]
        if statement.superclass:
            superclasses.add(statement.superclass)
        if statement.kept:
            yield row(statement.attribute, "uncertain" if 0 < likelihood < 100 else "yes", likelihood)
    for superclass in names.SUPERCLASSES:
        if superclass in superclasses:
            yield row(superclass, "yes")
    normal = codes.get("NORM")
    if normal is None:
        yield row(names.NORMAL_ECG, "no")
    else:
        yield row(names.NORMAL_ECG, "uncertain" if 0 < normal < 100 else "yes", normal)
    yield row(names.ANY_ABNORMAL, "yes" if codes.keys() - {"NORM", "SR"} else "no")


def _forms_in_leads(ecg_id: int, codes: dict[str, float], report: str) -> Iterator[Row]:
    statements = names.ptbxl_statements()
    for code, leads in leads_of_forms(report, frozenset(codes)).items():
        for index in sorted(leads):
            yield ecg_id, "scp_code", statements[code].attribute, LEADS[index], "yes", None, None, "report"


def _noise(ecg_id: int, record: dict[str, str | None], notes: Counter[str]) -> Iterator[Row]:
    seen = False
    for column, noise in NOISE_COLUMNS.items():
        cell = record[column]
        if not cell or not cell.strip(" ,"):
            continue
        leads = leads_named(cell)
        notes["noise entries that name no lead"] += not leads
        for index in sorted(leads):
            seen = True
            yield ecg_id, "noise", noise, LEADS[index], "yes", None, None, "metadata"
    yield ecg_id, "noise", names.ANY_NOISE, None, "yes" if seen else "no", None, None, "metadata"


def _extra_systoles(ecg_id: int, cell: str) -> Iterator[Row]:
    kinds, any_kind = extra_systoles_named(cell)
    for kind in names.EXTRA_SYSTOLES:
        if kind in kinds:
            yield ecg_id, "extra_systole", kind, None, "yes", None, None, "metadata"
    value = "yes" if any_kind else "no"
    yield ecg_id, "extra_systole", names.ANY_EXTRA_SYSTOLE, None, value, None, None, "metadata"


_STAGES = {
    "i": names.EARLY,
    "i-ii": names.EARLY,
    "ii": names.MIDDLE,
    "ii-iii": names.MIDDLE,
    "iii": names.OLD,
    "unknown": names.UNKNOWN_STAGE,
}


def stage_of_infarction(first: str | None, second: str | None, notes: Counter[str]) -> tuple[str | None, str]:
    """The one stage of an ECG and its value: the second column if filled, else the first.

    "Stadium III" in the first column alone is `uncertain`: the release neither calls it old nor none.
    """
    cell = (second or "").strip() or (first or "").strip()
    if not cell:
        return names.NO_STAGE, "yes"
    stage = _STAGES.get(cell.lower().removeprefix("stadium").strip())
    if stage is None:
        notes[f"unknown stage of infarction {cell!r}"] += 1
    return stage, "uncertain" if stage == names.OLD and not (second or "").strip() else "yes"
