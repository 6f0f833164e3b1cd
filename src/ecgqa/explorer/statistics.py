"""Counts of the questions of a store: by type, template and answer, how often ECGs are reused, how long texts are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, Final

import numpy as np
import polars as pl

from ecgqa.explorer.catalogue import Catalogue
from ecgqa.questions.statistics import Count, count_questions

MOST_ANSWERS: Final = 60
_REUSE: Final = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Lower limits of the classes of ECG reuse."""


def statistics(catalogue: Catalogue) -> dict[str, Any]:
    """Everything that the statistics page shows: `ecgqa stats` as rows of name and number, and three histograms."""
    empty = {"n_questions": 0, "n_ecgs": catalogue.store.n_ecgs}
    if not len(catalogue):
        return empty
    counted = count_questions(catalogue.store.questions(), records=catalogue.store.records)
    frame = catalogue.frame
    return empty | {
        "n_questions": counted.n_questions,
        "splits": catalogue.fields["split"].names,
        "question_type": _by_split(counted.question_types, counted.parts),
        "attribute_type": _by_split(counted.attribute_types, counted.parts),
        "template": _by_split(counted.templates, counted.parts),
        "templates": _template_names(frame),
        "answer": _answers(catalogue),
        "n_answers": [{"name": count.name, "n": count.n} for count in counted.n_answers],
        "together": [{"name": f"{pair.first} + {pair.second}", "n": pair.n} for pair in counted.answer_pairs],
        "reuse": _reuse(catalogue),
        "words": _counted(frame["question"].str.split(" ").list.len().to_list()),
        "shared": [asdict(shared) for shared in counted.shared],
    }


def _by_split(counts: Sequence[Count], parts: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Rows of name, n and number per split, whatever the wording."""
    rows = []
    for count in counts:
        by_split: Counter[str] = Counter()
        for (_, split), n in zip(parts, count.by_part, strict=True):
            by_split[split] += n
        rows.append({"name": count.name, "n": count.n, "by_split": dict(by_split)})
    return rows


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
