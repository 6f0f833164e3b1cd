"""Free words to a question of the grid: the names in them are found first, then the sentence most like the rest."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Final

import numpy as np
import numpy.typing as npt

from ecgqa.attributes.vocabulary import VOCABULARIES, Vocabulary, ptbxl_statements
from ecgqa.questions.asked import Asked, AskedReader, Named, NameFinder, lead_named
from ecgqa.questions.grid import question_grid
from ecgqa.questions.wording import Wording, built_in_wording, fill

Vector = npt.NDArray[np.float32]

CONFIDENT: Final = 0.55
"""Below this the nearest template is a guess: see tests/asking/test_nearest.py for what lies on either side."""
_MISSPELLED: Final = 0.86
"""How alike (difflib) a phrase and a name must be to be taken for it."""
_UNUSED_NAME: Final = 0.25
"""Confidence lost for each name in the text that the template has no use for."""

_SAY_NOTHING: Final = frozenset(["patient", "patients", "person", "man", "woman", "please", "s"])
_VERIFY_WORDS: Final = frozenset(
    ["is", "are", "does", "do", "can", "could", "would", "should", "has", "have", "did", "was", "were", "any", "may"]
)


@cache
def _everyday() -> tuple[dict[str, str], dict[int, list[str]]]:
    """Names and sentences as people say them: everyday.yaml."""
    import yaml

    read = yaml.safe_load(files("ecgqa.asking").joinpath("everyday.yaml").read_text(encoding="utf-8"))
    return read["names"], read["sentences"]


@dataclass(frozen=True)
class Match:
    """A question of the grid that a text may mean."""

    asked: Asked
    sentence: str
    """The question in the template's own words."""
    confidence: float
    """0 to 1: likeness of the texts, less for names that the question does not use."""

    @property
    def template_id(self) -> int:
        return self.asked.question.template.template_id


class TemplateFinder:
    """Finds what a text asks, for one vocabulary; `wording` may be a part of the built-in one."""

    def __init__(self, vocabulary: Vocabulary, wording: Mapping[int, Wording] | None = None) -> None:
        self.vocabulary = vocabulary
        self._reader = AskedReader(vocabulary)
        self._wording = wording or built_in_wording()
        templates = {question.template.template_id: question.template for question in question_grid(vocabulary)}
        self._templates = templates
        sentences = {}
        for template_id in templates:
            words = self._wording[template_id]
            of_template = (words.plain, *words.paraphrases, *_everyday()[1].get(template_id, ()))
            sentences[template_id] = [_placeholders_as_words(one) for one in of_template]
        self._texts = _Texts(sentences)
        self._own_names = {
            template_id: {one.name for sentence in some for one in self._names_in(sentence)}
            for template_id, some in sentences.items()
        }

    def nearest(self, text: str, n: int = 3) -> list[Match]:
        """The n templates that `text` most probably asks, best first; fewer (or none) if it names what none asks."""
        text = " ".join(text.split())
        best: dict[int, Match] = {}
        for said in dict.fromkeys([text, self._in_our_words(text)]):
            names = [one.name for one in self._names_in(said)]
            for template_id in self._templates:
                match = self._match(template_id, said, names)
                if match is not None and match.confidence > (
                    best[template_id].confidence if template_id in best else -1.0
                ):
                    best[template_id] = match
        return sorted(best.values(), key=lambda match: -match.confidence)[:n]

    def _match(self, template_id: int, text: str, names: list[str]) -> Match | None:
        """What the template would ask with this text in which these names stand, None if it cannot."""
        asked = self._reader.read(template_id, None, text)
        if asked is None:
            return None
        masked, used = self._masked(template_id, text)
        likeness = self._texts.likeness(masked, template_id)
        # A name that the question is about tells more than the words around it.
        sure = likeness if used == 0 else 0.4 + 0.6 * likeness
        n_unused = sum(name not in self._own_names[template_id] for name in names) - used
        confidence = round(max(0.0, sure - _UNUSED_NAME * max(0, n_unused)), 3)
        return Match(asked, fill(self._wording[template_id].plain, asked.question, swapped=asked.swapped), confidence)

    @cached_property
    def _all_names(self) -> NameFinder:
        return NameFinder({name for template_id in self._templates for name in self._reader.all_names(template_id)})

    def _names_in(self, text: str) -> list[Named]:
        """Every name of an attribute, and the lead, if there is one."""
        lead = lead_named(text)
        return self._all_names.find(text) + ([lead] if lead else [])

    def _in_our_words(self, text: str) -> str:
        """The text with codes, everyday words and misspelled names as the questions spell them."""
        codes = {code: statement.attribute for code, statement in ptbxl_statements().items() if statement.kept}
        known = self._all_names.all
        text = re.sub(r"\b[A-Z0-9]{3,5}\b", lambda word: codes.get(word[0], word[0]), text)
        # Names stay as they are; only what lies between them is put into our words.
        pieces, end = [], 0
        for name in self._all_names.find(text):
            pieces += [_put_everyday(text[end : name.start], known), text[name.start : name.end]]
            end = name.end
        text = "".join([*pieces, _put_everyday(text[end:], known)])
        return text if self._all_names.find(text) else _corrected(text, known)

    def _masked(self, template_id: int, text: str) -> tuple[str, int]:
        """The text with its names as the template's placeholders, and how many names these are."""
        kinds = self._kinds[template_id]
        names = self._reader.names(template_id, text)
        lead = lead_named(text) if self._templates[template_id].per_lead else None
        spans = [(one.start, one.end, kinds[one.name]) for one in names]
        if lead is not None:
            spans.append((lead.start, lead.end, "lead"))
        pieces, end = [], 0
        for start, stop, kind in sorted(spans):
            pieces += [text[end:start], f" {_word_for(kind)} "]
            end = stop
        return "".join([*pieces, text[end:]]), len(spans)

    @cached_property
    def _kinds(self) -> dict[int, dict[str, str]]:
        kinds: dict[int, dict[str, str]] = {}
        for question in question_grid(self.vocabulary):
            of_template = kinds.setdefault(question.template.template_id, {})
            of_template.update({word: key.rstrip("12") for key, word in question.words.items() if key != "lead"})
        return kinds


