"""Which leads a report names for the form statements of its ECG.

PTB-XL's reports are short English, German or Swedish phrases: a subject (ST, T, Q, voltage), what is said of it
(depressed, inverted, flat), and a list of leads. The released answers of templates 17 to 19 follow the leads that the
report names in the clause about a statement which the ECG carries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ecgqa.records import LEADS

_LIMB, _CHEST = range(6), range(6, 12)
_INFERIOR, _HIGH_LATERAL, _LATERAL_CHEST = (1, 2, 5), (0, 4), (10, 11)

FORM_CODES: Final = frozenset(
    ("DIG", "HVOLT", "INVT", "LOWT", "LVOLT", "NDT", "NST_", "STD_", "STE_", "NT_", "QWAVE", "TAB_", "VCLVH")
)

_ABBREVIATION = re.compile(
    r"\b(asc|desc|neg|pos|biphas|monophas|diskr|ventr|intraventr|supraventr|path|unspez|spez|fragl|extr|abl|inf|lat|ant"
    r"|periph|st|t|q|r|evtl|ca|vgl|v)\.(?=\s*\w)"
)
_REGIONS: Final = {
    "inferolateral": (*_INFERIOR, *_LATERAL_CHEST),
    "anterolateral": (*_HIGH_LATERAL, 8, 9, 10, 11),
    "lateral chest": _LATERAL_CHEST,
    "high lateral": _HIGH_LATERAL,
    "lateral": (*_HIGH_LATERAL, *_LATERAL_CHEST),
    "anterior chest": range(6, 10),
    "inferior": _INFERIOR,
    "limb": _LIMB,
    "chest": _CHEST,
    "all": range(12),
}
# Longer alternatives first. `word` is anything else: it ends a list of leads but not the clause.
_TOKEN = re.compile(
    r"(?P<stop>\.)"
    rf"|\b(?P<region>{'|'.join(_REGIONS)}) leads?\b"
    r"|\b(?P<these>these|same) leads\b"
    r"|\b(?P<limb_low>low limb lead voltages?|periph\w*\s+(?:niedersp\w+|nieder-?volt\w*|low[- ]*vol\w*))"
    r"|\b(?P<in_swedish>i)(?=\s+(?:v[1-6]|i{1,3}\b|av[rlf]\b))"
    r"|\b(?P<lead>iii|ii|i|avr|avl|avf|v[1-6]+)\b"
    r"|\b(?P<letter>[lf](?=\s*(?:[,;.+)]|und\b|$|v\d|\w{3}))|r(?=\s*(?:[,;.+)]|$)))(?![\w-])"  # aVL, aVF, aVR
    r"|\b(?P<digit>[1-6])\b"
    r"|(?P<dash>-)"
    r"|(?P<separator>[,;+&]|\b(?:and|und|och)\b)"
    r"|\b(?P<st_t>st[-/ ]t)\b"
    r"|\b(?P<st>st)\b"
    r"|\b(?P<t>t)\b(?!-?pause)"
    r"|\b(?P<q>qs?)\b(?![- ]?t\b)"
    r"|\b(?P<voltage>voltages?)\b"
    r"|\b(?P<digitalis>digitalis\w*|digoxin)"
    r"|\b(?P<other>(?:p|r|u|pq|pr|qt|qrs|rs|rsr|j)\b|leitungs\w*|block\w*|\w*block\b|infar[kc]t\w*|hypertrop\w*|delay"
    r"|progression|\w*extras[yi]stol\w*|axis|premature|atrial|ventric\w*|vorhof\w*|schenkel\w*|\w*typ\b|rhythm\w*)"
    r"|(?P<depressed>depress\w*|\w*senkung\w*|s[aä]+e?nkning\w*)"
    r"|(?P<elevated>elevat\w*|\w*hebung\w*|h[oö]+jning\w*)"
    r"|\b(?P<inverted>inver[st]\w*|neg\w*)"
    r"|\b(?P<flat>low|flat\w*|flach\w*|abgeflacht\w*|abflach\w*)\b"
    r"|\b(?P<high>high)\b"
    r"|(?P<open>[()])"
    r"|(?P<word>[^\W\d_]+|\S)"
)
_SUBJECTS: Final = {
    "st": ("st",),
    "t": ("t",),
    "st_t": ("st", "t"),
    "q": ("q",),
    "voltage": ("voltage",),
    "digitalis": ("digitalis",),
}
_QUALITIES: Final = frozenset(("depressed", "elevated", "inverted", "flat", "high"))
_LEAD_INDEX: Final = {lead.lower(): index for index, lead in enumerate(LEADS)} | {"l": 4, "f": 5, "r": 3}


@dataclass
class Clause:
    """What is said of a subject, and in which leads."""

    subjects: tuple[str, ...]
    qualities: set[str] = field(default_factory=set)
    inherited: bool = False
    """The subject was named earlier in the sentence ("inverted in I, aVL *and flat in V5*")."""
    leads: set[int] = field(default_factory=set)


def leads_of_forms(report: str, codes: frozenset[str]) -> dict[str, frozenset[int]]:
    """Lead indices (canonical order) that `report` names for each form statement in `codes`; others are left out."""
    wanted = codes & FORM_CODES
    if not wanted:
        return {}
    found: dict[str, set[int]] = {}
    for clause in clauses_of(report):
        for code in _statements_of(clause) & wanted:
            found.setdefault(code, set()).update(clause.leads)
    return {code: frozenset(found[code]) for code in sorted(found)}


def _statements_of(clause: Clause) -> set[str]:
    """Codes that a clause speaks of, if the ECG carries them."""
    said, codes = clause.qualities, set()
    for subject in clause.subjects:
        if subject == "st":
            codes |= {"STD_"} if "depressed" in said else set()
            codes |= {"STE_"} if "elevated" in said else set()
            codes |= set() if said & {"depressed", "elevated"} else {"NST_"}
        elif subject == "t":
            codes |= {"NT_", "TAB_"}
            codes |= set() if clause.inherited else {"NDT"}
            codes |= {"INVT"} if "inverted" in said else set()
            codes |= {"LOWT"} if "flat" in said else set()
        elif subject == "q":
            codes.add("QWAVE")
        elif subject == "voltage" and "flat" not in said:
            # Of an ECG with HVOLT it may also be said that its voltages are at the upper limit in some leads.
            codes |= {"VCLVH", "HVOLT"} if "high" in said else {"HVOLT"}
        elif subject == "low voltage":
            codes.add("LVOLT")
        elif subject == "digitalis":
            codes.add("DIG")
    return codes


def clauses_of(report: str) -> Iterator[Clause]:
    """Clauses of a report that name at least one lead, in order of reading."""
    text = _ABBREVIATION.sub(r"\1 ", report.lower().split(" edit:")[0])
    text = re.sub(r"\s+", " ", text)
    reader = _Reader()
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "word"
        yield from reader.take(kind, match[kind])
    yield from reader.finish()


class _Reader:
    """State of reading: clauses that wait for leads, the subject they may inherit, the list being read."""

    def __init__(self) -> None:
        self.pending: list[Clause] = []
        self.subjects: tuple[str, ...] = ()
        self.last_list: set[int] = set()
        self._end_list()

    def _end_list(self) -> None:
        self.previous: int | None = None
        self.range_open = self.separated = self.list_dead = False

    def take(self, kind: str, text: str) -> Iterator[Clause]:
        if kind in ("lead", "letter", "digit", "dash", "separator", "region", "these", "open"):
            self._list_token(kind, text)
            return
        self._end_list()
        if kind == "stop":
            yield from self.finish()
        elif kind in _SUBJECTS:
            # "digitalis effect" explains what was seen before; leads named later are not its own.
            self.pending = [clause for clause in self.pending if clause.leads or clause.subjects != ("digitalis",)]
            prefix = self.pending.pop().qualities if self.pending and self._is_prefix(self.pending[-1]) else set()
            yield from self._release_filled()
            self.subjects = _SUBJECTS[kind]
            self.pending.append(Clause(self.subjects, prefix))
        elif kind in _QUALITIES:
            yield from self._release_filled()
            if not self.pending:
                self.pending.append(Clause(self.subjects, inherited=True))
            self.pending[-1].qualities.add(kind)
        elif kind == "other":
            yield from self.finish()
        elif kind == "limb_low":
            yield from self.finish()
            yield Clause(("low voltage",), leads=set(_LIMB))

    @staticmethod
    def _is_prefix(clause: Clause) -> bool:
        """A quality that stands before its subject: "neg. T in V1"."""
        return clause.inherited and not clause.leads

    def _release_filled(self) -> Iterator[Clause]:
        if any(clause.leads for clause in self.pending):
            yield from (clause for clause in self.pending if clause.leads)
            self.pending = []

    def finish(self) -> Iterator[Clause]:
        """The sentence ends: what waits for leads waits in vain, and nothing is inherited."""
        yield from self._release_filled()
        self.pending, self.subjects = [], ()
        self._end_list()

    def _list_token(self, kind: str, text: str) -> None:
        if self.list_dead or kind == "open":
            return
        if kind == "dash":
            self.range_open = self.previous is not None
        elif kind == "separator":
            # An empty item ends the list: the release does not read beyond it.
            self.list_dead = self.separated and self.previous is not None and text == ","
            self.separated, self.range_open = self.previous is not None, False
        elif kind == "region":
            self._add(set(_REGIONS[text.removesuffix(" leads").removesuffix(" lead")]))
        elif kind == "these":
            self._add(set(self.last_list))
        elif kind == "digit":
            if self.previous is not None and self.previous >= 6 and (self.separated or self.range_open):
                self._lead(5 + int(text))
        elif kind == "letter" and not self.pending:
            return
        elif len(text) > 2 and text[0] == "v":  # "v56"
            for digit in text[1:]:
                self._lead(5 + int(digit))
        else:
            self._lead(_LEAD_INDEX[text])

    def _lead(self, index: int) -> None:
        if self.range_open and self.previous is not None:
            self._add(set(range(self.previous, index + 1)))
        self._add({index})
        self.previous = index

    def _add(self, leads: set[int]) -> None:
        if self.previous is None and not self.separated:
            self.last_list = set()
        self.last_list |= leads
        for clause in self.pending:
            clause.leads |= leads
        self.separated = self.range_open = False
        self.previous = max(leads, default=None) if self.previous is None else self.previous
