"""MIMIC-IV-ECG's machine statements to rows of the attribute table, each distinct statement read once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl

from ecgqa.attributes import vocabulary as names
from ecgqa.attributes.statements import ABNORMAL, BORDERLINE, NORMAL, UNREADABLE, Reading, read_statement
from ecgqa.errors import EcgqaError
from ecgqa.records import ATTRIBUTES

if TYPE_CHECKING:
    from ecgqa.attributes.build import BuiltAttributes

HARMLESS: Final = ("sinus rhythm", "regular rhythm")
"""Symptoms that are nothing abnormal."""
LISTED: Final = 50
"""Statements listed in the manifest of those that no rule knows."""

_STAGE_ORDER: Final = (names.EARLY, names.MIDDLE, names.OLD, names.UNKNOWN_STAGE)
"""Of infarctions of several ages, the most recent one is the stage of the ECG."""


class MimicSource(Protocol):
    """The part of a MIMIC-IV-ECG source that attributes need."""

    def measurements(self) -> pl.LazyFrame: ...
    def metadata(self) -> pl.DataFrame: ...


def mimic_attributes(source: Any, only: Collection[int] | None = None) -> BuiltAttributes:
    """Attributes of the ECGs that stand both in the record list and in the machine measurements of `source`.

    `only` keeps these ids. Raises EcgqaError for a damaged or absent machine_measurements.csv.
    """
    from ecgqa.attributes.build import BuiltAttributes

    wanted: MimicSource = source
    notes: Counter[str] = Counter()
    listed = wanted.metadata()["ecg_id"]
    if only is not None:
        listed = listed.filter(listed.is_in(sorted(only)))
    measurements = wanted.measurements()
    rows = statement_attributes(measurements.filter(pl.col("ecg_id").is_in(listed.implode())), notes)
    ecg_ids = frozenset(rows.attributes["ecg_id"].unique())
    notes["ECGs of the record list without machine measurements"] += len(listed) - len(ecg_ids)
    return BuiltAttributes(
        rows.attributes,
        ecg_ids,
        "mimic-iv-ecg",
        {note: n for note, n in sorted(notes.items()) if n},
        {
            heading: listed
            for heading, listed in (
                ("statements that no rule knows", rows.not_understood),
                ("statements read in part", rows.read_in_part),
            )
            if listed
        },
    )


@dataclass(frozen=True)
class StatementRows:
    """Attribute rows, and the statements that were not understood with their counts, most frequent first."""

    attributes: pl.DataFrame
    not_understood: list[tuple[str, int]]
    read_in_part: list[tuple[str, int]]


def statement_attributes(measurements: pl.LazyFrame, notes: Counter[str]) -> StatementRows:
    """Attribute rows of every ECG of `measurements` (columns ecg_id, report_0, report_1, …; any further ones).

    A statement no rule knows gives nothing, one read in part only uncertain attributes; both are counted in `notes`
    and listed. An ECG without a statement, or one the machine could not read, is unknown, not normal. Superclasses
    count whatever the certainty, as in the release for PTB-XL.

    Raises EcgqaError if there are no report columns.
    """
    columns = [name for name in measurements.collect_schema().names() if name.startswith("report_")]
    if not columns:
        raise EcgqaError("the machine measurements have no statements", expected="columns report_0, report_1, …")
    ecgs, said = _long(measurements, columns, notes)
    counts = said["statement"].value_counts(sort=False, name="n").sort("n", "statement", descending=[True, False])
    readings = [read_statement(text) for text in counts["statement"]]
    number = {text: row for row, text in enumerate(counts["statement"])}
    said = said.with_columns(
        pl.col("statement").replace_strict(list(number), list(number.values()), return_dtype=pl.UInt32)
    )
    unknown = [(text, n) for (text, n), r in zip(counts.iter_rows(), readings, strict=True) if not r.known]
    partly = [(text, n) for (text, n), r in zip(counts.iter_rows(), readings, strict=True) if r.known and r.unknown]
    notes["statements that no rule knows"] += sum(n for _, n in unknown)
    notes["statements read in part, taken as uncertain"] += sum(n for _, n in partly)
    attributes = pl.concat([part for part in _tables(ecgs, said, readings, notes) if part.height])
    attributes = attributes.sort("ecg_id", maintain_order=True)
    return StatementRows(attributes, unknown[:LISTED], partly[:LISTED])


def _long(measurements: pl.LazyFrame, columns: list[str], notes: Counter[str]) -> tuple[pl.Series, pl.DataFrame]:
    """All ECG ids, and one row (ecg_id, statement) for every statement; column by column to stay small."""
    frame = measurements.select("ecg_id", *columns).collect()
    notes["rows without an ecg_id"] += frame["ecg_id"].null_count()
    frame = frame.drop_nulls("ecg_id")
    repeated = frame.height
    frame = frame.unique("ecg_id", keep="first", maintain_order=True)
    notes["rows with a repeated ecg_id"] += repeated - frame.height
    parts = []
    for column in columns:
        text = pl.col(column).cast(pl.String).str.strip_chars().alias("statement")
        parts.append(frame.select("ecg_id", text).filter(pl.col("statement").fill_null("") != ""))
    return frame["ecg_id"], pl.concat(parts)


def _tables(ecgs: pl.Series, said: pl.DataFrame, readings: list[Reading], notes: Counter[str]) -> list[pl.DataFrame]:
    rows = [
        (number, one.attribute, one.lead, one.certain)
        for number, reading in enumerate(readings)
        for one in reading.said
    ]
    symptoms = _joined(said, rows)
    everyone = pl.DataFrame({"ecg_id": ecgs}).sort("ecg_id")
    whole = symptoms.filter(pl.col("lead").is_null())
    spoken = everyone.join(said.select("ecg_id").unique(), on="ecg_id", how="semi")
    notes["ECGs without a statement"] += everyone.height - spoken.height
    judged = _joined(
        said, [(number, name, None, sure) for number, r in enumerate(readings) for name, sure in r.judgements]
    )
    unsure = _saying(said, [i for i, r in enumerate(readings) if r.unknown or not r.known])
    per_ecg = everyone.with_columns(
        _has(spoken).alias("spoken"),
        _has(judged.filter(pl.col("attribute") == NORMAL)).alias("normal"),
        _has(judged.filter((pl.col("attribute") == NORMAL) & pl.col("certain"))).alias("surely_normal"),
        _has(judged.filter(pl.col("attribute") == ABNORMAL)).alias("abnormal"),
        _has(judged.filter(pl.col("attribute") == BORDERLINE)).alias("borderline"),
        _has(judged.filter(pl.col("attribute") == UNREADABLE)).alias("unreadable"),
        _has(whole.filter(~pl.col("attribute").is_in(HARMLESS))).alias("symptom"),
        _has(unsure).alias("unsure"),
    )
    notes["ECGs that the machine could not read"] += int(per_ecg["unreadable"].sum())
    readable = pl.col("spoken") & ~pl.col("unreadable")
    normal = (
        pl.when(~readable).then(pl.lit("unknown"))
        .when(~pl.col("normal") | pl.col("abnormal")).then(pl.lit("no"))
        .when(pl.col("surely_normal")).then(pl.lit("yes"))
        .otherwise(pl.lit("uncertain"))
    )  # fmt: skip
    any_abnormal = (
        pl.when(~readable).then(pl.lit("unknown"))
        .when(pl.col("symptom") | pl.col("abnormal")).then(pl.lit("yes"))
        .when(pl.col("unsure") | pl.col("borderline")).then(pl.lit("unknown"))
        .otherwise(pl.lit("no"))
    )  # fmt: skip
    superclass = names.mimic_superclasses()
    superclasses = (
        whole.filter(pl.col("attribute").is_in(list(superclass)))
        .select("ecg_id", pl.col("attribute").replace_strict(superclass, default=None))
        .unique()
        .sort("ecg_id", "attribute")
    )
    wander = _joined(said, [(i, "baseline wander", lead, True) for i, r in enumerate(readings) for lead in r.wander])
    all_wander = _saying(said, [i for i, r in enumerate(readings) if r.has_wander])
    notes["baseline wander without a lead"] += all_wander.join(wander, on="ecg_id", how="anti")["ecg_id"].n_unique()
    noisy = spoken.with_columns(pl.when(_has(wander)).then(pl.lit("yes")).otherwise(pl.lit("no")).alias("value"))
    value = pl.when("certain").then(pl.lit("yes")).otherwise(pl.lit("uncertain")).alias("value")
    return [
        _rows(symptoms.select("ecg_id", "attribute", "lead", value), "scp_code"),
        _rows(superclasses, "scp_code", value="yes"),
        _rows(per_ecg.select("ecg_id", normal.alias("value")), "scp_code", attribute=names.NORMAL_ECG),
        _rows(per_ecg.select("ecg_id", any_abnormal.alias("value")), "scp_code", attribute=names.ANY_ABNORMAL),
        _rows(wander.select("ecg_id", "attribute", "lead"), "noise", value="yes"),
        _rows(noisy, "noise", attribute=names.ANY_NOISE),
        _rows(_stages(per_ecg.filter(readable), said, readings, notes), "stage_of_infarction"),
    ]


def _joined(said: pl.DataFrame, rows: Sequence[tuple[int, str, str | None, bool]]) -> pl.DataFrame:
    """ecg_id, attribute, lead, certain: one row for each of an ECG's attributes, certain if any statement is."""
    what = pl.DataFrame(
        rows,
        schema={"statement": pl.UInt32, "attribute": pl.String, "lead": pl.String, "certain": pl.Boolean},
        orient="row",
    ).with_columns(pl.struct("attribute", "lead").rank("dense").cast(pl.UInt16).alias("what"))
    table = what.select("what", "attribute", "lead").unique("what").sort("what")
    found = said.join(what.select("statement", "what", "certain"), on="statement", how="inner")
    found = found.group_by("ecg_id", "what").agg(pl.col("certain").any()).sort("ecg_id", "what")
    return found.join(table, on="what", how="left", maintain_order="left").drop("what")


