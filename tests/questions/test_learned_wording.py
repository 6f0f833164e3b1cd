"""Wording learned from filled-in sentences: placeholders put back, proven, malformed ones left out, gaps filled."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from oracle import cohort

from ecgqa.attributes.vocabulary import ptbxl_vocabulary
from ecgqa.errors import EcgqaError
from ecgqa.questions.asked import AskedReader
from ecgqa.questions.build import build_questions
from ecgqa.questions.grid import question_grid
from ecgqa.questions.learned_wording import (
    Sentence,
    example_pattern,
    learn_wording,
    pattern_of,
    read_wording,
    released_sentences,
)
from ecgqa.questions.released import read_questions, write_dataset
from ecgqa.questions.sampling import Limits
from ecgqa.questions.wording import Wording, built_in_wording, fill
from ecgqa.records import Split

WORDS = ptbxl_vocabulary()
READER = AskedReader(WORDS)
PVC, SVES = "ventricular extrasystoles", "supraventricular extrasystoles"


def sentence(text: str, template_id: int = 27, attribute: tuple[str, ...] | None = None, **place: str) -> Sentence:
    return Sentence(template_id, place.get("version", "template"), place.get("split", "train"), attribute, text)


def test_every_built_in_sentence_is_learned_back() -> None:
    """All 70 templates and 11 sentences each, filled in for every question of the grid."""
    for question in question_grid(WORDS):
        words = built_in_wording()[question.template.template_id]
        for number, original in enumerate((words.plain, *words.paraphrases)):
            swapped = question.template.form == "choose" and number % 2 == 1
            text = fill(original, question, swapped=swapped)
            asked = READER.read(question.template.template_id, None, text)
            assert asked is not None
            pattern = pattern_of(text, asked)
            assert pattern is not None and fill(pattern, question, swapped=swapped) == text
            names = {key: f"<{key}>" for key in question.words}
            again = pattern.format_map(names)
            assert (
                again[0].upper() + again[1:] == original.format_map(names)[0].upper() + original.format_map(names)[1:]
            )


def test_a_dataset_teaches_its_own_wording(tmp_path: Path) -> None:
    attributes, records = cohort(150, seed=3)
    strange = {
        number: Wording(f"Say {{{{now}}}}: {ours.plain}", tuple(f"Well, {one}" for one in ours.paraphrases))
        for number, ours in built_in_wording().items()
    }
    limits = Limits().scaled(0.05)
    built = build_questions(attributes, records, seed=0, limits=limits, wording=strange)
    write_dataset(built.questions, tmp_path / "a", answers=built.answers, split_ecgs=built.split_ecgs)
    learned = read_wording(f"release:{tmp_path / 'a'}")
    assert all(parts["sentence"] == "released" for parts in learned.origin.values())
    for number, words in learned.wording.items():
        assert words.plain == strange[number].plain
        for split in Split:
            pool = set(words.pool(split))
            assert pool <= {*strange[number].pool(split), *built_in_wording()[number].pool(split)}
        assert not set(words.pool(Split.TRAIN)) & set(words.pool(Split.TEST))
    again = build_questions(attributes, records, seed=0, limits=limits, wording=learned.wording)
    plain = pl.col("version") == "template"
    assert again.questions.filter(plain).equals(built.questions.filter(plain))


def test_two_patterns_of_one_template_are_refused() -> None:
    with pytest.raises(EcgqaError, match="template 27 do not share one pattern") as error:
        learn_wording(
            [
                sentence("Is there static noise?", attribute=("static noise",)),
                sentence("Is there burst noise?", attribute=("burst noise",)),
                sentence("Any burst noise?", attribute=("burst noise",)),
            ]
        )
    assert "Is there static noise?" in str(error.value) and "Any burst noise?" in str(error.value)


def test_a_plain_sentence_that_cannot_be_proven_is_refused() -> None:
    with pytest.raises(EcgqaError, match="template 27 cannot be learned"):
        learn_wording([sentence("Is there noise?", attribute=("static noise",))])
    with pytest.raises(EcgqaError, match="do not share one pattern"):
        learn_wording(
            [
                sentence("Is there static noise?", attribute=("static noise",)),
                sentence("Is static noise there, static noise?", attribute=("static noise",)),
            ]
        )


def test_paraphrases_stay_in_their_splits() -> None:
    paraphrased = {"version": "paraphrased", "attribute": ("static noise",)}

    def one(text: str, split: str) -> Sentence:
        return Sentence(27, "paraphrased", split, paraphrased["attribute"], text)  # type: ignore[arg-type]

    learned = learn_wording(
        [
            one("Static noise, is it there?", "train"),
            one("Some static noise?", "valid"),
            one("Some static noise?", "test"),
            one("Static noise?", "test"),
            one("Something?", "train"),
        ]
    )
    words = learned.wording[27]
    assert set(words.pool(Split.TRAIN)) == set(words.pool(Split.VALID)) == {"{noise}, is it there?", "Some {noise}?"}
    assert words.pool(Split.TEST) == ("{noise}?",)
    assert words.plain == built_in_wording()[27].plain and learned.origin[27]["sentence"] == "ours"
    assert learned.notes == {
        "paraphrases in which the attributes cannot be told": 1,
        "paraphrases of test that train or valid have too, left out of test": 1,
    }
    assert any("paraphrases of test: released for templates 27" in line for line in learned.summary())


def test_the_malformed_sentences_of_template_37_are_left_out() -> None:
    learned = learn_wording(
        [
            sentence(f"Which one, {SVES} or supra{SVES}?", 37, (SVES, PVC)),
            sentence(f"Which one, {PVC} or {SVES}?", 37, (PVC, SVES)),
            sentence(f"Which one, extrasystoles or ventricular {PVC}?", 37, ("extrasystoles", PVC)),
            sentence(f"Which one, {SVES} or extrasystoles?", 37, (SVES, "extrasystoles")),
        ]
    )
    assert learned.wording[37].plain == "Which one, {extra_systole1} or {extra_systole2}?"
    assert learned.notes == {"released sentences that are malformed": 2}


def test_examples(tmp_path: Path) -> None:
    assert example_pattern(37, f"Which, {PVC} or ventricular {PVC}, is it?", READER) == (
        "Which, {extra_systole1} or {extra_systole2}, is it?"
    )
    assert example_pattern(26, "Is there static noise?", READER) is None  # the lead is missing
    path = tmp_path / "examples.csv"
    path.write_text("template_id,question\n27,Any baseline drift?\n2,Is it a {normal} one?\n")
    learned = read_wording(f"example:{path}")
    assert learned.wording[27].plain == "Any {noise}?"
    assert fill(learned.wording[2].plain, question_grid(WORDS)[63]) == "Is it a {normal} one?"
    assert learned.origin[2]["sentence"] == "example" and learned.origin[1]["sentence"] == "ours"


@pytest.mark.parametrize("text", ["template_id,question\n99,What?\n", "id,text\n1,What?\n", "", "\x00"])
def test_bad_examples_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(EcgqaError):
        read_wording(f"example:{tmp_path / 'bad.csv'}")


@pytest.mark.parametrize("spec", ["official", "release:", "example:/no/such/file.csv", "release:/no/such/folder"])
def test_bad_specifications_are_refused(spec: str) -> None:
    with pytest.raises(EcgqaError):
        read_wording(spec)


def test_built_in_is_the_default() -> None:
    assert read_wording("built-in").wording == dict(built_in_wording())


# -- the release ---------------------------------------------------------------------------------------------------


@pytest.mark.real_data
@pytest.mark.parametrize("source", ["ptbxl", "mimic-iv-ecg"])
def test_every_released_sentence_is_written_again(real_data: Path, source: str) -> None:
    root = real_data / "ecgqa" / source
    learned = learn_wording(released_sentences(root))
    assert not learned.notes
    n = 0
    for one in released_sentences(root):
        asked = READER.read(one.template_id, one.attribute, one.text)
        assert asked is not None
        words = learned.wording[one.template_id]
        sentences = [words.plain] if one.version == "template" else words.pool(Split(one.split))
        assert one.text in {fill(pattern, asked.question, swapped=asked.swapped) for pattern in sentences}
        n += 1
    expected = read_questions(root).select("template_id", "version", "split", "attribute", "question").unique().height
    assert n == expected


@pytest.mark.real_data
def test_released_patterns_and_examples_agree(real_data: Path) -> None:
    examples = real_data / "ecgqa" / "examples" / "one_question_per_template.csv"
    released = real_data / "ecgqa" / "ptbxl"
    mimic = real_data / "ecgqa" / "mimic-iv-ecg"
    from_examples = read_wording(f"example:{examples}")
    assert all(parts["sentence"] == "example" for parts in from_examples.origin.values())
    learned = read_wording(f"release:{released},release:{mimic},example:{examples}")
    shown = {number for number, parts in learned.origin.items() if parts["sentence"] == "released"}
    assert shown >= {26, 27, 28, 68, 69, 70}
    for number in shown:
        assert learned.wording[number].plain == from_examples.wording[number].plain
    assert [len(learned.wording[number].pool(Split.TRAIN)) for number in (26, 27, 28, 68, 69, 70)] == [7] * 6
    assert [len(learned.wording[number].pool(Split.TEST)) for number in (68, 69, 70)] == [3] * 3
