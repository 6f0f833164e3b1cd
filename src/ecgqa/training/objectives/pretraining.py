"""What all objectives without answers share: which ECGs are learned from, those of test questions apart; evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgqa.artefacts import digest_of
from ecgqa.errors import EcgqaError
from ecgqa.models.registry import Task, build_model
from ecgqa.signals.augment import Augmentations, generator_for
from ecgqa.store import open_store
from ecgqa.store.loader import Loader
from ecgqa.store.pretraining_rows import PretrainingRows, pretraining_rows
from ecgqa.training.distributed import World
from ecgqa.training.model_file import write_model_file
from ecgqa.training.objectives.base import Objective
from ecgqa.training.objectives.question_answering import store_digest

if TYPE_CHECKING:
    from ecgqa.training.recipe import Recipe


@dataclass
class PretrainingConfig(Augmentations):
    """Which ECGs are learned from, and how often these are changed in which way.

    Args:
        valid_share: share of the patients that is kept to watch the loss on and to choose the checkpoint.
        leave_out: ECGs to leave out besides those of the store's own test questions: a question folder, a file of ECG
            ids, another store, or "nothing", which leaves none out.
        leave_out_patients: leave the other ECGs of their patients out, too.
    """

    valid_share: float = 0.05
    leave_out: str | None = None
    leave_out_patients: bool = True


class Pretraining(Objective, ABC):
    """Learns some of a store's ECGs and evaluates on those of other patients, with the same draws each time."""

    task = Task.PRETRAINING
    unit = "ECGs"
    monitor = "accuracy"

    def __init__(self, recipe: Recipe, folder: Path | None = None) -> None:
        if not recipe.data.store:
            raise EcgqaError("the recipe names no store", fix="--data.store FOLDER (ecgqa store build makes one)")
        self.recipe, self.settings = recipe, recipe.objective
        self.store = open_store(recipe.data.store)
        self.rows: PretrainingRows = pretraining_rows(
            self.store,
            leave_out=self.settings.leave_out,
            leave_out_patients=self.settings.leave_out_patients,
            valid_share=self.settings.valid_share,
            seed=recipe.run.seed,
        )
        self.require_valid(self.rows.valid)
        self._loaders: dict[tuple[str, int, World], Loader[Any]] = {}

    def require_valid(self, rows: NDArray[np.int64]) -> None:
        """Raise EcgqaError if no ECG is left to evaluate on."""
        if not len(rows):
            raise EcgqaError(
                "no ECG is left to watch the loss on",
                expected="ECGs of at least two patients, and a share of them for validation",
                found=f"{len(self.rows.train)} ECGs, objective.valid_share {self.settings.valid_share}",
            )

    @property
    def repaired(self) -> bool:
        """Whether the defects of the original are repaired, in the loss as in the model."""
        return bool(self.recipe.model.repaired)

    @property
    def inputs(self) -> dict[str, Any]:
        parts = {"train": self.rows.train.tolist(), "valid": self.rows.valid.tolist()}
        return {"store": store_digest(self.store), "ecgs": digest_of(parts)}

    @property
    def notes(self) -> list[str]:
        return self.rows.notes

    @property
    def sizes(self) -> dict[str, Any]:
        """What the data decides of a model."""
        return {}

    def build_model(self) -> nn.Module:
        return build_model(self.recipe.model_name, self.recipe.model, **self.sizes)

    def write_files(self, folder: Path) -> None:
        write_model_file(folder, self.recipe.model_name, self.recipe.model, self.sizes)

    @abstractmethod
    def make_loader(self, part: str, batch_size: int, **options: Any) -> Loader[Any]:
        """Loader of the part "train" or "valid"; `options` are those that all loaders have in common."""

    def loader(self, part: str, batch_size: int, world: World) -> Loader[Any]:
        """The loader of a part for a process, kept between epochs: a resident store is copied to the device once."""
        key = (part, batch_size, world)
        if key not in self._loaders:
            self._loaders[key] = self.make_loader(
                part,
                batch_size,
                shuffle=part == "train",
                seed=self.recipe.run.seed,
                rank=world.rank,
                world_size=world.size,
                device=None if world.device.type == "cpu" else world.device,
                resident=self.recipe.data.resident,
            )
        return self._loaders[key]

    def n_batches(self, batch_size: int, world: World) -> int:
        return len(self.loader("train", batch_size, world))

    def batches(self, epoch: int, skip: int, batch_size: int, world: World) -> Generator[Any]:
        loader = self.loader("train", batch_size, world)
        loader.set_epoch(epoch)
        loader.skip(skip)
        yield from loader

    def n_items(self, batch: Any) -> int:
        """ECGs of a batch."""
        return len(batch)

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor, int]:
        # The loop seeds every update, so this is the same number again after a resumption.
        seed = int(torch.randint(2**31, ()))
        values = self.terms(model, batch, generator_for(batch.ecg.device, seed))
        return values["loss"], values["terms"].detach(), self.n_items(batch)

    def name_batch(self, batch: Any) -> str:
        ids = self.store.records["ecg_id"][batch.row[:5].tolist()].to_list()
        return f"{len(batch)} rows of ECGs {', '.join(map(str, ids))}{', ...' if len(batch) > 5 else ''}"

    def evaluate(
        self, model: nn.Module, batch_size: int, world: World, *, tick: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        generator = generator_for(world.device, self.recipe.run.seed, world.rank)
        totals: dict[str, Tensor] = {}
        with torch.inference_mode():
            for batch in self.loader("valid", batch_size, world):
                tick()
                for name, value in self.terms(model, batch, generator).items():
                    totals[name] = totals.get(name, torch.zeros((), dtype=torch.float64)) + value.double().cpu()
        summed = world.add_up(torch.stack(list(totals.values())).to(world.device)).tolist()
        return self.values(dict(zip(totals, summed, strict=True)))

    @abstractmethod
    def terms(self, model: nn.Module, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """Sums over a batch, scalars: "loss" (with gradient), "terms" that it is the sum of, and what `values` needs.

        All random draws come from `generator`. The model is in training or evaluation mode.
        """

    @abstractmethod
    def values(self, summed: dict[str, float]) -> dict[str, float]:
        """What to report of the sums of `terms` over the validation part, "accuracy" among it."""

    def changed(self, batch: Any, generator: torch.Generator) -> Tensor:
        """The batch's ECGs (N, 12, T) with the recipe's random changes."""
        augment: Augmentations = self.settings
        return augment(batch.ecg, batch.length, self.store.fs_hz, generator)
