"""What all objectives without answers share: ECGs in short segments, changed at random, those of test questions apart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgqa.artefacts import digest_of
from ecgqa.errors import EcgqaError
from ecgqa.models.registry import Task, build_model
from ecgqa.signals.augment import Augmentations, generator_for
from ecgqa.store import open_store
from ecgqa.store.pretraining_rows import pretraining_rows
from ecgqa.store.segments import SegmentBatch, SegmentLoader
from ecgqa.training.distributed import World
from ecgqa.training.model_file import write_model_file
from ecgqa.training.objectives.base import Objective
from ecgqa.training.objectives.question_answering import store_digest

if TYPE_CHECKING:
    from ecgqa.training.recipe import Recipe

_VALID_EPOCH = 0
"""The validation segments are those of this epoch, always."""


@dataclass
class SelfSupervisedConfig(Augmentations):
    """Which ECGs are learned from, in what pieces, and how often these are changed in which way.

    Args:
        seconds: length of the segments that the model sees.
        valid_share: share of the patients that is kept to watch the loss on and to choose the checkpoint.
        leave_out: ECGs to leave out besides those of the store's own test questions: a question folder, a file of ECG
            ids, another store, or "nothing", which leaves none out.
        leave_out_patients: leave the other ECGs of their patients out, too.
    """

    seconds: float = 5.0
    valid_share: float = 0.05
    leave_out: str | None = None
    leave_out_patients: bool = True


class SelfSupervised(Objective, ABC):
    """Learns segments of a store's ECGs and evaluates on those of other patients, with the same draws each time."""

    task = Task.PRETRAINING
    unit = "ECGs"
    monitor = "accuracy"
    segments_per_ecg: ClassVar[int] = 1

    def __init__(self, recipe: Recipe, folder: Path | None = None) -> None:
        if not recipe.data.store:
            raise EcgqaError("the recipe names no store", fix="--data.store FOLDER (ecgqa store build makes one)")
        self.recipe, self.settings = recipe, recipe.objective
        self.store = open_store(recipe.data.store)
        self.rows = pretraining_rows(
            self.store,
            leave_out=self.settings.leave_out,
            leave_out_patients=self.settings.leave_out_patients,
            valid_share=self.settings.valid_share,
            seed=recipe.run.seed,
        )
        if not len(self.rows.valid):
            raise EcgqaError(
                "no ECG is left to watch the loss on",
                expected="ECGs of at least two patients, and a share of them for validation",
                found=f"{len(self.rows.train)} ECGs, objective.valid_share {self.settings.valid_share}",
            )
        self._loaders: dict[tuple[str, int, World], SegmentLoader] = {}
        self.train = self._loader("train", 1, World(0, 1, torch.device("cpu")))

    @property
    def repaired(self) -> bool:
        """Whether the defects of the original are repaired, in the loss as in the model."""
        return bool(self.recipe.model.repaired)

    @property
    def inputs(self) -> dict[str, Any]:
        parts = {"train": self.rows.train.tolist(), "valid": self.rows.valid.tolist()}
        return {"store": store_digest(self.store), "ecgs": digest_of(parts)}

    @property
    def n_train(self) -> int:
        return len(self.train.rows)

    @property
    def notes(self) -> list[str]:
        short = [f"{self.train.n_left_out:,} ECGs too short or without signal"] if self.train.n_left_out else []
        return [*self.rows.notes, *short]

    def build_model(self) -> nn.Module:
        return build_model(self.recipe.model_name, self.recipe.model)

    def write_files(self, folder: Path) -> None:
        write_model_file(folder, self.recipe.model_name, self.recipe.model, {})

    def _loader(self, part: str, batch_size: int, world: World) -> SegmentLoader:
        # Kept between epochs: a resident store is copied to the device once.
        key = (part, batch_size, world)
        if key not in self._loaders:
            rows: NDArray[np.int64] = self.rows.train if part == "train" else self.rows.valid
            self._loaders[key] = SegmentLoader(
                self.store,
                rows,
                batch_size,
                seconds=self.settings.seconds,
                n_segments=self.segments_per_ecg,
                shuffle=part == "train",
                seed=self.recipe.run.seed,
                rank=world.rank,
                world_size=world.size,
                device=None if world.device.type == "cpu" else world.device,
                resident=self.recipe.data.resident,
            )
        return self._loaders[key]

    def n_batches(self, batch_size: int, world: World) -> int:
        return len(self._loader("train", batch_size, world))

    def batches(self, epoch: int, skip: int, batch_size: int, world: World) -> Generator[SegmentBatch]:
        loader = self._loader("train", batch_size, world)
        loader.set_epoch(epoch)
        loader.skip(skip)
        yield from loader

    def loss(self, model: nn.Module, batch: SegmentBatch) -> tuple[Tensor, Tensor, int]:
        # The loop seeds every update, so this is the same number again after a resumption.
        seed = int(torch.randint(2**31, ()))
        values = self.terms(model, batch, generator_for(batch.ecg.device, seed))
        return values["loss"], values["terms"].detach(), len(batch) // self.segments_per_ecg

    def name_batch(self, batch: SegmentBatch) -> str:
        ids = self.store.records["ecg_id"][batch.row[:5].tolist()].to_list()
        return f"{len(batch)} segments of ECGs {', '.join(map(str, ids))}{', ...' if len(batch) > 5 else ''}"

    def evaluate(
        self, model: nn.Module, batch_size: int, world: World, *, tick: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        generator = generator_for(world.device, self.recipe.run.seed, world.rank)
        totals: dict[str, Tensor] = {}
        with torch.inference_mode():
            for batch in self._loader("valid", batch_size, world):
                tick()
                for name, value in self.terms(model, batch, generator).items():
                    totals[name] = totals.get(name, torch.zeros((), dtype=torch.float64)) + value.double().cpu()
        summed = world.add_up(torch.stack(list(totals.values())).to(world.device)).tolist()
        return self.values(dict(zip(totals, summed, strict=True)))

    @abstractmethod
    def terms(self, model: nn.Module, batch: SegmentBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Sums over a batch, scalars: "loss" (with gradient), "terms" that it is the sum of, and what `values` needs.

        All random draws come from `generator`. The model is in training or evaluation mode.
        """

    @abstractmethod
    def values(self, summed: dict[str, float]) -> dict[str, float]:
        """What to report of the sums of `terms` over the validation part, "accuracy" among it."""

    def changed(self, batch: SegmentBatch, generator: torch.Generator) -> Tensor:
        """The segments (N, 12, T) with the recipe's random changes."""
        augment: Augmentations = self.settings
        return augment(batch.ecg, batch.length, self.store.fs_hz, generator)
