"""The seam between the page and `ecgqa ask`: who answers a question in free words, and what that rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ecgqa.errors import EcgqaError
from ecgqa.explorer.ecgs import Trace

if TYPE_CHECKING:
    from ecgqa.store.open import Store

MODULE: Final = "ecgqa.llm.ask"
MAX_QUESTION: Final = 500


@dataclass(frozen=True)
class Reply:
    """An answer in the page's own words; whatever is unknown is left empty."""

    answer: list[str]
    reader: str
    template: dict[str, Any] | None
    """Nearest template: template_id, question, confidence 0 to 1."""
    candidates: list[str]
    scores: list[float] | None
    rests_on: list[dict[str, Any]]
    """What the answer rests on: name, value, unit or probability, ECG (1 or 2)."""


Reader = Callable[[Sequence[tuple[Trace, int | None]], str], Reply]
"""(samples and ecg_id of one or two ECGs, question) -> reply."""


class Asking:
    """Answers questions, or says what is missing to do so."""

    def __init__(self, reader: Reader | None, why_not: EcgqaError | None = None) -> None:
        self._reader = reader
        self._why_not = why_not

    @property
    def ready(self) -> bool:
        return self._reader is not None

    @property
    def why_not(self) -> EcgqaError | None:
        """What to do to get answers; None if there is a reader."""
        return None if self.ready else self._why_not or NO_READER

    def ask(self, ecgs: Sequence[tuple[Trace, int | None]], question: str) -> Reply:
        """Answer `question` about one or two ECGs; raises EcgqaError where there is no reader or no question."""
        if self._reader is None:
            raise self._why_not or NO_READER
        text = " ".join(question.split())
        if not text:
            raise EcgqaError("there is no question", fix="type one, such as: does this ECG show atrial fibrillation?")
        if len(text) > MAX_QUESTION:
            raise EcgqaError("the question is too long", expected=f"at most {MAX_QUESTION} characters")
        return self._reader(ecgs, text)


NO_READER: Final = EcgqaError(
    "no reader was given, so that nothing here can answer",
    fix="ecgqa explore STORE --findings FINDINGS.parquet, or --run RUN",
)


def make_asking(store: Store, findings: Path | None, run: Path | None) -> Asking:
    """The reader made of findings or of a trained run, if either is given."""
    if findings is None and run is None:
        return Asking(None)
    if find_spec(MODULE) is None:
        return Asking(None, EcgqaError("this version of ecgqa cannot answer questions in free words yet"))
    make = getattr(import_module(MODULE), "reader_for_page", None)
    return Asking(make(store, findings=findings, run=run)) if make else Asking(None)
