"""Lead lists of PTB-XL's noise and extra-beat columns, cells taken from the published metadata."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgqa.attributes.noise import extra_systoles_named, leads_named
from ecgqa.records import LEADS


@pytest.mark.parametrize(
    ("cell", "leads"),
    [
        (" , I-V1,  ", "I II III aVR aVL aVF V1"),
        (" , alles,  ", "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6"),
        ("alle,  ,  ", "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6"),
        (" , V6", "V6"),
        ("v5-6,  ", "V5 V6"),
        ("V1,2", "V1 V2"),
        ("V4,5,6", "V4 V5 V6"),
        (" , I - AVF,  ", "I II III aVR aVL aVF"),
        (" , I--AVR,  ", "I II III aVR"),
        (" , I-ALF,  ", "I II III aVR aVL aVF"),
        ("I,II,III.AVR,AVL,  ,  ", "I II III aVR aVL"),
        (" , I,AVL,V5;V6,  ", "I aVL V5 V6"),
        ("Kontaktprobleme aVL ???", "aVL"),
        ("v6????", "V6"),
        (" , v2 mittel,  ", "V2"),
        (" , II-AVL,AVF", "II III aVR aVL aVF"),
        (" , mittel,  ", ""),  # the I in "mittel" is no lead, and an entry without a lead is no noise
        (" , leicht, noisy recording,", ""),
        ("Elektroden vertauscht???", ""),
        ("ja", ""),
        ("", ""),
    ],
)
def test_cells_of_the_published_metadata(cell: str, leads: str) -> None:
    assert [LEADS[index] for index in sorted(leads_named(cell))] == leads.split()


@given(st.text())
def test_any_text_names_only_leads(cell: str) -> None:
    assert leads_named(cell) <= set(range(12))
    extra_systoles_named(cell)


@given(st.sets(st.sampled_from(LEADS), min_size=1), st.sampled_from([",", ", ", ";", "."]))
def test_a_plain_list_is_read_back(leads: set[str], separator: str) -> None:
    assert {LEADS[index] for index in leads_named(separator.join(sorted(leads)))} == leads


@pytest.mark.parametrize(
    ("cell", "kinds", "any_kind"),
    [
        ("1ES", {"extrasystoles"}, False),
        ("SVES", {"supraventricular extrasystoles"}, False),
        ("4VES", {"ventricular extrasystoles"}, False),
        ("VES1,alles", {"ventricular extrasystoles"}, True),  # "alles" is no ES
        ("VES,SVES5,alles", {"ventricular extrasystoles", "supraventricular extrasystoles"}, True),
        ("1,I,II,V6", set(), True),
        ("V1,2,3,4,6", set(), False),
        ("2ES(2Typen)", {"extrasystoles"}, False),
        ("1Es", {"extrasystoles"}, False),
        ("period.", set(), False),
        ("", set(), False),
    ],
)
def test_extra_beats(cell: str, kinds: set[str], any_kind: bool) -> None:
    assert extra_systoles_named(cell) == (frozenset(kinds), any_kind)
