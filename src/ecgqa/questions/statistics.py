"""What a question table holds, counted: kinds, answers, reuse of ECGs, lengths of texts, and leaks between splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final

import polars as pl

from ecgqa.errors import EcgqaError
from ecgqa.records import NONE, AttributeType, Split, Value, Version

N_PAIRS: Final = 20
"""Pairs of labels that are listed, the most frequent ones."""

_QUANTILES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class Count:
    """How many questions are of one kind: in all, and in each part (split of a wording), in the order of `parts`."""

    name: str
    n: int
    by_part: tuple[int, ...]


@dataclass(frozen=True)
class Spread:
    """How a number spreads: mean, and the quantiles 0, 5, 25, 50, 75, 95 and 100 %."""

    n: int
    mean: float
    quantiles: tuple[float, ...]

    @property
    def median(self) -> float:
        return self.quantiles[3]


@dataclass(frozen=True)
class TemplateAnswers:
    """The right answers of one template: label and number of questions that it is an answer to, most frequent first."""

    template_id: int
    question_type: str
    attribute_type: str
    n: int
    n_none: int
    answers: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Pair:
    """Two labels that stand together: `n` times, where the first stands `n_first` and the second `n_second` times."""

    first: str
    second: str
    n: int
    n_first: int
    n_second: int

    @property
    def jaccard(self) -> float:
        """Part of all questions (or ECGs) with either label that have both."""
        return self.n / (self.n_first + self.n_second - self.n)


@dataclass(frozen=True)
class Shared:
    """What two splits have in common: how many of the `what`, of how many that the second split has."""

    what: str
    first: str
    second: str
    n: int
    n_second: int


@dataclass(frozen=True)
class QuestionStatistics:
    """Everything `ecgqa stats` tells; `to_json` for a file.

    n_questions counts rows; what does not depend on the wording (answers, ECGs, pairs) counts a sample once that stands
    in both wordings: `n_samples`.
    """

    n_questions: int
    n_samples: int
    n_ecgs: int
    n_patients: int | None
    parts: tuple[tuple[str, str], ...]
    """(version, split) of each part."""
    question_types: tuple[Count, ...]
    attribute_types: tuple[Count, ...]
    templates: tuple[Count, ...]
    n_answers: tuple[Count, ...]
    """Questions by how many labels are right at once; "none" counts as 0."""
    answers: tuple[TemplateAnswers, ...]
    ecg_reuse: dict[str, Spread]
    """Questions about one ECG, by split."""
    words: dict[str, Spread]
    """Words of a question, by version."""
    texts: dict[str, int]
    """Distinct question texts, by version."""
    answer_pairs: tuple[Pair, ...]
    """Labels that are right together in one question."""
    attribute_pairs: tuple[Pair, ...]
    """Attributes that one ECG has together; empty without an attribute table."""
    shared: tuple[Shared, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = asdict(self)
        plain["quantiles"] = list(_QUANTILES)
        return plain


def count_questions(
    questions: pl.DataFrame, *, records: pl.DataFrame | None = None, attributes: pl.DataFrame | None = None
) -> QuestionStatistics:
    """Count a QUESTIONS table.

    records: RECORDS table; with it, patients that are in two splits are found. attributes: ATTRIBUTES table, for the
    attributes that ECGs have together. Raises EcgqaError for an empty table.
    """
    if questions.is_empty():
        raise EcgqaError("there are no questions to count")
    once = questions.unique(["split", "sample_id"], keep="first", maintain_order=True)
    parts = _parts(questions)
    asked = once.select("split", "ecg_id").explode("ecg_id")
    patients = None if records is None else _patients(asked, records)
    return QuestionStatistics(
        n_questions=questions.height,
        n_samples=once.height,
        n_ecgs=asked["ecg_id"].n_unique(),
        n_patients=None if patients is None else patients["patient_id"].n_unique(),
        parts=parts,
        question_types=_counts(questions, "question_type", parts),
        attribute_types=_counts(questions, "attribute_type", parts),
        templates=_counts(questions, "template_id", parts),
        n_answers=_counts(questions.with_columns(_n_labels().alias("n_labels")), "n_labels", parts),
        answers=_answers(once),
        ecg_reuse={
            split.value: _spread(asked.filter(pl.col("split") == split.value).group_by("ecg_id").len()["len"])
            for split in Split
            if any(split.value == part for _, part in parts)
        },
        words={
            version: _spread(questions.filter(pl.col("version") == version)["question"].str.count_matches(r"\S+"))
            for version in dict(parts)
        },
        texts={
            version: questions.filter(pl.col("version") == version)["question"].n_unique() for version in dict(parts)
        },
        answer_pairs=_pairs(once.select(pl.int_range(pl.len()).alias("of"), pl.col("answer").alias("label"))),
        attribute_pairs=() if attributes is None else _attribute_pairs(attributes, asked["ecg_id"]),
        shared=tuple(_shared(questions, asked, patients)),
    )


def _parts(questions: pl.DataFrame) -> tuple[tuple[str, str], ...]:
    there = set(questions.select(pl.col("version", "split").cast(pl.String)).unique().iter_rows())
    return tuple((version.value, split.value) for version in Version for split in Split if (version, split) in there)


def _counts(questions: pl.DataFrame, column: str, parts: Sequence[tuple[str, str]]) -> tuple[Count, ...]:
    """Questions by `column` and part, in the column's own order."""
    found = questions.group_by(column, "version", "split").agg(pl.len().alias("n")).sort(column)
    table: dict[str, dict[tuple[str, str], int]] = {}
    for value, version, split, n in found.iter_rows():
        table.setdefault(str(value), {})[version, split] = n
    return tuple(
        Count(name, sum(cells.values()), tuple(cells.get(part, 0) for part in parts)) for name, cells in table.items()
    )