def _saying(said: pl.DataFrame, statements: list[int]) -> pl.DataFrame:
    """The rows of `said` with one of the statements."""
    return said.filter(pl.col("statement").is_in(pl.Series(statements, dtype=pl.UInt32).implode()))


def _has(rows: pl.DataFrame) -> pl.Expr:
    return pl.col("ecg_id").is_in(rows["ecg_id"].unique().implode())


def _stages(readable: pl.DataFrame, said: pl.DataFrame, readings: list[Reading], notes: Counter[str]) -> pl.DataFrame:
    """One row per ECG: the most recent of its stages, or that there is no infarction."""
    rows = [(number, name, None, sure) for number, reading in enumerate(readings) for name, sure in reading.stages]
    stages = _joined(said, rows).join(readable, on="ecg_id", how="semi")
    order = {name: place for place, name in enumerate(_STAGE_ORDER)}
    stages = stages.with_columns(pl.col("attribute").replace_strict(order, return_dtype=pl.Int8).alias("place"))
    aged = stages.filter(pl.col("attribute") != names.UNKNOWN_STAGE)
    notes["ECGs with infarctions of several stages, the most recent taken"] += (
        aged.group_by("ecg_id").len().filter(pl.col("len") > 1).height
    )
    first = stages.sort("ecg_id", "place").unique("ecg_id", keep="first", maintain_order=True)
    value = pl.when("certain").then(pl.lit("yes")).otherwise(pl.lit("uncertain")).alias("value")
    none = readable.join(stages, on="ecg_id", how="anti")
    return pl.concat(
        [
            first.select("ecg_id", "attribute", value),
            none.select("ecg_id", pl.lit(names.NO_STAGE).alias("attribute"), pl.lit("yes").alias("value")),
        ]
    )


def _rows(
    frame: pl.DataFrame, attribute_type: str, *, attribute: str | None = None, value: str | None = None
) -> pl.DataFrame:
    """`frame` (ecg_id and any of attribute, lead, value) as ATTRIBUTES rows that come from the report."""
    fixed = {"attribute_type": attribute_type, "attribute": attribute, "value": value, "origin": "report"}
    fixed |= {"lead": None, "number": None, "unit": None}
    schema = ATTRIBUTES.polars
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(fixed[name])).cast(dtype).alias(name)
        for name, dtype in schema.items()
    )
