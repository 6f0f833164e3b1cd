"""Released (or any other) questions answered again from an attribute table, and where the answers differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ecgqa.attributes.vocabulary import Vocabulary
from ecgqa.errors import EcgqaError
from ecgqa.questions.asked import Asked, AskedReader
from ecgqa.questions.evaluate import Evaluation, evaluate, evaluate_pairs
from ecgqa.questions.evidence import Evidence
from ecgqa.questions.facts import Bools, Facts, gather_facts
from ecgqa.questions.released import read_questions
from ecgqa.questions.templates import TEMPLATES

_KEYS = ("split", "template_id", "sample_id", "question", "answer", "ecg_id", "attribute")


@dataclass
class Agreement:
    """How many questions of one template were asked, could be answered, and have the answer given."""

    attribute_type: str
    n: int = 0
    answerable: int = 0
    agree: int = 0
    without_attributes: int = 0
    """An attribute that the answer needs is not known of (one of) the ECGs, or the ECG is not in the table."""
    not_understood: int = 0
    """The question is none of the grid's: its template, its attribute or its lead is unknown here."""

    def add(self, other: Agreement) -> None:
        for name in ("n", "answerable", "agree", "without_attributes", "not_understood"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True)
class Disagreement:
    """One question with another answer than ours."""

    split: str
    template_id: int
    sample_id: int
    question: str
    ecg_id: list[int]
    given: list[str]
    ours: list[str]
    attributes: list[str] = field(default_factory=list)
    """What the question is about."""
    evidence: list[dict[str, Any]] = field(default_factory=list)

    def as_text(self) -> str:
        ecgs = " and ".join(map(str, self.ecg_id))
        lines = [
            f"template {self.template_id}, {self.split} sample {self.sample_id}, ECG {ecgs}: {self.question}",
            f"    given {', '.join(self.given)}; ours {', '.join(self.ours)}",
        ]
        for of_ecg in self.evidence:
            lines.append(
                f"    ECG {of_ecg['ecg_id']}: " + ("; ".join(of_ecg["attributes"]) or "no attribute of this type")
            )
            lines += [f"        {column}: {value}" for column, value in of_ecg.get("source", {}).items()]
            lines += [f"        plot: {of_ecg['plot']}"] if "plot" in of_ecg else []
        return "\n".join(lines)


@dataclass(frozen=True)
class DiffReport:
    """Agreement by template, and every disagreement."""

    released: Path
    by_template: dict[int, Agreement]
    disagreements: list[Disagreement]
    notes: list[str] = field(default_factory=list)

    def by_attribute_type(self) -> dict[str, Agreement]:
        """The same counts by attribute type, and of everything ("all")."""
        totals: dict[str, Agreement] = {}
        for agreement in self.by_template.values():
            totals.setdefault(agreement.attribute_type, Agreement(agreement.attribute_type)).add(agreement)
        everything = Agreement("all")
        for agreement in list(totals.values()):
            everything.add(agreement)
        return totals | {"all": everything}

    def as_text(self, limit: int = 20) -> str:
        header = f"  {'':<12}{'attribute type':<22}{'questions':>10}{'answerable':>12}{'agree':>9}{'share':>9}"
        lines = [str(self.released), f"{header}{'no attributes':>15}{'not understood':>16}"]
        lines += [_line(f"template {number}", one) for number, one in sorted(self.by_template.items())]
        lines += [_line("", one) for one in self.by_attribute_type().values()]
        if self.disagreements:
            shown = self.disagreements[:limit]
            n = len(self.disagreements)
            lines += ["", f"{n} answer{'' if n == 1 else 's'} differ{'s' if n == 1 else ''}"]
            lines[-1] += f" (the first {len(shown)}; --limit and --json tell more):" if len(shown) < n else ":"
            lines += [one.as_text() for one in shown]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        return {
            "released": str(self.released),
            "by_template": {str(number): vars(one) for number, one in sorted(self.by_template.items())},
            "by_attribute_type": {
                name: {key: value for key, value in vars(one).items() if key != "attribute_type"}
                for name, one in self.by_attribute_type().items()
            },
            "disagreements": [vars(one) for one in self.disagreements],
            "notes": self.notes,
        }


def _line(name: str, one: Agreement) -> str:
    share = f"{100 * one.agree / one.answerable:.2f} %" if one.answerable else "-"
    counts = f"{one.n:>10}{one.answerable:>12}{one.agree:>9}{share:>9}"
    return f"  {name:<12}{one.attribute_type:<22}{counts}{one.without_attributes:>15}{one.not_understood:>16}"


