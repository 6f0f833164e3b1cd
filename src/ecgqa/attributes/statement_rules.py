"""The tables that tell how machine statements read: words, findings, variants of findings, regions of the heart."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS

COMMA: Final = ","
"""Token that ends a clause. A phrase may run over it: "AV block, Mobitz 1"."""

ROLES: Final = (
    "finding", "uncertain", "uncertain before", "negation", "separator", "or", "in", "modifier", "stage", "region",
    "lead", "filler",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a phrase contributes to a statement; `value` is empty for a finding deliberately without an attribute."""

    role: str
    value: str = ""


@dataclass(frozen=True)
class Rules:
    """The four tables, read once.

    phrases: meaning by words; the longest phrase that fits is taken.
    without: why a phrase that names something has no attribute.
    variants: attributes and whether they stand beside the plain one, by (finding, modifier).
    region_leads: leads (canonical order) of a region of the heart.
    parts: regions that a composite region stands for.
    """

    same: Mapping[tuple[str, ...], tuple[str, ...]]
    phrases: Mapping[tuple[str, ...], Meaning]
    without: Mapping[tuple[str, ...], str]
    variants: Mapping[tuple[str, str], tuple[tuple[str, ...], bool]]
    region_leads: Mapping[str, tuple[str, ...]]
    parts: Mapping[str, tuple[str, ...]]
    longest: int

    @property
    def attributes(self) -> frozenset[str]:
        """Every attribute that a rule can give by itself (the regions of infarction and ischemia come on top)."""
        given = {name for names, _ in self.variants.values() for name in names}
        modified = {finding for finding, _ in self.variants}
        return frozenset(given | {m.value for m in self.phrases.values() if m.role == "finding"} - modified)


def _rows(name: str) -> Iterable[dict[str, str]]:
    with files("ecgqa.attributes").joinpath(name).open(encoding="utf-8") as stream:
        yield from csv.DictReader(stream)


@cache
def statement_rules() -> Rules:
    """Read the tables; raises EcgqaError naming the phrase that stands twice with different meanings."""
    same: dict[tuple[str, ...], tuple[str, ...]] = {}
    words = list(_rows("statement_words.csv"))
    for row in words:
        if row["role"] == "same":
            same[tuple(row["phrase"].split())] = tuple(row["value"].split())
    phrases: dict[tuple[str, ...], Meaning] = {}
    without: dict[tuple[str, ...], str] = {}

    def add(phrase: str, meaning: Meaning) -> tuple[str, ...]:
        key = tuple(token for token in tokens_of(phrase, same) if token != COMMA)
        if not key or phrases.setdefault(key, meaning) != meaning:
            raise EcgqaError(f"the statement rules give {phrase!r} two meanings", found=str(phrases.get(key)))
        return key

    for row in words:
        if row["role"] != "same":
            if row["role"] not in ROLES:
                raise EcgqaError(f"unknown role {row['role']!r} in the statement rules", expected=", ".join(ROLES))
            add(row["phrase"], Meaning(row["role"], row["value"]))
    for row in _rows("statement_findings.csv"):
        for phrase in row["phrase"].split(" | "):
            key = add(phrase.strip(), Meaning("finding", row["finding"]))
            if not row["finding"]:
                without[key] = row["why"]
    variants = {
        (row["finding"], row["modifier"]): (
            tuple(name for name in row["attributes"].split(";") if name),
            row["beside"] == "yes",
        )
        for row in _rows("statement_variants.csv")
    }
    regions = list(_rows("statement_regions.csv"))
    return Rules(
        same,
        phrases,
        without,
        variants,
        {row["region"]: tuple(sorted(row["leads"].split(), key=LEADS.index)) for row in regions},
        {row["region"]: tuple(row["part_of"].split()) for row in regions if row["part_of"]},
        max(map(len, phrases)),
    )


_PLURAL: Final = re.compile(r"\((s|es)\)")
_SPACE: Final = re.compile(r"[()\[\]<>{}*\"_=#!]+")
_BREAK: Final = re.compile(r"\s*(?:[,;]|\.(?!\d)|(?<!\d):|:(?!\d)|(?:^|(?<=\s))-+(?=\s|$)|--+)\s*")
_RANGE: Final = re.compile(r"v([1-6])-v?([1-6])")
_BARE: Final = re.compile(r"[1-6]")


def tokens_of(statement: str, same: Mapping[tuple[str, ...], tuple[str, ...]]) -> list[str]:
    """A statement in normalised words; COMMA stands for anything that ends a clause.

    "Sinus rhythm with 1st degree A-V block" -> sinus rhythm with first degree av block
    """
    text = statement.lower().replace("\u2019", "'").replace("i.v.", "iv")
    text = _SPACE.sub(" ", _PLURAL.sub(r"\1", text)).replace("?", " ? ")
    text = _BREAK.sub(f" {COMMA} ", text)
    words: list[str] = []
    for word in text.split():
        if (word,) in same or word in (COMMA, "and/or", "injury/ischemia", "metabolic/ischemic", "sense/capture"):
            words.append(word)
        elif _RANGE.fullmatch(word):
            first, last = sorted(int(digit) for digit in word if digit.isdecimal())
            words += [f"v{number}" for number in range(first, last + 1)]
        elif "/" in word.strip("/"):
            # A list of names: "inferior/lateral", "v1/v2".
            words += [part for part in word.split("/") if part]
        elif "-" in word.strip("-") and word != "st-t":
            words += [part for part in word.split("-") if part]
        elif _BARE.fullmatch(word) and words and re.fullmatch(r"v[1-6]|,", words[-1]) and _after_chest_lead(words):
            words.append(f"v{word}")
        else:
            words.append(word.strip("-/") or COMMA)
    return _replaced(words, same)


def _after_chest_lead(words: list[str]) -> bool:
    """Whether a bare digit goes on with a list of chest leads: "v4,5,6"."""
    named = [word for word in words if word != COMMA]
    return bool(named) and re.fullmatch(r"v[1-6]", named[-1]) is not None


def _replaced(words: list[str], same: Mapping[tuple[str, ...], tuple[str, ...]]) -> list[str]:
    """Words with their other spellings replaced, the longest first, once."""
    longest = max(map(len, same), default=1)
    replaced: list[str] = []
    at = 0
    while at < len(words):
        for size in range(min(longest, len(words) - at), 0, -1):
            other = same.get(tuple(words[at : at + size]))
            if other is not None:
                replaced += other
                at += size
                break
        else:
            replaced.append(words[at])
            at += 1
    return replaced
