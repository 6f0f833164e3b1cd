"""What a visitor may ask the question list for, read from the query string of a URL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Final

from ecgqa.errors import EcgqaError

FIELDS: Final = ("split", "version", "question_type", "attribute_type", "template", "attribute", "answer")
"""Filters of which several values may be chosen: a question passes if it has one of them."""
AGREEMENTS: Final = ("all_right", "all_wrong", "disagree", "pair")
MAX_TEXT: Final = 300
MAX_VALUES: Final = 500


@dataclass(frozen=True)
class Filters:
    """The questions wanted; empty fields rule nothing out."""

    split: tuple[str, ...] = ()
    version: tuple[str, ...] = ()
    question_type: tuple[str, ...] = ()
    attribute_type: tuple[str, ...] = ()
    template: tuple[str, ...] = ()
    attribute: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    search: str = ""
    """Words that must all occur in the question, in any order and case."""
    agreement: str = ""
    """One of AGREEMENTS; pair = `right` is right and `wrong` is wrong."""
    right: str = ""
    wrong: str = ""
    run: str = ""
    """The run that `given` is about."""
    given: str = ""
    """Only questions that `run` answered so (answers joined with " + ", or a status in parentheses)."""
    ecg: int | None = None
    """Row of an ECG that the question must be about."""

    @property
    def needs_runs(self) -> bool:
        return bool(self.agreement or self.given)


def read_filters(parameters: Iterable[tuple[str, str]]) -> Filters:
    """Filters from the pairs of a query string; names that are no filter are ignored.

    Raises EcgqaError for a value that cannot be meant: too long, too many, an unknown agreement, half a pair.
    """
    known = {field.name for field in fields(Filters)}
    several: dict[str, list[str]] = {name: [] for name in FIELDS}
    single: dict[str, str] = {}
    for name, value in parameters:
        if name not in known or not value:
            continue
        if len(value) > MAX_TEXT:
            raise EcgqaError(f"the filter {name} is too long", expected=f"at most {MAX_TEXT} characters")
        if name not in several:
            single[name] = value
        elif len(several[name]) < MAX_VALUES:
            several[name].append(value)
        else:
            raise EcgqaError(f"too many values of the filter {name}", expected=f"at most {MAX_VALUES}")
    agreement = single.get("agreement", "")
    if agreement and agreement not in AGREEMENTS:
        raise EcgqaError(f"no agreement {agreement!r}", expected=", ".join(AGREEMENTS))
    if agreement == "pair" and not (single.get("right") and single.get("wrong")):
        raise EcgqaError("agreement=pair needs two runs", expected="right=RUN and wrong=RUN")
    if "given" in single and "run" not in single:
        raise EcgqaError("given=ANSWER needs the run that gave it", expected="run=RUN")
    chosen: dict[str, Any] = {**{name: tuple(values) for name, values in several.items()}, **single}
    if "ecg" in single:
        chosen["ecg"] = number(single["ecg"], "ecg")
    return Filters(**chosen)


def number(text: str, name: str, *, at_most: int = 2**31 - 1) -> int:
    """A whole number of a URL, 0 to `at_most`; raises EcgqaError."""
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= at_most):
        raise EcgqaError(f"{name} is no number: {text[:40]!r}", expected=f"0 to {at_most:,}")
    return int(text)
