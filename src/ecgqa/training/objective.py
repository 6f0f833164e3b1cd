"""The seam between the loop and what it trains: data, model, loss and the score that picks the best checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Generator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from ecgqa.errors import EcgqaError
from ecgqa.training.distributed import World

if TYPE_CHECKING:
    from ecgqa.training.recipe import Recipe

OBJECTIVES = {"question_answering": "ecgqa.training.question_answering:QuestionAnswering"}
"""Where each objective is made: a callable of (recipe, run folder or None)."""


class Objective(Protocol):
    """One way of training. A batch is whatever the objective's own model and loss understand."""

    monitor: str
    """Name of the evaluation's value that is maximised."""

    @property
    def inputs(self) -> dict[str, Any]:
        """Digests and names of what is learned from."""

    @property
    def n_train(self) -> int:
        """Training items of one epoch."""

    def build_model(self) -> nn.Module:
        """A freshly initialised model; the caller has seeded torch."""

    def write_files(self, folder: Path) -> None:
        """Write what using the model later needs besides its weights."""

    def n_batches(self, batch_size: int, world: World) -> int:
        """Micro-batches of an epoch, the same for every process."""

    def batches(self, epoch: int, skip: int, batch_size: int, world: World) -> Generator[Any]:
        """Micro-batches of this process on its device, `batch_size` items each, without the first `skip`."""

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor, int]:
        """Summed loss (scalar with gradient), how many terms were summed (scalar), and of how many items."""

    def name_batch(self, batch: Any) -> str:
        """Which items a batch holds, for a message."""

    def evaluate(
        self, model: nn.Module, batch_size: int, world: World, *, tick: Callable[[], None]
    ) -> dict[str, float]:
        """Values on the validation split, `monitor` among them; calls `tick` between batches."""


def make_objective(recipe: Recipe, folder: Path | None = None) -> Objective:
    """The objective a recipe names. `folder`: a run folder whose own files (tokenizer) are to be used."""
    where = OBJECTIVES.get(recipe.objective.name)
    if where is None:
        raise EcgqaError(f"no objective is called {recipe.objective.name!r}", expected=", ".join(OBJECTIVES))
    module, name = where.split(":")
    made: Objective = getattr(import_module(module), name)(recipe, folder)
    return made
