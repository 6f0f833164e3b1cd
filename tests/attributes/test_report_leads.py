"""Leads that a report names for the form statements of its ECG."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgqa.attributes.report import FORM_CODES, leads_of_forms
from ecgqa.records import LEADS

ALL = " ".join(LEADS)
LIMB, CHEST = " ".join(LEADS[:6]), " ".join(LEADS[6:])


@pytest.mark.parametrize(
    ("report", "code", "leads"),
    [
        ("st segments are depressed in i, avl, v5,6.", "STD_", "I aVL V5 V6"),
        ("st segments are depressed and t waves inverted in i,    avl.", "STD_", "I aVL"),
        ("st segments are depressed and t waves inverted in i,    avl.", "INVT", "I aVL"),
        ("t waves are inverted in i, ii and flat in v4,5,6.", "INVT", "I II"),
        ("t waves are inverted in i, ii and flat in v4,5,6.", "LOWT", "V4 V5 V6"),
        ("t waves are inverted in i, avl and flat in v5,6.", "NDT", "I aVL"),  # only the first list of the clause
        ("t waves are inverted in i, avl and flat in v5,6.", "NT_", "I aVL V5 V6"),
        ("t waves are flat in limb leads and v3 and inverted in v4,5,6.", "LOWT", f"{LIMB} V3"),
        ("st segments are depressed in i, ii. t waves are low in these leads.", "LOWT", "I II"),
        ("st segments are depressed in v3-6.", "NST_", ""),  # a depression is not an unspecific change
        ("minor non-specific st-t wave changes in inferior leads.", "NST_", "II III aVF"),
        ("minor non-specific st-t wave changes in inferior leads.", "NDT", "II III aVF"),
        ("t waves are low or flat throughout.", "LOWT", ""),
        ("t waves are low in lateral chest leads.", "LOWT", "V5 V6"),
        ("t waves are low in high lateral leads.", "LOWT", "I aVL"),
        ("non-specific t wave flattening in i,,v6.", "NT_", "I"),  # not read beyond an empty item
        ("st segments are elevated in v2,3.", "STE_", "V2 V3"),
        ("q waves in ii, iii, avf consistent with old inferior    myocardial infarction.", "QWAVE", "II III aVF"),
        ("qs complexes in v2 and tiny r waves in v3 suggesting old infarct.", "QWAVE", "V2"),
        ("t waves are flat in v56.", "LOWT", "V5 V6"),
        ("voltages are high in chest leads suggesting lvh. left axis deviation in i", "VCLVH", CHEST),
        ("voltages in limb leads are at upper limit.", "VCLVH", ""),
        ("voltages in limb leads are at upper limit.", "HVOLT", LIMB),
        ("sinus rhythm. low limb lead voltage. normal ecg.", "LVOLT", LIMB),
        ("sinusrhythmus periphere niederspannung", "LVOLT", LIMB),
        ("vorhofflimmern st- senkung l, v4 - v6   ekg pathologisch", "STD_", "aVL V4 V5 V6"),
        ("st-hebung in v2,3 diskrete st-senkung in avl,v4 langsame r-progression v1", "STE_", "V2 V3"),
        ("st-hebung in v2,3 diskrete st-senkung in avl,v4 langsame r-progression v1", "STD_", "aVL V4"),
        ("lagetyp normal neg. t in v1, flaches t in iii", "INVT", "V1"),
        ("lagetyp normal neg. t in v1, flaches t in iii", "LOWT", "III"),
        ("t- veraenderungen biphas. v3- 6", "NDT", "V3 V4 V5 V6"),
        ("intraventr. leitungsstoerung v1, v2, iii,f   st- senkung asc. v2", "STD_", "V2"),
        ("digitalisverÄnderung in v5,6 pathologisch", "DIG", "V5 V6"),
        ("verdacht auf digitalisveraenderung st- senkung v3 - v6", "DIG", ""),
        ("sinusrytm st-sÄnkning i v5-6", "STD_", "V5 V6"),
        ("sinusrhythmus t flach in i u-welle in v2-5", "LOWT", "I"),
        ("prolonged qt in v2. a-v block i", "QWAVE", ""),
        ("compared with tracing of 28.12.93 st segments are depressed", "STD_", ""),
    ],
)
def test_reports(report: str, code: str, leads: str) -> None:
    found = leads_of_forms(report, frozenset([code]))
    assert [LEADS[index] for index in sorted(found.get(code, ()))] == leads.split()


def test_only_statements_that_the_ecg_carries() -> None:
    report = "t waves are flat in v4,5,6. q waves in iii."
    assert set(leads_of_forms(report, frozenset(["LOWT", "NDT", "SR"]))) == {"LOWT", "NDT"}
    assert leads_of_forms(report, frozenset(["SR", "NORM"])) == {}


def test_an_edit_note_is_no_report() -> None:
    assert leads_of_forms("sinus rhythm. Edit: t neg in V1-2", frozenset(["INVT"])) == {}


@given(st.text(alphabet="stqvi123456,.-+()& fl\tavrn" + "äöÅ", max_size=60) | st.text())
def test_any_text_is_survived(report: str) -> None:
    for leads in leads_of_forms(report, FORM_CODES).values():
        assert leads and leads <= set(range(12))
