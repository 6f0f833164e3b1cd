"""Attributes to a complete question dataset: grid, samples, answer lists, wording, splits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from ecgqa.attributes.vocabulary import Vocabulary, ptbxl_vocabulary
from ecgqa.errors import EcgqaError
from ecgqa.questions.answer_lists import AnswerLists, candidates_of
from ecgqa.questions.drawing import Drawing, Samples, draw_samples
from ecgqa.questions.facts import Facts, Ints, gather_facts, note_counts
from ecgqa.questions.grid import GridQuestion
from ecgqa.questions.presets import Rules, preset_for
from ecgqa.questions.sampling import Limits, keys_of, seed_of
from ecgqa.questions.splits import split_by_lists, split_by_patient
from ecgqa.questions.templates import TEMPLATES
from ecgqa.questions.wording import Wording, built_in_wording, fill
from ecgqa.records import NONE, QUESTIONS, QuestionType, Split, Version


@dataclass(frozen=True)
class BuiltDataset:
    """A question dataset, ready for `released.write_dataset`."""

    questions: pl.DataFrame
    """QUESTIONS table: both versions of every sample."""
    answers: AnswerLists
    split_ecgs: dict[str, list[int]]
    left_out: dict[int, str]
    """Templates without a single sample, and why."""
    notes: dict[str, int] = field(default_factory=dict)

    def counts(self) -> dict[str, dict[str, int]]:
        """Samples (of one version) by question type and split."""
        table: dict[str, dict[str, int]] = {}
        one = self.questions.filter(pl.col("version") == Version.TEMPLATE.value)
        by_type = {
            row[:2]: row[2]
            for row in one.select(pl.col("question_type", "split").cast(pl.String))
            .group_by("question_type", "split")
            .len()
            .iter_rows()
        }
        for question_type in QuestionType:
            row = {split.value: by_type.get((question_type.value, split.value), 0) for split in Split}
            if any(row.values()):
                table[question_type.value] = row
        return table


def build_questions(
    attributes: pl.DataFrame,
    records: pl.DataFrame,
    *,
    seed: int,
    splits: Mapping[str, Sequence[int]] | None = None,
    vocabulary: Vocabulary | None = None,
    templates: Collection[int] | None = None,
    rules: Rules | None = None,
    limits: Limits | None = None,
    wording: Mapping[int, Wording] | None = None,
    executor: Executor | None = None,
    work: Path | None = None,
) -> BuiltDataset:
    """Questions about the ECGs of `records` (RECORDS), answered from `attributes` (ATTRIBUTES).

    splits: ECG ids of train, valid and test; without it patients are split 80:20, then 90:10.
    templates: template ids to use (default: all of the vocabulary's source).
    rules: how questions are answered and drawn (default: those of the vocabulary's preset).
    limits: samples per question and answer, instead of those of `rules`.
    executor, work: where the samples are drawn, see `draw_samples`.

    The same inputs and seed give the same rows. Raises EcgqaError for unknown templates, for split lists that share a
    patient, and where not a single question can be asked.
    """
    vocabulary = vocabulary or ptbxl_vocabulary()
    rules = rules or preset_for(None, vocabulary.name)[1].rules
    rules = rules if limits is None else replace(rules, limits=limits)
    wording = wording or built_in_wording()
    wanted = set(TEMPLATES) if templates is None else set(templates)
    unknown = sorted(wanted - TEMPLATES.keys())
    if unknown:
        raise EcgqaError(f"no template {unknown[0]}", expected=f"1 to {max(TEMPLATES)}")
    facts = gather_facts(attributes, records, vocabulary, rules)
    if splits is None:
        parts = split_by_patient(facts, seed, test_share=rules.test_share, valid_share=rules.valid_share)
    else:
        parts = split_by_lists(facts, splits)

    drawing = Drawing(facts, parts)
    grid = drawing.grid
    drawn = draw_samples(drawing, wanted, rules, seed, executor=executor, work=work)
    by_template = _answers_by_template(grid, drawn, rules)
    if not by_template:
        raise EcgqaError(
            "not a single question can be asked of these ECGs",
            expected="attributes that differ between ECGs",
            found=f"{len(facts)} ECGs, {attributes.height} attribute rows",
        )
    dropped = _drop_unlisted(grid, drawn, by_template)
    if dropped:
        facts.notes["samples left out of valid because train and test never give their answer"] = dropped
    tables = [_table(grid, drawn[split], split, facts, by_template, wording, seed) for split in Split if drawn[split]]
    # By version, then split; in chunks, as the lists of candidates would make a copy of everything expensive.
    questions = pl.concat([versions[number] for number in range(len(Version)) for versions in tables], rechunk=False)
    return BuiltDataset(
        questions,
        AnswerLists(_classes(by_template), by_template),
        {split.value: facts.ecg_id[parts[split]].tolist() for split in Split},
        {
            t: _why_empty(t, facts)
            for t in sorted(wanted & {question.template.template_id for question in grid} - by_template.keys())
        },
        note_counts(facts),
    )


# -- answer lists ------------------------------------------------------------------------------------------------


def _answers_by_template(
    grid: list[GridQuestion], drawn: Mapping[Split, Samples], rules: Rules
) -> dict[int, list[str]]:
    """Answers each template allows: those that occur in train or test, with the fixed ones of its form, in order."""
    found: dict[int, set[str]] = {}
    for split in Split if rules.answers_of_valid_only == "kept" else (Split.TRAIN, Split.TEST):
        for number, sample in drawn[split]:
            question = grid[number]
            answers = found.setdefault(question.template.template_id, set())
            answers.update(sample.answer)
            if question.template.form == "choose":
                answers.update(
                    attribute.split(" of ")[0] if question.template.view == "range" else attribute
                    for attribute in question.asked
                )
    for template_id, answers in found.items():
        template = TEMPLATES[template_id]
        if template.form == "verify":
            answers.update(("no", "yes", "not sure") if template_id == 1 else ("no", "yes"))
        elif not (template.form == "query" and (template.view in _ALWAYS_ONE or template.pool == _RANGES_OF_ONE)):
            answers.add(NONE)
    return {template_id: sorted(found[template_id], key=_answer_order) for template_id in sorted(found)}


_ALWAYS_ONE, _RANGES_OF_ONE = ("axis", "stage or none"), "ranges of a feature"
"""Queries that have an answer for every ECG: "none" is listed only if it is given."""


def _answer_order(answer: str) -> str:
    """Alphabetical, but the old stage of infarction sorts as "late stage", the name it was sorted under at first."""
    return answer.replace("old stage", "late stage")


def _classes(by_template: dict[int, list[str]]) -> list[str]:
    """Every answer once, in the order in which the templates list them."""
    return list(dict.fromkeys(answer for answers in by_template.values() for answer in answers))


def _drop_unlisted(grid: list[GridQuestion], drawn: dict[Split, Samples], by_template: Mapping[int, list[str]]) -> int:
    """Remove valid samples whose answer is in no list (as the release did with its lists); returns how many."""
    dropped = 0
    kept = []
    for number, sample in drawn[Split.VALID]:
        if set(sample.answer) <= set(by_template.get(grid[number].template.template_id, ())):
            kept.append((number, sample))
        else:
            dropped += len(sample.first)
    drawn[Split.VALID] = kept
    return dropped


def _why_empty(template_id: int, facts: Facts) -> str:
    view = facts.views[TEMPLATES[template_id].view]
    if not view.known.any():
        return f"{TEMPLATES[template_id].attribute_type.value} is not known of any ECG"
    return "no ECG or pair of ECGs has a positive answer"


# -- rows --------------------------------------------------------------------------------------------------------


def _table(
    grid: list[GridQuestion],
    drawn: Samples,
    split: Split,
    facts: Facts,
    by_template: Mapping[int, list[str]],
    wording: Mapping[int, Wording],
    seed: int,
) -> list[pl.DataFrame]:
    """The samples of one split as two tables, one per version. Single questions come before comparisons."""
    sizes = [len(sample.first) for _, sample in drawn]
    number = np.repeat(np.array([number for number, _ in drawn], dtype=np.int64), sizes)
    answers = {sample.answer: None for _, sample in drawn}
    answer_number = {answer: position for position, answer in enumerate(answers)}
    answer = np.repeat([answer_number[sample.answer] for _, sample in drawn], sizes)
    first = np.concatenate([sample.first for _, sample in drawn])
    seconds = [sample.second for _, sample in drawn if sample.second is not None]
    second = np.concatenate(seconds) if seconds else first[:0]

    sample_key = keys_of(np.arange(len(number), dtype=np.int64), seed_of(seed, split.value, "wording"))
    choose = np.array([question.template.form == "choose" for question in grid])[number]
    swapped = choose & (sample_key & np.uint64(1) == 1)
    variant = number * 2 + swapped  # one per (question, order of the two names)
    distinct, variant_row = np.unique(variant, return_inverse=True)
    variants = [(grid[one // 2], bool(one % 2)) for one in distinct.tolist()]

    single = len(first) - len(second)
    ecg_id = facts.ecg_id
    ecgs = pl.concat(
        [
            _lists(ecg_id[first[:single, None]]),
            _lists(np.stack([ecg_id[first[single:]], ecg_id[second]], axis=1)),
        ]
    )
    per_question = pl.DataFrame(
        {
            "template_id": [question.template.template_id for question, _ in variants],
            "question_id": [question.question_id for question, _ in variants],
            "question_type": [question.template.question_type.value for question, _ in variants],
            "attribute_type": [question.template.attribute_type.value for question, _ in variants],
            "attribute": [_attributes(question, swap) for question, swap in variants],
            "candidates": _candidates(variants, by_template),
        },
        schema={
            name: QUESTIONS.polars[name]
            for name in ("template_id", "question_id", "question_type", "attribute_type", "attribute", "candidates")
        },
    )
    common = per_question[variant_row].with_columns(
        pl.Series("sample_id", np.arange(len(number), dtype=np.int64)),
        pl.Series("answer", list(map(list, answers)), dtype=pl.List(pl.String()))[answer],
        ecgs.alias("ecg_id"),
        pl.lit(split.value).cast(QUESTIONS.polars["split"]).alias("split"),
    )
    pool = [wording[question.template.template_id].pool(split) for question, _ in variants]
    pool_size = np.array([len(sentences) for sentences in pool])[variant_row]
    paraphrase = ((sample_key >> np.uint64(1)) % pool_size.astype(np.uint64)).astype(np.int64)
    starts = np.cumsum([0, *(len(sentences) for sentences in pool)])[:-1]
    texts = {
        Version.TEMPLATE: (
            [fill(wording[question.template.template_id].plain, question, swapped=swap) for question, swap in variants],
            variant_row,
        ),
        Version.PARAPHRASED: (
            [
                fill(sentence, question, swapped=swap)
                for (question, swap), sentences in zip(variants, pool, strict=True)
                for sentence in sentences
            ],
            starts[variant_row] + paraphrase,
        ),
    }
    return [
        common.with_columns(
            pl.Series("question", sentences, dtype=pl.String)[which],
            pl.lit(version.value).cast(QUESTIONS.polars["version"]).alias("version"),
        ).select(list(QUESTIONS.columns))
        for version, (sentences, which) in texts.items()
    ]


def _lists(values: Ints) -> pl.Series:
    """(n, k) integers as n lists of k."""
    if not len(values):
        return pl.Series(dtype=pl.List(pl.Int64()))
    return pl.Series(values.reshape(-1)).reshape(values.shape).cast(pl.List(pl.Int64()))


def _attributes(question: GridQuestion, swapped: bool) -> list[str] | None:
    """The published `attribute` field: in the order of the text, null for comparisons."""
    if question.template.relation is not None:
        return None
    return list(reversed(question.attributes)) if swapped else list(question.attributes)


def _candidates(variants: list[tuple[GridQuestion, bool]], by_template: Mapping[int, list[str]]) -> list[list[str]]:
    return [
        candidates_of(
            by_template[question.template.template_id],
            question.asked if question.template.form == "choose" else None,
        )
        for question, _ in variants
    ]
