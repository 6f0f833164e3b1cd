"""The symbolic reader: a classifier's findings put into the templates' own predicates. It needs no language model.

Probabilities are shifted so that each class's threshold (chosen on valid) becomes one half, and combined as fuzzy
truth: "and" is the smaller, "or" the larger, "not" the rest to one. A predicate on them is above one half exactly where
the same predicate holds on the attributes that pass their thresholds, and the distance tells how sure that is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ecgqa.attributes.vocabulary import NO_STAGE, RANGES, UNKNOWN_STAGE, Vocabulary
from ecgqa.questions.asked import Asked, AskedReader
from ecgqa.questions.grid import answer_word
from ecgqa.questions.grounding import place_of
from ecgqa.questions.templates import Template
from ecgqa.records import ALL_LEADS, LEADS, NONE, PREDICTIONS, Status, options_of

if TYPE_CHECKING:
    import polars as pl

RUN_NAME: Final = "symbolic"
_WITHIN: Final = RANGES[1]


@dataclass(frozen=True)
class Read:
    """How one question was answered."""

    answer: list[str]
    scores: list[float]
    """Truth of each of options_of(candidates), 0 to 1; above one half = given."""
    rests_on: list[tuple[int, str, float]]
    """(place of the ECG, finding, truth) of every finding that was looked up."""


class Findings:
    """Truth of findings by ECG, lead set and name, from a FINDINGS table."""

    def __init__(self, findings: pl.DataFrame) -> None:
        import polars as pl

        columns = findings.select("ecg_id", "leads", "attribute", pl.col("probability", "threshold").cast(pl.Float64))
        self._truth: dict[tuple[int, int], dict[str, float]] = {}
        for ecg_id, leads, attribute, probability, threshold in columns.iter_rows():
            self._truth.setdefault((ecg_id, leads), {})[attribute.casefold()] = shifted(probability, threshold)
        self.classes = {name for names in self._truth.values() for name in names}

    def knows(self, ecg_id: int) -> bool:
        """Whether the table says anything of the ECG as a whole."""
        return (ecg_id, ALL_LEADS) in self._truth

    def truth(self, ecg_id: int, name: str, leads: int = ALL_LEADS) -> float:
        """Truth of a finding in a lead set (where that was not looked at: on the whole ECG); 0 for an unknown one.

        A name that says where ("ischemic in inferior leads") is looked up there, under its class.
        """
        own = name.casefold()
        if own not in self.classes:
            own, placed = place_of(name)
            own, leads = own.casefold(), placed if placed is not None and leads == ALL_LEADS else leads
        seen = self._truth.get((ecg_id, leads)) or self._truth.get((ecg_id, ALL_LEADS), {})
        return seen.get(own, 0.0)


def shifted(probability: float, threshold: float) -> float:
    """The probability moved on the log-odds scale so that the threshold becomes one half."""
    p, t = (float(np.clip(value, 1e-6, 1 - 1e-6)) for value in (probability, threshold))
    return float(1.0 / (1.0 + (1 - p) / p * t / (1 - t)))


class SymbolicReader:
    """Answers questions of the 70 templates from findings."""

    def __init__(self, findings: Findings, vocabulary: Vocabulary) -> None:
        self.findings, self._asked = findings, AskedReader(vocabulary)

    def read(
        self,
        template_id: int,
        question: str,
        attribute: Sequence[str] | None,
        candidates: Sequence[str],
        ecg_ids: Sequence[int],
    ) -> Read | None:
        """The answer to one question; None if it is none of the templates' or nothing is known of its ECGs."""
        asked = self._asked.read(template_id, None if attribute is None else tuple(attribute), question)
        if asked is None or len(ecg_ids) != asked.question.template.question_type.n_ecgs:
            return None
        if not all(self.findings.knows(ecg_id) for ecg_id in ecg_ids):
            return None
        look = _Look(self.findings, asked, tuple(ecg_ids))
        truths = look.options()
        options = options_of(list(candidates))
        scores = [truths.get(option, 0.0) for option in options]
        if _always_one(asked.question.template) and scores:
            scores = _one_of(scores)
        answer = [option for option, score in zip(options, scores, strict=True) if score > 0.5] or [NONE]
        return Read(answer, scores, look.rests_on)

    def predict(self, questions: pl.DataFrame, run: str = RUN_NAME) -> pl.DataFrame:
        """Prediction rows for a QUESTIONS frame; a question that cannot be read has failed."""
        import polars as pl

        rows: list[tuple[object, ...]] = []
        names = ("sample_id", "split", "version", "template_id", "question", "attribute", "candidates", "ecg_id")
        for sample_id, split, version, template_id, question, attribute, candidates, ecg_ids in questions.select(
            names
        ).iter_rows():
            read = self.read(template_id, question, attribute, candidates, ecg_ids)
            if read is None:
                rows.append((sample_id, split, version, run, [], None, Status.FAILED.value, None))
            else:
                rows.append((sample_id, split, version, run, read.answer, read.scores, Status.OK.value, None))
        return pl.DataFrame(rows, schema=PREDICTIONS.polars, orient="row")


