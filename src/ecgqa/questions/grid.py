"""The question grid: every question that a vocabulary allows, with its released question_id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

from ecgqa.attributes import vocabulary as names
from ecgqa.attributes.vocabulary import Vocabulary
from ecgqa.questions.templates import Template, templates_of
from ecgqa.records import LEADS, NORMAL_RANGES_S

LIMB_LEADS, CHEST_LEADS = tuple(range(6)), tuple(range(6, 12))


@dataclass(frozen=True)
class GridQuestion:
    """One question before its ECGs: what is asked, and where its answers are found in the template's view."""

    template: Template
    question_id: int
    attributes: tuple[str, ...]
    """As the published `attribute` field lists them; for comparisons what the sentence names."""
    asked: tuple[str, ...] = ()
    """Asked attributes, as options of the view (none for "any of" and plain queries)."""
    options: tuple[str, ...] = ()
    """Options of the view that may be answered (query) or that "any of" ranges over."""
    leads: tuple[int, ...] = ()
    """Lead indices that must all show it; empty: the whole ECG."""
    words: dict[str, str] = field(default_factory=dict)
    """Value of each placeholder of the wording."""

    @property
    def name(self) -> str:
        """A name that no other question of the grid has, for drawing its samples."""
        return f"{self.template.template_id}/{'+'.join(self.asked or self.attributes)}/{','.join(map(str, self.leads))}"


def question_grid(vocabulary: Vocabulary) -> list[GridQuestion]:
    """All questions in the order of the published files: by template, attributes, lead.

    The id counts leads too, but all leads of one attribute share the id of the first (as in the release: template 26
    uses 12 ids per noise, of which one is seen). The order of attributes within a template is known for the noises
    only; elsewhere it is that of the vocabulary.
    """
    grid: list[GridQuestion] = []
    next_id = 0
    for template in templates_of(vocabulary.name):
        for question in _asked_of(template, vocabulary):
            places = _places(template, question, vocabulary)
            for lead_name, leads in places:
                words = question.words | ({"lead": lead_name} if lead_name else {})
                grid.append(
                    GridQuestion(template, next_id, question.attributes, question.asked, question.options, leads, words)
                )
            next_id += len(places)
    return grid


def _places(template: Template, question: GridQuestion, vocabulary: Vocabulary) -> list[tuple[str, tuple[int, ...]]]:
    if not template.per_lead:
        return [("", ())]
    if question.asked and question.asked[0] in vocabulary.forms_in_groups and template.view == "form in lead":
        return [("limb leads", LIMB_LEADS), ("chest leads", CHEST_LEADS)]
    return [(f"lead {lead}", (index,)) for index, lead in enumerate(LEADS)]


def pool_of(template: Template, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Attributes that the template's placeholders or answers run over."""
    match template.pool:
        case "":
            return (template.any_of,) if template.any_of else ()
        case "symptoms and superclasses":
            return vocabulary.symptoms + vocabulary.superclasses
        case "stages and none":
            return (*vocabulary.stages, names.UNKNOWN_STAGE, names.NO_STAGE)
        case pool:
            return tuple(getattr(vocabulary, pool))


def _asked_of(template: Template, vocabulary: Vocabulary) -> Iterator[GridQuestion]:
    """The template's questions, leads and ids still open."""
    if template.view == "range":
        yield from _range_questions(template, vocabulary)
        return
    pool = pool_of(template, vocabulary)
    if template.pool and not pool:
        return  # a collection that never states anything of this kind
    placeholders = [name for name in template.placeholders if name != "lead"]
    if template.any_of:
        yield GridQuestion(template, 0, (template.any_of,), options=pool)
    elif template.n_asked == 0:
        yield GridQuestion(template, 0, pool, options=pool)
    else:
        for asked in combinations(pool, template.n_asked):
            words = dict(zip(placeholders, asked, strict=True))
            yield GridQuestion(template, 0, asked, asked, pool, words=words)


def _range_questions(template: Template, vocabulary: Vocabulary) -> Iterator[GridQuestion]:
    """Templates 39 to 42: a feature and a range make one attribute, "above the normal range of p duration"."""

    def question(asked: list[tuple[str, str]], words: dict[str, str], *, options: bool) -> GridQuestion:
        attributes = tuple(f"{range_} of {feature}" for feature, range_ in asked)
        return GridQuestion(
            template, 0, attributes, () if options else attributes, attributes if options else (), words=words
        )

    if template.pool == "features in a range":
        for range_ in names.RANGES:
            asked = [(feature, range_) for feature in vocabulary.features]
            yield question(asked, {"range": range_}, options=True)
        return
    for feature in vocabulary.features:
        if template.form == "query":
            yield question([(feature, range_) for range_ in names.RANGES], {"feature": feature}, options=True)
        elif template.form == "choose":
            for first, second in combinations(names.RANGES, 2):
                words = {"feature": feature, "range1": first, "range2": second}
                yield question([(feature, first), (feature, second)], words, options=False)
        else:
            for range_ in names.RANGES:
                if range_ != names.RANGES[0] or NORMAL_RANGES_S[feature][0] is not None:
                    yield question([(feature, range_)], {"feature": feature, "range": range_}, options=False)


def answer_word(option: str, template: Template) -> str:
    """How an option of the view is written as an answer: ranges without their feature, features without the range."""
    if template.view != "range":
        return option
    range_, _, feature = option.partition(" of ")
    return feature if template.pool == "features in a range" else range_
