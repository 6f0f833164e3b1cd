"""Machine statements: what they say, how certainly, where; and that the published vocabulary is covered."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgqa.attributes import vocabulary as names
from ecgqa.attributes.statement_rules import statement_rules, tokens_of
from ecgqa.attributes.statements import JUDGEMENTS, read_statement
from ecgqa.records import LEADS


def said(statement: str) -> dict[str, str]:
    """Attributes of a statement; a question mark behind those it is not certain of."""
    return {one.attribute: "" if one.certain else "?" for one in read_statement(statement).said if one.lead is None}


def leads(statement: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in read_statement(statement).said:
        if one.lead:
            found.setdefault(one.attribute, set()).add(one.lead)
    return found


LATERAL, INFERIOR, CHEST = {"I", "aVL", "V5", "V6"}, {"II", "III", "aVF"}, {f"V{n}" for n in range(1, 7)}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("Sinus rhythm with 1st degree A-V block", {"sinus rhythm": "", "first degree AV block": ""}),
        ("- borderline first degree A-V block", {"first degree AV block": "?"}),
        ("Possible left atrial abnormality", {"left atrial overload/enlargement": "?"}),
        ("RBBB and LAFB", {"complete right bundle branch block": "", "left anterior fascicular block": ""}),
        ("Incomplete RBBB", {"incomplete right bundle branch block": ""}),
        ("IVCD, consider atypical LBBB", {
            "intraventricular conduction disturbance": "", "atypical left bundle branch block": "?",
        }),
        ("I.V. CONDUCTION DEFECT OF RIGHT BUNDLE BRANCH BLOCK TYPE", {"intraventricular conduction disturbance": ""}),
        ("Atrial flutter with 2:1 A-V block", {"atrial flutter": "", "2:1 AV block": ""}),
        ("AFib/flut and V-paced complexes", {
            "atrial fibrillation": "?", "atrial flutter": "?", "ventricular-paced complexes or rhythm": "",
        }),
        ("AV block, complete (third degree)", {"third degree AV block": ""}),
        ("2nd degree A-V block, Mobitz I (Wenckebach)", {"Mobitz type 1 second-degree AV block": ""}),
        ("2nd degree (Mobitz II) SA block", {"second-degree SA block type II": ""}),
        ("varying 2nd degree A-V block", {"intermittent second degree AV block": ""}),
        ("Left ventricular hypertrophy by voltage only", {
            "Voltage criteria (QRS) for left ventricular hypertrophy": "",
        }),
        ("LVH with secondary repolarization abnormality", {
            "Left ventricular hypertrophy": "", "repolarization abnormality": "",
        }),
        ("Widespread T wave abnormality is probably due to the ventricular hypertrophy", {
            "T-wave abnormality": "", "ST-T change due to ventricular hypertrophy": "?",
        }),
        ("Extensive ST-T changes may be due to the hypertrophy and/or ischemia", {
            "ST(-T) change": "", "ST-T change due to ventricular hypertrophy": "?",
            "ischemic ST-T changes in diffuse leads": "?",
        }),
        ("Inferior/lateral ST-T changes may be due to myocardial ischemia", {
            "ST(-T) change": "", "ischemic ST-T changes in inferolateral leads": "?",
        }),
        # The release has such changes without doubt in every region, and this is the machine's only such wording.
        ("Inferior and septal ST-T abnormality suggests myocardial injury/ischemia", {
            "ST(-T) change": "", "ischemic ST-T changes in inferoseptal leads": "",
        }),
        ("Abnormal T, consider ischemia, lateral leads", {
            "T-wave abnormality": "", "ischemic ST-T changes in lateral leads": "?",
        }),
        ("Prolonged QT - consider ischemia, electrolyte imbalance, drug effects", {"long QT interval": ""}),
        ("Borderline prolonged QT interval", {"long QT interval": "?"}),
        ("Anterolateral T wave changes are nonspecific", {"non-specific T-wave changes": ""}),
        ("Nonspecific T abnrm, anterolateral leads", {"non-specific t abnormality": ""}),
        ("Borderline T abnormalities, inferior leads", {"non-diagnostic T abnormalities": ""}),
        ("ST junctional depression is nonspecific", {"non-specific ST depression": ""}),
        ("Inferior ST elevation, CONSIDER ACUTE INFARCT", {
            "ST Elevation": "", "Myocardial infarction in inferior leads": "?",
        }),
        ("QRS changes V3/V4 may be due to LVH but cannot rule out anterior infarct", {
            "QRS changes in anteroseptal leads": "", "Left ventricular hypertrophy": "?",
            "Myocardial infarction in anterior leads": "?",
        }),
        ("Q in V1/V2 may be normal variant but septal infarct cannot be excluded", {
            "Q waves present": "", "Myocardial infarction in septal leads": "?",
        }),
        ("Poor R wave progression - probable normal variant", {"poor R wave progression": ""}),
        ("RSR' in V1 or V2, probably normal variant", {"rSr' type in V1 or V2": ""}),
        ("Marked anteroseptal ST depression accompanies the infarct", {"ST Depression": ""}),
        ("Sinus tachycardia with frequent multifocal PVCs", {
            "sinus tachycardia": "", "premature ventricular complexes": "",
            "multifocal premature ventricular complexes": "",
        }),
        ("Bigeminal PVCs", {"premature ventricular complexes": "", "ventricular bigeminy": ""}),
        ("paroxysmal idioventricular rhythm or aberrant ventricular conduction", {
            "paroxysmal idioventricular rhythm": "?", "aberrant ventricular complex": "?",
        }),
        ("Tall R wave in V2, consider RVH or PMI", {
            "tall R wave in V1 or V2": "", "Right ventricular hypertrophy": "?",
            "Myocardial infarction in posterior leads": "?",
        }),
        ("Tall R V1/V2 probably reflect the infarct", {"tall R wave in V1 or V2": ""}),
        ("Right superior axis deviation", {}),
        ("No evidence of acute infarct", {}),
        ("Sinus rhythm without ST elevation", {"sinus rhythm": ""}),
        ("Left axis deviation", {}),
    ],
)  # fmt: skip
def test_what_a_statement_says(statement: str, expected: dict[str, str]) -> None:
    assert said(statement) == expected
    reading = read_statement(statement)
    assert reading.known and not reading.unknown


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("Low QRS voltages in precordial leads", {"low QRS voltage": CHEST}),
        ("Generalized low QRS voltages", {"low QRS voltage": set(LEADS)}),
        ("Low R(V2-V4)", {"low R": {"V2", "V3", "V4"}}),
        ("Lateral Q waves may be due to cardiomyopathy", {"Q waves present": LATERAL}),
        ("T wave abnormality in I, aVL, v5,6", {"T-wave abnormality": LATERAL}),
        ("Inferior and lateral ST elevation is nonspecific", {"ST Elevation": INFERIOR | LATERAL}),
        ("ST depression in inferior leads and ST elevation in V1-V3", {
            "ST Depression": INFERIOR, "ST Elevation": {"V1", "V2", "V3"},
        }),
        ("ST elevation in V2-V4 and inferior ST depression", {
            "ST Elevation": {"V2", "V3", "V4"}, "ST Depression": INFERIOR,
        }),
        ("ST depression in inferior and lateral leads and anterior Q waves", {
            "ST Depression": INFERIOR | LATERAL, "Q waves present": {"V3", "V4"},
        }),
        ("Tall inferior P waves", {"high P-voltages": INFERIOR}),
        ("Widespread ST elevation suggests pericarditis", {}),
        ("T wave inversion in V1-V3", {}),  # the released lists know no leads for it
    ],
)  # fmt: skip
def test_leads_of_form_statements(statement: str, expected: dict[str, set[str]]) -> None:
    assert leads(statement) == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("Inferior infarct - age undetermined", [(names.UNKNOWN_STAGE, True)]),
        ("Possible anterior infarct", [(names.UNKNOWN_STAGE, True)]),
        ("Old inferior infarct", [(names.OLD, True)]),
        ("Inferior infarct, recent", [(names.MIDDLE, True)]),
        ("Inferior infarct, acute (LCx)", [(names.EARLY, True)]),
        ("*** INFERIOR INFARCT - POSSIBLY ACUTE ***", [(names.EARLY, False)]),
        ("*** CONSIDER ACUTE ST ELEVATION MI ***", [(names.EARLY, False)]),
        ("Early repolarization", []),
        ("Acute pericarditis", []),
    ],
)
def test_stage_of_infarction(statement: str, expected: list[tuple[str, bool]]) -> None:
    assert list(read_statement(statement).stages) == expected


def test_baseline_wander_and_judgements() -> None:
    assert read_statement("Baseline wander in lead(s) V3 aVL").wander == ("aVL", "V3")
    assert read_statement("Baseline wander").has_wander
    assert not read_statement("Artifact in lead(s) I II").has_wander
    assert read_statement("Summary: Normal ECG").judgements == (("normal ecg", True),)
    assert read_statement("Small inferior Q waves noted: probably normal ECG").judgements == (("normal ecg", False),)
    assert not read_statement("Summary: tachycardia - otherwise normal ECG").judgements


def test_what_no_rule_knows_is_not_guessed() -> None:
    reading = read_statement("Epsilon waves suggest arrhythmogenic dysplasia")
    assert not reading.known and not reading.said and "epsilon" in reading.unknown
    partly = read_statement("Sinus rhythm in transplanted heart")
    assert partly.known and partly.unknown == ("transplanted", "heart")
    assert [one.certain for one in partly.said] == [False]


# -- the tables ------------------------------------------------------------------------------------------------------


def test_rules_give_only_names_of_the_vocabulary() -> None:
    internal = {
        "QRS change", "borderline QT", "broad R", "tall R", "infarct", "infarct posterior", "infarct st elevation",
        "ischemia", "ventricular hypertrophy", "baseline wander", "high P-voltages inferior",
    }  # fmt: skip
    internal |= {f"{height} QRS voltage {where}" for height in ("low", "high") for where in ("limb", "precordial")}
    internal |= {"low QRS voltage limb precordial", *JUDGEMENTS}
    strange = statement_rules().attributes - set(names.mimic_vocabulary().symptoms) - internal
    assert not strange


def test_every_symptom_is_given_by_some_statement() -> None:
    places = ("", "anterior ", "anterolateral ", "anteroseptal ", "inferior ", "inferolateral ", "inferoseptal ",
              "lateral ", "posterior ", "septal ", "diffuse ")  # fmt: skip
    statements = [" ".join(phrase) for phrase in statement_rules().phrases]
    statements += [f"{place}{what}" for place in places for what in ("infarct", "ST changes consistent with ischemia")]
    statements += ["tall R in V1", "tall R in V6", "broad R in lateral leads", "T wave changes due to hypertrophy"]
    statements += ["voltage criteria for LVH", "consecutive PACs"]
    statements += [
        f"{modifier} {finding}".replace("Left ventricular", "left ventricular")
        for finding, modifier in statement_rules().variants
        if finding
    ]
    given = {attribute for statement in statements for attribute in said(statement)}
    missing = set(names.mimic_vocabulary().symptoms) - set(names.MIMIC_UNNAMED) - given
    assert not missing


def test_findings_without_an_attribute_say_why() -> None:
    rules = statement_rules()
    assert all(why for why in rules.without.values())
    assert len(rules.without) > 100


@given(st.lists(st.sampled_from(sorted(" ".join(p) for p in statement_rules().phrases)), max_size=8), st.booleans())
def test_any_mixture_of_phrases_reads(phrases: list[str], commas: bool) -> None:
    reading = read_statement((", " if commas else " ").join(phrases))
    symptoms = set(names.mimic_vocabulary().symptoms)
    assert {one.attribute for one in reading.said} <= symptoms
    assert all(one.lead is None or one.attribute in names.mimic_forms_seen_in_leads() for one in reading.said)
    whole = {one.attribute for one in reading.said if one.lead is None}
    assert {one.attribute for one in reading.said} == whole


@given(st.text(max_size=80))
def test_any_text_reads(text: str) -> None:
    reading = read_statement(text)
    assert read_statement(text) == reading
    assert all(token.strip() for token in tokens_of(text, {}))


# -- the published vocabulary ----------------------------------------------------------------------------------------


@pytest.mark.real_data
def test_every_phrase_and_entity_of_the_vocabulary_is_known(real_data: Path) -> None:
    folder = real_data / "mimic-iv-ecg" / "statement_vocabulary"
    if not folder.is_dir():
        pytest.skip(f"no statement vocabulary in {folder}")

    def load(name: str) -> list[dict[str, object]]:
        return list(json.loads((folder / name).read_text(encoding="utf-8")))

    named = [row["pattern"] for row in load("entity_pat.json") if row["entities"]]
    named += [row["name"] for row in load("entity_tem.json")]
    named += [row["entity"] for row in load("compound_tem.json")]
    named += [row["resulting_entity"] for row in load("attached_desc_tem.json")]
    with (folder / "label_def.csv").open(encoding="utf-8") as stream:
        named += [row["name"] for row in csv.DictReader(stream)]
    assert len(named) > 700
    lost = [name for name in named if not (reading := read_statement(str(name))).known or reading.unknown]
    assert not lost
    words = [row["pattern"] for row in load("entity_pat.json") if not row["entities"]]
    words += [row["pattern"] for name in ("desc_pat.json", "connective.json") for row in load(name)]
    words += [row["name"] for row in load("desc_tem.json")]
    words += list(json.loads((folder / "uncertainty_map.json").read_text(encoding="utf-8")))
    assert not [word for word in words if read_statement(str(word)).unknown]
    for word in json.loads((folder / "uncertainty_map.json").read_text(encoding="utf-8")):
        if word != "Variant":  # a normal variant is there for certain
            assert said(f"{word} left bundle branch block") == {"complete left bundle branch block": "?"}


@pytest.mark.real_data
def test_vocabulary_is_the_released_one(real_data: Path) -> None:
    from ecgqa.questions.answer_lists import read_answer_lists

    listed = read_answer_lists(real_data / "ecgqa" / "mimic-iv-ecg").by_template
    vocabulary = names.mimic_vocabulary()
    for template, kind in ((8, vocabulary.diagnostic), (10, vocabulary.rhythm), (11, vocabulary.form)):
        assert set(listed[template]) - {"none"} == set(kind)
    assert set(listed[18]) - {"none"} == names.mimic_forms_seen_in_leads()
    assert set(listed[18]) - {"none"} <= set(vocabulary.forms_in_leads)
    compared = set().union(*(listed[template] for template in (47, 48, 49, 61, 62, 63))) - {"none"}
    assert compared <= set(vocabulary.symptoms)
    with (real_data / "ecgqa" / "llm_metadata" / "mimic-iv-ecg" / "grounding_class.csv").open() as stream:
        classes = {row["class"] for row in csv.DictReader(stream)}
    others = set(vocabulary.superclasses + vocabulary.axes + vocabulary.stages + vocabulary.noises) | {"Normal ECG"}
    strange = classes - set(vocabulary.symptoms) - others
    assert not {name for name in strange if not name.startswith("any ") and " normal range of " not in name}


@pytest.mark.real_data
def test_question_ids_end_as_in_the_release(real_data: Path) -> None:
    from ecgqa.questions.grid import question_grid

    shard = real_data / "ecgqa" / "mimic-iv-ecg" / "template" / "test" / "270000.json"
    released = {sample["template_id"]: sample["question_id"] for sample in json.loads(shard.read_text())}
    grid = question_grid(names.mimic_vocabulary())
    assert released == {
        question.template.template_id: question.question_id
        for question in grid
        if question.template.template_id in released
    }
    assert len({question.template.template_id for question in grid}) == 60