def _n_labels() -> pl.Expr:
    return pl.col("answer").list.len() - (pl.col("answer").list.first() == NONE).cast(pl.UInt32)


def _answers(once: pl.DataFrame) -> tuple[TemplateAnswers, ...]:
    key = ["template_id", "question_type", "attribute_type"]
    totals = once.group_by(key).agg(pl.len().alias("n")).sort("template_id", "question_type")
    given = once.select(*key, "answer").explode("answer").group_by(*key, "answer").agg(pl.len().alias("n"))
    labels: dict[tuple[int, str, str], list[tuple[str, int]]] = {}
    for template_id, question_type, attribute_type, label, n in given.sort(
        "n", "answer", descending=[True, False]
    ).iter_rows():
        labels.setdefault((template_id, question_type, attribute_type), []).append((label, n))
    found = []
    for template_id, question_type, attribute_type, n in totals.iter_rows():
        answers = labels[template_id, question_type, attribute_type]
        none = dict(answers).get(NONE, 0)
        found.append(TemplateAnswers(template_id, question_type, attribute_type, n, none, tuple(answers)))
    return tuple(found)


def _spread(numbers: pl.Series) -> Spread:
    mean = numbers.mean()
    cuts = [numbers.quantile(q, "linear") for q in _QUANTILES]
    return Spread(
        len(numbers),
        round(float(mean), 3) if isinstance(mean, (int, float)) else 0.0,
        tuple(round(float(cut), 3) for cut in cuts if cut is not None),
    )


def _pairs(labelled: pl.DataFrame) -> tuple[Pair, ...]:
    """Labels that stand together in one row (columns `of`, and `label`, a list), the most frequent pairs first."""
    several = labelled.filter(pl.col("label").list.len() > 1)
    if several.is_empty():
        return ()
    # Rows with the same labels are counted once for all: there are few sets of labels, however many questions.
    sets = several.group_by(pl.col("label").list.unique().list.sort()).agg(pl.len().alias("n"))
    sets = sets.with_row_index("set")
    one = sets.select("set", "n", "label").explode("label")
    both = one.join(one.select("set", second="label"), on="set").filter(pl.col("label") < pl.col("second"))
    found = both.group_by("label", "second").agg(pl.col("n").sum())
    top = found.sort("n", "label", "second", descending=[True, False, False]).head(N_PAIRS)
    alone = dict(labelled.explode("label").group_by("label").len().iter_rows())
    return tuple(Pair(first, second, n, alone[first], alone[second]) for first, second, n in top.iter_rows())


def _attribute_pairs(attributes: pl.DataFrame, ecg_ids: pl.Series) -> tuple[Pair, ...]:
    """What ECGs show together; numeric features, which every ECG has, "none of ..." and "any kind of ..." left out."""
    shown = attributes.filter(
        pl.col("value").cast(pl.String) == Value.YES.value,
        pl.col("attribute_type").cast(pl.String) != AttributeType.NUMERIC_FEATURE.value,
        ~pl.col("attribute").str.contains(f"^({NONE} of|any kind of) "),
        pl.col("ecg_id").is_in(ecg_ids.unique().implode()),
    )
    by_ecg = shown.group_by("ecg_id").agg(pl.col("attribute").unique())
    return _pairs(by_ecg.select(of="ecg_id", label="attribute"))


def _patients(asked: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Split and patient of every ECG asked about; raises EcgqaError if the records are those of other ECGs."""
    known = records.select("ecg_id", "patient_id").unique("ecg_id")
    joined = asked.unique().join(known, on="ecg_id", how="inner")
    if joined.is_empty():
        raise EcgqaError(
            "the records hold none of the ECGs that are asked about",
            expected=f"ECGs such as {asked['ecg_id'][0]}",
            found=f"{records.height} others",
            fix="give the records of the same data set",
        )
    return joined.drop_nulls("patient_id")


def _shared(questions: pl.DataFrame, asked: pl.DataFrame, patients: pl.DataFrame | None) -> list[Shared]:
    found = _common("ECGs", asked, "ecg_id")
    if patients is not None:
        found += _common("patients", patients, "patient_id")
    for version in Version:
        texts = questions.filter(pl.col("version") == version.value)
        found += _common(f"texts of {version.value} questions", texts, "question")
    return found


def _common(what: str, table: pl.DataFrame, column: str) -> list[Shared]:
    """Values of `column` that stand in two splits, for each pair of splits."""
    values = {
        split.value: part.unique()
        for split in Split
        if not (part := table.filter(pl.col("split") == split.value)[column]).is_empty()
    }
    return [
        Shared(what, first, second, int(values[second].is_in(values[first].implode()).sum()), len(values[second]))
        for first, second in combinations(values, 2)
    ]
