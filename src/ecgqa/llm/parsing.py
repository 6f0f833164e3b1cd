"""Reading a reply: which of a question's options it names, or why it names none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from ecgqa.records import LEADS, NONE, Status, options_of

MAX_READ: Final = 100_000
"""Characters of a reply that are looked at: the first and the last half of these."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The answer that a reply gives, a set in the order of the options (["none"] for "no option"), and its status."""

    answer: list[str]
    status: Status


def parse_reply(reply: str, candidates: Sequence[str], vocabulary: Sequence[str] = ()) -> Parsed:
    """What `reply` answers to a question with these `candidates` (with the literal "none" where that may be said).

    A stated final answer ("Answer: …", a JSON value) counts over the text before it; of several, the last. Options are
    found as whole words, whatever their case, the longest first; lists, markdown and quotes do not matter; lead names
    may stand without the word lead and as ranges ("V1-V4"). An option denied in its clause ("no sinus rhythm") is not
    named.
    vocabulary: all answers of the data set; one of them named outside the candidates is part of the answer, and so
    wrong. Without any of these the reply is refused (it declines to answer) or unparseable.
    """
    text = _shortened(reply)
    options = _Options.of(tuple(candidates), tuple(vocabulary))
    for region in _regions(text):
        found = options.read(region)
        if found is not None:
            return Parsed(found, Status.OK)
    return Parsed([], Status.REFUSED if _declines(text) else Status.UNPARSEABLE)


_REFUSAL = re.compile(
    r"\b(?:i(?:['’]m| am)? (?:can ?not|can['’]t|unable|not able|not (?:qualified|permitted|allowed)|won['’]t|"
    r"must decline|decline)|as an ai\b|(?:cannot|can['’]t|unable to) (?:provide|give|answer|determine|interpret|assist|"
    r"help|comply|diagnose)|(?:consult|seek) (?:a|with|your) |not sure|(?:do not|don['’]t) know|"
    r"(?:impossible|not possible|insufficient information|not enough information)\b)",
    re.IGNORECASE,
)


def _declines(text: str) -> bool:
    return _REFUSAL.search(text) is not None


def _shortened(reply: str) -> str:
    if len(reply) <= MAX_READ:
        return reply
    return reply[: MAX_READ // 2] + "\n" + reply[-MAX_READ // 2 :]


# --- where the answer stands ------------------------------------------------------------------------------------------

_ANSWER_LINE = re.compile(
    r"^[\s>*_#`\-]*(?:(?:so|thus|therefore|hence),?\s+)?(?:the\s+|my\s+)?(?:final\s+|correct\s+|right\s+|best\s+)?"
    r"answers?(?:\(s\))?[\s*_`]*(?:(?:is|are)\b[\s*_`]*:?|[:=\-–—])",
    re.IGNORECASE | re.MULTILINE,
)
_FENCE = re.compile(r"```[a-zA-Z]*\s*(.*?)```", re.DOTALL)
_KEYS = ("final_answer", "finalanswer", "answers", "answer", "final", "result", "labels", "label")
_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)


def _regions(text: str) -> Iterator[str | list[str]]:
    """Pieces of the reply in which the answer is looked for, most explicit first; a list holds finished items."""
    thought_out = _THOUGHT.sub(" ", text).strip()
    text = thought_out or text
    structured = _json_answer(text)
    if structured is not None:
        yield structured
    lines = [match.end() for match in _ANSWER_LINE.finditer(text)]
    if lines:
        stated = text[lines[-1] :].rstrip()
        first, _, rest = stated.partition("\n")
        # A list may follow on the lines below; a paragraph of afterthoughts after a blank line does not belong to it.
        yield first if _plain(first) else rest.strip().split("\n\n", 1)[0]
        yield stated
    else:
        yield text
        paragraphs = [part for part in re.split(r"\n\s*\n", text) if part.strip()]
        if len(paragraphs) > 1:
            yield paragraphs[-1]
            yield paragraphs[0]
        sentences = [part for part in re.split(r"(?<=[.!?])\s+|\n", text.strip()) if part.strip()]
        if len(sentences) > 1:
            yield sentences[0]
            yield sentences[-1]


def _json_answer(text: str) -> list[str] | None:
    """The last JSON object with an answer in it, or a reply that is a JSON value as a whole."""
    whole = [text.strip(), *(match.strip() for match in _FENCE.findall(text))]
    for piece in reversed(whole):
        if piece[:1] in '[{"':
            value = _loads(piece)
            if value is not None:
                return _items(value)
    decoder = json.JSONDecoder()
    starts = [match.start() for match in re.finditer(r"\{", text)][-20:]
    for start in reversed(starts):
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and any(str(key).casefold() in _KEYS for key in value):
            return _items(value)
    return None


def _loads(piece: str) -> Any:
    try:
        return json.loads(piece)
    except (ValueError, RecursionError):
        return None