@cache
def finder_for(vocabulary: str) -> TemplateFinder:
    """The finder of a vocabulary, made once."""
    return TemplateFinder(VOCABULARIES[vocabulary]())


class _Texts:
    """The sentences of each template as TF-IDF vectors of words, runs of words and pieces of words.

    What many templates say ("would you report ... for this recording") counts little, what few say much.
    """

    def __init__(self, sentences: Mapping[int, list[str]]) -> None:
        counts = {key: [Counter(_features(one)) for one in of_template] for key, of_template in sentences.items()}
        by_template = [{name for one in of_template for name in one} for of_template in counts.values()]
        self._place = {name: place for place, name in enumerate(sorted(set().union(*by_template)))}
        n_templates = Counter(name for names in by_template for name in names)
        most = 1 + len(sentences)
        self._rarest = float(np.log(most / 2))
        self._rarity = np.array([np.log(most / (1 + n_templates[name])) + 0.1 for name in self._place], np.float32)
        self._vectors = {
            key: np.stack([self._vector(one) for one in of_template]) for key, of_template in counts.items()
        }
        for vectors in self._vectors.values():
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def _vector(self, counts: Counter[str]) -> Vector:
        vector = np.zeros(len(self._place), np.float32)
        for name, count in counts.items():
            if name in self._place:
                vector[self._place[name]] = (1.0 + np.log(count)) * _weight(name)
        return vector * self._rarity

    def likeness(self, text: str, key: int) -> float:
        """Greatest cosine of the text with a sentence of a template; what no template says counts against it."""
        counts = Counter(_features(text))
        vector = self._vector(counts)
        n_unknown = sum(" " not in name and name not in self._place for name in counts)
        length = float(np.sqrt(vector @ vector + n_unknown * self._rarest**2))
        return float((self._vectors[key] @ vector).max()) / length if length else 0.0


def _features(text: str) -> Iterator[str]:
    words = [word for word in re.findall(r"[^\W_]+", text.casefold()) if word not in _SAY_NOTHING]
    yield from words
    if words:
        yield "^whether" if words[0] in _VERIFY_WORDS else "^which"
    for n_words in (2, 3, 4):  # long ones tell "limited to the recent" from "limited to the previous"
        yield from (" ".join(words[at : at + n_words]) for at in range(len(words) - n_words + 1))
    for word in words:
        padded = f"<{word}>"
        yield from (f"~{padded[at : at + 4]}" for at in range(len(padded) - 3))


def _weight(feature: str) -> float:
    """Runs of words tell the order, and little else."""
    return 0.4 if " " in feature else 1.0


def _placeholders_as_words(sentence: str) -> str:
    return re.sub(r"\{(\w+?)[12]?\}", lambda found: f" {_word_for(found[1])} ", sentence)


def _word_for(kind: str) -> str:
    """A word that stands for a name of this kind and occurs in no sentence."""
    return f"qq{kind.replace('_', '')}qq"


_BARE_LEAD: Final = re.compile(
    r"(?<![\w-])(?<!leads )(?<!lead )(?:(?<=in )(I{1,3})|(aV[RLF]|V[1-6]))(?![\w-])(?! leads?\b)", re.IGNORECASE
)


def _put_everyday(text: str, known: list[str]) -> str:
    text = _BARE_LEAD.sub(lambda said: f"lead {said[0]}", text)
    ours = {said: meant for said, meant in _everyday()[0].items() if meant in known}
    if not ours:
        return text
    either = "|".join(map(re.escape, sorted(ours, key=len, reverse=True)))
    return re.sub(rf"(?<!\w)(?:{either})(?!\w)", lambda said: ours[said[0].casefold()], text, flags=re.IGNORECASE)


def _corrected(text: str, names: Iterable[str]) -> str:
    """The text with the phrase that is most like a name replaced by it, if any is like enough."""
    words = [(match.start(), match.end()) for match in re.finditer(r"[^\s,;?!]+", text)]
    best = (_MISSPELLED, 0, 0, "")
    for name in names:
        n_words = len(name.split())
        for first in range(len(words) - n_words + 1):
            start, end = words[first][0], words[first + n_words - 1][1]
            matcher = difflib.SequenceMatcher(None, name.casefold(), text[start:end].casefold())
            if len(name) > 4 and matcher.real_quick_ratio() > best[0] and matcher.quick_ratio() > best[0]:
                best = max(best, (matcher.ratio(), start, end, name))
    _, start, end, name = best
    return text[:start] + name + text[end:] if name else text
