"""Counts of the questions of a store: by type, template and answer, how often ECGs are reused, how long texts are."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any, Final

import numpy as np
import polars as pl

from ecgqa.explorer.catalogue import Catalogue

MOST_ANSWERS: Final = 60
_REUSE: Final = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Lower limits of the classes of ECG reuse."""


def statistics(catalogue: Catalogue) -> dict[str, Any]:
    """Everything that the statistics page shows."""
    frame = catalogue.frame
    splits = catalogue.fields["split"].names
    return {
        "n_questions": len(catalogue),
        "n_ecgs": catalogue.store.n_ecgs,
        "splits": splits,
        "question_type": _by_split(frame, "question_type", splits),
        "attribute_type": _by_split(frame, "attribute_type", splits),
        "template": _by_split(frame, "template_id", splits),
        "templates": _template_names(frame),
        "answer": _answers(catalogue),
        "n_answers": _counted(frame["answer"].list.len().to_list()),
        "reuse": _reuse(catalogue),
        "words": _counted(frame["question"].str.split(" ").list.len().to_list()),
        "leaks": _leaks(catalogue),
    }


def _by_split(frame: pl.DataFrame, column: str, splits: list[str]) -> list[dict[str, Any]]:
    """Rows of name, n and number per split, in the column's own order."""
    counts = frame.group_by(column, "split").agg(pl.len().alias("n")).sort(column)
    rows: dict[str, dict[str, Any]] = {}
    for value, split, n in counts.iter_rows():
        row = rows.setdefault(str(value), {"name": str(value), "n": 0, "by_split": dict.fromkeys(splits, 0)})
        row["n"] += n
        row["by_split"][split] = n
    return list(rows.values())


def _template_names(frame: pl.DataFrame) -> dict[str, str]:
    """What kind of question each template asks."""
    kinds = frame.select("template_id", pl.col("question_type", "attribute_type").cast(pl.String)).unique("template_id")
    return {str(number): f"{kind}, {attribute}" for number, kind, attribute in kinds.sort("template_id").iter_rows()}


def _answers(catalogue: Catalogue) -> list[dict[str, Any]]:
    field = catalogue.fields["answer"]
    counts = field.counts(np.ones(len(catalogue), bool))
    order = np.argsort(-counts, kind="stable")[:MOST_ANSWERS]
    return [{"name": field.names[place], "n": int(counts[place])} for place in order]


def _counted(numbers: list[int]) -> list[dict[str, Any]]:
    return [{"name": str(value), "n": n} for value, n in sorted(Counter(numbers).items())]


def _reuse(catalogue: Catalogue) -> dict[str, Any]:
    """How many ECGs are asked about so often."""
    times = catalogue.n_of_ecgs()
    place = np.searchsorted(_REUSE, times, side="right") - 1
    counts = np.bincount(place, minlength=len(_REUSE))
    names = [str(low) if high - low == 1 else f"{low}-{high - 1}" for low, high in pairwise(_REUSE)]
    names.append(f"{_REUSE[-1]}+")
    asked = times[times > 0]
    classes = [{"name": name, "n": int(n)} for name, n in zip(names, counts, strict=True)]
    held = np.flatnonzero(counts)
    return {
        "classes": classes[held[0] : held[-1] + 1] if len(held) else [],
        "median": float(np.median(asked)) if len(asked) else 0.0,
        "most": int(times.max(initial=0)),
    }


def _leaks(catalogue: Catalogue) -> list[dict[str, Any]]:
    """ECGs and patients that occur in more than one split, for each pair of splits."""
    pairs = catalogue.frame.select(pl.col("split").cast(pl.String), "ecg_row").explode("ecg_row").unique()
    patients = catalogue.store.records.select(pl.int_range(pl.len(), dtype=pl.Int32).alias("ecg_row"), "patient_id")
    pairs = pairs.join(patients, on="ecg_row", how="left")
    held = {
        str(split): (set(part["ecg_row"].to_list()), set(part["patient_id"].drop_nulls().to_list()))
        for (split,), part in pairs.group_by("split")
    }
    names = catalogue.fields["split"].names
    return [
        {"splits": [a, b], "ecgs": len(held[a][0] & held[b][0]), "patients": len(held[a][1] & held[b][1])}
        for place, a in enumerate(names)
        for b in names[place + 1 :]
    ]
