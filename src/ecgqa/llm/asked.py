"""One question as a language model is to be asked it: its text, options, and which leads it is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from ecgqa.questions.asked import lead_named
from ecgqa.questions.templates import TEMPLATES
from ecgqa.records import LEADS, NONE, QuestionType, options_of

WHOLE: tuple[int, ...] = tuple(range(len(LEADS)))
_GROUPS = {"limb leads": (0, 1, 2, 3, 4, 5), "chest leads": (6, 7, 8, 9, 10, 11)}


@dataclass(frozen=True)
class AskedQuestion:
    """A row of the questions table, typed; `lead_sets` are the views of the ECG that it calls for, as lead indices."""

    sample_id: int
    split: str
    version: str
    template_id: int
    question_type: QuestionType
    question: str
    candidates: tuple[str, ...]
    answer: tuple[str, ...]
    ecg_ids: tuple[int, ...]
    ecg_rows: tuple[int, ...]
    """Rows in the store's signals; empty if the questions do not come from a store."""
    lead_sets: tuple[tuple[int, ...], ...]

    @property
    def key(self) -> tuple[str, str, int]:
        """What names the question: split, version, sample_id."""
        return self.split, self.version, self.sample_id

    @property
    def options(self) -> list[str]:
        """The options offered, with "None" last where nothing may be the answer (any question but yes or no)."""
        options = options_of(list(self.candidates))
        verify = self.question_type.value.endswith("verify")
        return options if verify else [*options, NONE.capitalize()]

    @property
    def headings(self) -> tuple[str, ...]:
        """How the question calls each of its ECGs; one empty heading for a single one."""
        if len(self.ecg_ids) == 1:
            return ("",)
        irrelevant = self.question_type.value.startswith("comparison_irrelevant")
        return ("first ECG", "second ECG") if irrelevant else ("previous ECG", "recent ECG")


def asked_questions(questions: pl.DataFrame) -> Iterator[AskedQuestion]:
    """The rows of a QUESTIONS frame (with `ecg_row`, if it is a store's)."""
    for row in questions.iter_rows(named=True):
        yield AskedQuestion(
            sample_id=row["sample_id"],
            split=str(row["split"]),
            version=str(row["version"]),
            template_id=row["template_id"],
            question_type=QuestionType(str(row["question_type"])),
            question=row["question"],
            candidates=tuple(row["candidates"]),
            answer=tuple(row["answer"]),
            ecg_ids=tuple(row["ecg_id"]),
            ecg_rows=tuple(row.get("ecg_row") or ()),
            lead_sets=lead_sets_of(row),
        )


def lead_sets_of(row: dict[str, Any]) -> tuple[tuple[int, ...], ...]:
    """Which leads a question wants looked at: each by itself, those that it names, or all together.

    Leads in an attribute's name ("ischemic in anterior leads") do not narrow the view: the template tells.
    """
    template = TEMPLATES.get(row["template_id"])
    if template is not None and template.leads_asked:
        return tuple((lead,) for lead in WHOLE)
    if template is not None and template.per_lead:
        named = lead_named(row["question"])
        if named is not None:
            leads = _GROUPS.get(named.name) or (LEADS.index(named.name.removeprefix("lead ")),)
            return (leads,)
    return (WHOLE,)


def leads_text(leads: tuple[int, ...]) -> str:
    """ "lead V1", "limb leads", or "" for all twelve."""
    if leads == WHOLE:
        return ""
    group = next((name for name, members in _GROUPS.items() if members == leads), None)
    return group or ("lead " if len(leads) == 1 else "leads ") + ", ".join(LEADS[lead] for lead in leads)
