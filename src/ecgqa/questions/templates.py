"""The 70 question templates as data: what each asks, of how many ECGs, with which placeholders, for which sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ecgqa.errors import EcgqaError
from ecgqa.records import AttributeType, QuestionType

PTBXL: Final = "ptbxl"
MIMIC: Final = "mimic-iv-ecg"


@dataclass(frozen=True, slots=True)
class Template:
    """One template: a *view* of the attribute table (facts.py) asked about in one of three ways.

    verify: does the view hold for the asked attribute (or, with `any_of`, for any of the pool)?
    choose: for which of the two asked attributes? query: for which attributes of `pool` (or which leads)?
    Comparisons ask the same of a *relation* between the view on the first ECG and on the second.
    """

    template_id: int
    question_type: QuestionType
    attribute_type: AttributeType
    view: str
    """Name of the view: symptom, certain, normal, abnormal, lead form, axis, stage, noise, extra systole, range, …"""
    pool: str
    """Attributes the view is asked about: a field of the vocabulary, or one of the pools of grid.py."""
    per_lead: bool = False
    """The question names a lead."""
    any_of: str | None = None
    """Attribute name for "any of the pool" (verify without a placeholder)."""
    leads_asked: bool = False
    """A query for leads instead of attributes."""
    relation: str | None = None
    """resolved, new, remaining or absent: of the view on ECG 1 and ECG 2."""
    sources: tuple[str, ...] = (PTBXL, MIMIC)

    @property
    def form(self) -> str:
        """verify, choose or query."""
        return self.question_type.value.rsplit("-", 1)[1]

    @property
    def n_asked(self) -> int:
        """Attributes that the question names."""
        if self.form == "choose":
            return 2
        if self.form == "verify":
            return 0 if self.any_of else 1
        return 1 if self.leads_asked or self.pool in ("ranges of a feature", "features in a range") else 0

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Names in braces that a wording of this template must contain, each at least once."""
        names = _PLACEHOLDERS.get(self.template_id)
        if names is None:
            kind = _KIND_OF_VIEW.get(self.view, "attribute")
            names = {0: (), 1: (kind,), 2: (f"{kind}1", f"{kind}2")}[self.n_asked]
        return (*names, "lead") if self.per_lead else names


_KIND_OF_VIEW = {
    "symptom": "scp",
    "certain symptom": "scp",
    "form in lead": "scp",
    "axis": "axis",
    "stage": "stage",
    "noise": "noise",
    "extra systole": "extra_systole",
    "abnormal feature": "feature",
}
_PLACEHOLDERS = {39: ("feature", "range"), 40: ("feature", "range1", "range2"), 41: ("feature",), 42: ("range",)}

_SCP, _NOISE, _STAGE = AttributeType.SCP_CODE, AttributeType.NOISE, AttributeType.STAGE_OF_INFARCTION
_EXTRA, _AXIS, _NUMERIC = AttributeType.EXTRA_SYSTOLE, AttributeType.HEART_AXIS, AttributeType.NUMERIC_FEATURE
_VERIFY, _CHOOSE, _QUERY = QuestionType.SINGLE_VERIFY, QuestionType.SINGLE_CHOOSE, QuestionType.SINGLE_QUERY
_ONLY_PTBXL = (PTBXL,)

