"""Classification of findings as an objective: which attributes an ECG shows in a set of leads, classes balanced."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ecgqa.artefacts import digest_of, write_json
from ecgqa.curves import class_curves
from ecgqa.errors import EcgqaError
from ecgqa.models.registry import Task, build_model
from ecgqa.store import open_store
from ecgqa.store.batches import BatchLoader, QuestionDataset
from ecgqa.store.decode import Decoder
from ecgqa.store.findings_dataset import FindingsBatch, FindingsDataset
from ecgqa.store.grounding import grounding_of
from ecgqa.training.distributed import World
from ecgqa.training.model_file import write_model_file
from ecgqa.training.objectives.base import Objective
from ecgqa.training.objectives.question_answering import store_digest
from ecgqa.training.thresholds import Criterion, choose_thresholds, write_thresholds

if TYPE_CHECKING:
    from ecgqa.training.recipe import Recipe

CLASSES = "classes.json"


@dataclass
class ClassificationConfig:
    """Attributes of an ECG in a set of leads, as its single questions state them (the "upper bound").

    Args:
        items: "repaired" takes all that the questions say; "published" the original's items and classes (test: verify
            questions only, posterior leads as V4 to V6, classes by the case of their letters).
        monitor: value on valid_split that chooses the best checkpoint; the published runs took accuracy.
        threshold: what the decision threshold of each attribute is best in, on valid_split.
    """

    items: Literal["repaired", "published"] = "repaired"
    monitor: Literal["auroc_macro", "accuracy"] = "auroc_macro"
    threshold: Criterion = "accuracy"


class Classification(Objective):
    """Learns what a store's questions say of single ECGs in its train split, and evaluates on its valid split.

    The loss of a micro-batch is one term, whatever the number of its items (see `balanced_loss`): an update averages
    over micro-batches and processes, as published.
    """

    config = ClassificationConfig
    task = Task.CLASSIFICATION
    unit = "looks"

    def __init__(self, recipe: Recipe, folder: Path | None = None) -> None:
        if not recipe.data.store:
            raise EcgqaError("the recipe names no store", fix="--data.store FOLDER (ecgqa store build makes one)")
        self.recipe = recipe
        self.monitor: str = recipe.objective.monitor
        self.store = open_store(recipe.data.store)
        self.grounding = grounding_of(self.store, published=recipe.objective.items == "published")
        self.classes = self.grounding.classes
        self.decoder = Decoder.mapped(self.store)
        self.train = self._dataset(recipe.data.train_split, recipe.data.max_train_questions)
        self.valid = self._dataset(recipe.data.valid_split, recipe.data.max_valid_questions)
        self._loader: tuple[tuple[int, World], BatchLoader] | None = None
        self._attributes: dict[str, dict[str, Any]] = {}

    def _dataset(self, split: str, at_most: int | None) -> FindingsDataset:
        items = self.grounding.items.filter(self.grounding.items["split"] == split)
        if items.is_empty():
            raise EcgqaError(
                f"the {split} questions of {self.store.folder} say nothing about single ECGs",
                expected="questions about one ECG of the 70 templates, with an attribute field",
                found=self._left_out or "comparisons only",
            )
        dataset = FindingsDataset.of_items(self.decoder, items)
        if at_most is None or at_most >= len(dataset):
            return dataset
        generator = np.random.default_rng([self.recipe.run.seed, *f"{split} looks".encode()])
        return dataset.subset(np.sort(generator.choice(len(dataset), at_most, replace=False)))

    @property
    def inputs(self) -> dict[str, Any]:
        return {"store": store_digest(self.store), "classes": digest_of(self.classes)}

    @property
    def n_train(self) -> int:
        return len(self.train)

    @property
    def notes(self) -> list[str]:
        said = [
            f"{len(self.train.attribute):,} training items of {len(self.classes)} attributes; a look is an ECG seen "
            "through one set of leads"
        ]
        return [*said, f"left out: {self._left_out}"] if self._left_out else said

    @property
    def _left_out(self) -> str:
        return "; ".join(f"{count:,} {name}" for name, count in self.grounding.notes.items())

    @property
    def sizes(self) -> dict[str, Any]:
        """What the data decides of a model."""
        return {"n_classes": len(self.classes)}

    def build_model(self) -> nn.Module:
        return build_model(self.recipe.model_name, self.recipe.model, **self.sizes)

    def write_files(self, folder: Path) -> None:
        described = {"items": self.recipe.objective.items, "fs_hz": self.store.fs_hz, "classes": self.classes}
        write_json(folder / CLASSES, described)
        write_model_file(folder, self.recipe.model_name, self.recipe.model, self.sizes)

    def keep_best(self, folder: Path, update: int) -> None:
        """Write the thresholds chosen in that evaluation."""
        write_thresholds(folder, self.recipe.objective.threshold, update, self._attributes)

    def _make_loader(self, dataset: FindingsDataset, batch_size: int, world: World, *, shuffle: bool) -> BatchLoader:
        return BatchLoader(
            cast(QuestionDataset, dataset),
            batch_size,
            shuffle=shuffle,
            seed=self.recipe.run.seed,
            rank=world.rank,
            world_size=world.size,
            device=None if world.device.type == "cpu" else world.device,
            resident=self.recipe.data.resident,
            questions_per_ecg=self.recipe.data.questions_per_ecg,
        )

    def _train_loader(self, batch_size: int, world: World) -> BatchLoader:
        # Kept between epochs: a resident store is copied to the device once.
        if self._loader is None or self._loader[0] != (batch_size, world):
            self._loader = ((batch_size, world), self._make_loader(self.train, batch_size, world, shuffle=True))
        return self._loader[1]

    def n_batches(self, batch_size: int, world: World) -> int:
        return len(self._train_loader(batch_size, world))

    def batches(self, epoch: int, skip: int, batch_size: int, world: World) -> Generator[FindingsBatch]:
        loader = self._train_loader(batch_size, world)
        loader.set_epoch(epoch)
        loader.skip(skip)
        for batch in loader:
            yield cast(FindingsBatch, batch)

    def loss(self, model: nn.Module, batch: FindingsBatch) -> tuple[Tensor, Tensor, int]:
        logits = model(batch.ecg, batch.length, batch.leads).float()
        loss = balanced_loss(logits[batch.look, batch.attribute], batch.attribute, batch.label, logits.shape[1])
        return loss, torch.ones((), device=loss.device), len(batch)

    def name_batch(self, batch: FindingsBatch) -> str:
        rows = self.train.ecg_row[batch.row[:5].cpu().numpy()]
        ids = self.store.records["ecg_id"][rows.tolist()].to_list()
        return f"{len(batch)} looks, ECG {', '.join(map(str, ids))}{', ...' if len(batch) > 5 else ''}"

    def evaluate(
        self, model: nn.Module, batch_size: int, world: World, *, tick: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        # Looks that fill the last batches of several processes come twice: their logits are averaged.
        seen = torch.zeros((len(self.valid.attribute), 2), dtype=torch.float64)
        with torch.inference_mode():
            for batch in self._make_loader(self.valid, batch_size, world, shuffle=False):
                tick()
                found = cast(FindingsBatch, batch)
                logits = model(found.ecg, found.length, found.leads).float()[found.look, found.attribute].double().cpu()
                item, _ = self.valid.items_of(found.row.cpu().numpy())
                seen.index_put_((torch.from_numpy(item),), torch.stack([logits, torch.ones_like(logits)], 1), True)
        seen = world.add_up(seen.to(world.device)).cpu()
        logits = seen[:, 0] / seen[:, 1]
        attribute, label = torch.from_numpy(self.valid.attribute), torch.from_numpy(self.valid.label)
        loss = balanced_loss(logits, attribute, label.double(), len(self.classes))
        probability = torch.sigmoid(logits.float()).numpy()
        values, self._attributes = measure(
            self.classes, self.valid.attribute, probability, self.valid.label, self.recipe.objective.threshold
        )
        return {"loss": float(loss), **values}


def balanced_loss(logits: Tensor, attribute: Tensor, label: Tensor, n_classes: int) -> Tensor:
    """Mean over the classes present of the mean binary cross-entropy of their items; logits, attribute, label: (M,).

    A class with three items in the batch weighs as much as one with three hundred. Every item has a weight that
    depends on counts alone, so that no sum is scattered and the gradient is the same in every run, on any device.
    """
    counts = torch.bincount(attribute, minlength=n_classes)
    weight = 1 / (counts[attribute] * (counts > 0).sum())
    return F.binary_cross_entropy_with_logits(logits, label, weight=weight.to(logits.dtype), reduction="sum")


def measure(
    classes: list[str],
    attribute: NDArray[np.int64],
    probability: NDArray[np.float32],
    label: NDArray[np.bool_],
    criterion: Criterion,
) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """Values over all items, and per attribute: `threshold`, `n`, `positives`, `accuracy`, `auroc`, `auprc`.

    Accuracy counts yes above 0.5, as published. Macro values average the attributes that have items of both labels.
    """
    right = (probability > 0.5) == label
    curves = class_curves(attribute, probability, label)
    pooled = class_curves(np.zeros_like(attribute), probability, label)
    both = (curves.n_positive > 0) & (curves.n_negative > 0)
    thresholds = choose_thresholds(attribute, probability, label, len(classes), criterion)
    hits = np.bincount(attribute, weights=right, minlength=len(classes))
    found: dict[str, dict[str, Any]] = {
        name: {"threshold": round(float(threshold), 6), "n": 0, "positives": 0}
        for name, threshold in zip(classes, thresholds, strict=True)
    }
    for place, cell in enumerate(curves.cell.tolist()):
        n = int(curves.n_positive[place] + curves.n_negative[place])
        found[classes[cell]] |= {
            "n": n,
            "positives": int(curves.n_positive[place]),
            "accuracy": float(hits[cell] / n),
            "auroc": float(curves.auroc[place]) if both[place] else None,
            "auprc": float(curves.auprc[place]) if curves.n_positive[place] else None,
        }
    values = {
        "accuracy": float(right.mean()),
        "auroc_macro": float(curves.auroc[both].mean()) if both.any() else 0.5,
        "auprc_macro": float(curves.auprc[both].mean()) if both.any() else 0.0,
        "auroc_micro": float(np.nan_to_num(pooled.auroc[0], nan=0.5)),
        "auprc_micro": float(pooled.auprc[0]),
        "attributes_measured": float(both.sum()),
    }
    return values, found
