"""The attribute table as dense arrays, one row per ECG: the views that templates ask about."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ecgqa.attributes import vocabulary as names
from ecgqa.attributes.vocabulary import Vocabulary
from ecgqa.errors import EcgqaError
from ecgqa.questions.presets import Rules
from ecgqa.records import LEADS, NORMAL_RANGES_S

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def some(holds: Bools, axis: int | tuple[int, ...]) -> Bools:
    """Whether any element along `axis` is true."""
    return np.asarray(np.any(holds, axis=axis))


@dataclass(frozen=True)
class View:
    """What holds on each ECG: `holds` (n, options) or (n, options, 12 leads); `known` tells where that is known."""

    options: tuple[str, ...]
    holds: Bools
    known: Bools
    """(n,) or (n, options). An ECG whose answer is not known gives no sample."""
    uncertain: Bools | None = None
    """(n, options): holds, but only with a likelihood below 100 %."""

    def knows(self, columns: list[int]) -> Bools:
        """(n,): known for all of `columns`."""
        return self.known if self.known.ndim == 1 else ~some(~self.known[:, columns], 1)

    def anywhere(self) -> Bools:
        """(n, options): holds in some lead, or on the ECG as a whole."""
        return some(self.holds, 2) if self.holds.ndim == 3 else self.holds


@dataclass(frozen=True)
class Facts:
    """Views by name for the ECGs `ecg_id` (ascending), with the patient and time that pairs need."""

    vocabulary: Vocabulary
    ecg_id: Ints
    patient_id: Ints
    """Patient of each ECG; an ECG without one is a patient of its own (negative number)."""
    recorded_us: Ints
    """Microseconds since 1970; the smallest int64 where the date is not known."""
    views: dict[str, View]
    notes: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.ecg_id)


NO_DATE = np.iinfo(np.int64).min


def gather_facts(
    attributes: pl.DataFrame, records: pl.DataFrame, vocabulary: Vocabulary, rules: Rules | None = None
) -> Facts:
    """Dense views of `attributes` (ATTRIBUTES) of the ECGs of `records` (RECORDS), by `rules` where there is a choice.

    Attributes outside the vocabulary, and rows of ECGs that `records` does not hold, are counted in `notes`.
    Raises EcgqaError for an empty table or an ECG listed twice.
    """
    notes: Counter[str] = Counter()
    people = records.select("ecg_id", "patient_id", "recorded_at").sort("ecg_id")
    if people["ecg_id"].is_duplicated().any():
        repeated = people.filter(pl.col("ecg_id").is_duplicated())["ecg_id"][0]
        raise EcgqaError(f"ECG {repeated} is listed twice in the records")
    if people.is_empty():
        raise EcgqaError("the records table holds no ECG")
    ecg_id = people["ecg_id"].to_numpy()
    notes["ECGs without a patient"] += people["patient_id"].null_count()
    notes["ECGs without a date"] += people["recorded_at"].null_count()
    alone = -1 - np.arange(len(ecg_id), dtype=np.int64)
    patient_id = people["patient_id"].fill_null(pl.Series(alone)).to_numpy()
    recorded_us = people["recorded_at"].cast(pl.Int64).fill_null(NO_DATE).to_numpy()

    positions = pl.DataFrame({"ecg_id": ecg_id, "row": np.arange(len(ecg_id), dtype=np.int64)})
    lead_index = pl.DataFrame({"lead": list(LEADS), "lead_index": np.arange(12)}, schema_overrides={"lead": pl.String})
    table = (
        attributes.with_columns(pl.col("attribute_type", "value", "lead").cast(pl.String))
        .join(positions, on="ecg_id", how="left")
        .join(lead_index, on="lead", how="left")
    )
    strays = table["row"].null_count()
    notes["attribute rows of ECGs that the records do not hold"] += strays
    reader = _Reader(table.drop_nulls("row"), len(ecg_id), notes)
    return Facts(vocabulary, ecg_id, patient_id, recorded_us, _views(reader, vocabulary, rules or Rules()), notes)


class _Reader:
    """Scatters the rows of one attribute type into arrays."""

    def __init__(self, table: pl.DataFrame, n: int, notes: Counter[str]) -> None:
        self.table, self.n, self.notes = table, n, notes

    def rows(self, attribute_type: str, options: tuple[str, ...]) -> pl.DataFrame:
        """Rows of the type whose attribute is one of `options`, with its `column`."""
        lookup = pl.DataFrame(
            {"attribute": options, "column": range(len(options))}, schema={"attribute": pl.String, "column": pl.Int64}
        )
        of_type = self.table.filter(pl.col("attribute_type") == attribute_type)
        return of_type.join(lookup, on="attribute", how="inner", maintain_order="left")

    def whole(self, attribute_type: str, options: tuple[str, ...], values: tuple[str, ...]) -> Bools:
        """(n, options): a row without a lead has one of `values`."""
        rows = self.rows(attribute_type, options).filter(pl.col("lead").is_null() & pl.col("value").is_in(values))
        return self._scatter((self.n, len(options)), rows["row"], rows["column"])

    def by_lead(self, attribute_type: str, options: tuple[str, ...]) -> Bools:
        """(n, options, 12): a row of this lead says yes or uncertain."""
        rows = self.rows(attribute_type, options).filter(
            pl.col("lead").is_not_null() & pl.col("value").is_in(["yes", "uncertain"])
        )
        return self._scatter((self.n, len(options), 12), rows["row"], rows["column"], rows["lead_index"])

    def marked(self, attribute_type: str, attribute: str) -> Bools:
        """(n,): the summary row `attribute` says anything but unknown, so the ECG was looked at for this type."""
        return self.whole(attribute_type, (attribute,), ("yes", "no", "uncertain"))[:, 0]

    @staticmethod
    def _scatter(shape: tuple[int, ...], *indices: pl.Series) -> Bools:
        array = np.zeros(shape, dtype=np.bool_, order="F")  # one attribute's ECGs side by side: read column by column
        array[tuple(index.to_numpy() for index in indices)] = True
        return array


_PRESENT = ("yes", "uncertain")


def _views(reader: _Reader, vocabulary: Vocabulary, rules: Rules) -> dict[str, View]:
    symptoms = vocabulary.symptoms + vocabulary.superclasses
    present = reader.whole("scp_code", symptoms, _PRESENT)
    uncertain = reader.whole("scp_code", symptoms, ("uncertain",))
    looked_at = reader.marked("scp_code", names.NORMAL_ECG)
    forms = vocabulary.forms_in_leads
    in_lead = reader.by_lead("scp_code", forms)
    axis = reader.whole("heart_axis", vocabulary.axes, ("yes",))
    stages = (*vocabulary.stages, names.UNKNOWN_STAGE, names.NO_STAGE)
    stage = reader.whole("stage_of_infarction", stages, ("yes",))
    unplaced = some(reader.whole("stage_of_infarction", stages, ("uncertain",)), 1)
    known_stage = some(stage, 1) | unplaced
    if rules.unplaced_stage == "none":
        stage[unplaced, stages.index(names.NO_STAGE)] = True
    noise = reader.by_lead("noise", vocabulary.noises)
    noise_looked_at = reader.marked("noise", names.ANY_NOISE) | some(noise, (1, 2))
    any_extra = reader.whole("extra_systole", (names.ANY_EXTRA_SYSTOLE,), ("yes",))
    extra_looked_at = reader.marked("extra_systole", names.ANY_EXTRA_SYSTOLE)
    ranges, measured, abnormal, tried = _numeric(reader, vocabulary, rules)
    return {
        "symptom": View(symptoms, present, looked_at, uncertain),
        "certain symptom": View(symptoms, present & ~uncertain, looked_at),
        "normal": View((names.NORMAL_ECG,), reader.whole("scp_code", (names.NORMAL_ECG,), _PRESENT), looked_at),
        "abnormal": View(
            (names.ANY_ABNORMAL,),
            reader.whole("scp_code", (names.ANY_ABNORMAL,), _PRESENT),
            looked_at & reader.marked("scp_code", names.ANY_ABNORMAL),
        ),
        "form in lead": View(forms, in_lead, looked_at),
        "axis": View(vocabulary.axes, axis, some(axis, 1)),
        # A stage III of which it is not known whether it is old is none of the three asked stages, and has no answer
        # when the stage is asked for.
        "stage": View(vocabulary.stages, stage[:, : len(vocabulary.stages)], known_stage),
        "stage or none": View(stages, stage, some(stage, 1)),
        "noise": View(vocabulary.noises, noise, noise_looked_at),
        "extra systole": View(
            vocabulary.extra_systoles,
            reader.whole("extra_systole", vocabulary.extra_systoles, _PRESENT),
            extra_looked_at,
        ),
        "any extra systole": View((names.ANY_EXTRA_SYSTOLE,), any_extra, extra_looked_at),
        "range": View(_range_names(vocabulary), ranges, measured),
        "abnormal feature": View(vocabulary.features, abnormal, tried),
    }


def _range_names(vocabulary: Vocabulary) -> tuple[str, ...]:
    return tuple(f"{range_} of {feature}" for feature in vocabulary.features for range_ in names.RANGES)


def _numeric(reader: _Reader, vocabulary: Vocabulary, rules: Rules) -> tuple[Bools, Bools, Bools, Bools]:
    """Ranges (n, features x 3), where these are known, abnormal (n, features), and where that is known.

    A feature that was tried but could not be measured (value unknown) counts as abnormal in comparisons, as in the
    release, where every comparison with a missing number is false; it lies in no range. `rules` may say otherwise.
    """
    features = vocabulary.features
    rows = reader.rows("numeric_feature", features)
    to_seconds = pl.when(pl.col("unit") == "ms").then(pl.col("number") / 1000).otherwise(pl.col("number"))
    rows = rows.filter(pl.col("lead").is_null()).with_columns(to_seconds.alias("seconds"))
    shape = (reader.n, len(features))
    tried = reader._scatter(shape, rows["row"], rows["column"])
    normal_rows = rows.filter(pl.col("value") == "yes")
    normal = reader._scatter(shape, normal_rows["row"], normal_rows["column"])
    outside = rows.filter(pl.col("value") == "no").drop_nulls("seconds")
    below = np.zeros(shape, dtype=np.bool_)
    upper = np.array([NORMAL_RANGES_S[feature][1] for feature in features])
    row, column = outside["row"].to_numpy(), outside["column"].to_numpy()
    below[row, column] = outside["seconds"].to_numpy() <= upper[column]
    above = reader._scatter(shape, outside["row"], outside["column"]) & ~below
    ranges = np.stack([below, normal, above], axis=2).reshape(reader.n, -1)
    measured = below | normal | above
    placed = measured if rules.unmeasured_in_ranges == "left-out" else tried
    compared = tried if rules.unmeasured_in_comparisons == "abnormal" else measured
    return ranges, np.repeat(placed, len(names.RANGES), axis=1), compared & ~normal, compared


def note_counts(facts: Facts) -> dict[str, Any]:
    """Notes with a count above zero, by name."""
    return {name: count for name, count in sorted(facts.notes.items()) if count}
