"""What a trained classifier finds on ECGs, as rows of the findings table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgqa.errors import EcgqaError
from ecgqa.records import FINDINGS

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray
    from torch import nn

    from ecgqa.signals.read import Ecg
    from ecgqa.store import Store
    from ecgqa.training.looks import Looks


@dataclass(frozen=True)
class Classifier:
    """A trained classifier with what using it takes."""

    name: str
    """Name of the run, for the findings' column `run`."""
    model: nn.Module
    classes: list[str]
    thresholds: NDArray[np.float32]
    """(n_classes,) above which a probability means yes."""
    fs_hz: float | None
    """Sampling rate of the ECGs it was trained on; None where the folder does not tell."""
    published: bool
    """It was trained on the original's reading of the questions."""


def load_classifier(folder: str | Path, checkpoint: str = "best") -> Classifier:
    """The classifier (on the CPU) in a run folder; an unfinished run will do, once it has a checkpoint.

    The folder needs model.json, classes.json and the checkpoint; without thresholds.json all thresholds are 0.5.
    Raises EcgqaError if it holds another kind of model.
    """
    from ecgqa.models.registry import Task
    from ecgqa.training.checkpoint import load_best
    from ecgqa.training.model_file import read_model_file
    from ecgqa.training.objectives.classification import CLASSES
    from ecgqa.training.thresholds import read_thresholds

    folder = Path(folder)
    described = read_model_file(folder)
    if described.task is not Task.CLASSIFICATION:
        raise EcgqaError(
            f"{folder} holds no model that classifies ECGs",
            expected="a run of the objective classification",
            found=f"a model for {described.task}",
        )
    model = described.build()
    load_best(folder, model, checkpoint)
    path = folder / CLASSES
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        classes = [str(name) for name in facts["classes"]]
        fs_hz, published = facts.get("fs_hz"), facts.get("items") == "published"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EcgqaError(f"{path} is damaged or missing: {error}") from None
    if described.sizes.get("n_classes") != len(classes):
        expected = f"{described.sizes.get('n_classes')} classes"
        raise EcgqaError(f"{path} does not belong to the model beside it", expected=expected, found=f"{len(classes)}")
    return Classifier(folder.resolve().name, model, classes, read_thresholds(folder, classes), fs_hz, published)


def predict_findings(
    run: str | Path | Classifier,
    ecgs: Store | str | Path | Ecg | Sequence[Ecg] | NDArray[Any],
    *,
    leads: str | Sequence[str] = "entire",
    split: str | None = None,
    ecg_id: int | Sequence[int] | None = None,
    fs_hz: float | None = None,
    name: str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    checkpoint: str = "best",
    precision: str = "fp32",
) -> pl.DataFrame:
    """Probability of every class on every ECG and lead set, as a FINDINGS frame.

    run: a run folder, or a `load_classifier` result, which saves loading it again.
    ecgs: a store or its folder, an Ecg or several, or millivolts (12, T) or (n, 12, T), leads in canonical order, NaN
        where there is no sample, at `fs_hz` (None: believed to be right).
    leads: "entire" (all twelve), "each" (twelve times one), "groups" (limb, chest and the regions of the heart),
        "every" (all that questions may ask about), names
        such as "V1" and "inferior", each a lead set of its own, or several of them: ["entire", "each"]; or, of a store,
        "asked": the lead sets that its questions name, and of each only the attributes they ask about, so that every
        row has a label.
    split: the ECGs that this split of a store asks about (None: all ECGs of the store).
    ecg_id: ids of ECGs in memory (default 0, 1, ...). name: of the run (default: its folder's name).

    A store's rows carry the label where its questions tell one. Raises EcgqaError for a run that holds no classifier,
    another sampling rate than the run's, and leads that are not known.
    """
    from ecgqa.store import Store
    from ecgqa.training.looks import looks_at_signals, looks_at_store

    classifier = run if isinstance(run, Classifier) else load_classifier(run, checkpoint)
    if isinstance(ecgs, str | Path | Store):
        from ecgqa.store import open_store

        store = ecgs if isinstance(ecgs, Store) else open_store(ecgs)
        _check_rate(classifier, store.fs_hz)
        looks = looks_at_store(store, split, leads, classifier.classes, published=classifier.published)
    else:
        for rate in (fs_hz, *(getattr(one, "fs_hz", None) for one in (ecgs if isinstance(ecgs, Sequence) else [ecgs]))):
            _check_rate(classifier, rate)
        looks = looks_at_signals(ecgs, leads, ecg_id)
    probability = _probabilities(classifier, looks, batch_size, device, precision)
    return _rows(classifier, looks, probability, split, name or classifier.name)


