"""From a question and what is shown of its ECGs to the messages a language model gets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ecgqa.errors import EcgqaError
from ecgqa.llm.asked import AskedQuestion
from ecgqa.llm.views import Block, View
from ecgqa.records import NONE

Style = Literal["published", "few-shot", "cot"]
STYLES: Final = ("published", "few-shot", "cot")

_FINDINGS = (
    "Below are interpretations of each ECG by a classifier, one finding a line with its score. The higher the score, "
    "the more certain the finding."
)
_SHOWN = "Below is what is known of each ECG."
_BLIND = "The question below is about an ECG that is not shown."
_ANSWER_ONLY = (
    "Answer only with options from the list above, separated by commas if several apply, and without any explanation."
)
_REASON = (
    "Think it through step by step. Then end with one line that begins with 'Answer:' and holds only options from the "
    "list above, separated by commas if several apply."
)


@dataclass(frozen=True)
class Part:
    """Text, or a PNG image."""

    text: str = ""
    png: bytes | None = None


@dataclass(frozen=True)
class Message:
    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """Its text, an image as its digest."""
        return "".join(
            part.text if part.png is None else f"[image sha256:{hashlib.sha256(part.png).hexdigest()[:16]}]"
            for part in self.parts
        )


@dataclass(frozen=True)
class Prompt:
    """What is sent for one question."""

    asked: AskedQuestion
    messages: tuple[Message, ...]

    @property
    def digest(self) -> str:
        """Of everything that is sent."""
        return hashlib.sha256(json.dumps([[m.role, m.text] for m in self.messages]).encode()).hexdigest()

    @property
    def text(self) -> str:
        """All messages as text, images as their digests."""
        return "\n\n".join(f"[{message.role}]\n{message.text}" for message in self.messages)

    @property
    def n_images(self) -> int:
        return sum(part.png is not None for message in self.messages for part in message.parts)


class Prompter:
    """Makes prompts in one style from the same views.

    published: a single user message: what the scores mean, a headed block per view, the question, its options (with
    "None" for every question that is not yes or no), and the instruction to answer from the options only (Oh et al.
    2023). few-shot: the same after exchanges about `exemplars` (questions of the train split). cot: reasons first, then
    a final answer line.
    """

    def __init__(self, views: Sequence[View], style: Style, exemplars: Sequence[AskedQuestion] = ()) -> None:
        if style not in STYLES:
            raise EcgqaError(f"no prompt style {style!r}", expected=", ".join(STYLES))
        if (style == "few-shot") != bool(exemplars):
            raise EcgqaError("few-shot prompts need exemplars, and only they do", fix="--shots 3")
        self.views, self.style = list(views), style
        self._exchanges = tuple(message for asked in exemplars for message in self._exchange(asked))

    def prompt(self, asked: AskedQuestion) -> Prompt:
        """The prompt of one question."""
        return Prompt(asked, (*self._exchanges, self._user(asked)))

    def _exchange(self, asked: AskedQuestion) -> tuple[Message, Message]:
        given = [name.capitalize() if name == NONE else name for name in asked.answer]
        return self._user(asked), Message("assistant", (Part(", ".join(given)),))

    def _user(self, asked: AskedQuestion) -> Message:
        blocks = [block for view in self.views for block in view.blocks(asked)]
        parts = [Part(self._opening(blocks) + "\n\n")]
        for block in blocks:
            parts.append(Part(f"{block.heading}\n"))
            parts.append(Part(png=block.png) if block.png else Part(block.text or "(nothing)"))
            parts.append(Part("\n\n"))
        instruction = _REASON if self.style == "cot" else _ANSWER_ONLY
        parts.append(Part(f"Question: {asked.question}\nOptions: {', '.join(asked.options)}\n\n{instruction}"))
        return Message("user", tuple(_joined(parts)))

    def _opening(self, blocks: Sequence[Block]) -> str:
        if not blocks:
            return _BLIND
        only_findings = all(block.heading.startswith("Interpretation") for block in blocks)
        return _FINDINGS if only_findings else _SHOWN


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Neighbouring texts as one."""
    joined: list[Part] = []
    for part in parts:
        if joined and part.png is None and joined[-1].png is None:
            joined[-1] = Part(joined[-1].text + part.text)
        else:
            joined.append(part)
    return joined
