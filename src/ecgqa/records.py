"""The vocabulary every room speaks: lead order, enumerations, and the schemas of the tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import polars as pl

LEADS: Final = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""Canonical lead order of every signal array in this package."""

ALL_LEADS: Final = (1 << len(LEADS)) - 1
"""All twelve leads as a lead set."""

INVALID_SAMPLE: Final = -32768
"""The int16 value that marks "no sample" (WFDB format 16's own marker); becomes NaN in millivolts."""

NONE: Final = "none"
"""The literal answer of the released questions that stands for the empty set."""

NORMAL_RANGES_S: Final[dict[str, tuple[float | None, float]]] = {
    "rr interval": (0.6, 1.0),
    "p duration": (None, 0.12),
    "pr interval": (0.12, 0.20),
    "qrs duration": (0.06, 0.11),
    "qt interval": (0.33, 0.43),
    "qt corrected": (0.33, 0.45),
}
"""Inclusive limits in seconds that the released answers follow; a P wave is never too short."""


class QuestionType(StrEnum):
    SINGLE_VERIFY = "single-verify"
    SINGLE_CHOOSE = "single-choose"
    SINGLE_QUERY = "single-query"
    CONSECUTIVE_VERIFY = "comparison_consecutive-verify"
    CONSECUTIVE_QUERY = "comparison_consecutive-query"
    IRRELEVANT_VERIFY = "comparison_irrelevant-verify"
    IRRELEVANT_QUERY = "comparison_irrelevant-query"

    @property
    def n_ecgs(self) -> int:
        return 1 if self.value.startswith("single") else 2

    @property
    def is_choose(self) -> bool:
        return self.value.endswith("choose")


class AttributeType(StrEnum):
    SCP_CODE = "scp_code"
    NOISE = "noise"
    STAGE_OF_INFARCTION = "stage_of_infarction"
    EXTRA_SYSTOLE = "extra_systole"
    HEART_AXIS = "heart_axis"
    NUMERIC_FEATURE = "numeric_feature"


class Split(StrEnum):
    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


class Version(StrEnum):
    TEMPLATE = "template"
    PARAPHRASED = "paraphrased"


class Value(StrEnum):
    """What is known of an attribute on one ECG."""

    YES = "yes"
    NO = "no"
    UNCERTAIN = "uncertain"
    UNKNOWN = "unknown"


class Origin(StrEnum):
    """Where an attribute's value comes from."""

    METADATA = "metadata"
    REPORT = "report"
    WAVEFORM = "waveform"
    PARAMETERS = "parameters"


