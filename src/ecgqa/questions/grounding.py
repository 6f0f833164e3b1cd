"""Single questions turned into what they say of an ECG: (lead set, attribute, yes or no), the upper bound's items."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import polars as pl

from ecgqa.attributes.vocabulary import NO_STAGE, UNKNOWN_STAGE, mimic_vocabulary, ptbxl_vocabulary
from ecgqa.questions.asked import lead_named
from ecgqa.questions.evaluate import NO, YES
from ecgqa.questions.grid import answer_word
from ecgqa.questions.lead_groups import LEAD_GROUPS, lead_group
from ecgqa.questions.templates import TEMPLATES, Template
from ecgqa.records import ALL_LEADS, LEADS, NONE, Split

UNITED: Final = ("myocardial infarction", "subendocardial injury", "ischemic", "ischemic ST-T changes")
"""Findings that are one class wherever they are: "... in inferior leads" names the lead set, not another attribute."""
_UNITED: Final = {name.casefold(): name for name in UNITED}

_PLACE = re.compile(r"^(?P<base>.+) in (?:the )?(?P<group>[a-z -]+?) leads$", re.IGNORECASE)
_SEPARATOR: Final = "\x1f"

SCHEMA: Final = {
    "split": pl.Enum([split.value for split in Split]),
    "ecg_id": pl.Int64(),
    "leads": pl.UInt16(),
    "class_id": pl.Int16(),
    "label": pl.Boolean(),
    "verified": pl.Boolean(),
}


@dataclass(frozen=True)
class Statement:
    """What a question and its answer say of one attribute in one lead set."""

    attribute: str
    leads: int
    holds: bool


@dataclass(frozen=True)
class Grounding:
    """Items of all splits and the classes they speak of.

    items: columns of SCHEMA, one row per split, ECG, lead set and class. classes: sorted by code point; `class_id` is
    the place. notes: how many of what was left out, and why.
    """

    items: pl.DataFrame
    classes: list[str]
    notes: dict[str, int]


def ground(questions: pl.DataFrame, *, published: bool = False) -> Grounding:
    """Items of the single questions in `questions` (table 3, any wording; the same question in two wordings is one).

    What is asked comes from the template and the `attribute` field; only leads are read from the sentence. To deny one
    form of a united class ("... in diffuse leads") is not to deny the class, and where yes and no meet, yes wins; other
    attributes of which both are said are left out. Classes: all that any question affirms.

    published: the original's items. Of test only verify questions count; classes are the attributes of these, and items
    of others are dropped; names that differ in the case of a letter are two classes; "no" wins over "yes"; "posterior"
    is V4 to V6. Source: fairseq-signals, preprocess_ecgqa_for_classification.
    """
    notes: Counter[str] = Counter()
    stated = _stated(questions, published, notes)
    if published:
        stated = stated.filter((pl.col("split") != Split.TEST) | pl.col("verify"))
    else:
        stated = _one_spelling(stated)
    found = stated.group_by("split", "ecg_id", "leads", "attribute").agg(
        pl.col("holds").any().alias("some"), pl.col("holds").all().alias("every"), pl.col("verify").any(), pl.len()
    )
    both = pl.col("some") & ~pl.col("every")
    united = pl.col("attribute").is_in(UNITED)
    notes["repeated statements"] += stated.height - found.height
    notes["contradictions in a united class"] += found.filter(both & united).height
    notes["contradictions"] += found.filter(both & ~united).height
    if published:
        found = found.with_columns(pl.col("every").alias("label"))
        kept = found.filter(pl.col("split") == Split.TEST)
    else:
        found = found.filter(~both | united).with_columns(pl.col("some").alias("label"))
        kept = found.filter("label")
    classes = sorted(kept["attribute"].unique().to_list())
    of_class = found.filter(pl.col("attribute").is_in(classes))
    notes["items of attributes without a class"] += found.height - of_class.height
    ids = pl.col("attribute").replace_strict(classes, range(len(classes)), return_dtype=pl.Int16)
    items = of_class.select(
        "split", "ecg_id", "leads", ids.alias("class_id"), "label", pl.col("verify").alias("verified")
    )
    items = items.sort("split", "ecg_id", "leads", "class_id").cast(SCHEMA)  # type: ignore[arg-type]
    return Grounding(items, classes, {name: count for name, count in sorted(notes.items()) if count})


def _stated(questions: pl.DataFrame, published: bool, notes: Counter[str]) -> pl.DataFrame:
    """One row per sample and statement; what many samples share (template, attribute, lead, answer) is read once."""
    single = questions.filter(pl.col("ecg_id").list.len() == 1)
    names_lead = pl.col("template_id").is_in([t.template_id for t in TEMPLATES.values() if t.per_lead])
    keyed = single.select(
        "split",
        pl.col("ecg_id").list.first(),
        "template_id",
        "question_type",
        pl.col("attribute").list.join(_SEPARATOR).alias("asked"),
        pl.when(names_lead).then("question").otherwise(pl.lit("")).alias("sentence"),
        pl.col("answer").list.sort().list.join(_SEPARATOR).alias("answer"),
    )
    shared_by = ["template_id", "question_type", "asked", "sentence", "answer"]
    keys = keyed.group_by(shared_by, maintain_order=True).len().with_row_index("key")
    rows: list[tuple[int, str, int, bool, bool]] = []
    for key, template_id, question_type, asked, sentence, answer, n in keys.iter_rows():
        template = TEMPLATES.get(template_id)
        if template is None or template.question_type != question_type:
            notes["questions that are of none of the 70 templates"] += n
            continue
        said = _read(template, asked, sentence, answer, published)
        if isinstance(said, str):
            notes[said] += n
            continue
        rows += [(key, one.attribute, one.leads, one.holds, template.form == "verify") for one in said]
    schema = {"key": pl.UInt32, "attribute": pl.String, "leads": pl.UInt16, "holds": pl.Boolean, "verify": pl.Boolean}
    statements = pl.DataFrame(rows, schema=schema, orient="row")
    shared = keyed.join(keys.drop("len"), on=shared_by, nulls_equal=True)
    return shared.select("split", "ecg_id", "key").join(statements, on="key").drop("key")


def _read(template: Template, asked: str | None, sentence: str, answer: str, published: bool) -> list[Statement] | str:
    """What a question with this answer says, or why nothing can be taken from it."""
    if not asked:
        return "questions without attribute field"
    names, given = asked.split(_SEPARATOR), set(answer.split(_SEPARATOR))
    where = ALL_LEADS
    if template.per_lead:
        lead = lead_named(sentence)
        named = lead_group(lead.name.removesuffix(" leads")) if lead else None
        if named is None:
            return "questions on a lead that names none"
        where = named
    try:
        pairs = list(_answered(template, names, given, where))
    except _Unusable as reason:
        return str(reason)
    statements = []
    for name, leads, holds in pairs:
        # An uncertain finding is neither: of questions that exclude it only a yes is sure, of the others only a no.
        if (template.view == "certain symptom" and not holds) or (_counts_uncertain(template) and holds):
            continue
        attribute, group = _united(name)
        if group is not None and leads == ALL_LEADS:
            placed = lead_group(group, published=published)
            if placed is None:
                return f"questions on an unknown group of leads ({group})"
            leads = placed
        if not published:
            attribute = _UNITED.get(attribute.casefold(), attribute)
            if not holds and leads == ALL_LEADS and attribute in UNITED and name != attribute:
                continue  # that it is not diffuse, or not of unknown place, does not mean that it is nowhere
        statements.append(Statement(attribute, leads, holds))
    return statements


class _Unusable(Exception):
    """The answer says nothing about the attributes."""


def _answered(template: Template, names: list[str], given: set[str], where: int) -> Iterator[tuple[str, int, bool]]:
    """Attribute, lead set and truth of everything that the answer tells."""
    if template.form == "verify":
        if given == {YES} or given == {NO}:
            yield names[0], where, given == {YES}
            return
        raise _Unusable("verify questions answered neither yes nor no")
    if template.leads_asked:
        if not given <= {NONE, *(f"lead {lead}" for lead in LEADS)}:
            raise _Unusable("questions for leads with another answer")
        shown = {place for place, lead in enumerate(LEADS) if f"lead {lead}" in given}
        groups = (
            [LEAD_GROUPS["limb"], LEAD_GROUPS["chest"]]
            if _asked_in_groups(names[0])
            else [1 << place for place in range(len(LEADS))]
        )
        for leads in groups:
            yield names[0], leads, all(place in shown for place in range(len(LEADS)) if leads >> place & 1)
        return
    if given & {NO_STAGE, UNKNOWN_STAGE}:
        raise _Unusable("questions for a stage that is unknown or none")
    words = {name: answer_word(name, template) for name in names if name not in (NO_STAGE, UNKNOWN_STAGE)}
    if not given <= {NONE, *words.values()}:
        raise _Unusable("answers that the attribute field does not list")
    for name, word in words.items():
        yield name, where, word in given


def _counts_uncertain(template: Template) -> bool:
    """Whether the sentence says that uncertain findings are included."""
    return template.view == "symptom" and template.pool == "diagnostic"


@cache
def place_of(name: str, *, published: bool = False) -> tuple[str, int | None]:
    """Class of an attribute name, and the lead set that the name says (None: it says none, or an unknown one)."""
    attribute, group = _united(name)
    return attribute, None if group is None else lead_group(group, published=published)


@cache
def lead_sets_asked() -> tuple[int, ...]:
    """Every lead set that a question of either source may ask about, by its template or by a name in it."""
    named = [place_of(name)[1] for words in (ptbxl_vocabulary(), mimic_vocabulary()) for name in words.symptoms]
    whole = [ALL_LEADS, *(1 << place for place in range(len(LEADS))), LEAD_GROUPS["limb"], LEAD_GROUPS["chest"]]
    return tuple(dict.fromkeys([*whole, *(leads for leads in named if leads is not None)]))


def _united(name: str) -> tuple[str, str | None]:
    """Class of an attribute name, and the group of leads in it."""
    match = _PLACE.match(name)
    if match is None:
        return name, None
    return _UNITED.get(match["base"].casefold(), name), match["group"]


@cache
def _asked_in_groups(name: str) -> bool:
    """Voltages belong to the limb or the chest leads as a whole."""
    return name.casefold() in {form.casefold() for form in ptbxl_vocabulary().forms_in_groups}


def _one_spelling(stated: pl.DataFrame) -> pl.DataFrame:
    """Attribute names that differ in the case of letters only, spelled alike: the way with most small letters."""
    names = stated["attribute"].unique()
    by_fold: dict[str, str] = {}
    for name in names:
        fold = name.casefold()
        by_fold[fold] = max(by_fold.get(fold, name), name)
    spelled = [by_fold[name.casefold()] for name in names]
    return stated.with_columns(pl.col("attribute").replace_strict(names, spelled, return_dtype=pl.String))
