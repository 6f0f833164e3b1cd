"""Who may answer a question about ECGs in memory: the delineator, a classifier by rules, a trained model, an LLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ecgqa.attributes.vocabulary import Vocabulary, ptbxl_vocabulary
from ecgqa.errors import EcgqaError
from ecgqa.llm.asked import AskedQuestion, lead_sets_of, leads_text
from ecgqa.llm.offline import Answers, vocabulary_of
from ecgqa.questions.asked import Asked
from ecgqa.questions.grid import answer_word
from ecgqa.records import LEADS, NONE, Status, options_of

if TYPE_CHECKING:
    import polars as pl

    from ecgqa.llm.run import Caller
    from ecgqa.signals.read import Ecg


@dataclass(frozen=True)
class Finding:
    """A finding that was looked up for an answer."""

    ecg: int
    """Place of the ECG in the question."""
    name: str
    leads: str
    """ "lead V1", "limb leads", or "" for the whole ECG."""
    truth: float
    """0 to 1; above one half it counts as shown."""


@dataclass(frozen=True)
class Reading:
    """What a reader makes of a question. answer: options, or ["none"]; empty if it gave none."""

    answer: list[str]
    scores: dict[str, float]
    findings: tuple[Finding, ...] = ()
    reply: str | None = None
    """A language model's own words."""
    status: Status = Status.OK


class Reader(Protocol):
    """Answers a question of the grid about one or two ECGs."""

    @property
    def name(self) -> str: ...
    @property
    def vocabulary(self) -> Vocabulary:
        """The attribute names that it may be asked about."""

    def read(self, asked: Asked, sentence: str, ecgs: Sequence[Ecg]) -> Reading:
        """Raises EcgqaError if it cannot answer such a question, or not about such an ECG."""


def candidates_of(asked: Asked) -> list[str]:
    """The answers that may be given, with "none" where no option may apply."""
    question, template = asked.question, asked.question.template
    if template.form == "verify":
        return ["yes", "no"]
    if template.leads_asked:
        return [*(f"lead {lead}" for lead in LEADS), NONE]
    names = question.asked if template.form == "choose" else question.options
    return [*dict.fromkeys(answer_word(name, template) for name in names), NONE]


class MeasuringReader:
    """Answers from what the delineation measures: intervals, heart axis, noise. Nothing needs to be trained for it."""

    name = "measured"
    vocabulary = ptbxl_vocabulary()

    def read(self, asked: Asked, sentence: str, ecgs: Sequence[Ecg]) -> Reading:
        from collections import Counter

        import polars as pl

        from ecgqa.attributes.measured_noise import noise_rows
        from ecgqa.attributes.waveform import measure_consensus
        from ecgqa.llm.oracle import OracleReader
        from ecgqa.records import ATTRIBUTES

        notes: Counter[str] = Counter()
        rows = [
            row
            for ecg_id, ecg in enumerate(ecgs)
            for row in (*measure_consensus(ecg_id, ecg, notes), *noise_rows(ecg_id, ecg, self.vocabulary.noises))
        ]
        oracle = OracleReader(pl.DataFrame(rows, schema=ATTRIBUTES.polars, orient="row"), self.vocabulary)
        answers = oracle.answer(asked, _ids(ecgs))
        if not answers.known[0]:
            kind = asked.question.template.attribute_type.value
            if kind in ("numeric_feature", "heart_axis", "noise"):
                raise EcgqaError("this ECG cannot be measured well enough to answer", found="; ".join(sorted(notes)))
            raise EcgqaError(
                "this question cannot be answered by measuring, and nothing trained was given",
                expected="a question on intervals, the heart axis or noise",
                found=f"understood as: {sentence}",
                fix="--classifier RUN (trained for findings), --run RUN (trained for questions) or --model NAME",
            )
        return _reading(asked, answers)