class Status(StrEnum):
    """Outcome of asking a model one question. Everything but `ok` counts as wrong, and stays in the denominator."""

    OK = "ok"
    UNPARSEABLE = "unparseable"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its Arrow type, and what it means (with its unit)."""

    dtype: pl.DataType
    meaning: str
    unit: str | None = None
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class TableSchema:
    """Name and columns of one of the four tables; `tables.py` reads and writes Parquet files that follow it."""

    name: str
    columns: dict[str, Column]

    @property
    def polars(self) -> pl.Schema:
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})

    def empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema=self.polars)


def _enum(values: type[StrEnum]) -> pl.Enum:
    return pl.Enum([member.value for member in values])


_STRINGS: Final = pl.List(pl.String())

RECORDS: Final = TableSchema(
    "records",
    {
        "source": Column(pl.String(), "data set the ECG comes from, e.g. ptbxl"),
        "ecg_id": Column(pl.Int64(), "the data set's own id of the ECG (MIMIC-IV-ECG: study_id)"),
        "patient_id": Column(pl.Int64(), "the data set's own id of the patient", nullable=True),
        "recorded_at": Column(
            pl.Datetime("us"), "date and time of the recording, shifted where the source shifts it", nullable=True
        ),
        "path": Column(pl.String(), "record path below the source's root, '/' separated, without extension"),
        "fs_hz": Column(pl.Float64(), "sampling rate", "Hz", nullable=True),
        "n_samples": Column(pl.Int32(), "samples per lead", nullable=True),
        "gain_per_mv": Column(
            pl.List(pl.Float64()), "int16 units per millivolt, one per lead in canonical order", "1/mV", nullable=True
        ),
        "signal_row": Column(pl.Int32(), "row of the store's signals.npy", nullable=True),
        "sex": Column(pl.Enum(["female", "male"]), "sex as recorded", nullable=True),
        "age": Column(pl.Float64(), "age at recording", "years", nullable=True),
        "flags": Column(_STRINGS, "problems seen in the signal, e.g. flat:V1, invalid:II, missing:aVL", nullable=True),
    },
)

ATTRIBUTES: Final = TableSchema(
    "attributes",
    {
        "ecg_id": Column(pl.Int64(), "the data set's own id of the ECG"),
        "attribute_type": Column(_enum(AttributeType), "kind of attribute"),
        "attribute": Column(pl.String(), "name as the questions spell it"),
        "lead": Column(pl.Enum(LEADS), "lead the value is about; null means the whole ECG", nullable=True),
        "value": Column(_enum(Value), "yes, no, uncertain or unknown"),
        "number": Column(pl.Float64(), "measured or stated number, if any", nullable=True),
        "unit": Column(pl.String(), "unit of number", nullable=True),
        "origin": Column(_enum(Origin), "where the value comes from"),
    },
)

QUESTIONS: Final = TableSchema(
    "questions",
    {
        "template_id": Column(pl.Int16(), "question template, 1 to 70"),
        "question_id": Column(pl.Int32(), "question of the grid; paraphrases of a question share it"),
        "sample_id": Column(pl.Int64(), "number of the sample within its split"),
        "question_type": Column(_enum(QuestionType), "the seven question types of the paper"),
        "attribute_type": Column(_enum(AttributeType), "kind of attribute asked about"),
        "question": Column(pl.String(), "question text"),
        "answer": Column(_STRINGS, "right answer, a set; the empty set is written ['none']"),
        "ecg_id": Column(pl.List(pl.Int64()), "one ECG, or two (first/previous, second/recent)"),
        "attribute": Column(_STRINGS, "attributes asked about; null for comparison questions", nullable=True),
        "split": Column(_enum(Split), "train, valid or test"),
        "version": Column(_enum(Version), "template or paraphrased wording"),
        "candidates": Column(_STRINGS, "answers that may be given to this question, in the order of the answer list"),
    },
)

PREDICTIONS: Final = TableSchema(
    "predictions",
    {
        "sample_id": Column(pl.Int64(), "number of the sample within its split"),
        "split": Column(_enum(Split), "train, valid or test"),
        "version": Column(_enum(Version), "template or paraphrased wording"),
        "run": Column(pl.String(), "name of the model run"),
        "answer": Column(_STRINGS, "given answer, a set; the empty set is written ['none']; empty list if not ok"),
        "scores": Column(
            pl.List(pl.Float32()), "probability of each option, in the order of options_of(candidates)", nullable=True
        ),
        "status": Column(_enum(Status), "ok, unparseable, refused or failed"),
        "raw": Column(pl.String(), "reply as received, where there was one", nullable=True),
    },
)

GROUNDING: Final = TableSchema(
    "grounding",
    {
        "split": Column(_enum(Split), "train, valid or test"),
        "ecg_row": Column(pl.Int32(), "row of the store's signals.npy"),
        "leads": Column(pl.UInt16(), "lead set that the statement is about: bit i is lead i"),
        "class_id": Column(pl.Int16(), "attribute, as its place in the class list"),
        "label": Column(pl.Boolean(), "whether the ECG shows it in these leads"),
        "verified": Column(pl.Boolean(), "stated by a verify question (else by choose and query questions only)"),
    },
)

FINDINGS: Final = TableSchema(
    "findings",
    {
        "source": Column(pl.String(), "data set the ECG comes from", nullable=True),
        "ecg_id": Column(pl.Int64(), "the data set's own id of the ECG"),
        "split": Column(_enum(Split), "train, valid or test", nullable=True),
        "leads": Column(pl.UInt16(), "lead set that the model was shown: bit i is lead i, 4095 is the whole ECG"),
        "attribute": Column(pl.String(), "class of the model, named as the questions spell it"),
        "probability": Column(pl.Float32(), "of the ECG showing it in these leads"),
        "threshold": Column(pl.Float32(), "the attribute counts as shown where probability is above it"),
        "label": Column(pl.Boolean(), "what the questions say; null where they do not tell", nullable=True),
        "run": Column(pl.String(), "name of the model run"),
    },
)

TABLES: Final = {table.name: table for table in (RECORDS, ATTRIBUTES, QUESTIONS, PREDICTIONS, GROUNDING, FINDINGS)}


def lead_set(leads: Iterable[int | str]) -> int:
    """Leads, by name or place, as a lead set: bit i stands for lead i."""
    return sum({1 << (LEADS.index(lead) if isinstance(lead, str) else lead) for lead in leads})


def leads_in(lead_set: int) -> tuple[str, ...]:
    """Names of the leads in a lead set, in canonical order."""
    return tuple(lead for place, lead in enumerate(LEADS) if lead_set >> place & 1)


def options_of(candidates: list[str]) -> list[str]:
    """Candidates a model scores: all but the literal "none", which stands for "no option applies"."""
    return [candidate for candidate in candidates if candidate != NONE]
