"""An exponential moving average of a model's weights (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """`weights` follow the floating-point tensors of `model`, by name; each update keeps `decay` of them."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = model, decay
        self.weights: dict[str, Tensor] = {}
        self.restart()

    def restart(self) -> None:
        """Begin again from the model's present weights."""
        self.weights = {name: tensor.clone() for name, tensor in self._tensors().items()}

    @torch.no_grad()
    def update(self, n_done: int) -> None:
        """Take in the model's present weights, after `n_done` updates before this one.

        Early on the average is shorter than `decay` says, or the initial weights would stay in it for long.
        """
        decay = min(self.decay, (1 + n_done) / (10 + n_done))
        now = self._tensors()
        averages = [self.weights[name] for name in now]
        torch._foreach_lerp_(averages, list(now.values()), 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within, the model has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, tensor in self._tensors().items():
            held = tensor.clone()
            tensor.copy_(self.weights[name])
            self.weights[name].copy_(held)

    def _tensors(self) -> dict[str, Tensor]:
        # A shared tensor has one name here only, or it would be averaged and swapped twice.
        held = [*self.model.named_parameters(), *self.model.named_buffers()]
        return {name: tensor.detach() for name, tensor in held if tensor.is_floating_point()}
