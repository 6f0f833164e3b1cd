"""Probing a run: what its frozen encoder shows of the findings in a store's questions, beside an untrained one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ecgqa.errors import EcgqaError
from ecgqa.evaluation.linear_probe import Difference, Scored, Split, compare_features
from ecgqa.progress import progress
from ecgqa.store import Store, open_store
from ecgqa.store.segments import patient_numbers
from ecgqa.training.checkpoint import load_best
from ecgqa.training.distributed import choose_device
from ecgqa.training.features import amplitude_statistics, encoder_features
from ecgqa.training.model_file import read_model_file

if TYPE_CHECKING:
    import polars as pl

RANDOM, AMPLITUDES = "untrained encoder", "amplitude statistics"
LEAST_IN_TRAIN, LEAST_HELD_OUT = 10, 5
"""ECGs with and without an attribute that it takes to be probed."""


@dataclass(frozen=True)
class Probe:
    """Scores by name of the features (the run's first), the run's gain over the others, and what was probed."""

    scores: dict[str, Scored]
    differences: list[Difference]
    attributes: list[str]
    about: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "about": self.about,
            "attributes": self.attributes,
            "scores": {name: asdict(scored) for name, scored in self.scores.items()},
            "differences": [asdict(difference) for difference in self.differences],
        }


def probe(
    run: str | Path,
    store: str | Path,
    *,
    held_out: Sequence[str] = ("valid",),
    seed: int = 0,
    n_resamples: int = 1000,
    device: str = "auto",
    batch_size: int = 32,
) -> Probe:
    """Logistic regressions on the frozen encoder of `run`, fitted on the train ECGs of `store`, scored on `held_out`.

    ECGs of train whose patient is held out are not used. The same is done with an encoder of the same configuration
    that was never trained, and with amplitude statistics. Raises EcgqaError if the run holds no ECG encoder, or the
    store too few labels.
    """
    folder, place = Path(run), choose_device(device)
    packed = open_store(store)
    described = read_model_file(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        untrained = described.build()
        trained = described.build()
    load_best(folder, trained)
    items = known_findings(packed)
    train, unseen = _sides(packed, items, held_out)
    attributes, labels = _labels(items, train, unseen)
    rows = np.concatenate([train, unseen])
    features = {}
    with progress("looking at ECGs", 2 * len(rows), unit="ECGs") as advance:
        for name, model in ((folder.name, trained), (RANDOM, untrained)):
            found = encoder_features(model, packed, rows, device=place, batch_size=batch_size, advance=advance)
            features[name] = (found[: len(train)], found[len(train) :])
    amplitudes = amplitude_statistics(packed, rows)
    features[AMPLITUDES] = (amplitudes[: len(train)], amplitudes[len(train) :])
    patient, ids = patient_numbers(packed), packed.records["ecg_id"].to_numpy()
    scores, differences = compare_features(
        features,
        Split(labels[: len(train)], patient[train], ids[train]),
        Split(labels[len(train) :], patient[unseen], ids[unseen]),
        n_resamples=n_resamples,
        seed=seed,
    )
    about = {
        "run": str(folder),
        "model": described.name,
        "store": str(packed.folder),
        "held_out": list(held_out),
        "train_ecgs": len(train),
        "held_out_ecgs": len(unseen),
        "labels": int(np.isfinite(labels).sum()),
        "n_resamples": n_resamples,
        "seed": seed,
    }
    return Probe(scores, differences, attributes, about)


def known_findings(store: Store) -> pl.DataFrame:
    """What the questions of a store tell of whole ECGs: columns split, ecg_row, attribute, label (bool)."""
    import polars as pl

    from ecgqa.records import ALL_LEADS
    from ecgqa.store.grounding import grounding_of

    grounding = grounding_of(store)
    numbers = list(range(len(grounding.classes)))
    name = pl.col("class_id").replace_strict(numbers, grounding.classes, return_dtype=pl.String())
    return grounding.items.filter(pl.col("leads") == ALL_LEADS).select(
        "split", "ecg_row", name.alias("attribute"), "label"
    )


def _sides(store: Store, items: pl.DataFrame, held_out: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the ECGs to learn from and of those held out, which share no patient."""
    import polars as pl

    from ecgqa.records import Split as SplitName

    known = [split.value for split in SplitName if split is not SplitName.TRAIN]
    if not held_out or any(split not in known for split in held_out):
        raise EcgqaError("no such part to hold out", expected=" or ".join(known), found=", ".join(held_out))
    rows = [
        items.filter(pl.col("split").is_in(list(splits)))["ecg_row"].unique().sort().to_numpy().astype(np.int64)
        for splits in (("train",), held_out)
    ]
    for part, found in zip(("train", ", ".join(held_out)), rows, strict=True):
        if not len(found):
            raise EcgqaError(
                f"{store.folder} says nothing about whole ECGs of {part}",
                expected="questions about single ECGs",
                found=", ".join(items["split"].unique().cast(pl.String()).to_list()) or "none",
                fix="ecgqa store build with questions of these splits",
            )
    patient = patient_numbers(store)
    return rows[0][~np.isin(patient[rows[0]], patient[rows[1]])], rows[1]


def _labels(
    items: pl.DataFrame, train: NDArray[np.int64], held_out: NDArray[np.int64]
) -> tuple[list[str], NDArray[np.float64]]:
    """Attributes known of enough ECGs on both sides, and their labels (n_train + n_held_out, K), nan for unknown."""
    import polars as pl

    rows = np.concatenate([train, held_out])
    names = items["attribute"].unique().sort().to_list()
    items = items.filter(pl.col("ecg_row").is_in(rows.tolist()))
    place = {int(row): number for number, row in enumerate(rows)}
    labels = np.full((len(rows), len(names)), np.nan)
    at = [place[row] for row in items["ecg_row"].to_list()]
    column = items["attribute"].replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
    labels[at, column] = items["label"].to_numpy()
    enough = np.ones(len(names), dtype=np.bool_)
    for part, least in ((labels[: len(train)], LEAST_IN_TRAIN), (labels[len(train) :], LEAST_HELD_OUT)):
        enough &= ((part == 1).sum(0) >= least) & ((part == 0).sum(0) >= least)
    if not enough.any():
        raise EcgqaError(
            "no attribute is known of enough ECGs to be probed",
            expected=f"{LEAST_IN_TRAIN} ECGs with and without it in train, {LEAST_HELD_OUT} held out",
            found=f"{len(train):,} and {len(held_out):,} ECGs, {len(names)} attributes",
            fix="build the store from more ECGs, or hold out valid and test together",
        )
    return [name for name, kept in zip(names, enough, strict=True) if kept], labels[:, enough]
