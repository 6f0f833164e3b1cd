"""The questions of a store, held in memory so that any filter and its counts are a few array operations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ecgqa.explorer.filters import FIELDS, Filters
from ecgqa.records import QUESTIONS

if TYPE_CHECKING:
    from ecgqa.explorer.runs import Runs
    from ecgqa.store.open import Store

Mask = NDArray[np.bool_]
_COLUMNS = dict(zip(FIELDS, (*FIELDS[:4], "template_id", *FIELDS[5:]), strict=True))


@dataclass(frozen=True)
class Field:
    """One column of the questions as codes into `names`; a question may have none or several of them."""

    names: list[str]
    codes: NDArray[np.int32]
    rows: NDArray[np.int32] | None
    """Question of each code; None where code i belongs to question i."""

    def matching(self, wanted: tuple[str, ...], n_questions: int) -> Mask:
        """Questions that have one of the wanted names."""
        chosen = np.isin(np.array(self.names, dtype=object), list(wanted))
        hit: Mask = chosen[self.codes] if len(self.names) else np.zeros(len(self.codes), bool)
        if self.rows is None:
            return hit
        found = np.zeros(n_questions, bool)
        found[self.rows[hit]] = True
        return found

    def counts(self, mask: Mask) -> NDArray[np.int64]:
        """Questions within `mask` per name (a question counts once for each of its names)."""
        kept = self.codes[mask if self.rows is None else mask[self.rows]]
        return np.bincount(kept, minlength=len(self.names))


@dataclass(frozen=True)
class Found:
    """What a filter leaves."""

    rows: NDArray[np.int32]
    """Question rows in the order of the store."""
    facets: dict[str, list[dict[str, Any]]]
    """Per field: name and number of questions, where the field's own filter is left aside."""


class Catalogue:
    """Every question of a store with what is needed to filter, count and find them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.frame = _questions(store)
        self.fields = {name: _encode(self.frame[column]) for name, column in _COLUMNS.items()}
        texts = self.frame["question"].unique().sort()
        self._text = _codes(self.frame["question"], texts)
        self._texts = texts.str.to_lowercase()

    def __len__(self) -> int:
        return self.frame.height

    @cached_property
    def _by_ecg(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Question rows sorted by ECG row, and where each ECG's begin."""
        pairs = self.frame.select(pl.int_range(pl.len(), dtype=pl.Int32).alias("row"), "ecg_row")
        pairs = pairs.explode("ecg_row").unique().sort("ecg_row", "row")
        starts = np.searchsorted(pairs["ecg_row"].to_numpy(), np.arange(self.store.n_ecgs + 1))
        return pairs["row"].to_numpy(), starts

    def of_ecg(self, ecg_row: int) -> NDArray[np.int32]:
        """Rows of the questions about an ECG."""
        rows, starts = self._by_ecg
        return rows[starts[ecg_row] : starts[ecg_row + 1]]

    def n_of_ecgs(self) -> NDArray[np.int64]:
        """(n_ecgs,) number of questions about each ECG."""
        return np.diff(self._by_ecg[1])

    def row_of(self, split: str, version: str, sample_id: int) -> int | None:
        """The row of a sample, None if the store does not hold it."""
        mask = self.fields["split"].matching((split,), len(self)) & self.fields["version"].matching(
            (version,), len(self)
        )
        found = np.flatnonzero(mask & (self._sample_ids == sample_id))
        return int(found[0]) if len(found) else None

    @cached_property
    def _sample_ids(self) -> NDArray[np.int64]:
        return self.frame["sample_id"].to_numpy()

    def find(self, filters: Filters, runs: Runs | None = None) -> NDArray[np.int32]:
        """Rows of the questions that pass, in the order of the store; `runs` is needed where the filters name any."""
        mask = self._shared(filters, runs)
        for own in self._own(filters).values():
            mask = mask & own
        return np.flatnonzero(mask).astype(np.int32)

    def find_with_facets(self, filters: Filters, runs: Runs | None = None) -> Found:
        """`find`, and how many questions each value of each field would leave."""
        shared, own = self._shared(filters, runs), self._own(filters)
        every = shared
        for mask in own.values():
            every = every & mask
        facets = {}
        for name, field in self.fields.items():
            mask = every
            if name in own:
                mask = shared
                for other, passed in own.items():
                    mask = mask if other == name else mask & passed
            facets[name] = [
                {"name": value, "n": int(n)}
                for value, n in zip(field.names, field.counts(mask).tolist(), strict=True)
                if n or value in getattr(filters, name)
            ]
        return Found(np.flatnonzero(every).astype(np.int32), facets)

    def _own(self, filters: Filters) -> dict[str, Mask]:
        """Masks of the fields that are filtered by."""
        wanted = {name: getattr(filters, name) for name in FIELDS}
        return {name: self.fields[name].matching(values, len(self)) for name, values in wanted.items() if values}

    def _shared(self, filters: Filters, runs: Runs | None) -> Mask:
        """Mask of everything else that is asked for."""
        mask = np.ones(len(self), bool)
        words = filters.search.lower().split()
        if words and len(self):
            hit = pl.Series(np.ones(len(self._texts), bool))
            for word in words:
                hit &= self._texts.str.contains(word, literal=True)
            mask &= hit.to_numpy()[self._text]
        if filters.ecg is not None:
            about = np.zeros(len(self), bool)
            if filters.ecg < self.store.n_ecgs:
                about[self.of_ecg(filters.ecg)] = True
            mask &= about
        if runs is not None and filters.needs_runs:
            mask &= runs.passing(filters)
        return mask

    def key(self, row: int) -> dict[str, Any]:
        """What names a question in a URL."""
        found = self.frame.row(row, named=True)
        return {name: found[name] for name in ("split", "version", "sample_id")}

    def briefs(self, rows: NDArray[np.int32]) -> list[dict[str, Any]]:
        """The questions at `rows` as a list shows them."""
        names = ("split", "version", "sample_id", "question", "question_type", "attribute_type", "template_id")
        return self.frame[rows].select(*names, "answer", "ecg_id", "ecg_row").to_dicts()


def _questions(store: Store) -> pl.DataFrame:
    if store.manifest["parts"]:
        return store.questions()
    return QUESTIONS.empty().with_columns(pl.lit(None, dtype=pl.List(pl.Int32)).alias("ecg_row"))


def _encode(column: pl.Series) -> Field:
    rows = None
    if isinstance(column.dtype, pl.List):
        pairs = pl.DataFrame({"row": np.arange(len(column), dtype=np.int32), "value": column})
        pairs = pairs.explode("value").drop_nulls()
        rows, column = pairs["row"].to_numpy(), pairs["value"]
    names = column.unique().sort()
    return Field([str(name) for name in names], _codes(column, names), rows)


def _codes(column: pl.Series, names: pl.Series) -> NDArray[np.int32]:
    """Place of each value in `names`."""
    if isinstance(column.dtype, (pl.String, pl.Enum)):
        column = column.cast(pl.String).cast(pl.Enum(names.cast(pl.String)))
        return column.to_physical().to_numpy().astype(np.int32)
    return np.searchsorted(names.to_numpy(), column.to_numpy()).astype(np.int32)
