"""Rules that one sample must keep: its types, answers, attributes and number of ECGs, by template."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import polars as pl

from ecgqa.questions.answer_lists import asked_answer
from ecgqa.questions.errata import LATE_STAGE
from ecgqa.questions.findings import Findings, Severity
from ecgqa.questions.templates import TEMPLATES
from ecgqa.records import NONE, AttributeType, QuestionType

SEPARATOR: Final = "\x1f"
_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_COMBINATION: Final = ["template_id", "question_type", "attribute_type", "answer_text", "attribute_text", "n_ecgs"]
_PLACEHOLDER: Final = r"\$\\?\{|\{[a-z_]+\d?\}|\$[a-z_]+\d?\b"

MESSAGES: Final[dict[str, tuple[Severity, str]]] = {
    "template-unknown": (_ERROR, "template id is none of the 70 known templates"),
    "template-unlisted": (_ERROR, "template has no row in answers_for_each_template.csv"),
    "question-type-unknown": (_ERROR, "unknown question type"),
    "attribute-type-unknown": (_ERROR, "unknown attribute type"),
    "question-type-mismatch": (_ERROR, "question type does not belong to the template"),
    "attribute-type-mismatch": (_ERROR, "attribute type does not belong to the template"),
    "answer-empty": (_ERROR, 'empty answer list (the empty set is written ["none"])'),
    "answer-twice": (_ERROR, "the same answer twice in one list"),
    "answer-unlisted": (_ERROR, "answer outside the template's list"),
    "none-combined": (_ERROR, '"none" together with other answers'),
    "verify-answer": (_ERROR, "a verify question must have exactly one answer of yes, no and not sure"),
    "choose-answer": (_ERROR, "a choose question is answered with something that was not asked"),
    "choose-attributes": (_ERROR, "a choose question must name two different attributes"),
    "ecg-count": (_ERROR, "number of ECGs does not fit the question type (single 1, comparison 2)"),
    "attribute-missing": (_ERROR, "a single question without attributes (null is for comparisons)"),
    "attribute-unexpected": (_ERROR, "a comparison question with attributes (they are null in the release)"),
}


def check_combinations(frame: pl.DataFrame, by_template: Mapping[int, Sequence[str]], findings: Findings) -> None:
    """Check every distinct combination of type, answer and attribute once, and report the samples that have it.

    `frame` has the columns of `_COMBINATION` (answer_text and attribute_text joined by SEPARATOR), file, sample_id.
    """
    distinct = frame.select(_COMBINATION).unique(maintain_order=True).with_row_index("combination")
    rows: dict[str, list[tuple[int, str]]] = defaultdict(list)
    listed = {template_id: frozenset(answers) for template_id, answers in by_template.items()}
    for combination, *values in distinct.cast({pl.Categorical: pl.String}).iter_rows():
        for code, detail in _faults(listed, *values):
            rows[code].append((combination, detail))
    if not rows:
        return
    keyed = frame.select("file", "sample_id", *_COMBINATION).join(
        distinct, on=_COMBINATION, how="left", nulls_equal=True, maintain_order="left"
    )
    for code, (severity, message) in MESSAGES.items():
        if rows[code]:
            faulty = pl.DataFrame(rows[code], schema={"combination": pl.UInt32, "detail": pl.String}, orient="row")
            faulty = faulty.unique("combination", maintain_order=True)
            found = keyed.join(faulty, on="combination", how="inner", maintain_order="left")
            findings.add_rows(severity, code, message, found, "detail")


def _faults(
    listed: Mapping[int, frozenset[str]],
    template_id: int,
    question_type: str,
    attribute_type: str,
    answer_text: str | None,
    attribute_text: str | None,
    n_ecgs: int,
) -> Iterator[tuple[str, str]]:
    """Codes of MESSAGES that apply to one combination, each with what was found."""
    answers = answer_text.split(SEPARATOR) if answer_text else []
    attributes = None if attribute_text is None else attribute_text.split(SEPARATOR) if attribute_text else []
    template = TEMPLATES.get(template_id)
    allowed = listed.get(template_id)
    if template is None:
        yield "template-unknown", str(template_id)
    elif allowed is None:
        yield "template-unlisted", str(template_id)
    known = question_type in tuple(QuestionType)
    if not known:
        yield "question-type-unknown", repr(question_type)
    elif template is not None and question_type != template.question_type:
        yield "question-type-mismatch", f"template {template_id} is {template.question_type}, found {question_type}"
    if attribute_type not in tuple(AttributeType):
        yield "attribute-type-unknown", repr(attribute_type)
    elif template is not None and attribute_type != template.attribute_type:
        yield "attribute-type-mismatch", f"template {template_id} is {template.attribute_type}, found {attribute_type}"

    if not answers:
        yield "answer-empty", ""
    if len(set(answers)) < len(answers):
        yield "answer-twice", repr(answers)
    if len(answers) > 1 and NONE in answers:
        yield "none-combined", repr(answers)
    unlisted = [answer for answer in answers if answer not in allowed and answer != LATE_STAGE] if allowed else []
    if unlisted:
        yield "answer-unlisted", f"template {template_id}: {unlisted[0]!r}"

    if not known:
        return
    kind = QuestionType(question_type)
    if kind.endswith("verify") and answers and (len(answers) != 1 or answers[0] not in ("yes", "no", "not sure")):
        yield "verify-answer", repr(answers)
    if kind.is_choose:
        if attributes is None or len(attributes) != 2 or attributes[0] == attributes[1]:
            yield "choose-attributes", repr(attributes)
        else:
            asked = {asked_answer(attribute, sorted(allowed or ())) for attribute in attributes} | {NONE, LATE_STAGE}
            if not asked.issuperset(answers):
                yield "choose-answer", f"asked {attributes}, answered {answers}"
    if n_ecgs != kind.n_ecgs:
        yield "ecg-count", f"{n_ecgs} ECGs, {question_type}"
    if kind.n_ecgs == 1 and not attributes:
        yield "attribute-missing", question_type
    if kind.n_ecgs == 2 and attributes is not None:
        yield "attribute-unexpected", repr(attributes)


def check_wording(frame: pl.DataFrame, findings: Findings) -> None:
    """Blank questions, placeholders that were never filled, stray spaces."""
    question = pl.col("question")
    blank = question.str.strip_chars() == ""
    rows = frame.select("file", "sample_id", "question")
    findings.add_rows(_ERROR, "question-blank", "empty or blank question", rows.filter(blank))
    findings.add_rows(
        _ERROR,
        "placeholder",
        "placeholder left in the question",
        rows.filter(question.str.contains(_PLACEHOLDER)),
        "question",
    )
    spaced = rows.filter(~blank & question.str.contains(r"^\s|\s$|\s\s"))
    findings.add_rows(_WARNING, "question-spaces", "stray spaces in the question", spaced, "question")
