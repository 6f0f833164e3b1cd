"""The processes of one training run and the device of each; one process is a world of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from ecgqa.errors import EcgqaError


@dataclass(frozen=True)
class World:
    """This process among `size`, numbered `rank`, computing on `device`."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this is the one process that writes files."""
        return self.rank == 0

    def add_up(self, values: Tensor) -> Tensor:
        """`values` summed over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Return once all processes are here."""
        if self.size > 1:
            distributed.barrier()


class _Gathered(torch.autograd.Function):
    """Rows of all processes, in their order; the gradient of a row is summed over the processes that used it."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        padded = rows.new_zeros((max(counts), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return torch.split(total, ctx.counts)[distributed.get_rank()], None


def gathered(rows: Tensor) -> Tensor:
    """`rows` (n, ...) of all processes below each other, with gradient; n may differ between processes.

    A loss over them is the same in every process, and its gradient arrives once for each process that adds it up.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return rows
    counts = torch.zeros(distributed.get_world_size(), dtype=torch.int64, device=rows.device)
    counts[distributed.get_rank()] = len(rows)
    distributed.all_reduce(counts)
    out: Tensor = _Gathered.apply(rows.contiguous(), counts.tolist())  # type: ignore[no-untyped-call]
    return out


def unwrapped(model: nn.Module) -> Any:
    """The model itself, without what keeps it equal in all processes."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def process_rank() -> int:
    """Number of this process among those that torchrun started; 0 if it was started alone."""
    rank = os.environ.get("RANK", "0")
    return int(rank) if rank.isdigit() else 0


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """The device that "auto", "cpu", "cuda" or "cuda:N" means here; raises EcgqaError if there is none such."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise EcgqaError(f"no device {name!r}", expected="auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise EcgqaError("no CUDA device is available", fix="--run.device cpu")
        index = local_rank if device.index is None else device.index
        if index >= torch.cuda.device_count():
            raise EcgqaError(f"no device cuda:{index}", found=f"{torch.cuda.device_count()} CUDA devices")
        return torch.device("cuda", index)
    return device


@contextmanager
def world(device_name: str) -> Iterator[World]:
    """The processes that torchrun started (from RANK, WORLD_SIZE and LOCAL_RANK), or this one alone."""
    try:
        rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        local_rank = int(os.environ.get("LOCAL_RANK", rank))
    except ValueError:
        raise EcgqaError("RANK, WORLD_SIZE and LOCAL_RANK are whole numbers", fix="start with torchrun") from None
    device = choose_device(device_name, local_rank)
    if size == 1:
        yield World(0, 1, device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(rank, size, device)
    finally:
        distributed.destroy_process_group()
