"""What every objective that learns from a store shares: the store, its batches in parts, the model and its file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ecgqa.artefacts import digest_of
from ecgqa.errors import EcgqaError
from ecgqa.models.registry import build_model
from ecgqa.store import Store, open_store
from ecgqa.store.layout import bytes_per_ecg
from ecgqa.store.loader import Loader
from ecgqa.training.distributed import World
from ecgqa.training.model_file import write_model_file
from ecgqa.training.objectives.base import Objective

if TYPE_CHECKING:
    from ecgqa.training.recipe import Recipe


class FromStore(Objective, ABC):
    """Learns the part "train" of a store and evaluates on the part "valid"."""

    def __init__(self, recipe: Recipe) -> None:
        if not recipe.data.store:
            raise EcgqaError("the recipe names no store", fix="--data.store FOLDER (ecgqa store build makes one)")
        self.recipe, self.store = recipe, open_store(recipe.data.store)
        self._loaders: dict[tuple[str, int, World], Loader[Any]] = {}

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
                resident=self.is_resident(world.device),
            )
        return self._loaders[key]

    def is_resident(self, device: torch.device) -> bool:
        """Whether the signals lie on the device: as the recipe says, else on a GPU with twice the room they take."""
        wish: bool | None = self.recipe.data.resident
        if wish is not None or device.type != "cuda":
            return bool(wish)
        free, _ = torch.cuda.mem_get_info(device)
        return 2 * self.store.n_ecgs * bytes_per_ecg(self.store.n_samples) < free

    def n_batches(self, batch_size: int, world: World) -> int:
        return len(self.loader("train", batch_size, world))

    def batches(self, epoch: int, skip: int, batch_size: int, world: World) -> Generator[Any]:
        loader = self.loader("train", batch_size, world)
        loader.set_epoch(epoch)
        loader.skip(skip)
        yield from loader


def store_digest(store: Store) -> str:
    """What a store holds, whatever folder it lies in."""
    return digest_of({key: store.manifest.get(key) for key in ("inputs", "config", "counts", "parts")})
