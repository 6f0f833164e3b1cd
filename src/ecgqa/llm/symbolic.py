"""The symbolic reader: a classifier's findings put into the templates' own predicates. It needs no language model.

Probabilities are shifted so that each class's threshold (chosen on valid) becomes one half, and combined as fuzzy
truth: "and" is the smaller, "or" the larger, "not" the rest to one. A predicate on them is above one half exactly where
the same predicate holds on the attributes that pass their thresholds, and the distance tells how sure that is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ecgqa.attributes.vocabulary import NO_STAGE, RANGES, UNKNOWN_STAGE, ptbxl_vocabulary
from ecgqa.llm.offline import Answers
from ecgqa.questions.asked import Asked
from ecgqa.questions.evaluate import NO, NOT_SURE, YES
from ecgqa.questions.facts import some
from ecgqa.questions.grid import CHEST_LEADS, LIMB_LEADS, answer_word
from ecgqa.questions.grounding import place_of
from ecgqa.records import ALL_LEADS, LEADS, lead_set, leads_in

if TYPE_CHECKING:
    import polars as pl

Truth = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

_BELOW, _WITHIN, _ABOVE = RANGES
_ANY_INFARCTION: Final = "myocardial infarction"
_LEAD_SETS: Final = ALL_LEADS + 1
_ABOVE_HALF: Final = np.nextafter(np.float32(0.5), np.float32(1.0))


@dataclass(frozen=True)
class Support:
    """One finding that answers rest on: its truth on each ECG asked about, above one half where it counts as shown."""

    place: int
    """Of the ECG in the question."""
    finding: str
    leads: int
    truth: Truth


class Findings:
    """Truth of findings by ECG, lead set and class, from a FINDINGS table."""

    def __init__(self, findings: pl.DataFrame) -> None:
        import polars as pl

        classes = findings["attribute"].unique().sort().to_list()
        self._column = {name: place for place, name in enumerate(classes)}
        self._folded = {name.casefold(): place for name, place in reversed(self._column.items())}
        rows = findings.select(
            (pl.col("ecg_id") * _LEAD_SETS + pl.col("leads").cast(pl.Int64)).alias("look"),
            pl.col("attribute").replace_strict(classes, range(len(classes)), return_dtype=pl.Int64).alias("column"),
            "probability",
            "threshold",
        )
        self._looks: Ids = rows["look"].unique().sort().to_numpy()
        self._truth: Truth = np.full((len(self._looks), len(classes)), np.nan, np.float32)
        where = np.searchsorted(self._looks, rows["look"].to_numpy()), rows["column"].to_numpy()
        self._truth[where] = shifted(rows["probability"].to_numpy(), rows["threshold"].to_numpy())

    def has(self, name: str) -> bool:
        """Whether it is a class of the classifier."""
        return self._place(name) is not None

    def truth(self, ecg_ids: Ids, name: str, leads: int = ALL_LEADS) -> Truth:
        """(n,) truth of a finding on each ECG seen in these leads; NaN where that was not looked at.

        A name that says where ("ischemic in inferior leads") is looked up there, under its class. What is no class (no
        question on train affirms it) has truth 0.
        """
        column = self._place(name)
        if column is not None:
            return self._at(ecg_ids, leads, column)
        own, placed = place_of(name)
        column = self._place(own)
        if column is None:
            return np.zeros(len(ecg_ids), np.float32)
        if placed is None or leads != ALL_LEADS:
            return self._at(ecg_ids, leads, column)
        found = self._at(ecg_ids, placed, column)
        # A classifier trained on the original's reading looks for "posterior" in other leads.
        published = place_of(name, published=True)[1]
        if published is None or published == placed:
            return found
        return np.where(np.isnan(found), self._at(ecg_ids, published, column), found)

    def _place(self, name: str) -> int | None:
        exact = self._column.get(name)
        return self._folded.get(name.casefold()) if exact is None else exact

    def _at(self, ecg_ids: Ids, leads: int, column: int) -> Truth:
        keys = ecg_ids * _LEAD_SETS + leads
        at = np.minimum(np.searchsorted(self._looks, keys), len(self._looks) - 1)
        return np.where(self._looks[at] == keys, self._truth[at, column], np.float32(np.nan))


def shifted(probability: npt.ArrayLike, threshold: npt.ArrayLike) -> Truth:
    """Probabilities moved on the log-odds scale so that the threshold becomes one half; above it = above one half."""
    p, t = (np.clip(np.asarray(value, np.float64), 1e-6, 1 - 1e-6) for value in (probability, threshold))
    moved = (1.0 / (1.0 + (1 - p) / p * t / (1 - t))).astype(np.float32)
    above = np.asarray(probability) > np.asarray(threshold)
    return np.where(above, np.maximum(moved, _ABOVE_HALF), np.minimum(moved, np.float32(0.5)))


class SymbolicReader:
    """Answers questions of the 70 templates from findings."""

    name = "symbolic"

    def __init__(self, findings: Findings) -> None:
        self.findings = findings

    def answer(self, asked: Asked, ecg_ids: Ids) -> Answers:
        """Answers to one question of the grid about n ECGs (n, 1) or pairs of them (n, 2)."""
        return self.explain(asked, ecg_ids)[0]

    def explain(self, asked: Asked, ecg_ids: Ids) -> tuple[Answers, list[Support]]:
        """The same, with every finding that was looked up."""
        look = _Look(self.findings, asked, ecg_ids)
        truth = look.options()
        scores = np.stack(list(truth.values()), axis=1)
        known = ~some(np.isnan(scores), 1)
        template = look.template
        if template.form == "verify" or (
            # Exactly one of these holds on every ECG.
            template.form == "query"
            and (template.view in ("axis", "stage or none") or template.pool == "ranges of a feature")
        ):
            scores = _exactly_one(np.where(known[:, None], scores, np.float32(0.0)))
        problem = f"the findings hold nothing about it in {look.unseen}" if look.unseen else ""
        return Answers(tuple(truth), scores, known, problem), look.supports


@dataclass
class _Look:
    """One question looked up in the findings of many ECGs."""

    findings: Findings
    asked: Asked
    ecg_ids: Ids
    supports: list[Support] = field(default_factory=list)
    unseen: str = ""

    def __post_init__(self) -> None:
        self.question, self.template = self.asked.question, self.asked.question.template
        self.leads = lead_set(self.question.leads) or ALL_LEADS

    def options(self) -> dict[str, Truth]:
        """Truth of every answer that the template may have, spelled as an answer."""
        question, template = self.question, self.template
        if template.form == "verify":
            yes = self._related(question.asked[0]) if question.asked else self._any()
            return {NO: 1 - yes, YES: yes, NOT_SURE: np.where(np.isnan(yes), yes, np.float32(0.0))}
        if template.leads_asked:
            return self._by_lead(question.asked[0])
        names = question.asked if template.form == "choose" else question.options
        return {answer_word(name, template): self._related(name) for name in names}

    def _by_lead(self, name: str) -> dict[str, Truth]:
        """Voltages are told, and learned, of the limb and the chest leads as a whole."""
        if name in ptbxl_vocabulary().forms_in_groups and self.findings.has(name):
            limb, chest = (self._truth(0, name, lead_set(leads)) for leads in (LIMB_LEADS, CHEST_LEADS))
            return {f"lead {lead}": limb if place in LIMB_LEADS else chest for place, lead in enumerate(LEADS)}
        return {f"lead {lead}": self._truth(0, name, 1 << place) for place, lead in enumerate(LEADS)}

    def _any(self) -> Truth:
        """Truth of "any of the pool": its own class where there is one, else that of the likeliest member."""
        own = self.template.any_of or ""
        names = [own] if self.findings.has(own) else self.question.options
        return _reduce(np.maximum, [self._truth(0, name, self.leads) for name in names])

    def _related(self, name: str) -> Truth:
        """Truth of a finding, or of its relation between two ECGs."""
        relation = self.template.relation
        if relation is None:
            return self._of(0, name)
        first, second = self._of(0, name), self._of(1, name)
        return {
            "resolved": np.minimum(first, 1 - second),
            "new": np.minimum(1 - first, second),
            "remaining": np.minimum(first, second),
            "absent": np.minimum(1 - first, 1 - second),
        }[relation]

    def _of(self, place: int, name: str) -> Truth:
        if self.template.view == "abnormal feature":
            return 1 - self._truth(place, f"{_WITHIN} of {name}", ALL_LEADS)
        if name in (NO_STAGE, UNKNOWN_STAGE) and not self.findings.has(name):
            # The questions teach no class for these two: an infarction without a stage is one of unknown stage.
            stages = [one for one in self.question.options if one not in (NO_STAGE, UNKNOWN_STAGE)]
            unstaged = 1 - _reduce(np.maximum, [self._truth(place, one, ALL_LEADS) for one in stages])
            infarction = self._truth(place, _ANY_INFARCTION, ALL_LEADS)
            return np.minimum(unstaged, infarction if name == UNKNOWN_STAGE else 1 - infarction)
        return self._truth(place, name, self.leads)

    def _truth(self, place: int, name: str, leads: int) -> Truth:
        value = self.findings.truth(self.ecg_ids[:, place], name, leads)
        if np.isnan(value).any() and not self.unseen:
            self.unseen = "all leads" if leads == ALL_LEADS else ", ".join(leads_in(leads))
        self.supports.append(Support(place, name, leads, value))
        return value


def _reduce(combine: Any, values: list[Truth]) -> Truth:
    return np.asarray(combine.reduce(values), np.float32)


def _exactly_one(scores: Truth) -> Truth:
    """Scores (n, options) with exactly one above one half in each row: the highest, the first of equals."""
    best = np.zeros(scores.shape, np.bool_)
    best[np.arange(len(scores)), scores.argmax(axis=1)] = True
    return np.where(best, np.maximum(scores, _ABOVE_HALF), np.minimum(scores, np.float32(0.5)))
