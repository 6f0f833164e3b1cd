"""The released questions come out again: answers, candidate lists, numbers of samples (needs the real data)."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecgqa.attributes import BuiltAttributes, collect_attributes
from ecgqa.attributes.vocabulary import ptbxl_vocabulary
from ecgqa.questions.answer_lists import AnswerLists, read_answer_lists, read_split_ecgs
from ecgqa.questions.build import BuiltDataset, build_questions
from ecgqa.questions.facts import Facts, gather_facts
from ecgqa.questions.grid import question_grid
from ecgqa.questions.released import read_questions
from ecgqa.questions.splits import split_by_lists
from ecgqa.questions.wording import built_in_wording, fill
from ecgqa.records import LEADS, Split
from ecgqa.sources import open_source

pytestmark = pytest.mark.real_data

WITH_WAVEFORMS = {*range(20, 23), *range(39, 43), *range(50, 57), *range(64, 71)}
"""Templates on heart axis and numeric features, which the metadata do not answer."""


@pytest.fixture(scope="module")
def lists(real_data: Path) -> dict[str, list[int]]:
    return read_split_ecgs(real_data / "ecgqa" / "ptbxl")


@pytest.fixture(scope="module")
def attributes(real_data: Path) -> BuiltAttributes:
    return collect_attributes(open_source(real_data / "ptbxl"), pool="released")


@pytest.fixture(scope="module")
def records(real_data: Path, attributes: BuiltAttributes) -> pl.DataFrame:
    return open_source(real_data / "ptbxl").records().filter(pl.col("ecg_id").is_in(list(attributes.ecg_ids)))


@pytest.fixture(scope="module")
def facts(attributes: BuiltAttributes, records: pl.DataFrame) -> Facts:
    return gather_facts(attributes.attributes, records, ptbxl_vocabulary())


@pytest.fixture(scope="module")
def built(attributes: BuiltAttributes, records: pl.DataFrame, lists: dict[str, list[int]]) -> BuiltDataset:
    return build_questions(attributes.attributes, records, seed=0, splits=lists)


@pytest.fixture(scope="module")
def released(real_data: Path) -> AnswerLists:
    return read_answer_lists(real_data / "ecgqa" / "ptbxl")


def test_released_splits_share_no_patient(facts: Facts, lists: dict[str, list[int]]) -> None:
    parts = split_by_lists(facts, lists)  # raises for a shared patient
    patients = [len(np.unique(facts.patient_id[parts[split]])) for split in Split]
    assert patients == [10_403, 1_155, 2_891]
    assert [len(parts[split]) for split in Split] == [11_566, 1_274, 3_214]


def test_released_noise_questions_are_answered_from_our_attributes(real_data: Path, facts: Facts) -> None:
    shard = read_questions(real_data / "ecgqa" / "ptbxl", splits=["train"], versions=["template"])
    shard = shard.filter(pl.col("template_id").is_in([26, 27, 28]))
    view = facts.views["noise"]
    right = Counter()
    for template_id, question, answer, ecg, attribute in shard.select(
        "template_id", "question", "answer", pl.col("ecg_id").list.first(), "attribute"
    ).iter_rows():
        row = int(np.searchsorted(facts.ecg_id, ecg))
        lead = re.search(r"in lead (\w+)\?", question)
        leads = [LEADS.index(lead[1])] if lead else list(range(12))
        options = range(4) if template_id == 28 else [view.options.index(attribute[0])]
        holds = view.holds[row][list(options)][:, leads].any()
        right[template_id, answer == ["yes" if holds else "no"]] += 1
    assert right == {(26, True): 5_528, (27, True): 1_038, (28, True): 3_434}


def test_candidate_lists_equal_the_released_ones(built: BuiltDataset, released: AnswerLists) -> None:
    expected = {number: answers for number, answers in released.by_template.items() if number not in WITH_WAVEFORMS}
    assert built.answers.by_template == expected
    assert set(built.left_out) == WITH_WAVEFORMS
    listed = {answer for answers in expected.values() for answer in answers}
    assert built.answers.classes == [answer for answer in released.classes if answer in listed]


def test_split_lists_are_the_released_ones(built: BuiltDataset, lists: dict[str, list[int]]) -> None:
    assert built.split_ecgs == lists


def test_numbers_of_samples(built: BuiltDataset) -> None:
    """Numbers that the released sample numbers fix (templates 2, 13-16 and so on only as sums)."""
    one = built.questions.filter(pl.col("version") == "template")
    counts = {
        (split, template_id): n
        for split, template_id, n in one.group_by(pl.col("split").cast(pl.String), "template_id").len().iter_rows()
    }
    train = {23: 744, 24: 90, 25: 399, 26: 10_585, 27: 1_038}
    assert {number: counts["train", number] for number in train} == train
    sums = {
        (3, 4): 4_144,
        tuple(range(5, 13)): 9_281,
        (13, 14, 15, 16): 240,
        (23,): 335 - 167,
        (24,): 18,
        (25, 26, 27): 2_581,
        (28, 29, 30): 823,
        (31,): 274,
        (32,): 313,
        (35,): 50,
        (36, 37): 202,
    }
    assert {numbers: sum(counts["test", n] for n in numbers) for numbers in sums} == sums
    # Not exact in the recovered rules either: one sample off, 0.2 % and 7 % off there.
    assert counts["test", 1] + counts["test", 2] == 3_528  # released: 3,527
    assert abs(counts["test", 33] + counts["test", 34] - 3_647) <= 10
    assert abs(sum(counts["test", n] for n in (17, 18, 19)) / 9_617 - 1) < 0.015


def test_noise_questions_of_train_have_the_released_sizes(built: BuiltDataset, real_data: Path) -> None:
    """Every question of templates 26 to 28 that the shard holds whole: as many yes and no as released."""

    def sizes(frame: pl.DataFrame) -> dict[tuple, int]:
        lead = pl.col("question").str.extract(r"lead (\w+)").fill_null("")
        key = frame.select("template_id", "question_id", lead.alias("lead"), pl.col("answer").list.first())
        return {row[:4]: row[4] for row in key.group_by(pl.all()).len().iter_rows()}

    shard = read_questions(real_data / "ecgqa" / "ptbxl", splits=["train"], versions=["template"])
    theirs = sizes(shard.filter(pl.col("template_id").is_in([26, 27, 28])))
    ours = sizes(built.questions.filter(pl.col("version") == "template", pl.col("split") == "train"))
    cut = {(26, 1709, "aVL"), (28, 1749, "V6")}  # at the shard's ends
    whole = {key: n for key, n in theirs.items() if key[:3] not in cut}
    assert len(whole) == 82
    assert {key: ours.get(key) for key in whole} == whole


def test_our_sentences_are_not_the_released_ones(real_data: Path) -> None:
    asked = set(read_questions(real_data / "ecgqa" / "ptbxl")["question"])
    examples = pl.read_csv(real_data / "ecgqa" / "examples" / "one_question_per_template.csv")
    asked |= set(examples["question"])
    for question in question_grid(ptbxl_vocabulary()):
        words = built_in_wording()[question.template.template_id]
        for swapped in (False, True) if question.template.form == "choose" else (False,):
            ours = {fill(sentence, question, swapped=swapped) for sentence in (words.plain, *words.paraphrases)}
            assert not ours & asked