class _Look:
    """One question looked up in the findings."""

    def __init__(self, findings: Findings, asked: Asked, ecg_ids: tuple[int, ...]) -> None:
        self.findings, self.question, self.ecg_ids = findings, asked.question, ecg_ids
        self.template = asked.question.template
        self.leads = sum(1 << lead for lead in self.question.leads) or ALL_LEADS
        self.rests_on: list[tuple[int, str, float]] = []

    def options(self) -> dict[str, float]:
        """Truth of every answer that the template may have, spelled as an answer."""
        question, template = self.question, self.template
        if template.form == "verify":
            if question.asked:
                yes = self._related(question.asked[0])
            else:
                yes = self._any()
            return {"yes": yes, "no": 1.0 - yes, "not sure": 0.0}
        if template.leads_asked:
            name = question.asked[0]
            return {f"lead {lead}": self._truth(0, name, 1 << place) for place, lead in enumerate(LEADS)}
        names = question.asked if template.form == "choose" else question.options
        return {answer_word(name, template): self._related(name) for name in names}

    def _any(self) -> float:
        """Truth of "any of the pool": its own class where there is one, else that of the likeliest member."""
        own = self.template.any_of or ""
        if own.casefold() in self.findings.classes:
            return self._truth(0, own, self.leads)
        return max((self._truth(0, name, self.leads) for name in self.question.options), default=0.0)

    def _related(self, name: str) -> float:
        """Truth of a finding, or of its relation between two ECGs."""
        relation = self.template.relation
        if relation is None:
            return self._of(0, name)
        first, second = self._of(0, name), self._of(1, name)
        return {
            "resolved": min(first, 1.0 - second),
            "new": min(1.0 - first, second),
            "remaining": min(first, second),
            "absent": min(1.0 - first, 1.0 - second),
        }[relation]

    def _of(self, ecg: int, name: str) -> float:
        if self.template.view == "abnormal feature":
            return 1.0 - self._truth(ecg, f"{_WITHIN} of {name}", ALL_LEADS)
        if name == NO_STAGE:
            stages = [option for option in self.question.options if option not in (NO_STAGE, UNKNOWN_STAGE)]
            return 1.0 - max((self._truth(ecg, stage, ALL_LEADS) for stage in stages), default=0.0)
        if name == UNKNOWN_STAGE:
            return 0.0
        return self._truth(ecg, name, self.leads)

    def _truth(self, ecg: int, name: str, leads: int) -> float:
        value = self.findings.truth(self.ecg_ids[ecg], name, leads)
        self.rests_on.append((ecg, name, value))
        return value


def _always_one(template: Template) -> bool:
    """Queries that have exactly one answer for every ECG."""
    return template.form == "query" and (
        template.view in ("axis", "stage or none") or template.pool == "ranges of a feature"
    )


def _one_of(scores: Sequence[float]) -> list[float]:
    """Scores with exactly one above one half: the highest."""
    best = int(np.argmax(scores))
    return [max(score, 0.5001) if place == best else min(score, 0.5) for place, score in enumerate(scores)]


def vocabulary_for(names: Iterable[str]) -> Vocabulary:
    """The vocabulary that knows most of these answers or attributes."""
    from ecgqa.attributes.vocabulary import VOCABULARIES
    from ecgqa.questions.grid import question_grid

    wanted = set(names)
    by_name: Mapping[str, Vocabulary] = {name: make() for name, make in VOCABULARIES.items()}
    known = {
        name: len(wanted & {one for question in question_grid(vocabulary) for one in question.options + question.asked})
        for name, vocabulary in by_name.items()
    }
    return by_name[max(known, key=lambda name: known[name])]


def oracle_rows(
    questions: pl.DataFrame,
    attributes: pl.DataFrame,
    records: pl.DataFrame,
    vocabulary: Vocabulary,
    run: str = "oracle",
) -> pl.DataFrame:
    """Prediction rows that the true attributes give: the ceiling of every reader of findings.

    A question whose attributes are not known (or that is no template's) has failed.
    """
    import polars as pl

    from ecgqa.questions.diff import answers_from
    from ecgqa.questions.facts import gather_facts

    facts = gather_facts(attributes, records, vocabulary)
    reader = AskedReader(vocabulary)
    rows: list[tuple[object, ...]] = []
    names = ("sample_id", "split", "version", "template_id", "question", "attribute", "candidates", "ecg_id")
    for sample_id, split, version, template_id, question, attribute, candidates, ecg_ids in questions.select(
        names
    ).iter_rows():
        asked = reader.read(template_id, None if attribute is None else tuple(attribute), question)
        answer: list[str] | None = None
        if asked is not None:
            evaluation, present = answers_from(asked, facts, [ecg_ids])
            answer = list(evaluation.spelled()[0]) if bool((present & evaluation.known)[0]) else None
        scores = None if answer is None else [float(option in answer) for option in options_of(candidates)]
        status = Status.FAILED if answer is None else Status.OK
        rows.append((sample_id, split, version, run, answer or [], scores, status.value, None))
    return pl.DataFrame(rows, schema=PREDICTIONS.polars, orient="row")
