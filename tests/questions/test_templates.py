"""The 70 templates, the grid with its released numbering, and the built-in wording."""

from __future__ import annotations

from collections import Counter

import pytest

from ecgqa.attributes.vocabulary import ptbxl_vocabulary
from ecgqa.errors import EcgqaError
from ecgqa.questions.grid import GridQuestion, question_grid
from ecgqa.questions.templates import MIMIC, TEMPLATES, read_template_ids, templates_of
from ecgqa.questions.wording import N_FOR_TRAINING, built_in_wording, checked, fill
from ecgqa.records import QuestionType, Split


@pytest.fixture(scope="module")
def grid() -> list[GridQuestion]:
    return question_grid(ptbxl_vocabulary())


def test_seventy_templates_sixty_for_mimic() -> None:
    assert list(TEMPLATES) == list(range(1, 71))
    assert {t.template_id for t in TEMPLATES.values()} - {t.template_id for t in templates_of(MIMIC)} == {
        *range(28, 34),
        *range(35, 39),
    }


def test_templates_by_question_type() -> None:
    by_type = Counter(template.question_type for template in TEMPLATES.values())
    assert by_type == {
        QuestionType.SINGLE_VERIFY: 17,
        QuestionType.SINGLE_CHOOSE: 11,
        QuestionType.SINGLE_QUERY: 14,
        QuestionType.CONSECUTIVE_VERIFY: 8,
        QuestionType.CONSECUTIVE_QUERY: 6,
        QuestionType.IRRELEVANT_VERIFY: 8,
        QuestionType.IRRELEVANT_QUERY: 6,
    }


@pytest.mark.parametrize(
    ("template_id", "first_id"),
    [(1, 0), (2, 63), (26, 1697), (27, 1745), (28, 1749), (68, 2470), (69, 2471), (70, 2472)],
)
def test_released_question_ids(grid: list[GridQuestion], template_id: int, first_id: int) -> None:
    assert min(q.question_id for q in grid if q.template.template_id == template_id) == first_id


def test_leads_count_in_the_ids_but_share_the_first(grid: list[GridQuestion]) -> None:
    ids = {q.asked[0]: q.question_id for q in grid if q.template.template_id == 26}
    assert ids == {"baseline drift": 1697, "static noise": 1709, "burst noise": 1721, "electrodes problems": 1733}
    assert {q.question_id for q in grid if q.template.template_id == 28} == {1749}


def test_grid_sizes(grid: list[GridQuestion]) -> None:
    sizes = Counter(question.template.template_id for question in grid)
    expected = {1: 63, 3: 6, 4: 630, 5: 630, 6: 153, 7: 36, 17: 126, 18: 12, 19: 13, 20: 4, 21: 6, 23: 3, 24: 3, 26: 48}
    expected |= {27: 4, 28: 12, 30: 6, 31: 72, 33: 12, 34: 4, 36: 3, 37: 3, 39: 17, 40: 18, 41: 6, 42: 3}
    expected |= dict.fromkeys([*range(43, 47), *range(57, 61)], 63) | dict.fromkeys([*range(50, 54), *range(64, 68)], 6)
    assert sizes == {template_id: expected.get(template_id, 1) for template_id in TEMPLATES}
    assert sum(sizes.values()) == 2473
    assert len({question.name for question in grid}) == 2473


def test_a_p_wave_is_never_below_its_range(grid: list[GridQuestion]) -> None:
    asked = [q.attributes[0] for q in grid if q.template.template_id == 39]
    assert "below the normal range of p duration" not in asked
    assert "below the normal range of rr interval" in asked


def test_wording_is_complete_and_its_pools_disjoint() -> None:
    wording = built_in_wording()
    assert list(wording) == list(TEMPLATES)
    for words in wording.values():
        assert len(set(words.paraphrases)) == len(words.paraphrases) >= 10
        assert len(words.pool(Split.TRAIN)) == N_FOR_TRAINING
        assert words.pool(Split.TRAIN) == words.pool(Split.VALID)
        assert len(words.pool(Split.TEST)) >= 3
        assert not set(words.pool(Split.TEST)) & set(words.pool(Split.TRAIN))
        assert words.plain not in words.paraphrases


def test_no_sentence_serves_two_templates() -> None:
    sentences = Counter(s for words in built_in_wording().values() for s in (words.plain, *words.paraphrases))
    assert max(sentences.values()) == 1


@pytest.mark.parametrize("template_id", range(43, 71))
def test_comparisons_tell_which_kind_of_pair_they_ask_about(template_id: int) -> None:
    words = built_in_wording()[template_id]
    cue = ("previous", "recent") if template_id <= 56 else ("first ECG", "second ECG")
    for sentence in (words.plain, *words.paraphrases):
        assert all(part in sentence for part in cue), sentence


@pytest.mark.parametrize("template_id", [4, 5, 8, 9, 13, 14])
def test_diagnostic_questions_say_whether_uncertain_findings_count(template_id: int) -> None:
    words = built_in_wording()[template_id]
    for sentence in (words.plain, *words.paraphrases):
        has = [cue in sentence.lower() for cue in ("includ", "exclud")]
        assert has == [template_id in (4, 8, 13), template_id in (5, 9, 14)], sentence


def test_filling_and_swapping(grid: list[GridQuestion]) -> None:
    question = next(q for q in grid if q.template.template_id == 31)
    text = fill("{noise1} or {noise2} in {lead}?", question)
    assert text == "Baseline drift or static noise in lead I?"
    assert (
        fill("{noise1} or {noise2} in {lead}?", question, swapped=True) == "Static noise or baseline drift in lead I?"
    )


def test_wording_with_a_wrong_placeholder_is_refused() -> None:
    good = list(built_in_wording()[27].paraphrases)
    with pytest.raises(EcgqaError, match="template 27"):
        checked(TEMPLATES[27], [*good, "Is there {lead}?"])
    with pytest.raises(EcgqaError, match="too few"):
        checked(TEMPLATES[27], good[:3])


def test_reading_template_ids() -> None:
    assert read_template_ids("1,2, 5-7") == [1, 2, 5, 6, 7]
    for wrong in ("", "0", "71", "5-80", "7-5", "a", "1,,2", "-3", "²"):
        with pytest.raises(EcgqaError):
            read_template_ids(wrong)
