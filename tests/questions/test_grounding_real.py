"""The released class lists of the upper bound come out, and released questions are read (needs the real data)."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

from ecgqa.attributes import collect_attributes
from ecgqa.attributes.vocabulary import VOCABULARIES
from ecgqa.questions.answer_lists import read_split_ecgs
from ecgqa.questions.build import build_questions
from ecgqa.questions.grid import question_grid
from ecgqa.questions.grounding import ground
from ecgqa.questions.released import read_questions
from ecgqa.questions.wording import built_in_wording, fill
from ecgqa.records import QUESTIONS
from ecgqa.sources import open_source

pytestmark = pytest.mark.real_data

NEEDS_WAVEFORM = ("heart axis", "axis deviation", "normal range of")


def released_classes(real_data: Path, collection: str) -> list[str]:
    path = real_data / "ecgqa" / "llm_metadata" / collection / "grounding_class.csv"
    if not path.is_file():
        pytest.skip(f"no class list at {path}")
    with path.open(encoding="utf-8") as stream:
        return [row["class"] for row in csv.DictReader(stream)]


def everything_verified(collection: str) -> pl.DataFrame:
    """Every verify question that a collection's vocabulary allows, each answered with yes on an ECG of test."""
    rows = []
    for number, question in enumerate(question_grid(VOCABULARIES[collection]())):
        template = question.template
        if template.form == "verify" and template.question_type.n_ecgs == 1:
            rows.append(
                {
                    "template_id": template.template_id,
                    "question_id": question.question_id,
                    "sample_id": number,
                    "question_type": template.question_type.value,
                    "attribute_type": template.attribute_type.value,
                    "question": fill(built_in_wording()[template.template_id].plain, question),
                    "answer": ["yes"],
                    "ecg_id": [number],
                    "attribute": list(question.attributes),
                    "split": "test",
                    "version": "template",
                    "candidates": ["no", "yes"],
                }
            )
    return pl.DataFrame(rows, schema=QUESTIONS.polars)


def test_ptbxl_verify_questions_give_the_released_83_classes(real_data: Path) -> None:
    expected = released_classes(real_data, "ptbxl")
    assert len(expected) == 83
    for published in (True, False):
        found = ground(everything_verified("ptbxl"), published=published)
        assert found.classes == expected and found.notes == {}


def test_mimic_verify_questions_give_the_released_164_classes(real_data: Path) -> None:
    """All released classes come out (that of template 2 in our spelling); beyond them only rare ones and summaries."""
    expected = released_classes(real_data, "mimic-iv-ecg")
    assert len(expected) == 164
    published = ground(everything_verified("mimic-iv-ecg"), published=True)
    assert published.notes == {}
    assert set(expected) - set(published.classes) == {"Normal ECG"}
    assert "normal ecg" in published.classes
    assert {"Myocardial infarction", "myocardial infarction"} < set(published.classes)
    repaired = ground(everything_verified("mimic-iv-ecg"))
    assert {name.casefold() for name in expected} <= {name.casefold() for name in repaired.classes}
    assert len({name.casefold() for name in repaired.classes}) == len(repaired.classes) == len(published.classes) - 1


def test_questions_from_all_of_ptbxl_give_the_released_classes_in_order(real_data: Path) -> None:
    """All but those that only waveforms answer, which need the waveforms of the test split."""
    expected = [
        name for name in released_classes(real_data, "ptbxl") if not any(part in name for part in NEEDS_WAVEFORM)
    ]
    source = open_source(real_data / "ptbxl")
    attributes = collect_attributes(source, pool="released")
    lists = read_split_ecgs(real_data / "ecgqa" / "ptbxl") | {"train": []}  # a quarter of the work, and enough
    records = source.records().filter(pl.col("ecg_id").is_in([*lists["valid"], *lists["test"]]))
    questions = build_questions(attributes.attributes, records, seed=0, splits=lists).questions
    published = ground(questions, published=True)
    assert published.classes == expected
    repaired = ground(questions)
    assert repaired.classes == expected
    for found in (published, repaired):  # nothing unreadable, and no ECG that is said to show and not to show a thing
        assert set(found.notes) <= {
            "repeated statements",
            "verify questions answered neither yes nor no",
            "questions for a stage that is unknown or none",
            "items of attributes without a class",
        }
    assert repaired.items.height > published.items.height > 50_000


@pytest.mark.parametrize("collection", ["ptbxl", "mimic-iv-ecg"])
def test_released_shards_are_read(real_data: Path, collection: str) -> None:
    """Whatever shards there are: every answered verify question is an item with its answer, of a released class."""
    questions = read_questions(real_data / "ecgqa" / collection)
    found = ground(questions)
    fold = {name.casefold() for name in released_classes(real_data, collection)}
    if collection == "ptbxl":
        assert {name.casefold() for name in found.classes} <= fold
    assert not any("unknown" in note and "stage" not in note for note in found.notes)
    assert found.notes.get("contradictions", 0) == 0
    plain = questions.filter(
        pl.col("template_id").is_in([2, 20, 23, 27, 29, 36, 39]) & pl.col("answer").list.first().is_in(["yes", "no"])
    ).select(
        "split",
        pl.col("ecg_id").list.first(),
        pl.col("attribute").list.first().alias("name"),
        (pl.col("answer").list.first() == "yes").alias("expected"),
    )
    named = found.items.with_columns(
        pl.Series("name", [found.classes[place] for place in found.items["class_id"]], dtype=pl.String)
    ).filter(pl.col("leads") == 4095)
    joined = plain.filter(pl.col("name").is_in(found.classes)).join(named, on=["split", "ecg_id", "name"], how="left")
    assert joined["label"].null_count() == 0
    assert (joined["label"] == joined["expected"]).all()
