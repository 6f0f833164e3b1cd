"""Known errata of the published questions: how each shows, which samples have it, and what to make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl


@dataclass(frozen=True)
class Erratum:
    """A known defect. `rows` selects samples by the columns template_id, question, answer_text, attribute_text."""

    code: str
    message: str
    rows: pl.Expr


def _has(column: str, text: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.contains(text, literal=True)


# Sources: release notes of ECG-QA 1.0.1 and 1.0.2 (2024-03, 2024-04-11, 2024-05); the wordings of template 37.
ERRATA: Final = (
    Erratum(
        "late-stage-question",
        'question or attribute says "late stage of myocardial infarction": release 1.0.0, renamed "old stage" in 1.0.1',
        _has("question", "late stage of myocardial infarction")
        | _has("attribute_text", "late stage of myocardial infarction"),
    ),
    Erratum(
        "late-stage-answer",
        'answer says "late stage of myocardial infarction": a release before May 2024 (1.0.0, 1.0.1 or early 1.0.2); '
        'the corrected answer is "old stage of myocardial infarction"',
        _has("answer_text", "late stage of myocardial infarction"),
    ),
    Erratum(
        "doubled-extrasystoles",
        'malformed wording of template 37 ("suprasupraventricular", "ventricular ventricular"): take the two asked '
        "extrasystoles from the attribute field",
        _has("question", "suprasupraventricular") | _has("question", "ventricular ventricular"),
    ),
    Erratum(
        "idioventricualr",
        '"idioventricualr" (typing error): a MIMIC-IV-ECG release before 2024-04-11',
        _has("question", "idioventricualr")
        | _has("answer_text", "idioventricualr")
        | _has("attribute_text", "idioventricualr"),
    ),
)

LATE_STAGE: Final = "late stage of myocardial infarction"


def case_slips(classes: list[str]) -> list[tuple[str, str]]:
    """Pairs of answers that differ in upper and lower case only, such as Myocardial/myocardial infarction (MIMIC)."""
    first: dict[str, str] = {}
    pairs = []
    for name in classes:
        other = first.setdefault(name.lower(), name)
        if other != name:
            pairs.append((other, name))
    return pairs