def _check_rate(classifier: Classifier, fs_hz: float | None) -> None:
    if classifier.fs_hz is not None and fs_hz is not None and abs(classifier.fs_hz - fs_hz) > 1e-6:
        raise EcgqaError(
            "the model was trained on ECGs of another sampling rate",
            expected=f"{classifier.fs_hz:g} Hz",
            found=f"{fs_hz:g} Hz",
            fix="resample them first, or train on a store of that rate",
        )


def _probabilities(
    classifier: Classifier, looks: Looks, batch_size: int, device: str, precision: str
) -> NDArray[np.float32]:
    """(n_looks, n_classes)."""
    import numpy as np
    import torch

    from ecgqa.progress import progress
    from ecgqa.store.batches import BatchLoader
    from ecgqa.training.distributed import choose_device
    from ecgqa.training.run import _memory_told

    target = choose_device(device)
    model = classifier.model.to(target).eval()
    dataset: Any = looks.dataset
    found = np.empty((len(dataset), len(classifier.classes)), dtype=np.float32)
    where = None if target.type == "cpu" else target
    # The looks at one ECG go together, so that it is decoded once for as many of them as fit.
    loader = BatchLoader(dataset, batch_size, shuffle=False, seed=0, device=where, questions_per_ecg=batch_size)
    autocast = torch.autocast(target.type, dtype=torch.bfloat16, enabled=precision == "bf16")
    with _memory_told(), torch.inference_mode(), autocast, progress("predicting", len(dataset), unit="looks") as tick:
        for batch in loader:
            given: Any = batch
            logits = model(given.ecg, given.length, given.leads).float()
            found[given.row.cpu().numpy()] = torch.sigmoid(logits).cpu().numpy()
            tick(len(given))
    return found


def _rows(
    classifier: Classifier, looks: Looks, probability: NDArray[np.float32], split: str | None, name: str
) -> pl.DataFrame:
    import numpy as np
    import polars as pl

    from ecgqa.tables import conform

    n_looks, n_classes = probability.shape
    dataset = looks.dataset
    has_items = len(dataset.attribute) > 0
    look = dataset.items_of(np.arange(n_looks))[1] if has_items else np.repeat(np.arange(n_looks), n_classes)
    attribute = dataset.attribute if has_items else np.tile(np.arange(n_classes), n_looks)
    frame = pl.DataFrame(
        {
            "ecg_id": looks.ecg_id[look],
            "leads": dataset.lead_sets[look].astype(np.uint16),
            "attribute": pl.Series(classifier.classes, dtype=pl.String).gather(attribute),
            "probability": probability[look, attribute],
            "threshold": classifier.thresholds[attribute],
        }
    ).with_columns(
        pl.lit(looks.source, dtype=pl.String).alias("source"),
        pl.lit(split, dtype=pl.String).alias("split"),
        pl.lit(name).alias("run"),
    )
    if has_items:
        frame = frame.with_columns(pl.Series("label", dataset.label))
    else:
        frame = frame.join(looks.labels, on=["ecg_id", "leads", "attribute"], how="left", maintain_order="left")
    return conform(frame.select(list(FINDINGS.columns)), FINDINGS)
