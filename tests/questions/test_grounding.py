"""Single questions become items: attribute, lead set, yes or no, in every form, wording and awkward case."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from ecgqa.attributes.vocabulary import ptbxl_vocabulary
from ecgqa.questions.grid import question_grid
from ecgqa.questions.grounding import Grounding, ground
from ecgqa.questions.lead_groups import LEAD_GROUPS, lead_group
from ecgqa.questions.templates import TEMPLATES
from ecgqa.questions.wording import built_in_wording, fill
from ecgqa.records import ALL_LEADS, LEADS, QUESTIONS, lead_set, leads_in

EARLY, UNKNOWN, NO_STAGE = (f"{stage} of myocardial infarction" for stage in ("early stage", "unknown stage", "none"))
DIGITALIS, LONG_QT = "digitalis effect", "long qt-interval"
LONG_P, NORMAL_P, LONG_RR = (
    f"{range_} the normal range of {feature}"
    for range_, feature in (("above", "p duration"), ("within", "p duration"), ("above", "rr interval"))
)
BROAD_R = "Broad R wave in lateral leads"
VOLTAGE = "low qrs voltages in the frontal and horizontal leads"
V1_TO_V3, V4_TO_V6 = lead_set(("V1", "V2", "V3")), lead_set(("V4", "V5", "V6"))


def asked(template_id: int, attribute: Any, answer: Any, text: str = "Asked how?", ecg: int = 1, **more: Any) -> Any:
    """One row of the questions table."""
    template = TEMPLATES[template_id]
    listed = [attribute] if isinstance(attribute, str) else attribute
    row = {
        "template_id": template_id,
        "question_id": template_id,
        "sample_id": 0,
        "question_type": template.question_type.value,
        "attribute_type": template.attribute_type.value,
        "question": text,
        "answer": [answer] if isinstance(answer, str) else answer,
        "ecg_id": [ecg] * template.question_type.n_ecgs,
        "attribute": listed,
        "split": "train",
        "version": "template",
        "candidates": [],
    }
    return row | more


def grounded(*rows: Any, published: bool = False) -> Grounding:
    return ground(pl.DataFrame(list(rows), schema=QUESTIONS.polars), published=published)


def said(*rows: Any, published: bool = False) -> set[tuple[str, int, bool]]:
    """(attribute, lead set, label) of all items, without the wish that a class be affirmed."""
    known = [asked(1, name, "yes", ecg=99) for row in rows for name in (row["attribute"] or [])]
    known += [asked(1, name, "yes", ecg=99, split="test") for row in rows for name in (row["attribute"] or [])]
    found = grounded(*rows, *known, published=published)
    items = found.items.filter(pl.col("ecg_id") != 99)
    return {
        (found.classes[class_id], leads, label)
        for leads, class_id, label in items.select("leads", "class_id", "label").iter_rows()
    }


def one(lead: str) -> int:
    return lead_set([lead])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (asked(1, "sinus rhythm", "yes"), {("sinus rhythm", ALL_LEADS, True)}),
        (asked(1, "sinus rhythm", "not sure"), set()),
        (asked(2, "normal ecg", "no"), {("normal ecg", ALL_LEADS, False)}),
        # Uncertain findings: a question that leaves them out is sure of a yes, one that counts them of a no.
        (asked(13, "any diagnostic symptoms", "yes"), set()),
        (asked(13, "any diagnostic symptoms", "no"), {("any diagnostic symptoms", ALL_LEADS, False)}),
        (asked(14, "any diagnostic symptoms", "yes"), {("any diagnostic symptoms", ALL_LEADS, True)}),
        (asked(14, "any diagnostic symptoms", "no"), set()),
        (asked(4, [DIGITALIS, LONG_QT], [DIGITALIS]), {(LONG_QT, ALL_LEADS, False)}),
        (asked(5, [DIGITALIS, LONG_QT], [DIGITALIS]), {(DIGITALIS, ALL_LEADS, True)}),
        (asked(9, [DIGITALIS, LONG_QT], "none"), set()),
        # One finding with many places is one class; its place is the lead set.
        (
            asked(1, "myocardial infarction in inferolateral leads", "yes"),
            {("myocardial infarction", lead_set(("I", "II", "III", "aVL", "aVF", "V5", "V6")), True)},
        ),
        (
            asked(8, ["ischemic in septal leads", "subendocardial injury in anterior leads"], "none"),
            {("ischemic", one("V1") | one("V2"), False), ("subendocardial injury", one("V3") | one("V4"), False)},
        ),
        (asked(1, BROAD_R, "no"), {(BROAD_R, LEAD_GROUPS["lateral"], False)}),
        (asked(1, VOLTAGE, "no"), {(VOLTAGE, ALL_LEADS, False)}),
        (asked(1, "ischemic ST-T changes in diffuse leads", "yes"), {("ischemic ST-T changes", ALL_LEADS, True)}),
        # Leads named by the sentence.
        (asked(26, "static noise", "no", "Is there static noise in lead aVL?"), {("static noise", one("aVL"), False)}),
        (asked(17, VOLTAGE, "yes", f"Do you see {VOLTAGE} in the limb leads?"), {(VOLTAGE, LEAD_GROUPS["limb"], True)}),
        (
            asked(31, ["static noise", "burst noise"], ["burst noise"], "Static noise or burst noise, in V3 leads?"),
            {("static noise", one("V3"), False), ("burst noise", one("V3"), True)},
        ),
        (
            asked(19, "q waves present", ["lead I", "lead V6"]),
            {("q waves present", one(lead), lead in ("I", "V6")) for lead in LEADS},
        ),
        (
            asked(19, VOLTAGE, [f"lead {lead}" for lead in LEADS[:7]]),
            {(VOLTAGE, LEAD_GROUPS["limb"], True), (VOLTAGE, LEAD_GROUPS["chest"], False)},
        ),
        (asked(34, "burst noise", "none"), {("burst noise", one(lead), False) for lead in LEADS}),
        # Ranges of measurements.
        (
            asked(40, [LONG_P, NORMAL_P], "within the normal range"),
            {(LONG_P, ALL_LEADS, False), (NORMAL_P, ALL_LEADS, True)},
        ),
        (
            asked(42, [LONG_P, LONG_RR], "rr interval"),
            {(LONG_P, ALL_LEADS, False), (LONG_RR, ALL_LEADS, True)},
        ),
        (asked(25, [EARLY, UNKNOWN], UNKNOWN), set()),
        (
            asked(25, [EARLY, NO_STAGE], EARLY),
            {(EARLY, ALL_LEADS, True)},
        ),
        (asked(43, None, "yes"), set()),
    ],
)  # fmt: skip
def test_what_a_question_says(row: Any, expected: set[tuple[str, int, bool]]) -> None:
    assert said(row) == expected


def test_posterior_leads_are_those_that_mirror_the_posterior_wall() -> None:
    """The original defines "posterior" twice; V4 to V6 won over V1 to V3, though not in its composite names."""
    row = asked(1, "myocardial infarction in posterior leads", "yes")
    assert said(row) == {("myocardial infarction", V1_TO_V3, True)}
    assert said(row, published=True) == {("myocardial infarction", V4_TO_V6, True)}
    for published in (False, True):
        assert lead_group("inferoposterior", published=published) == LEAD_GROUPS["inferior"] | V1_TO_V3


def test_names_of_lead_groups_are_put_together_from_parts() -> None:
    published = {
        "limb": "0 1 2 3 4 5", "horizontal": "6 7 8 9 10 11", "inferior": "1 2 5", "inferoseptal": "1 2 5 6 7",
        "inferolateral": "0 1 2 4 5 10 11", "inferoposterior": "1 2 5 6 7 8",
        "inferoposterolateral": "0 1 2 4 5 6 7 8 10 11", "anterior": "8 9", "anteroseptal": "6 7 8 9",
        "anterolateral": "0 4 8 9 10 11", "lateral": "0 4 10 11", "septal": "6 7", "lead aVF": "5", "v2": "7",
        "diffuse": "0 1 2 3 4 5 6 7 8 9 10 11", "Frontal and Horizontal": "0 1 2 3 4 5 6 7 8 9 10 11",
    }  # fmt: skip
    for name, places in published.items():
        assert leads_in(lead_group(name) or 0) == tuple(LEADS[int(place)] for place in places.split()), name
    for name in ("", "apical", "inferobasal", "V7", "lateral wall"):
        assert lead_group(name) is None, name


def test_the_same_thing_said_twice_counts_once_in_any_wording() -> None:
    row = asked(27, "static noise", "yes")
    found = grounded(
        row,
        row | {"version": "paraphrased", "question": "Noise?"},
        asked(30, ["static noise", "burst noise"], "static noise"),
    )
    assert found.items.height == 1  # burst noise is affirmed nowhere, hence no class
    assert found.items["verified"].to_list() == [True]
    assert found.notes == {"repeated statements": 2, "items of attributes without a class": 1}


def test_contradictions_are_counted_and_settled() -> None:
    """Of a finding with many forms, denying one is not denying all; of any other, neither answer is believed."""
    rows = [
        asked(27, "static noise", "yes"),
        asked(32, ["static noise"], "none"),
        asked(27, "static noise", "yes", ecg=2),
    ]
    rows += [asked(1, "ischemic in diffuse leads", "yes"), asked(1, "ischemic", "no")]
    found = grounded(*rows)
    assert found.classes == ["ischemic", "static noise"]
    assert found.items.select("ecg_id", "class_id", "label").rows() == [(1, 0, True), (2, 1, True)]
    assert found.notes["contradictions"] == 1 and found.notes["contradictions in a united class"] == 1
    published = grounded(*(row | {"split": "test"} for row in rows if row["template_id"] != 32), published=True)
    assert published.items.select("ecg_id", "class_id", "label").rows() == [(1, 0, False), (1, 1, True), (2, 1, True)]


def test_to_deny_one_form_of_a_finding_is_not_to_deny_it() -> None:
    """MIMIC-IV-ECG has "Myocardial infarction" (place unknown) beside the summary "myocardial infarction"."""
    rows = [
        asked(1, "Myocardial infarction", "no"),
        asked(1, "Myocardial infarction", "yes", ecg=2),
        asked(1, "myocardial infarction", "no", ecg=3),
        asked(1, "ischemic ST-T changes in diffuse leads", "no", ecg=4),
        asked(1, "myocardial infarction in septal leads", "no", ecg=5),
    ]
    found = grounded(*rows)
    assert found.classes == ["myocardial infarction"]
    assert found.items.select("ecg_id", "label").rows() == [(2, True), (3, False), (5, False)]
    published = grounded(*(row | {"split": "test"} for row in rows), published=True)
    assert published.classes == ["Myocardial infarction", "ischemic ST-T changes", "myocardial infarction"]
    assert published.items.height == 5


def test_published_items_are_those_of_test_verify_questions() -> None:
    rows = [
        asked(27, "static noise", "no", split="test"),
        asked(30, ["static noise", "burst noise"], "burst noise", split="test"),
        asked(30, ["static noise", "burst noise"], "burst noise", ecg=2),
    ]
    found = grounded(*rows, published=True)
    assert found.classes == ["static noise"]
    assert found.items.select("split", "ecg_id", "label").rows() == [("train", 2, False), ("test", 1, False)]
    assert grounded(*rows).classes == ["burst noise"]


@pytest.mark.parametrize(
    ("row", "note"),
    [
        (asked(27, "static noise", "perhaps"), "verify questions answered neither yes nor no"),
        (asked(27, "static noise", ["yes", "no"]), "verify questions answered neither yes nor no"),
        (asked(27, None, "yes"), "questions without attribute field"),
        (asked(26, "static noise", "yes", "Noise somewhere?"), "questions on a lead that names none"),
        (asked(26, "static noise", "yes", "Noise in lead I and lead II?"), "questions on a lead that names none"),
        (asked(1, "ischemic in apical leads", "yes"), "questions on an unknown group of leads (apical)"),
        (asked(34, "static noise", "lead X"), "questions for leads with another answer"),
        (asked(32, ["static noise"], "burst noise"), "answers that the attribute field does not list"),
        (asked(27, "static noise", "yes") | {"template_id": 7000}, "questions that are of none of the 70 templates"),
        (asked(27, "static noise", "yes") | {"template_id": 32}, "questions that are of none of the 70 templates"),
    ],
)
def test_what_cannot_be_read_is_counted_never_a_crash(row: Any, note: str) -> None:
    found = grounded(row, asked(1, "sinus rhythm", "yes"))
    assert found.notes == {note: 1}
    assert found.items.height == 1


def test_no_questions_give_no_items() -> None:
    found = grounded()
    assert found.items.is_empty() and found.classes == [] and found.notes == {}


def test_every_wording_of_ours_names_its_leads() -> None:
    """All sentences of all single questions, plain and paraphrased: the lead set is that of the question."""
    rows, expected = [], []
    for number, question in enumerate(question_grid(ptbxl_vocabulary())):
        template = question.template
        if template.question_type.n_ecgs == 2 or not template.per_lead:
            continue
        wording = built_in_wording()[template.template_id]
        sentence = (wording.plain, *wording.paraphrases)[number % (1 + len(wording.paraphrases))]
        answer = "yes" if template.form == "verify" else "none"
        rows.append(
            asked(template.template_id, list(question.attributes), answer, fill(sentence, question), ecg=number)
        )
        expected.append(sum(1 << lead for lead in question.leads))
    found = ground(pl.DataFrame(rows, schema=QUESTIONS.polars)).items.unique("ecg_id", maintain_order=True)
    leads = dict(zip([row["ecg_id"][0] for row in rows], expected, strict=True))
    assert found.height > 200
    assert all(leads[ecg] == mask for ecg, mask in found.select("ecg_id", "leads").iter_rows())