_SINGLE = (
    Template(1, _VERIFY, _SCP, "symptom", "symptoms and superclasses"),
    Template(2, _VERIFY, _SCP, "normal", "", any_of="normal ecg"),
    Template(3, _CHOOSE, _SCP, "symptom", "superclasses"),
    Template(4, _CHOOSE, _SCP, "symptom", "diagnostic"),
    Template(5, _CHOOSE, _SCP, "certain symptom", "diagnostic"),
    Template(6, _CHOOSE, _SCP, "symptom", "form"),
    Template(7, _CHOOSE, _SCP, "symptom", "rhythm"),
    Template(8, _QUERY, _SCP, "symptom", "diagnostic"),
    Template(9, _QUERY, _SCP, "certain symptom", "diagnostic"),
    Template(10, _QUERY, _SCP, "symptom", "rhythm"),
    Template(11, _QUERY, _SCP, "symptom", "form"),
    Template(12, _VERIFY, _SCP, "abnormal", "", any_of="any kind of abnormal symptoms"),
    Template(13, _VERIFY, _SCP, "symptom", "diagnostic", any_of="any diagnostic symptoms"),
    Template(14, _VERIFY, _SCP, "certain symptom", "diagnostic", any_of="any diagnostic symptoms"),
    Template(15, _VERIFY, _SCP, "symptom", "form", any_of="any form-related symptoms"),
    Template(16, _VERIFY, _SCP, "symptom", "rhythm", any_of="any rhythm-related symptoms"),
    Template(17, _VERIFY, _SCP, "form in lead", "forms_in_leads", per_lead=True),
    Template(18, _QUERY, _SCP, "form in lead", "forms_in_leads", per_lead=True),
    Template(19, _QUERY, _SCP, "form in lead", "forms_in_leads", leads_asked=True),
    Template(20, _VERIFY, _AXIS, "axis", "axes"),
    Template(21, _CHOOSE, _AXIS, "axis", "axes"),
    Template(22, _QUERY, _AXIS, "axis", "axes"),
    Template(23, _VERIFY, _STAGE, "stage", "stages"),
    Template(24, _CHOOSE, _STAGE, "stage", "stages"),
    Template(25, _QUERY, _STAGE, "stage or none", "stages and none"),
    Template(26, _VERIFY, _NOISE, "noise", "noises", per_lead=True),
    Template(27, _VERIFY, _NOISE, "noise", "noises"),
    Template(28, _VERIFY, _NOISE, "noise", "noises", per_lead=True, any_of="any kind of noises", sources=_ONLY_PTBXL),
    Template(29, _VERIFY, _NOISE, "noise", "noises", any_of="any kind of noises", sources=_ONLY_PTBXL),
    Template(30, _CHOOSE, _NOISE, "noise", "noises", sources=_ONLY_PTBXL),
    Template(31, _CHOOSE, _NOISE, "noise", "noises", per_lead=True, sources=_ONLY_PTBXL),
    Template(32, _QUERY, _NOISE, "noise", "noises", sources=_ONLY_PTBXL),
    Template(33, _QUERY, _NOISE, "noise", "noises", per_lead=True, sources=_ONLY_PTBXL),
    Template(34, _QUERY, _NOISE, "noise", "noises", leads_asked=True),
    Template(35, _VERIFY, _EXTRA, "any extra systole", "", any_of="any kind of extra systoles", sources=_ONLY_PTBXL),
    Template(36, _VERIFY, _EXTRA, "extra systole", "extra_systoles", sources=_ONLY_PTBXL),
    Template(37, _CHOOSE, _EXTRA, "extra systole", "extra_systoles", sources=_ONLY_PTBXL),
    Template(38, _QUERY, _EXTRA, "extra systole", "extra_systoles", sources=_ONLY_PTBXL),
    Template(39, _VERIFY, _NUMERIC, "range", "ranges of features"),
    Template(40, _CHOOSE, _NUMERIC, "range", "ranges of features"),
    Template(41, _QUERY, _NUMERIC, "range", "ranges of a feature"),
    Template(42, _QUERY, _NUMERIC, "range", "features in a range"),
)

RELATIONS: Final = ("resolved", "new", "remaining", "absent")


def _comparisons() -> Iterator[Template]:
    """Templates 43 to 70: two kinds of pair, each with verify and query questions on symptoms and on features."""
    template_id = 43
    for verify, query in (
        (QuestionType.CONSECUTIVE_VERIFY, QuestionType.CONSECUTIVE_QUERY),
        (QuestionType.IRRELEVANT_VERIFY, QuestionType.IRRELEVANT_QUERY),
    ):
        for attribute_type, view, asked, answered in (
            (_SCP, "symptom", "symptoms and superclasses", "symptoms"),
            (_NUMERIC, "abnormal feature", "features", "features"),
        ):
            for relation in RELATIONS:
                yield Template(template_id, verify, attribute_type, view, asked, relation=relation)
                template_id += 1
            for relation in RELATIONS[:3]:  # "what is still absent" would list nearly everything: not asked
                yield Template(template_id, query, attribute_type, view, answered, relation=relation)
                template_id += 1


TEMPLATES: Final[dict[int, Template]] = {template.template_id: template for template in (*_SINGLE, *_comparisons())}


def templates_of(source: str) -> list[Template]:
    """Templates that a source's questions may use: 70, or 60 for MIMIC-IV-ECG."""
    return [template for template in TEMPLATES.values() if source not in (PTBXL, MIMIC) or source in template.sources]


def read_template_ids(text: str) -> list[int]:
    """Template ids from "1,2,5-9"; raises EcgqaError for anything else."""
    chosen: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isascii() and first.isdigit() and (not dash or (last.isascii() and last.isdigit()))):
            raise EcgqaError(f"{part!r} is no template", expected="numbers and ranges, e.g. 1,2,5-9")
        ids = range(int(first), int(last or first) + 1)
        if not ids or ids[0] not in TEMPLATES or ids[-1] not in TEMPLATES:
            raise EcgqaError(f"no templates {part.strip()}", expected=f"1 to {max(TEMPLATES)}")
        chosen.update(ids)
    return sorted(chosen)
