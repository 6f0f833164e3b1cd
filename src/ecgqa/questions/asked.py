"""Which question of the grid a released sample asks, read from its sentence and its `attribute` field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ecgqa.attributes.vocabulary import Vocabulary
from ecgqa.questions.grid import GridQuestion, question_grid
from ecgqa.records import LEADS

_LEAD = "III|II|I|aVR|aVL|aVF|V[1-6]"
_LEADS_NAMED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (rf"\bleads?[\s-]+({_LEAD})\b", rf"\b({_LEAD})[\s-]+leads?\b", r"\b(limb|chest)[\s-]+leads?\b")
)
_CANONICAL_LEAD = {lead.lower(): f"lead {lead}" for lead in LEADS} | {"limb": "limb leads", "chest": "chest leads"}


@dataclass(frozen=True)
class Named:
    """A name found in a text, and where."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Asked:
    """A question of the grid as a sample asks it."""

    question: GridQuestion
    swapped: bool = False
    """The two attributes of a choose question stand in the other order."""


class AskedReader:
    """Finds the question of the grid behind a sentence; one per vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._by_words: dict[tuple[int, frozenset[str]], GridQuestion] = {}
        names: dict[int, dict[str, None]] = {}
        for question in question_grid(vocabulary):
            template_id = question.template.template_id
            self._by_words[template_id, frozenset(question.words.values())] = question
            of_template = names.setdefault(template_id, {})
            of_template.update((word, None) for key, word in question.words.items() if key != "lead")
        self._names = {template_id: NameFinder(found) for template_id, found in names.items()}
        self.read = lru_cache(maxsize=200_000)(self._read)

    def knows(self, template_id: int) -> bool:
        """Whether the source has this template."""
        return template_id in self._names

    def all_names(self, template_id: int) -> list[str]:
        """Every name that the template may ask about."""
        return self._names[template_id].all

    def names(self, template_id: int, text: str) -> list[Named]:
        """The template's attribute names in a text, longest names first, in order of reading."""
        return self._names[template_id].find(text)

    def _read(self, template_id: int, attribute: tuple[str, ...] | None, text: str) -> Asked | None:
        """The question that a sample asks, None if it cannot be told.

        The `attribute` field, where there is one, decides over the sentence: some released sentences are malformed.
        """
        if template_id not in self._names:
            return None
        lead = lead_named(text)
        where = {lead.name} if lead else set()
        for source in (attribute, (text,)):
            if source is None:
                continue
            found = list(dict.fromkeys(one.name for entry in source for one in self.names(template_id, entry)))
            question = self._by_words.get((template_id, frozenset({*found, *where}))) or self._by_words.get(
                (template_id, frozenset(found))
            )
            if question is not None:
                return Asked(question, _is_swapped(question, found))
        return None


def _is_swapped(question: GridQuestion, found: Sequence[str]) -> bool:
    first = next((word for key, word in question.words.items() if key.endswith("1")), None)
    second = next((word for key, word in question.words.items() if key.endswith("2")), None)
    return first is not None and second is not None and found.index(first) > found.index(second)


class NameFinder:
    """Finds whole names in texts, the longest first, whatever the case of their letters."""

    def __init__(self, names: Iterable[str]) -> None:
        by_length = self.all = sorted(names, key=lambda name: (-len(name), name))
        self._canonical = {name.casefold(): name for name in reversed(by_length)}
        self._exact = set(by_length)
        either = "|".join(map(re.escape, by_length))
        self._pattern = re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE) if by_length and either else None

    def find(self, text: str) -> list[Named]:
        """Names in `text`, in order, none overlapping another."""
        if self._pattern is None:
            return []
        return [
            Named(found if (found := match[0]) in self._exact else self._canonical[found.casefold()], *match.span())
            for match in self._pattern.finditer(text)
        ]


def lead_named(text: str) -> Named | None:
    """The one lead (or group of leads) that a sentence is about: "lead aVF", "limb leads"; None without one."""
    for pattern in _LEADS_NAMED:
        found = [Named(_CANONICAL_LEAD[match[1].lower()], *match.span()) for match in pattern.finditer(text)]
        if len({one.name for one in found}) == 1:
            return found[0]
    return None
