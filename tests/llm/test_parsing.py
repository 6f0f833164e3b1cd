"""Replies as models write them: every right one is understood, and nothing is read out of a wrong or empty one."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgqa.attributes.vocabulary import Vocabulary, mimic_vocabulary, ptbxl_vocabulary
from ecgqa.llm.parsing import parse_reply
from ecgqa.questions.grid import answer_word, question_grid
from ecgqa.records import LEADS, NONE, Status

VERIFY = ["no", "yes"]
UNSURE = ["no", "not sure", "yes"]
AXIS = ["extreme axis deviation", "left axis deviation", "normal heart axis", "right axis deviation"]
CHOOSE = ["left axis deviation", "right axis deviation", NONE]
LEAD = [*(f"lead {lead}" for lead in LEADS), NONE]
RHYTHM = [
    "atrial fibrillation",
    "bigeminal pattern (unknown origin, supraventricular, or ventricular)",
    "sinus arrhythmia",
    "sinus rhythm",
    NONE,
]
MI = ["myocardial infarction", "myocardial infarction in inferior leads", "old myocardial infarction", NONE]
VOCABULARY = sorted({*UNSURE, *AXIS, *LEAD, *RHYTHM, *MI, "atrial flutter"})

CASES: list[tuple[str, list[str], list[str] | Status]] = [
    ("Yes, there is no doubt about it.", VERIFY, ["yes"]),
    ("No. The ECG does not show that.", VERIFY, ["no"]),
    ("There is no evidence of it.", VERIFY, ["no"]),
    ("not sure", UNSURE, ["not sure"]),
    ("I am not sure.", UNSURE, ["not sure"]),
    ("I am not sure.", VERIFY, Status.REFUSED),
    ("yes or no", VERIFY, Status.UNPARSEABLE),
    ("Nothing can be known about it", VERIFY, Status.UNPARSEABLE),
    ("It might be normal.", VERIFY, Status.UNPARSEABLE),
    ("**Answer:** Yes", VERIFY, ["yes"]),
    ("Answer: no\n\nAnswer: yes", VERIFY, ["yes"]),
    ("The score of sinus rhythm is high, so no arrhythmia.\nFinal answer: yes", VERIFY, ["yes"]),
    ('{"answer": true}', VERIFY, ["yes"]),
    ('Here it is: {"reason": "no P waves", "answer": "No"}', VERIFY, ["no"]),
    ("I cannot provide medical advice.", VERIFY, Status.REFUSED),
    ("I'm sorry, but I can't interpret ECGs. Please consult a cardiologist.", AXIS, Status.REFUSED),
    ("", AXIS, Status.UNPARSEABLE),
    ("   \n ", VERIFY, Status.UNPARSEABLE),
    ("Left Axis Deviation", AXIS, ["left axis deviation"]),
    ("It is a left-axis deviation, not a right axis deviation.", AXIS, ["left axis deviation"]),
    ("There is no left axis deviation but right axis deviation.", AXIS, ["right axis deviation"]),
    ("None", CHOOSE, [NONE]),
    ("None of the above.", CHOOSE, [NONE]),
    ("Neither left axis deviation nor right axis deviation", CHOOSE, [NONE]),
    ("Both.", CHOOSE, ["left axis deviation", "right axis deviation"]),
    ("None", AXIS, [NONE]),
    ("lead II, lead III", LEAD, ["lead II", "lead III"]),
    ("II, III, aVF", LEAD, ["lead II", "lead III", "lead aVF"]),
    ("leads II, III and AVF", LEAD, ["lead II", "lead III", "lead aVF"]),
    ("V1-V4", LEAD, ["lead V1", "lead V2", "lead V3", "lead V4"]),
    ("Leads I, aVL, and V5–V6", LEAD, ["lead I", "lead aVL", "lead V5", "lead V6"]),
    ("all leads", LEAD, [f"lead {lead}" for lead in LEADS]),
    ("I think it is V2.", LEAD, ["lead V2"]),
    ("I", LEAD, ["lead I"]),
    ("none", LEAD, [NONE]),
    ("[]", LEAD, [NONE]),
    ('["lead V1", "lead V2"]', LEAD, ["lead V1", "lead V2"]),
    (f"{RHYTHM[1].capitalize()}, sinus rhythm", RHYTHM, [RHYTHM[1], RHYTHM[3]]),
    ("1. Sinus rhythm\n2. Sinus arrhythmia", RHYTHM, ["sinus arrhythmia", "sinus rhythm"]),
    ("- sinus rhythm\n- atrial flutter", RHYTHM, ["sinus rhythm", "atrial flutter"]),
    ("Atrial flutter", RHYTHM, ["atrial flutter"]),
    ("Rhythm: sinus rhythm. There is no atrial fibrillation.", RHYTHM, ["sinus rhythm"]),
    ("sinusrhythms", RHYTHM, Status.UNPARSEABLE),
    ("Something else entirely", RHYTHM, Status.UNPARSEABLE),
    ("Myocardial infarction in inferior leads", MI, ["myocardial infarction in inferior leads"]),
    ("Old myocardial infarction", MI, ["old myocardial infarction"]),
    ("<think>Is it sinus rhythm? no.</think>atrial fibrillation", RHYTHM, ["atrial fibrillation"]),
    ("<think>sinus rhythm", RHYTHM, ["sinus rhythm"]),
    ("$\\boxed{\\text{sinus rhythm}}$", RHYTHM, ["sinus rhythm"]),
    ("The final answer is:\n- sinus rhythm\n- sinus arrhythmia\n\nThis is not atrial fibrillation.", RHYTHM,
     ["sinus arrhythmia", "sinus rhythm"]),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "candidates", "expected"), CASES, ids=range(len(CASES)))
def test_replies(reply: str, candidates: list[str], expected: list[str] | Status) -> None:
    parsed = parse_reply(reply, candidates, VOCABULARY)
    if isinstance(expected, Status):
        assert (parsed.status, parsed.answer) == (expected, [])
    else:
        assert parsed.status is Status.OK
        assert sorted(parsed.answer) == sorted(expected)


SINGLE_FORMS = (
    "{}", "{}.", "Answer: {}", "**{}**", "The answer is {}.", '"{}"', "- {}", "Final answer: **{}**", "`{}`",
    'Some thoughts first.\n```json\n{{"answer": "{}"}}\n```', "Much may be said, yes and no.\n\nAnswer: {}",
)  # fmt: skip


def perfect_replies_fail(lists: dict[int, list[str]], classes: list[str]) -> list[str]:
    """Perfect replies, one for every template and label (and sets of labels), that are not understood."""
    failed = []
    for template_id, candidates in lists.items():
        for label in candidates:
            for form in SINGLE_FORMS:
                for spelled in (label, label.upper(), label.capitalize()):
                    if parse_reply(form.format(spelled), candidates, classes).answer != [label]:
                        failed.append(f"{template_id}: {form.format(spelled)}")
        labels = [label for label in candidates if label != NONE]
        if {"yes", "no"} & set(labels) or len(labels) < 2:
            continue
        draw = random.Random(template_id)
        for _ in range(20):
            some = draw.sample(labels, min(len(labels), draw.randint(2, 5)))
            forms = (", ".join(some), "\n".join(f"* {one}" for one in some), json.dumps({"answers": some}),
                     ", ".join(some[:-1]) + ", and " + some[-1], json.dumps(some), "; ".join(some))  # fmt: skip
            failed += [form for form in forms if set(parse_reply(form, candidates, classes).answer) != set(some)]
    return failed


@pytest.mark.parametrize("vocabulary", [ptbxl_vocabulary(), mimic_vocabulary()], ids=["ptbxl", "mimic-iv-ecg"])
def test_every_perfect_reply_is_right(vocabulary: Vocabulary) -> None:
    lists: dict[int, list[str]] = {}
    for question in question_grid(vocabulary):
        template = question.template
        words = {"verify": ("yes", "no"), "choose": (*question.asked, NONE)}.get(
            template.form, (*question.options, NONE)
        )
        if template.leads_asked:
            words = LEAD
        spelled = [word for name in words if (word := answer_word(name, template))]
        lists[template.template_id] = list(dict.fromkeys([*lists.get(template.template_id, []), *spelled]))
    classes = sorted({label for labels in lists.values() for label in labels})
    assert len(classes) > 90 and not perfect_replies_fail(lists, classes)


@pytest.mark.real_data
@pytest.mark.parametrize("source", ["ptbxl", "mimic-iv-ecg"])
def test_every_perfect_reply_to_the_release_is_right(real_data: Path, source: str) -> None:
    from ecgqa.questions.answer_lists import read_answer_lists

    lists = read_answer_lists(real_data / "ecgqa" / source)
    assert not perfect_replies_fail(lists.by_template, lists.classes)


@given(st.text(max_size=300), st.sampled_from([VERIFY, UNSURE, AXIS, CHOOSE, LEAD, RHYTHM]))
def test_any_text_gives_a_typed_result(reply: str, candidates: list[str]) -> None:
    parsed = parse_reply(reply, candidates, VOCABULARY)
    assert (parsed.status is Status.OK) == bool(parsed.answer)
    assert set(parsed.answer) <= {*VOCABULARY, NONE}


@pytest.mark.parametrize("reply", ["yes " * 3_000_000, "{" * 200_000, "no, " * 50_000 + "\nAnswer: yes", "[" * 100_000])
def test_huge_replies_are_read_quickly(reply: str) -> None:
    assert parse_reply(reply, VERIFY).status in (Status.OK, Status.UNPARSEABLE)
