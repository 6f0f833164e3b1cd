"""What every loader does: epochs whose order follows from the seed, one share for each process, batches made ahead."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Generic, Required, Self, TypedDict, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ecgqa.errors import EcgqaError
from ecgqa.store.decode import Decoder
from ecgqa.store.prefetch import prefetched


class Tensors:
    """A dataclass of tensors, moved together."""

    __slots__ = ()

    def _each(self, method: str, *arguments: Any, **options: Any) -> Self:
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return type(self)(*(getattr(value, method)(*arguments, **options) for value in values))

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """The batch on `device` (its tensors themselves, where they are there already)."""
        return self._each("to", device, non_blocking=non_blocking)

    def pin_memory(self) -> Self:
        """The batch in page-locked memory, from which copies to a GPU run beside other work."""
        return self._each("pin_memory")


Made = TypeVar("Made", bound=Tensors)


class LoaderOptions(TypedDict, total=False):
    """Keyword arguments that all loaders have in common; see `Loader`."""

    shuffle: Required[bool]
    seed: Required[int]
    rank: int
    world_size: int
    device: torch.device | str | None
    resident: bool
    drop_last: bool
    prefetch: int


class Loader(ABC, Generic[Made]):
    """The batches of an epoch, the same for the same (seed, epoch); every rank gets the same number of them.

    device: where the batches go (None: host memory). resident: keep all ECGs there as int16 and decode there;
    `device="gpu-resident"` is short for `device="cuda", resident=True`. prefetch: batches made ahead by a thread.
    """

    def __init__(
        self,
        decoder: Decoder,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str | None = None,
        resident: bool = False,
        drop_last: bool = False,
        prefetch: int = 2,
    ) -> None:
        if batch_size < 1:
            raise EcgqaError("batch_size must be at least 1", found=str(batch_size))
        if not 0 <= rank < world_size:
            raise EcgqaError("rank must lie between 0 and world_size - 1", found=f"rank {rank} of {world_size}")
        if device == "gpu-resident":
            device, resident = "cuda", True
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.rank, self.world_size, self.drop_last, self.prefetch = rank, world_size, drop_last, prefetch
        self.device = None if device is None else torch.device(device)
        self.epoch = 0
        self._skip = 0
        self._decoder = decoder.resident(self.device or "cpu") if resident else decoder

    @abstractmethod
    def __len__(self) -> int:
        """Batches of a whole epoch, the same for every rank and epoch."""

    @abstractmethod
    def plan(self, epoch: int | None = None) -> list[NDArray[np.int64]]:
        """Rows of each batch of this rank in `epoch` (default: the current one), in order."""

    @abstractmethod
    def make(self, rows: NDArray[np.int64], decoder: Decoder, epoch: int) -> Made:
        """The batch of `rows` in `epoch`, as decoded by `decoder`."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration follows; without it every iteration repeats the same one."""
        self.epoch = epoch

    def skip(self, n_batches: int) -> None:
        """Begin the next iteration after `n_batches` batches (and only that one): resumes an interrupted epoch."""
        self._skip = n_batches

    def __iter__(self) -> Iterator[Made]:
        epoch = self.epoch  # of the moment: batches are made while the caller may have gone on
        plan = self.plan(epoch)[self._skip :]
        self._skip = 0
        return prefetched((self._on_device(rows, epoch) for rows in plan), self.prefetch)

    def _on_device(self, rows: NDArray[np.int64], epoch: int) -> Made:
        batch = self.make(rows, self._decoder, epoch)
        if self.device is None:
            return batch
        if self.device.type == "cuda" and self._decoder.signals.device.type == "cpu":
            batch = batch.pin_memory()
        return batch.to(self.device, non_blocking=True)