class FindingsReader:
    """The symbolic reader over a trained classifier: its findings in the lead sets asked about, by the rules."""

    def __init__(self, run: str | Path) -> None:
        from ecgqa.training.findings import load_classifier

        self._classifier = load_classifier(run)
        self.name = f"symbolic ({self._classifier.name})"
        self.vocabulary = vocabulary_of(self._classifier.classes)

    def read(self, asked: Asked, sentence: str, ecgs: Sequence[Ecg]) -> Reading:
        from ecgqa.llm.symbolic import Findings, SymbolicReader

        answers, supports = SymbolicReader(Findings(self.table(asked, ecgs))).explain(asked, _ids(ecgs))
        findings = {
            (one.place, one.finding, one.leads): Finding(
                one.place, one.finding, _leads_text(one.leads), round(float(one.truth[0]), 4)
            )
            for one in supports
        }
        shown = sorted(findings.values(), key=lambda one: (one.ecg, -one.truth))
        return _reading(asked, answers, tuple(shown))

    def table(self, asked: Asked, ecgs: Sequence[Ecg]) -> pl.DataFrame:
        """FINDINGS of the ECGs in the fewest lead sets that will do; names that say where need the heart's regions."""
        from ecgqa.training.findings import predict_findings

        template = asked.question.template
        names = (*asked.question.asked, *asked.question.options)
        placed = template.per_lead or template.leads_asked or any(" leads" in name for name in names)
        return predict_findings(self._classifier, list(ecgs), leads="every" if placed else "entire", device="cpu")


class TrainedReader:
    """A model trained to answer questions; it is asked the template's own sentence."""

    def __init__(self, run: str | Path) -> None:
        from ecgqa.training.prediction import Answerer

        self._answerer = Answerer(run)
        self.name = self._answerer.name
        self.vocabulary = vocabulary_of(self._answerer.answers)

    def read(self, asked: Asked, sentence: str, ecgs: Sequence[Ecg]) -> Reading:
        scores = self._answerer.probabilities(sentence, ecgs, options_of(candidates_of(asked)))
        return Reading([name for name, score in scores.items() if score > 0.5] or [NONE], scores)


class LanguageReader:
    """A language model that is shown the ECGs in some view (see ecgqa llm run); `findings` needs a classifier's."""

    def __init__(
        self, caller: Caller, view: str = "features", style: str = "published", findings: FindingsReader | None = None
    ) -> None:
        self._caller, self._view, self._style, self._findings = caller, view, style, findings
        self.name = caller.model
        self.vocabulary = ptbxl_vocabulary()

    def read(self, asked: Asked, sentence: str, ecgs: Sequence[Ecg]) -> Reading:
        import asyncio
        from typing import cast

        from ecgqa.llm.parsing import parse_reply
        from ecgqa.llm.prompts import Prompter, Style
        from ecgqa.llm.run import masked
        from ecgqa.llm.signals import GivenSignals
        from ecgqa.llm.task import chat
        from ecgqa.llm.views import Material, make_views

        template, places = asked.question.template, tuple(range(len(ecgs)))
        question = AskedQuestion(
            sample_id=0,
            split="",
            version="",
            template_id=template.template_id,
            question_type=template.question_type,
            question=sentence,
            candidates=tuple(candidates_of(asked)),
            answer=(),
            ecg_ids=places,
            ecg_rows=places,
            lead_sets=lead_sets_of({"template_id": template.template_id, "question": sentence}),
        )
        table = None if self._findings is None else self._findings.table(asked, ecgs)
        views = make_views(self._view, Material(signals=GivenSignals(ecgs), findings=table))
        messages = chat(Prompter(views, cast(Style, self._style)).prompt(question))
        model = self._caller.build()
        try:
            reply = asyncio.run(model.generate(messages)).completion
        except Exception as error:
            raise EcgqaError(f"{self.name} did not answer: {masked(str(error)).splitlines()[0]}") from None
        parsed = parse_reply(reply, question.candidates)
        return Reading(parsed.answer, {}, reply=reply, status=parsed.status)


def _ids(ecgs: Sequence[Ecg]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.arange(len(ecgs), dtype=np.int64).reshape(1, -1)


def _reading(asked: Asked, answers: Answers, findings: tuple[Finding, ...] = ()) -> Reading:
    if not answers.known[0]:
        raise EcgqaError(f"this question cannot be answered: {answers.problem}")
    candidates = candidates_of(asked)
    answer, scores = answers.of(0, candidates)
    return Reading(answer, dict(zip(options_of(candidates), scores, strict=True)), findings)


def _leads_text(leads: int) -> str:
    return leads_text(tuple(place for place in range(len(LEADS)) if leads >> place & 1))
