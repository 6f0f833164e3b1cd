"""Who answers a question in free words on the page, one question at a time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from ecgqa.errors import EcgqaError
from ecgqa.explorer.background import in_background

if TYPE_CHECKING:
    from ecgqa.asking import Reader
    from ecgqa.signals.read import Ecg

MAX_QUESTION: Final = 500


class Asking:
    """The reader behind `ecgqa ask`: a trained run, a classifier, or, without either, measurements alone."""

    def __init__(self, run: Path | None = None, classifier: Path | None = None) -> None:
        if run is not None and classifier is not None:
            raise EcgqaError("one reader answers", expected="one of --run and --classifier")
        self.trained = run or classifier
        self.reader: Future[Reader] = in_background(lambda: _load(run, classifier))
        self._one_at_a_time = Lock()

    def ask(self, ecgs: Sequence[Ecg], question: str) -> dict[str, Any]:
        """What `ecgqa ask --json` prints about one or two ECGs; raises EcgqaError where the reader cannot answer."""
        from ecgqa.asking import ask

        text = " ".join(question.split())
        if not text:
            raise EcgqaError(
                "there is no question", fix="type one, such as: is the QRS duration above the normal range?"
            )
        if len(text) > MAX_QUESTION:
            raise EcgqaError("the question is too long", expected=f"at most {MAX_QUESTION} characters")
        reader = self.reader.result()
        with self._one_at_a_time:
            return ask(ecgs, text, reader).as_json()


def _load(run: Path | None, classifier: Path | None) -> Reader:
    from ecgqa.asking import FindingsReader, MeasuringReader, TrainedReader

    if run is not None:
        return TrainedReader(run)
    return MeasuringReader() if classifier is None else FindingsReader(classifier)
