"""Sentences of the questions: one plain and ten paraphrased ones per template, with placeholders to fill in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Formatter

from ecgqa.errors import EcgqaError
from ecgqa.questions.grid import GridQuestion
from ecgqa.questions.templates import TEMPLATES, Template
from ecgqa.records import Split

N_FOR_TRAINING = 7
"""Paraphrases used in train and valid; the rest appears in test only."""

_PAIR_WORDS = {
    "comparison_consecutive": {"earlier": "the previous tracing", "later": "the recent tracing"},
    "comparison_irrelevant": {"earlier": "the first ECG", "later": "the second ECG"},
}


@dataclass(frozen=True)
class Wording:
    """Sentences of one template, placeholders in braces: see Template.placeholders."""

    plain: str
    paraphrases: tuple[str, ...]
    n_for_training: int = N_FOR_TRAINING
    """How many of the paraphrases, from the first, belong to train and valid."""

    def pool(self, split: Split) -> tuple[str, ...]:
        """Paraphrases of a split: test has its own, which no model has been trained on."""
        n = self.n_for_training
        return self.paraphrases[n:] if split is Split.TEST else self.paraphrases[:n]


def fill(sentence: str, question: GridQuestion, *, swapped: bool = False) -> str:
    """The sentence with the question's attributes put in; `swapped` exchanges the two of a choose question."""
    words = dict(question.words)
    if swapped:
        for name in question.words:
            if name.endswith("1"):
                words[name], words[f"{name[:-1]}2"] = words[f"{name[:-1]}2"], words[name]
    text = sentence.format_map(words)
    return text[0].upper() + text[1:]


@cache
def built_in_wording() -> Mapping[int, Wording]:
    """The wording that comes with the package, by template id."""
    import yaml

    text = files("ecgqa.questions").joinpath("wording.yaml").read_text(encoding="utf-8")
    raw = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    sentences: dict[int, list[str]] = {}
    for key, lines in raw.items():
        for template_id in map(int, str(key).split(",")):
            pair = _PAIR_WORDS.get(TEMPLATES[template_id].question_type.value.rsplit("-", 1)[0], {})
            filled = [_put_pair(line, pair) for line in lines]
            sentences[template_id] = [line[0].upper() + line[1:] if line[0] != "{" else line for line in filled]
    return {template_id: checked(TEMPLATES[template_id], lines) for template_id, lines in sorted(sentences.items())}


def _put_pair(line: str, words: Mapping[str, str]) -> str:
    for name, value in words.items():
        line = line.replace("{" + name + "}", value)
    return line


def checked(template: Template, lines: list[str]) -> Wording:
    """A template's sentences, the plain one first, with their placeholders checked."""
    expected = Counter(template.placeholders)
    for line in lines:
        found = Counter(name for _, name, _, _ in Formatter().parse(line) if name)
        if found != expected:
            raise EcgqaError(
                f"the wording of template {template.template_id} does not fit: {line!r}",
                expected=f"placeholders {sorted(expected)}",
                found=str(sorted(found.elements())),
            )
    if len(lines) < 2 + N_FOR_TRAINING or len(set(lines)) != len(lines):
        raise EcgqaError(
            f"the wording of template {template.template_id} has too few different sentences",
            expected=f"one plain sentence and at least {N_FOR_TRAINING + 1} others",
        )
    return Wording(lines[0], tuple(lines[1:]))