def diff_questions(
    questions: pl.DataFrame,
    attributes: pl.DataFrame,
    records: pl.DataFrame,
    vocabulary: Vocabulary,
    *,
    released: str | Path = "questions",
    metadata: pl.DataFrame | None = None,
) -> DiffReport:
    """Answer `questions` (QUESTIONS) from `attributes` (ATTRIBUTES) by the builder's own rules, and compare.

    Answers are compared as sets. A sample that is there in both wordings counts once. metadata: raw rows of the ECGs'
    data set (column ecg_id); their cells that bear on a disagreement are quoted with it.
    """
    facts = gather_facts(attributes, records, vocabulary)
    # The two wordings of a sample list the same answers in different orders.
    asked_once = (
        questions.with_columns(pl.col("answer").list.sort().alias("_answer"))
        .sort("version", maintain_order=True)
        .unique(["split", "sample_id", "template_id", "ecg_id", "_answer"], keep="first", maintain_order=True)
    )
    reader = AskedReader(vocabulary)
    report = DiffReport(Path(released), {}, [])
    evidence = Evidence(attributes, metadata)
    misread: Counter[str] = Counter()
    for template_id, samples in asked_once.group_by("template_id", maintain_order=True):
        number = int(str(template_id[0]))
        if number not in TEMPLATES:
            raise EcgqaError(f"no template {number}", expected=f"1 to {max(TEMPLATES)}")
        report.by_template[number] = agreement = Agreement(TEMPLATES[number].attribute_type.value)
        for differing in _compare(samples, facts, reader, agreement, misread):
            report.disagreements.append(evidence.of(*differing))
    if misread:
        sentence, _ = misread.most_common(1)[0]
        report.notes.append(
            f"{misread.total()} questions are not understood, e.g. {sentence!r}: the vocabulary of the attributes "
            "has no such template, attribute or lead"
        )
    strays = facts.notes["attribute rows of ECGs that the records do not hold"]
    if strays:
        report.notes.append(f"{strays} attribute rows belong to ECGs that the records do not hold")
    return report


def _compare(
    samples: pl.DataFrame, facts: Facts, reader: AskedReader, agreement: Agreement, misread: Counter[str]
) -> Iterator[tuple[Disagreement, Asked]]:
    """Count the samples of one template in `agreement`; yields those with another answer than ours."""
    rows = samples.select(_KEYS).with_columns(pl.col("split").cast(pl.String)).rows(named=True)
    agreement.n += len(rows)
    by_question: dict[str, tuple[Asked, list[dict[str, Any]]]] = {}
    for row in rows:
        attribute = None if row["attribute"] is None else tuple(row["attribute"])
        asked = reader.read(row["template_id"], attribute, row["question"])
        if asked is None:
            agreement.not_understood += 1
            misread[row["question"]] += 1
        else:
            by_question.setdefault(asked.question.name, (asked, []))[1].append(row)
    found: list[tuple[Disagreement, Asked]] = []
    for asked, group in by_question.values():
        evaluation, present = answers_from(asked, facts, [row["ecg_id"] for row in group])
        known = present & evaluation.known
        agreement.without_attributes += int((~known).sum())
        agreement.answerable += int(known.sum())
        for row, ours, usable in zip(group, evaluation.spelled(), known.tolist(), strict=True):
            if not usable:
                continue
            if set(ours) == set(row["answer"]):
                agreement.agree += 1
                continue
            differing = Disagreement(
                row["split"],
                row["template_id"],
                row["sample_id"],
                row["question"],
                row["ecg_id"],
                row["answer"],
                list(ours),
                list(asked.question.asked or asked.question.options),
            )
            found.append((differing, asked))
    yield from sorted(found, key=lambda one: (one[0].split, one[0].sample_id))


def answers_from(asked: Asked, facts: Facts, ecgs: Sequence[Sequence[int]]) -> tuple[Evaluation, Bools]:
    """Our answers, and of which rows every ECG is in the table (the others are answered for ECG 0, to be ignored)."""
    n_ecgs = asked.question.template.question_type.n_ecgs
    fitting = np.array([len(ids) == n_ecgs for ids in ecgs])
    ids = np.array([ids if fits else [-1] * n_ecgs for ids, fits in zip(ecgs, fitting, strict=True)], dtype=np.int64)
    position = np.minimum(np.searchsorted(facts.ecg_id, ids), len(facts) - 1)
    present = (facts.ecg_id[position] == ids).all(axis=1)
    position[~present] = 0
    if n_ecgs == 2:
        return evaluate_pairs(asked.question, facts, position[:, 0], position[:, 1]), present
    return evaluate(asked.question, facts, position[:, 0]), present


def diff_dataset(
    released: str | Path,
    attributes: str | Path,
    *,
    records: str | Path | None = None,
    plots: str | Path | None = None,
    most_plotted: int | None = None,
) -> DiffReport:
    """`diff_questions` for folders: a dataset in the published layout, and one made by ecgqa attributes build.

    records: folder of the ECGs' data set, for the metadata quoted with each disagreement. plots: folder for plots of
    the beats behind numeric and axis answers that differ (of the first `most_plotted` disagreements); needs `records`.
    """
    from ecgqa.attributes.build import read_attributes
    from ecgqa.attributes.vocabulary import VOCABULARIES

    if plots is not None and records is None:
        raise EcgqaError("plots need the waveforms", fix="give --records, the folder of the ECGs' data set")
    folder = Path(attributes)
    table, people, manifest = read_attributes(folder.parent if folder.suffix == ".parquet" else folder)
    metadata = source = None
    if records is not None:
        from ecgqa.sources import open_source

        source = open_source(Path(records))
        metadata = source.metadata()
    vocabulary = VOCABULARIES[manifest["vocabulary"]]()
    frame = read_questions(released)
    report = diff_questions(frame, table, people, vocabulary, released=released, metadata=metadata)
    if plots is None or source is None:
        return report
    from ecgqa.questions.beat_plots import with_plots

    method = manifest["config"].get("waveforms", "none")
    paths = {ecg_id: source.absolute_path(ecg_id) for ecg_id in source.present()}
    n = len(report.disagreements) if most_plotted is None else most_plotted
    method = "released" if method == "none" else method
    plotted, notes = with_plots(report.disagreements[:n], paths, method, Path(plots))
    return replace(report, disagreements=[*plotted, *report.disagreements[n:]], notes=[*report.notes, *notes])
