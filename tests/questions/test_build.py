"""Built questions: every answer against an independent oracle, limits, pairs, splits, order, repeatability."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle, cohort

from ecgqa.attributes.vocabulary import ptbxl_vocabulary
from ecgqa.errors import EcgqaError
from ecgqa.questions.build import BuiltDataset, build_questions
from ecgqa.questions.grid import question_grid
from ecgqa.questions.pairs import PairSampler
from ecgqa.questions.released import with_candidates, write_dataset
from ecgqa.questions.sampling import Limits
from ecgqa.questions.templates import TEMPLATES
from ecgqa.questions.wording import built_in_wording, fill
from ecgqa.records import QUESTIONS
from ecgqa.tables import conform

ATTRIBUTES, RECORDS = cohort(300, seed=4)
SMALL = Limits().scaled(0.08)


@pytest.fixture(scope="module")
def built() -> BuiltDataset:
    return build_questions(ATTRIBUTES, RECORDS, seed=1, limits=SMALL)


@pytest.fixture(scope="module")
def rows(built: BuiltDataset) -> list[dict]:
    return built.questions.filter(pl.col("version") == "template").rows(named=True)


SENTENCES = {
    fill(built_in_wording()[question.template.template_id].plain, question, swapped=swapped): question
    for question in question_grid(ptbxl_vocabulary())
    for swapped in ((False, True) if question.template.form == "choose" else (False,))
}
"""What each plain sentence asks, as the grid says (a sentence that two questions share would hide one of them)."""


def test_no_two_questions_share_a_sentence() -> None:
    grid = question_grid(ptbxl_vocabulary())
    expected = sum(2 if question.template.form == "choose" else 1 for question in grid)
    assert len(SENTENCES) == expected


def test_every_answer_is_right(rows: list[dict]) -> None:
    oracle = Oracle(ATTRIBUTES)
    asked_templates = set()
    for row in rows:
        question = SENTENCES[row["question"]]
        asked = row["attribute"] if row["attribute"] is not None else list(question.asked)
        right = oracle.answer(row["template_id"], asked, question.words.get("lead"), row["ecg_id"])
        assert set(row["answer"]) == right, row
        asked_templates.add(row["template_id"])
    assert asked_templates == set(TEMPLATES)  # the random cohort leaves no template out


def test_rows_follow_the_schema_and_the_template(built: BuiltDataset, rows: list[dict]) -> None:
    assert dict(built.questions.schema) == dict(QUESTIONS.polars)
    conform(built.questions, QUESTIONS)
    grid = {question.question_id: question for question in question_grid(ptbxl_vocabulary())}
    for row in rows:
        template = TEMPLATES[row["template_id"]]
        assert row["question_type"] == template.question_type
        assert row["attribute_type"] == template.attribute_type
        assert grid[row["question_id"]].template is template
        assert len(row["ecg_id"]) == template.question_type.n_ecgs
        assert (row["attribute"] is None) == (template.relation is not None)
        assert set(row["answer"]) <= set(row["candidates"])
        assert len(set(row["answer"])) == len(row["answer"])
    again = with_candidates(built.questions.drop("candidates"), built.answers.by_template)
    assert again["candidates"].to_list() == built.questions["candidates"].to_list()


def test_two_versions_of_the_same_samples(built: BuiltDataset) -> None:
    plain, paraphrased = (built.questions.filter(pl.col("version") == v) for v in ("template", "paraphrased"))
    same = [name for name in QUESTIONS.columns if name not in ("question", "version")]
    assert plain.select(same).equals(paraphrased.select(same))
    assert (plain["question"] != paraphrased["question"]).all()
    for split in ("train", "valid", "test"):
        ids = plain.filter(pl.col("split") == split)["sample_id"].to_list()
        assert ids == list(range(len(ids)))


def test_paraphrases_of_test_are_seen_nowhere_else(built: BuiltDataset) -> None:
    paraphrased = built.questions.filter(pl.col("version") == "paraphrased")
    in_test = set(paraphrased.filter(pl.col("split") == "test")["question"])
    elsewhere = set(paraphrased.filter(pl.col("split") != "test")["question"])
    assert in_test and not in_test & elsewhere


def test_samples_are_sorted_as_in_the_release(rows: list[dict]) -> None:
    for split in ("train", "valid", "test"):
        order = [(row["template_id"], row["question_id"]) for row in rows if row["split"] == split]
        assert order == sorted(order)
    first = {"yes": 0, "not sure": 1, "no": 2}
    verify = [row for row in rows if row["question_type"] == "single-verify" and row["template_id"] == 1]
    keys = [(row["split"], row["question_id"], first[row["answer"][0]]) for row in verify]
    for split in ("train", "valid", "test"):
        here = [key for key in keys if key[0] == split]
        assert here == sorted(here)


def test_no_patient_is_in_two_splits(built: BuiltDataset) -> None:
    patient = dict(RECORDS.select("ecg_id", "patient_id").iter_rows())
    owners: dict[int, set[str]] = {}
    for split, ids in built.split_ecgs.items():
        assert ids == sorted(ids)
        for ecg_id in ids:
            owners.setdefault(patient[ecg_id], set()).add(split)
    assert all(len(splits) == 1 for splits in owners.values())
    assert sum(map(len, built.split_ecgs.values())) == RECORDS.height
    n_test = sum("test" in splits for splits in owners.values())
    assert n_test == round(0.2 * len(owners))


def test_questions_use_the_ecgs_of_their_split(built: BuiltDataset, rows: list[dict]) -> None:
    for row in rows:
        assert set(row["ecg_id"]) <= set(built.split_ecgs[row["split"]])


def test_pairs(rows: list[dict]) -> None:
    patient = dict(RECORDS.select("ecg_id", "patient_id").iter_rows())
    moment = dict(RECORDS.select("ecg_id", "recorded_at").iter_rows())
    used: Counter[tuple] = Counter()
    for row in rows:
        if len(row["ecg_id"]) == 2:
            first, second = row["ecg_id"]
            if "consecutive" in row["question_type"]:
                assert patient[first] == patient[second] and moment[first] < moment[second]
            else:
                assert patient[first] != patient[second]
                used[row["template_id"], row["split"], first, second] += 1
    assert used and max(used.values()) == 1


def test_limits_hold_and_no_ecg_repeats_within_a_question() -> None:
    built = build_questions(ATTRIBUTES, RECORDS, seed=0, templates=[1, 8, 17, 26, 43, 61])
    groups: Counter[tuple] = Counter()
    ecgs: Counter[tuple] = Counter()
    for row in built.questions.filter(pl.col("version") == "template").rows(named=True):
        key = (row["split"], row["template_id"], row["question"])
        groups[(*key, tuple(row["answer"]))] += 1
        ecgs[(*key, *row["ecg_id"])] += 1
    assert max(ecgs.values()) == 1
    limits = {
        1: {"yes": (100, 20, 20), "no": (200, 40, 40), "not sure": (100, 20, 20)},
        26: {"yes": (100, 20, 20), "no": (200, 40, 40)},
        43: {"yes": (20, 10, 10), "no": (40, 20, 20)},
    }
    for (split, template_id, question, answer), n in groups.items():
        column = ("train", "valid", "test").index(split)
        if template_id in limits:
            assert n <= limits[template_id][answer[0]][column]
        if template_id in (1, 26) and answer == ("no",):
            assert n <= 5 * groups[split, template_id, question, ("yes",)]
        if template_id == 61:
            assert n <= (100 if answer == ("none",) else 50)


def test_same_seed_same_rows_other_seed_other_rows(built: BuiltDataset) -> None:
    again = build_questions(ATTRIBUTES, RECORDS, seed=1, limits=SMALL)
    assert again.questions.equals(built.questions)
    assert again.split_ecgs == built.split_ecgs
    assert not build_questions(ATTRIBUTES, RECORDS, seed=2, limits=SMALL).questions.equals(built.questions)


def test_the_order_of_the_input_rows_does_not_matter(built: BuiltDataset) -> None:
    shuffled = build_questions(
        ATTRIBUTES.sample(fraction=1.0, shuffle=True, seed=3),
        RECORDS.sample(fraction=1.0, shuffle=True, seed=5),
        seed=1,
        limits=SMALL,
    )
    assert shuffled.questions.equals(built.questions)


def test_a_choice_of_templates_keeps_ids_and_samples(built: BuiltDataset) -> None:
    some = build_questions(ATTRIBUTES, RECORDS, seed=1, limits=SMALL, templates=[27, 68])
    columns = ["split", "template_id", "question_id", "answer", "ecg_id"]
    full = built.questions.filter(pl.col("version") == "template", pl.col("template_id").is_in([27, 68]))
    assert some.questions.filter(pl.col("version") == "template").select(columns).equals(full.select(columns))


def test_unknown_attributes_give_no_samples() -> None:
    only = ATTRIBUTES.filter(pl.col("attribute_type").cast(pl.String) == "noise")
    built = build_questions(only, RECORDS, seed=0, limits=SMALL)
    assert set(built.questions["template_id"]) == set(range(26, 35))
    assert built.left_out[22] == "heart_axis is not known of any ECG"
    assert set(built.left_out) == set(TEMPLATES) - set(range(26, 35))
    assert list(built.answers.by_template) == list(range(26, 35))


def test_given_splits_are_kept() -> None:
    patient = dict(RECORDS.select("ecg_id", "patient_id").iter_rows())
    lists: dict[str, list[int]] = {"train": [], "valid": [998], "test": []}
    for ecg_id, person in sorted(patient.items()):
        lists[("train", "valid", "test", "test")[person % 4]].append(ecg_id)
    built = build_questions(ATTRIBUTES, RECORDS, seed=0, splits=lists, limits=SMALL, templates=[1, 27])
    assert built.split_ecgs["train"] == lists["train"]
    assert built.notes["ECGs of the valid list without attributes"] == 1


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": [1, 2], "test": [2]}, "two splits"),
        ({"train": [10_000], "test": []}, "none of the ECGs"),
        ({"tset": [1]}, "no such split"),
    ],
)
def test_bad_splits_are_refused(splits: dict[str, list[int]], message: str) -> None:
    with pytest.raises(EcgqaError, match=message):
        build_questions(ATTRIBUTES, RECORDS, seed=0, splits=splits)


def test_a_patient_in_two_splits_is_refused() -> None:
    counts = RECORDS.group_by("patient_id", maintain_order=True).agg("ecg_id").filter(pl.col("ecg_id").list.len() > 1)
    first, second, *_ = counts["ecg_id"][0].to_list()
    with pytest.raises(EcgqaError, match="is in two splits"):
        build_questions(ATTRIBUTES, RECORDS, seed=0, splits={"train": [first], "test": [second]})


@pytest.mark.parametrize("records", [RECORDS.head(0), pl.concat([RECORDS, RECORDS.head(1)])])
def test_bad_records_are_refused(records: pl.DataFrame) -> None:
    with pytest.raises(EcgqaError):
        build_questions(ATTRIBUTES, records, seed=0)


def test_nothing_to_ask_is_told() -> None:
    with pytest.raises(EcgqaError, match="not a single question"):
        build_questions(ATTRIBUTES.head(0), RECORDS, seed=0)


@settings(max_examples=8, deadline=None)
@given(n=st.integers(6, 40), seed=st.integers(0, 10_000))
def test_any_small_cohort_is_answered_rightly(n: int, seed: int) -> None:
    attributes, records = cohort(n, seed)
    if records["patient_id"].n_unique() < 3:
        with pytest.raises(EcgqaError, match="too few patients"):
            build_questions(attributes, records, seed=seed)
        return
    built = build_questions(attributes, records, seed=seed, limits=SMALL)
    oracle = Oracle(attributes)
    for row in built.questions.filter(pl.col("version") == "template").rows(named=True):
        question = SENTENCES[row["question"]]
        asked = row["attribute"] if row["attribute"] is not None else list(question.asked)
        right = oracle.answer(row["template_id"], asked, question.words.get("lead"), row["ecg_id"])
        assert set(row["answer"]) == right and right <= set(row["candidates"])


def test_written_twice_gives_the_same_bytes(built: BuiltDataset, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_dataset(built.questions, tmp_path / name, answers=built.answers, split_ecgs=built.split_ecgs)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) >= 11
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_our_own_check_finds_nothing(built: BuiltDataset, tmp_path: Path) -> None:
    from ecgqa.questions.check import check_dataset

    write_dataset(built.questions, tmp_path / "q", answers=built.answers, split_ecgs=built.split_ecgs)
    report = check_dataset(tmp_path / "q")
    assert report.n_errors == 0, report.as_text()


def test_pair_sampler_uses_all_ordered_pairs() -> None:
    from ecgqa.questions.facts import gather_facts
    from ecgqa.questions.pairs import consecutive_pairs
    from ecgqa.questions.splits import split_by_patient

    facts = gather_facts(ATTRIBUTES, RECORDS, ptbxl_vocabulary())
    rows = split_by_patient(facts, 0)
    n_pairs = sum(len(consecutive_pairs(facts, part)[0]) for part in rows.values())
    sizes = RECORDS.group_by("patient_id").len()["len"]
    assert n_pairs == int((sizes * (sizes - 1) // 2).sum())
    undated = RECORDS.with_columns(pl.lit(None, dtype=pl.Datetime("us")).alias("recorded_at"))
    without = gather_facts(ATTRIBUTES, undated, ptbxl_vocabulary())
    assert len(PairSampler(without, rows[next(iter(rows))], Limits().of(next(iter(rows)))).consecutive[0]) == 0
    assert without.notes["ECGs without a date"] == RECORDS.height
