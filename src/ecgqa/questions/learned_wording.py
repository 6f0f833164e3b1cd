"""Sentences with placeholders, learned from the filled-in sentences of a released dataset."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from ecgqa.attributes.vocabulary import VOCABULARIES
from ecgqa.errors import EcgqaError
from ecgqa.questions.asked import Asked, AskedReader, NameFinder, lead_named
from ecgqa.questions.templates import TEMPLATES
from ecgqa.questions.wording import Wording, built_in_wording, fill
from ecgqa.records import Split, Version

OURS, LEARNED, EXAMPLE = "ours", "released", "example"
_SPEC: Final = re.compile(r",(?=(?:release|example):|built-in)")


@dataclass(frozen=True)
class Sentence:
    """A released sentence: who asks it, in which words."""

    template_id: int
    version: str
    split: str
    attribute: tuple[str, ...] | None
    text: str


@dataclass(frozen=True)
class LearnedWording:
    """Wording of all templates, and where each part of it comes from."""

    wording: dict[int, Wording]
    origin: dict[int, dict[str, str]]
    """Template -> "sentence", "paraphrases of train and valid", "paraphrases of test" -> released, example or ours."""
    notes: dict[str, int] = field(default_factory=dict)

    def summary(self) -> list[str]:
        """One line per part and origin, e.g. "sentence: released for templates 26-28"."""
        lines = []
        for part in _PARTS:
            for origin in (LEARNED, EXAMPLE, OURS):
                ids = [number for number, parts in sorted(self.origin.items()) if parts[part] == origin]
                if ids:
                    every = "all templates" if len(ids) == len(self.origin) else f"templates {_ranges(ids)}"
                    lines.append(f"{part}: {origin} for {every}")
        return lines + [f"{count} x {note}" for note, count in self.notes.items()]


_PARTS = ("sentence", "paraphrases of train and valid", "paraphrases of test")


def read_wording(spec: str) -> LearnedWording:
    """Wording as `--wording` names it: built-in, release:FOLDER, example:FILE, or several joined by commas.

    What the first source lacks is taken from the next, and at last from the built-in wording.
    Raises EcgqaError for an unknown source or where the sentences of a template do not share one pattern.
    """
    sentences: list[Sentence] = []
    examples: dict[int, str] = {}
    for part in _SPEC.split(spec):
        kind, _, path = part.partition(":")
        if kind == "release" and path:
            sentences += released_sentences(Path(path))
        elif kind == "example" and path:
            examples = read_examples(Path(path)) | examples
        elif part != "built-in":
            raise EcgqaError(
                f"no wording {part!r}",
                expected="built-in, release:FOLDER (a dataset in the published layout), example:FILE (a CSV file with "
                "template_id and question), or several joined by commas",
            )
    return learn_wording(sentences, examples)


def released_sentences(root: Path) -> list[Sentence]:
    """The distinct sentences of a dataset in the published layout."""
    from ecgqa.questions.released import read_questions

    frame = read_questions(root).select(
        "template_id", pl.col("version", "split").cast(pl.String), "attribute", pl.col("question")
    )
    return [
        Sentence(template_id, version, split, None if attribute is None else tuple(attribute), text)
        for template_id, version, split, attribute, text in frame.unique(maintain_order=True).iter_rows()
        if template_id in TEMPLATES
    ]


def learn_wording(sentences: list[Sentence], examples: Mapping[int, str] | None = None) -> LearnedWording:
    """Put the placeholders back into `sentences`; templates without any take their example, else our own sentence.

    A template's plain sentences must all come from one pattern; each pattern is proven by writing its sentences again.
    Where one asked name is part of the other the release replaced one inside the other (template 37): such sentences
    count only where there are no others, and are left out if words of a name are left beside a placeholder.
    Paraphrases that cannot be proven are left out, and those of train and valid are never used in test.
    Raises EcgqaError, naming two sentences, where a template has more than one pattern.
    """
    reader = _best_reader(sentences)
    clean: dict[tuple[int, str], dict[str, str]] = {}
    doubtful: dict[tuple[int, str], dict[str, str]] = {}
    notes: Counter[str] = Counter()
    unproven: list[Sentence] = []
    for sentence in sentences:
        part = _part(sentence)
        asked = reader.read(sentence.template_id, sentence.attribute, sentence.text)
        if asked is None:
            notes["released sentences whose attribute or lead is not known"] += 1
            continue
        pattern = pattern_of(sentence.text, asked)
        if _names_overlap(asked):
            if pattern is None or _has_leftover(pattern, reader.all_names(sentence.template_id)):
                notes["released sentences that are malformed"] += 1
            else:
                doubtful.setdefault((sentence.template_id, part), {}).setdefault(pattern, sentence.text)
        elif pattern is not None:
            clean.setdefault((sentence.template_id, part), {}).setdefault(pattern, sentence.text)
        elif part == _PARTS[0]:
            unproven.append(sentence)
        else:
            notes["paraphrases in which the attributes cannot be told"] += 1
    patterns = doubtful | clean
    for sentence in unproven:
        _refuse(sentence, patterns.get((sentence.template_id, _PARTS[0]), {}))
    for (template_id, part), found in patterns.items():
        if part == _PARTS[0] and len(found) > 1:
            first, second, *_ = found.values()
            raise _conflict(template_id, first, second)
    return _assembled(patterns, dict(examples or {}), AskedReader(VOCABULARIES["ptbxl"]()), notes)


def _part(sentence: Sentence) -> str:
    if sentence.version == Version.TEMPLATE.value:
        return _PARTS[0]
    return _PARTS[2] if sentence.split == Split.TEST.value else _PARTS[1]


def _best_reader(sentences: list[Sentence]) -> AskedReader:
    """A reader with the vocabulary that most of the sentences are written in."""
    readers = [AskedReader(vocabulary()) for vocabulary in VOCABULARIES.values()]
    if len(readers) == 1 or not sentences:
        return readers[0]
    some = sentences[:: max(1, len(sentences) // 2000)]
    return max(
        readers,
        key=lambda reader: sum(reader.read(one.template_id, one.attribute, one.text) is not None for one in some),
    )


def pattern_of(text: str, asked: Asked) -> str | None:
    """The sentence with placeholders for attributes and lead; None unless filling them in gives `text` again."""
    words = dict(asked.question.words)
    lead = words.pop("lead", None)
    spans: list[tuple[int, int, str]] = []
    if lead is not None:
        named = lead_named(text)
        if named is None or text[named.start : named.end] != lead:
            return None
        spans.append((named.start, named.end, "lead"))
    found = NameFinder(words.values()).find(text)
    if sorted(one.name for one in found) != sorted(words.values()):
        return None
    placeholder = {value: key for key, value in words.items()}
    in_order = iter(key for key in sorted(words) if key[-1].isdigit())
    swapped = False
    for one in found:
        key = placeholder[one.name]
        if key[-1].isdigit():
            first_in_text = next(in_order)
            swapped = swapped or key != first_in_text
            key = first_in_text
        spans.append((one.start, one.end, key))
    pattern = _replaced(text, spans)
    return pattern if fill(pattern, asked.question, swapped=swapped) == text else None


def _replaced(text: str, spans: list[tuple[int, int, str]]) -> str:
    parts, end = [], 0
    for start, stop, key in sorted(spans):
        parts += [_escaped(text[end:start]), "{" + key + "}"]
        end = stop
    return "".join([*parts, _escaped(text[end:])])


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _names_overlap(asked: Asked) -> bool:
    """One asked name is part of another: released sentences of such pairs are damaged by replacing one in the other."""
    words = [word for key, word in asked.question.words.items() if key != "lead"]
    return any(one != other and one in other for one in words for other in words)


def _has_leftover(pattern: str, names: list[str]) -> bool:
    """A word of some name stands right before a placeholder: "ventricular {extra_systole2}"."""
    words = {word for name in names for word in name.split()}
    return any(before in words for before in re.findall(r"(\S+)\s+\{", pattern))


def _refuse(sentence: Sentence, patterns: dict[str, str]) -> None:
    if patterns:
        raise _conflict(sentence.template_id, next(iter(patterns.values())), sentence.text)
    raise EcgqaError(
        f"the wording of template {sentence.template_id} cannot be learned",
        expected="every asked attribute once in the sentence, as the attribute field spells it",
        found=repr(sentence.text),
    )


def _conflict(template_id: int, first: str, second: str) -> EcgqaError:
    return EcgqaError(
        f"the sentences of template {template_id} do not share one pattern",
        expected="one sentence per template, apart from attributes and lead",
        found=f"{first!r} and {second!r}",
        fix="ecgqa questions check on that dataset, or leave out --wording",
    )


def _assembled(
    patterns: dict[tuple[int, str], dict[str, str]],
    examples: dict[int, str],
    reader: AskedReader,
    notes: Counter[str],
) -> LearnedWording:
    wording: dict[int, Wording] = {}
    origin: dict[int, dict[str, str]] = {}
    for template_id, ours in built_in_wording().items():
        plain = next(iter(patterns.get((template_id, _PARTS[0]), {})), None)
        parts = {_PARTS[0]: LEARNED}
        if plain is None and template_id in examples:
            plain = example_pattern(template_id, examples[template_id], reader)
            parts = {_PARTS[0]: EXAMPLE if plain else OURS}
            notes["example sentences that are not understood"] += plain is None
        elif plain is None:
            parts = {_PARTS[0]: OURS}
        pools: list[tuple[str, ...]] = []
        for part, split in ((_PARTS[1], Split.TRAIN), (_PARTS[2], Split.TEST)):
            learned = sorted(patterns.get((template_id, part), {}))
            if part == _PARTS[2]:
                leaking = [one for one in learned if one in pools[0]]
                notes["paraphrases of test that train or valid have too, left out of test"] += len(leaking)
                learned = [one for one in learned if one not in leaking]
            parts[part] = LEARNED if learned else OURS
            pools.append(tuple(learned) or ours.pool(split))
        wording[template_id] = Wording(plain or ours.plain, pools[0] + pools[1], len(pools[0]))
        origin[template_id] = parts
    return LearnedWording(wording, origin, {note: count for note, count in sorted(notes.items()) if count})


# -- examples: one filled-in sentence per template ------------------------------------------------------------------


def read_examples(path: Path) -> dict[int, str]:
    """Sentence by template from a CSV file with the columns template_id and question."""
    expected = "a CSV file with the columns template_id and question"
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        raise EcgqaError(f"no such file: {path}", expected=expected) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EcgqaError(f"{path} cannot be read: {error}", expected=expected) from None
    examples: dict[int, str] = {}
    for line, row in enumerate(rows, 2):
        number, text = row.get("template_id"), row.get("question")
        if not number or not number.isascii() or not number.isdigit() or int(number) not in TEMPLATES or not text:
            raise EcgqaError(f"{path}, line {line}: no template and sentence", expected=expected)
        examples[int(number)] = text
    if not examples:
        raise EcgqaError(f"{path} holds no sentence", expected=expected)
    return examples


def example_pattern(template_id: int, text: str, reader: AskedReader) -> str | None:
    """The pattern of an example without an attribute field; None if its attributes cannot be told."""
    asked = reader.read(template_id, None, text)
    if asked is not None:
        return pattern_of(text, asked)
    return next(_repaired(template_id, text, reader), None)


def _repaired(template_id: int, text: str, reader: AskedReader) -> Iterator[str]:
    """A choose sentence that names one attribute twice, words of the damaged name left beside it ("ventricular
    ventricular extrasystoles"): those words are taken for part of the name."""
    found = reader.names(template_id, text)
    placeholders = [name for name in TEMPLATES[template_id].placeholders if name != "lead"]
    if len(found) != 2 or len(placeholders) != 2 or found[0].name != found[1].name:
        return
    part_of_a_name = {word for one in reader.all_names(template_id) for word in one.split()}
    spans = []
    for one, key in zip(found, placeholders, strict=True):
        start = one.start
        while (before := re.search(r"(\S+)\s+$", text[:start])) and before[1] in part_of_a_name:
            start = before.start()
        spans.append((start, one.end, key))
    lead = lead_named(text)
    if lead is not None and TEMPLATES[template_id].per_lead:
        spans.append((lead.start, lead.end, "lead"))
    yield _replaced(text, spans)


def _ranges(numbers: list[int]) -> str:
    """1, 2, 3, 5 -> "1-3, 5"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
