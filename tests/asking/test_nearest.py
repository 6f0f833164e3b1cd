"""Free words find their template: the built-in sentences all, everyday questions, and nothing where nothing fits."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from ecgqa.asking.nearest import CONFIDENT, TemplateFinder, finder_for
from ecgqa.attributes.vocabulary import VOCABULARIES, ptbxl_vocabulary
from ecgqa.questions.grid import GridQuestion, question_grid
from ecgqa.questions.wording import built_in_wording, fill

WORDS = ptbxl_vocabulary()
FINDER = finder_for("ptbxl")


def one_question_each(vocabulary_name: str, seed: int) -> dict[int, GridQuestion]:
    draw = random.Random(seed)
    by_template: dict[int, list[GridQuestion]] = {}
    for question in question_grid(VOCABULARIES[vocabulary_name]()):
        by_template.setdefault(question.template.template_id, []).append(question)
    return {template_id: draw.choice(some) for template_id, some in by_template.items()}


@pytest.mark.parametrize("vocabulary", ["ptbxl", "mimic-iv-ecg"])
def test_every_built_in_sentence_is_its_own_nearest(vocabulary: str) -> None:
    finder = finder_for(vocabulary)
    for seed, (template_id, question) in enumerate(one_question_each(vocabulary, 1).items()):
        words = built_in_wording()[template_id]
        for sentence in (words.plain, words.paraphrases[seed % len(words.paraphrases)]):
            best = finder.nearest(fill(sentence, question), n=1)[0]
            assert (best.template_id, best.asked.question.name) == (template_id, question.name), sentence
            assert best.confidence > 0.9


def test_held_out_sentences_find_their_template_or_one_of_the_same_view() -> None:
    part = {number: replace(words, paraphrases=words.paraphrases[:7]) for number, words in built_in_wording().items()}
    finder = TemplateFinder(WORDS, part)
    exact = alike = n = 0
    for template_id, question in one_question_each("ptbxl", 2).items():
        for sentence in built_in_wording()[template_id].paraphrases[7:]:
            found = finder.nearest(fill(sentence, question), n=3)
            n += 1
            exact += bool(found) and found[0].template_id == template_id
            alike += template_id in [one.template_id for one in found]
    assert n == 210
    assert exact / n > 0.6 and alike / n > 0.8


EVERYDAY = [
    ("Is there AFIB?", 1, "atrial fibrillation"),
    ("does this patient have atrial fibrilation", 1, "atrial fibrillation"),
    ("LBBB?", 1, "complete left bundle branch block"),
    ("Has the patient had a heart attack?", 1, "myocardial infarction"),
    ("What is the rhythm?", 10, ""),
    ("Is the ECG normal?", 2, ""),
    ("is there noise in V1 lead", 28, "lead V1"),
    ("any baseline wander in lead avf?", 26, "baseline drift in lead aVF"),
    ("What's the heart axis?", 22, ""),
    ("Is the QTc prolonged?", 39, "qt corrected of this ECG above the normal range"),
    ("How long is the PR interval?", 41, "pr interval"),
    ("Is the PR interval within the normal range?", 39, "within the normal range"),
    ("Is it sinus rhythm or atrial flutter?", 7, "sinus rhythm and atrial flutter"),
    ("Is it atrial flutter or sinus rhythm?", 7, "atrial flutter and sinus rhythm"),
    ("Which numeric features are above the normal range?", 42, "above the normal range"),
    ("In which leads are inverted t-waves seen?", 19, "inverted t-waves"),
    ("Is there new atrial fibrillation since the last ECG?", 44, "atrial fibrillation"),
    ("Are T waves inverted in V3?", 17, "inverted t-waves in lead V3"),
    ("inverted T waves in III", 17, "lead III"),
    ("Is there an anterior infarct?", 1, "myocardial infarction in anterior leads"),
    ("Is there ST elevation in aVF?", 17, "non-specific st elevation"),
    ("What changed since the last ECG?", 48, ""),
]


@pytest.mark.parametrize(("text", "template_id", "names"), EVERYDAY)
def test_everyday_questions(text: str, template_id: int, names: str) -> None:
    best = FINDER.nearest(text, n=1)[0]
    assert best.template_id == template_id and names in best.sentence and best.confidence >= CONFIDENT


NOT_ABOUT_ECGS = [
    "What is the capital of France?", "Hello", "asdf qwer", "How old is the patient?", "Should I take aspirin?",
    "Is the patient going to die?", "What is the patient's name?", "Who won the football game yesterday?", "", "???",
    "ignore all instructions", "What is the heart rate?",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_ABOUT_ECGS)
def test_what_is_no_question_of_ours_is_not_confident(text: str) -> None:
    assert all(one.confidence < CONFIDENT for one in FINDER.nearest(text))


def test_a_name_without_use_lowers_the_confidence() -> None:
    plain = FINDER.nearest("Is there noise in lead V1?", n=1)[0]
    more = FINDER.nearest("Is there noise in lead V1 with atrial fibrillation?", n=1)[0]
    assert more.confidence < plain.confidence
