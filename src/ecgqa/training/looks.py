"""ECGs of a store or in memory, seen through chosen sets of leads: what a classifier is asked to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgqa.errors import EcgqaError
from ecgqa.questions.grounding import lead_sets_asked
from ecgqa.questions.lead_groups import LEAD_GROUPS, lead_group
from ecgqa.records import ALL_LEADS, LEADS
from ecgqa.signals.read import Ecg
from ecgqa.store.decode import Decoder
from ecgqa.store.findings_dataset import FindingsDataset
from ecgqa.store.grounding import grounding_of

if TYPE_CHECKING:
    from ecgqa.store import Store

SEVERAL: Final = {
    "entire": (ALL_LEADS,),
    "each": tuple(1 << place for place in range(len(LEADS))),
    "groups": tuple(LEAD_GROUPS.values()),
}
"""Lead sets by the names that users choose them by."""
_LABELS: Final = {"ecg_id": pl.Int64, "leads": pl.UInt16, "attribute": pl.String, "label": pl.Boolean}


@dataclass(frozen=True)
class Looks:
    """Looks at ECGs, and what is known of them.

    dataset: its items (of leads "asked") are all that is to be predicted; without items every class is. ecg_id: int64
    (n,) of each look. labels: rows (ecg_id, leads, attribute, label).
    """

    dataset: FindingsDataset
    ecg_id: NDArray[np.int64]
    source: str | None
    labels: pl.DataFrame


def lead_sets(leads: str | Sequence[str]) -> list[int]:
    """The lead sets that names of SEVERAL and of leads and groups stand for, as a list or comma separated.

    "every" stands for all that questions may ask about, which reading findings needs.

    Raises EcgqaError for a name that is none.
    """
    chosen: list[int] = []
    for name in leads.split(",") if isinstance(leads, str) else leads:
        if name.strip() == "every":
            chosen += lead_sets_asked()
            continue
        found = lead_group(name.strip().removesuffix(" leads"))
        if found is None and name.strip() not in SEVERAL:
            raise EcgqaError(
                f"no leads {name!r}",
                expected=f"asked, every, {', '.join(SEVERAL)}, or names out of {', '.join((*LEADS, *LEAD_GROUPS))}",
            )
        chosen += SEVERAL[name.strip()] if found is None else (found,)
    return list(dict.fromkeys(chosen))


def looks_at_store(
    store: Store, split: str | None, leads: str | Sequence[str], classes: list[str], *, published: bool
) -> Looks:
    """Looks at the ECGs that a split of the store asks about (None: at all of its ECGs).

    leads: see `lead_sets`; "asked" takes those that the questions name, with the attributes they ask about.
    classes: of the model. published: labels by the original's reading of the questions.
    """
    known = grounding_of(store, published=published)
    items = known.items if split is None else known.items.filter(pl.col("split") == split)
    ids = store.records["ecg_id"].to_numpy()
    items = items.with_columns(
        pl.Series("ecg_id", ids[items["ecg_row"].to_numpy()], dtype=pl.Int64),
        pl.Series("attribute", known.classes, dtype=pl.String).gather(items["class_id"]),
    ).filter(pl.col("attribute").is_in(classes))
    decoder, source = Decoder.mapped(store), str(store.records["source"][0])
    if leads != "asked":
        asked = range(store.n_ecgs) if split is None else store.questions(split)["ecg_row"].explode().unique().sort()
        ecg_row, sets = _every(np.array(list(asked), dtype=np.int64), lead_sets(leads))
        labels = items.select(list(_LABELS)).unique(["ecg_id", "leads", "attribute"])
        return Looks(FindingsDataset.of_looks(decoder, ecg_row, sets), ids[ecg_row], source, labels)
    if items.is_empty():
        raise EcgqaError(
            f"the {split or 'single'} questions of {store.folder} ask about none of the model's attributes",
            expected=f"some of {len(classes)}: {', '.join(classes[:4])}, ...",
            found=", ".join(known.classes[:4]) + ", ...",
            fix="take a store of the collection that the model was trained on",
        )
    place = pl.col("attribute").replace_strict(classes, range(len(classes)), return_dtype=pl.Int16)
    dataset = FindingsDataset.of_items(decoder, items.with_columns(place.alias("class_id")))
    return Looks(dataset, ids[dataset.ecg_row], source, pl.DataFrame(schema=_LABELS))


def looks_at_signals(
    ecgs: Ecg | Sequence[Ecg] | NDArray[Any], leads: str | Sequence[str], ecg_id: int | Sequence[int] | None
) -> Looks:
    """Looks at ECGs in memory: Ecg objects, or millivolts (12, T) or (n, 12, T), NaN where there is no sample."""
    several = [ecgs] if isinstance(ecgs, Ecg) else ecgs
    signals = [np.asarray(one.millivolts() if isinstance(one, Ecg) else one, dtype=np.float32) for one in several]
    if isinstance(ecgs, np.ndarray) and ecgs.ndim == 2:
        signals = [np.asarray(ecgs, dtype=np.float32)]
    if not signals or any(signal.ndim != 2 or signal.shape[0] != len(LEADS) for signal in signals):
        raise EcgqaError("these are no ECGs", expected="millivolts (12, samples) or (n, 12, samples), leads I to V6")
    ids = np.arange(len(signals)) if ecg_id is None else np.atleast_1d(np.asarray(ecg_id, dtype=np.int64))
    if len(ids) != len(signals):
        raise EcgqaError("each ECG needs one id", expected=f"{len(signals)} ids", found=f"{len(ids)}")
    if leads == "asked":
        raise EcgqaError("ECGs in memory come without questions", expected="leads other than 'asked'")
    place, sets = _every(np.arange(len(signals)), lead_sets(leads))
    dataset = FindingsDataset.of_looks(InMemory(signals), place, sets)
    return Looks(dataset, ids[place].astype(np.int64), None, pl.DataFrame(schema=_LABELS))


class InMemory:
    """ECGs in memory where a store's decoder is expected; shorter ones are padded with 0 at their end."""

    def __init__(self, signals: list[NDArray[np.float32]]) -> None:
        lengths = [signal.shape[1] for signal in signals]
        self.signals = torch.zeros((len(signals), len(LEADS), max(lengths)))
        for target, signal in zip(self.signals, signals, strict=True):
            target[:, : signal.shape[1]] = torch.from_numpy(np.nan_to_num(signal, nan=0.0))
        self.length = torch.tensor(lengths)

    def __call__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        place = torch.from_numpy(rows)
        return self.signals[place], self.length[place]


def _every(ecg_row: NDArray[np.int64], sets: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each ECG through each lead set."""
    return np.repeat(ecg_row, len(sets)), np.tile(np.array(sets, dtype=np.int64), len(ecg_row))
