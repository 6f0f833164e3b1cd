"""`ask`: from a question in free words to an answer that says how it was understood and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ecgqa.asking.nearest import CONFIDENT, Match, finder_for
from ecgqa.asking.readers import Reader, Reading
from ecgqa.attributes.measurements import Measurements, measure_ecg
from ecgqa.errors import EcgqaError
from ecgqa.evaluation.wording import DISCLAIMER
from ecgqa.records import NONE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ecgqa.signals.read import Ecg

MOST_SHOWN = 8
"""Findings and options listed on the terminal; JSON has all."""


@dataclass(frozen=True)
class AskedAnswer:
    """An answer with its ground: the template it was understood as, findings or scores, and measurements."""

    question: str
    """As it was asked."""
    match: Match
    """What it was understood as."""
    others: tuple[Match, ...]
    """The next nearest templates."""
    reader: str
    reading: Reading
    ecgs: tuple[Ecg, ...]
    measured: tuple[Measurements, ...]
    """Of each ECG, by the delineation, whoever answered."""

    @property
    def text(self) -> str:
        """The answer in one line."""
        if not self.reading.answer:
            return f"no answer ({self.reading.status})"
        none = "none" if self.match.asked.question.template.form != "verify" else "neither yes nor no"
        return ", ".join(none if one == NONE else one for one in self.reading.answer)

    def as_json(self) -> dict[str, Any]:
        """Everything but the signals."""
        reading = asdict(self.reading)
        return {
            "question": self.question,
            "understood": {**_told(self.match), "others": [_told(one) for one in self.others]},
            "reader": self.reader,
            **reading,
            "status": str(self.reading.status),
            "measured": [[*one.lines(), *one.lead_lines()] for one in self.measured],
            "disclaimer": DISCLAIMER,
        }

    def as_text(self) -> str:
        """For a terminal."""
        match, reading = self.match, self.reading
        lines = [
            f"answer      {self.text}",
            f"understood  {match.sentence}  (template {match.template_id}, confidence {match.confidence:.0%})",
            f"answered by {self.reader}",
        ]
        if reading.reply is not None:
            lines += ["reply", *(f"  {line}" for line in reading.reply.strip().splitlines()[:40])]
        if reading.findings:
            lines.append("findings looked up (above 50 % = shown)")
            for one in reading.findings[:MOST_SHOWN]:
                place = f"{one.name}{f' in {one.leads}' if one.leads else ''}"
                which = f"{_ORDINAL[one.ecg]}: " if len(self.ecgs) > 1 else ""
                lines.append(f"  {one.truth:6.1%}  {which}{place}")
            lines += _and_more(len(reading.findings))
        elif reading.scores:
            lines.append("scores (above 50 % = answered)")
            ranked = sorted(reading.scores.items(), key=lambda item: -item[1])
            lines += [f"  {score:6.1%}  {name}" for name, score in ranked[:MOST_SHOWN]] + _and_more(len(ranked))
        for ecg, measured in enumerate(self.measured):
            lines.append("measured" + (f" on the {_ORDINAL[ecg]}" if len(self.measured) > 1 else ""))
            lines += [f"  {line}" for line in measured.lines()]
            of_leads = list(measured.lead_lines())
            lines += [f"  {of_leads[lead]}" for lead in match.asked.question.leads]
        return "\n".join([*lines, DISCLAIMER])

    def draw(self, place: int = 0) -> Figure:
        """The ECG on its grid, with the beats marked, or the points between which the answer was measured."""
        from ecgqa.attributes.drawn_beats import draw_beats, measured_in
        from ecgqa.signals.draw import draw_ecg

        template, question = self.match.asked.question.template, self.match.asked.question
        ecg = self.ecgs[place]
        if template.attribute_type in ("numeric_feature", "heart_axis"):
            names = measured_in((*question.asked, *question.options), axis=template.attribute_type == "heart_axis")
            return draw_beats(ecg, names, "ecgqa", self.match.sentence)
        beats = self.measured[place].delineation.point("r_peak") / ecg.fs_hz
        return draw_ecg(ecg, title=self.match.sentence, markers={"R peak": beats.tolist()})


_ORDINAL = ("first ECG", "second ECG")


def _told(match: Match) -> dict[str, Any]:
    return {"template_id": match.template_id, "sentence": match.sentence, "confidence": match.confidence}


def _and_more(n: int) -> list[str]:
    return [f"  ... and {n - MOST_SHOWN} more (--json)"] if n > MOST_SHOWN else []


def understood(question: str, n_ecgs: int, vocabulary: str) -> list[Match]:
    """The templates that a question in free words may mean, best first.

    Raises EcgqaError, with the nearest, if none is near enough or if it asks about another number of ECGs.
    """
    if not question.strip():
        raise EcgqaError("no question was asked", fix='ecgqa ask RECORD "Is there noise in lead V1?"')
    found = finder_for(vocabulary).nearest(question, n=70)
    fitting = [one for one in found if one.asked.question.template.question_type.n_ecgs == n_ecgs]
    best, usable = (max((one.confidence for one in some), default=0.0) for some in (found, fitting))
    if usable >= CONFIDENT and usable > best - 0.1:
        return fitting[:3]
    if best >= CONFIDENT:
        raise EcgqaError(
            f"this question asks about {'one ECG' if n_ecgs == 2 else 'two ECGs'}",
            expected="two records, the earlier first" if n_ecgs == 1 else "one record",
            found=f"{n_ecgs}; understood as: {found[0].sentence}",
        )
    near = [f"{one.sentence} ({one.confidence:.0%})" for one in (fitting or found)[:3] if one.confidence > 0]
    raise EcgqaError(
        f"the question is not understood: {question!r}",
        expected="a question on findings, rhythm, axis, stage of infarction, noise, extra systoles or intervals",
        found="; ".join(near) if near else "nothing like it among the templates",
        fix="ask it as one of these, with the finding's full name",
    )


def ask(ecgs: Sequence[Ecg], question: str, reader: Reader) -> AskedAnswer:
    """Answer a question in free words about one ECG, or about two, the earlier first.

    Raises EcgqaError if the question is not understood, if it needs another number of ECGs, or if the reader cannot
    answer it. Research use only.
    """
    if len(ecgs) not in (1, 2):
        raise EcgqaError("a question is about one ECG or two", found=str(len(ecgs)))
    match, *others = understood(question, len(ecgs), reader.vocabulary.name)
    reading = reader.read(match.asked, match.sentence, ecgs)
    measured = tuple(measure_ecg(ecg.millivolts(), ecg.fs_hz) for ecg in ecgs)
    return AskedAnswer(question, match, tuple(others), reader.name, reading, tuple(ecgs), measured)