def _items(value: Any) -> list[str] | None:
    if isinstance(value, dict):
        by_key = {str(key).casefold().replace(" ", "_"): item for key, item in value.items()}
        return next((_items(by_key[key]) for key in _KEYS if key in by_key), None)
    if isinstance(value, list):
        flat = [item for part in value for item in (_items(part) or [])]
        return flat or [NONE]
    if value is None:
        return [NONE]
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    return [str(value)]


# --- which options a piece of text names ------------------------------------------------------------------------------

_NONE_SAID = re.compile(
    r"(?<!\w)(?:none|neither|nothing|no (?:option|options|answer|answers|lead|leads) (?:applies|apply|shows?|present)|"
    r"n/a|\[\s*\]|empty(?: set)?)(?!\w)(?:\s+of\s+(?:the\s+)?(?:above|these|those|them|options|given options|two))*",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"(?<!\w)(?:no|not|without|absence of|absent|neither|nor|rather than|instead of|excludes?|excluding|rules? out|"
    r"ruled out|negative for|lacks?|denies|isn['’]t|aren['’]t|doesn['’]t|does not|do not|don['’]t)(?!\w)",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(
    r"[.;:!?\n]|(?<!\w)(?:but|however|although|though|instead|while|whereas|yet)(?!\w)", re.IGNORECASE
)
_FILLER = re.compile(
    r"(?<!\w)(?:and|or|also|the|this|that|an?|is|are|it|ecg|shows?|showing|present|yes|options?|answers?|leads?|in|seen|"
    r"following|both|e\.g|i\.e|final|correct)(?!\w)",
    re.IGNORECASE,
)
_RANGE = re.compile(r"(?<!\w)V([1-6])\s*(?:-|–|—|to|through|until|\.\.)\s*V?([1-6])(?!\w)", re.IGNORECASE)
_ALL_LEADS = re.compile(
    r"(?<!\w)(?:all|every|each of the)\s+(?:the\s+)?(?:12\s+|twelve\s+)?leads?(?!\w)", re.IGNORECASE
)


class _Options:
    """The options of one question, ready to be found in texts."""

    @classmethod
    def of(cls, candidates: tuple[str, ...], vocabulary: tuple[str, ...]) -> _Options:
        return _options(candidates, vocabulary)

    def __init__(self, candidates: tuple[str, ...], vocabulary: tuple[str, ...]) -> None:
        self.options = options_of(list(candidates))
        self.takes_none = NONE in candidates or not {"yes", "no"} & {name.casefold() for name in self.options}
        self.order = {name: place for place, name in enumerate(self.options)}
        self.closed = {name.casefold() for name in self.options} <= {"yes", "no", "not sure"}
        self.of_leads = any(name.casefold().startswith("lead ") for name in self.options)
        strangers = [] if self.closed else [name for name in options_of(list(vocabulary)) if name not in self.order]
        # Where a stranger is spelled as an option is, but for its case, the option is meant.
        known = {name.casefold() for name in self.options}
        self.strangers = [name for name in strangers if name.casefold() not in known and name.casefold() not in _CLOSED]
        self._spelled = {
            _plain(name).casefold(): name for name in reversed([*self.options, *self.strangers]) if name.strip()
        }
        self._exact = {name: name for name in self.options}
        names = sorted(self._spelled, key=len, reverse=True)
        pattern = "|".join(map(_as_pattern, names))
        self._pattern = re.compile(rf"(?<!\w)(?:{pattern})(?![\w])", re.IGNORECASE) if names else None
        self._loose = {re.sub(r"[\s\-]+", "", name): whole for name, whole in self._spelled.items()}

    def read(self, region: str | list[str]) -> list[str] | None:
        """The options that a region names, ["none"] if it says so, None if it says nothing clear."""
        if isinstance(region, list):
            parts = [self.read(item) for item in region]
            if any(part is None for part in parts):
                return None
            return self._ordered({name for part in parts for name in part or []} or {NONE})
        text = _plain(region)
        if self.closed:
            return self._read_closed(text)
        if self.of_leads:
            text = _ALL_LEADS.sub(" ".join(LEADS), _RANGE.sub(_spell_range, text))
        found, rest, denied = self._find(text)
        if self.of_leads:
            more, rest = self._bare_leads(rest, found)
            found |= more
        if re.search(r"(?<!\w)both(?!\w)", rest, re.IGNORECASE) and len(self.options) == 2 and not found:
            return list(self.options)
        if found:
            return self._ordered(found)
        if self.takes_none and _NONE_SAID.search(rest):
            return [NONE]
        if self.takes_none and denied == set(self.options):
            return [NONE]
        return None

    def _read_closed(self, text: str) -> list[str] | None:
        """Yes, no and not sure: the first word, or the only one that is said."""
        said = [self._name(match[0]) for match in self._matches(text)]
        begins = self._pattern.match(text.lstrip(" \"'([")) if self._pattern else None
        if begins:
            rest = text.lstrip(" \"'([")[begins.end() :].lstrip()
            if not rest or not rest[0].isalnum():
                others = {name for name in said[1:] if name != self._name(begins[0])}
                # "Yes or no" and "no, yes" answer nothing; "Yes, there is no doubt" does.
                if not others or len(rest.split()) > 2:
                    return [self._name(begins[0])]
                return None
        distinct = set(said)
        return [said[0]] if len(distinct) == 1 else None

    def _matches(self, text: str) -> Iterator[re.Match[str]]:
        return self._pattern.finditer(text) if self._pattern else iter(())

    def _find(self, text: str) -> tuple[set[str], str, set[str]]:
        """Names asserted in `text`, the text without any name, and the names denied."""
        found: set[str] = set()
        denied: set[str] = set()
        rest: list[str] = []
        end = 0
        for match in self._matches(text):
            name = self._name(match[0])
            (denied if self._is_denied(text, match.start()) else found).add(name)
            rest.append(text[end : match.start()])
            end = match.end()
        rest.append(text[end:])
        return found, " ".join(rest), denied - found

    def _name(self, said: str) -> str:
        if said in self._exact:
            return said
        key = re.sub(r"\s+", " ", said.casefold())
        return self._spelled.get(key) or self._loose[re.sub(r"[\s\-]+", "", key)]

    def _is_denied(self, text: str, start: int) -> bool:
        before = text[max(0, start - 120) : start]
        ends = [match.end() for match in _CLAUSE_END.finditer(before)]
        clause = before[ends[-1] :] if ends else before
        denials = list(_DENIAL.finditer(clause))
        if not denials:
            return False
        # "no A or B" denies both; "not A, B" and "A, not B, C" deny only what follows at once.
        between = clause[denials[-1].end() :]
        return not re.search(r"(?<!\w)(?:yes|only|just|merely)(?!\w)", between, re.IGNORECASE) and not (
            "," in between and not re.search(r"(?<!\w)(?:or|nor|and)(?!\w)", between, re.IGNORECASE)
        )

    def _bare_leads(self, rest: str, found: set[str]) -> tuple[set[str], str]:
        """Lead names without the word lead, where they stand in a list and not in a sentence ("I think …")."""
        by_name = {
            name.split(" ", 1)[1].casefold(): name for name in self.options if name.casefold().startswith("lead ")
        }
        bare = re.compile(
            r"(?<![\w/])(?:" + "|".join(sorted(by_name, key=len, reverse=True)) + r")(?![\w/])", re.IGNORECASE
        )
        left = bare.sub(" ", rest)
        words = re.findall(r"[^\W\d_]+", _FILLER.sub(" ", left))
        after_leads = re.search(r"\bleads?\b|:", rest, re.IGNORECASE)
        more = {by_name[match[0].casefold()] for match in bare.finditer(rest)}
        if words and "I" in {match[0] for match in bare.finditer(rest)} and not after_leads and not found:
            more.discard(by_name.get("i", ""))
        return more, left

    def _ordered(self, names: set[str]) -> list[str]:
        if names != {NONE}:
            names = names - {NONE}
        return sorted(names, key=lambda name: (self.order.get(name, len(self.order)), name))


_CLOSED = {"yes", "no", "not sure"}


@lru_cache(maxsize=4096)
def _options(candidates: tuple[str, ...], vocabulary: tuple[str, ...]) -> _Options:
    return _Options(candidates, vocabulary)


def _as_pattern(name: str) -> str:
    """A name whose words may be apart by spaces or hyphens, as in "T wave" and "t-wave"."""
    pieces = re.split(r"([ \-]+)", name)
    gaps = {True: "[\\s-]*", False: "[\\s-]+"}
    return "".join(gaps[gap.strip() == "-"] if place % 2 else re.escape(gap) for place, gap in enumerate(pieces))


def _spell_range(match: re.Match[str]) -> str:
    first, last = sorted((int(match[1]), int(match[2])))
    return " ".join(f"V{number}" for number in range(first, last + 1))


_TYPOGRAPHY = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‐": "-", "‑": "-", "\u00a0": " "}
)


def _plain(text: str) -> str:
    """Without markdown and typographic variants, whitespace made single (line ends stay)."""
    text = text.translate(_TYPOGRAPHY)
    text = re.sub(r"\\boxed\{([^}]*)\}", r" \1 ", text)
    text = re.sub(r"[*_`#>~]|\\text\b|\$", " ", text)
    text = re.sub(r"^\s*(?:[-•+]|\(?[0-9a-zA-Z]{1,2}[.)])\s+", "", text, flags=re.MULTILINE)
    return re.sub(r"[ \t]+", " ", text).strip()
