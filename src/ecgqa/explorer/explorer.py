"""Everything that the page shows, held together: questions, runs, ECGs, scores, uploads and the reader."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ecgqa.errors import EcgqaError
from ecgqa.explorer.asking import Asking
from ecgqa.explorer.background import in_background
from ecgqa.explorer.catalogue import Catalogue
from ecgqa.explorer.ecgs import Ecgs
from ecgqa.explorer.filters import Filters, number
from ecgqa.explorer.results import Results
from ecgqa.explorer.runs import Runs
from ecgqa.explorer.statistics import statistics
from ecgqa.explorer.trace import about
from ecgqa.explorer.uploads import Uploads, is_key
from ecgqa.records import ATTRIBUTES, FINDINGS, options_of
from ecgqa.signals.read import Ecg
from ecgqa.store.open import Store, open_store
from ecgqa.tables import read_table

MOST_OTHERS = 500
"""Other questions about the same ECG that one page lists."""


class Explorer:
    """A store and its predictions, opened for looking at."""

    def __init__(
        self,
        store: Store,
        predictions: pl.DataFrame | None = None,
        *,
        attributes: pl.DataFrame | None = None,
        findings: pl.DataFrame | None = None,
        asking: Asking | None = None,
    ) -> None:
        self.store = store
        self.catalogue = Catalogue(store)
        self.ecgs = Ecgs(store, attributes, findings)
        self.uploads = Uploads()
        self.asking = asking or Asking()
        self.results = Results(self.catalogue, predictions)
        self.run_names: list[str] = []
        if predictions is not None:
            self.run_names = [str(name) for name in predictions["run"].unique(maintain_order=True)]
        self._runs = in_background(lambda: Runs(self.catalogue.frame, predictions))

    def runs(self, *, wait: bool) -> Runs | None:
        """The runs joined with the questions; None if that is not done yet and `wait` is false."""
        return self._runs.result() if wait or self._runs.done() else None

    def check(self, patience_s: float = 1.0) -> None:
        """Raise EcgqaError if the predictions or the reader turn out, within a moment, to be of no use here."""
        with suppress(TimeoutError):
            self._runs.result(patience_s)
            self.asking.reader.result(patience_s)

    def question(self, split: str, version: str, sample_id: int, filters: Filters) -> dict[str, Any]:
        """All that is known of one question, and what stands before and after it where `filters` pass."""
        row = self.catalogue.row_of(split, version, sample_id)
        if row is None:
            raise EcgqaError(
                f"this store has no question {split[:20]}/{version[:20]}/{sample_id}",
                fix="go back to the list of questions",
            )
        runs = self.runs(wait=True)
        assert runs is not None
        found = self.catalogue.frame.row(row, named=True)
        rows = self.catalogue.find(filters, runs)
        place = int(np.searchsorted(rows, row))
        inside = place < len(rows) and rows[place] == row
        after = place + 1 if inside else place
        return {
            "question": {name: found[name] for name in found if name != "ecg_row"},
            "options": options_of(found["candidates"]),
            "replies": [{"run": name, "reply": run.reply(row)} for name, run in runs.runs.items()],
            "ecgs": [self.ecg(ecg_row, but=row) for ecg_row in found["ecg_row"]],
            "place": {
                "index": place if inside else None,
                "total": len(rows),
                "previous": self.catalogue.key(int(rows[place - 1])) if place else None,
                "next": self.catalogue.key(int(rows[after])) if after < len(rows) else None,
            },
        }

    def ecg(self, ecg_row: int, but: int | None = None) -> dict[str, Any]:
        """Record, attributes, findings, report and the (other) questions of an ECG."""
        record = self.ecgs.record(ecg_row)
        others = self.catalogue.of_ecg(ecg_row)
        others = others[others != but]
        runs = self.runs(wait=False)
        shown = others[:MOST_OTHERS]
        return {
            "record": record,
            "trace": about(self.ecgs.ecg(ecg_row)),
            **self.ecgs.known(ecg_row),
            "others": {
                "total": len(others),
                "questions": self.catalogue.briefs(shown),
                "marks": None if runs is None else runs.marks(shown),
            },
        }

    def shown(self, key: str) -> Ecg:
        """An ECG of the store by its row, or an upload by its key."""
        if is_key(key):
            return self.uploads.get(key)[1]
        return self.ecgs.ecg(number(key, "ECG row"))

    def ask(self, keys: Sequence[str], question: str) -> dict[str, Any]:
        """Put a question to the reader about one ECG or two."""
        return self.asking.ask([self.shown(key) for key in keys], question)

    @cached_property
    def statistics(self) -> dict[str, Any]:
        return statistics(self.catalogue)


def open_explorer(
    store: Path,
    predictions: Sequence[Path] = (),
    *,
    attributes: Path | None = None,
    findings: Path | None = None,
    run: Path | None = None,
    classifier: Path | None = None,
) -> Explorer:
    """An explorer over files on disk; raises EcgqaError where one of them is not what it should be."""
    from ecgqa.evaluation.load import load_predictions

    opened = open_store(store)
    if attributes is not None and attributes.is_dir():
        attributes = attributes / "attributes.parquet"
    return Explorer(
        opened,
        load_predictions(predictions) if predictions else None,
        attributes=None if attributes is None else read_table(attributes, ATTRIBUTES),
        findings=None if findings is None else read_table(findings, FINDINGS),
        asking=Asking(run, classifier),
    )
