"""Reading the free-text lead lists of PTB-XL's signal columns (noise, extra beats)."""

from __future__ import annotations

import re
from functools import cache

from ecgqa.records import LEADS

_LEAD_INDEX = {lead.upper(): index for index, lead in enumerate(LEADS)} | {"ALF": 5}  # ALF: a slip for AVF
_TOKEN = re.compile(r"\b(III|II|I|AVR|AVL|AVF|ALF|V[1-6]|ALLES|ALLE|[1-6])\b|(-)|([,.;])")


@cache
def leads_named(cell: str) -> frozenset[int]:
    """Indices (canonical order) of the leads that a noise cell of PTB-XL names.

    `alles` is all twelve; `I-V1` is a range in the order I II III aVR aVL aVF V1..V6; a bare digit after a comma or at
    the end of a range is a chest lead (`V1,2`, `v1-6`). A cell that names no lead ("leicht", "noise") names none: the
    released questions count it as no noise.
    """
    named: set[int] = set()
    previous: int | None = None  # a lead that a following dash would extend
    dash = separated = False
    for match in _TOKEN.finditer(cell.upper()):
        word, is_dash, is_separator = match.groups()
        if is_dash:
            dash = True
        elif is_separator:
            dash, separated = False, True
        elif word.startswith("ALLE"):
            named.update(range(len(LEADS)))
            previous, dash = None, False
        else:
            if word.isdigit():
                if not (separated or (dash and previous is not None)):
                    continue
                index = _LEAD_INDEX[f"V{word}"]
            else:
                index = _LEAD_INDEX[word]
            if dash and previous is not None:
                named.update(range(previous, index + 1))
            named.add(index)
            previous, dash, separated = index, False, False
    return frozenset(named)


_KINDS = {
    "ES": "extrasystoles",
    "VES": "ventricular extrasystoles",
    "SVES": "supraventricular extrasystoles",
}


@cache
def extra_systoles_named(cell: str) -> tuple[frozenset[str], bool]:
    """Kinds of extra systole that an `extra_beats` cell of PTB-XL names, and whether template 35 answers yes.

    A kind is an entry reduced to its letters (`1ES`, `VES2`). Template 35 ("any kind") is answered by another rule in
    the release: yes only when a lead is named after the first comma (`VES1,alles`), which is kept as it is.
    """
    kinds = {_KINDS[letters] for entry in re.split(r"[,;.]", cell) if (letters := _letters(entry)) in _KINDS}
    _, comma, rest = cell.partition(",")
    named = bool(re.search(r"\b(III|II|I|AVR|AVL|AVF|ALF|V[1-6]|ALLES|ALLE)\b", rest.upper())) if comma else False
    return frozenset(kinds), named


def _letters(entry: str) -> str:
    before_bracket = entry.split("(")[0]  # "2ES(2Typen)": the bracket tells how many shapes the beats have
    return re.sub(r"[^A-Z]", "", before_bracket.upper())
