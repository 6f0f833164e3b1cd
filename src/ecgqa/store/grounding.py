"""The items of classification in a store: which attribute each ECG shows in which leads, as its questions say."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgqa.artefacts import write_json
from ecgqa.records import GROUNDING
from ecgqa.tables import read_table, write_table

if TYPE_CHECKING:
    import polars as pl

    from ecgqa.store.open import Store

FORMAT = 1
"""Raised when the same questions give other items than before: older files are then made anew."""


@dataclass(frozen=True)
class StoreGrounding:
    """Items (table GROUNDING: `class_id` is a place in `classes`) and what was left out, with the number of cases."""

    items: pl.DataFrame
    classes: list[str]
    notes: dict[str, int]

    @property
    def summary(self) -> dict[str, Any]:
        """Numbers of items by split, of classes, and of what was left out."""
        by_split = self.items.group_by("split", maintain_order=True).len("items")
        return {"items": dict(by_split.iter_rows()), "classes": len(self.classes), "notes": self.notes}


def grounding_files(published: bool) -> tuple[str, str]:
    """Names of the table and of the class list in a store folder."""
    name = "grounding-published" if published else "grounding"
    return f"{name}.parquet", f"{name}.json"


def grounding_of(store: Store, *, published: bool = False) -> StoreGrounding:
    """The items of a store's questions; see `questions.grounding.ground` for `published`.

    A store that lacks them (built by an older version, or asked for the published ones the first time) gets them
    written beside its other files, if its folder can be written to.
    """
    table, described = (store.folder / name for name in grounding_files(published))
    facts = _read_facts(described)
    if facts is not None and table.is_file():
        found = StoreGrounding(read_table(table, GROUNDING), facts["classes"], facts["notes"])
    else:
        found = _grounded(store.questions(), published)
        with suppress(OSError):  # a store on a read-only disk: the items are made again next time
            _write(found, store.folder, published)
    return found


def write_grounding(questions: pl.DataFrame, folder: Path) -> StoreGrounding:
    """Write the items of a store's questions (with their column `ecg_row`) to its folder."""
    found = _grounded(questions, published=False)
    _write(found, folder, published=False)
    return found


def _grounded(questions: pl.DataFrame, published: bool) -> StoreGrounding:
    import polars as pl

    from ecgqa.questions.grounding import ground

    grounding = ground(questions, published=published)
    rows = questions.select("ecg_id", "ecg_row").explode("ecg_id", "ecg_row").unique()
    items = grounding.items.join(rows, on="ecg_id").select(list(GROUNDING.columns))
    return StoreGrounding(
        items.sort("split", "ecg_row", "leads", "class_id").with_columns(pl.col("ecg_row").cast(pl.Int32)),
        grounding.classes,
        grounding.notes,
    )


def _write(found: StoreGrounding, folder: Path, published: bool) -> None:
    table, described = grounding_files(published)
    write_table(found.items, folder / table, GROUNDING)
    write_json(folder / described, {"format": FORMAT, "classes": found.classes, "notes": found.notes})


def _read_facts(path: Path) -> dict[str, Any] | None:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        usable = facts["format"] == FORMAT and isinstance(facts["classes"], list) and isinstance(facts["notes"], dict)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(facts) if usable else None
