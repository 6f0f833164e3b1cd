"""The seam between the loop and what it trains: data, model, loss and the score that picks the best checkpoint."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Generator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from torch import Tensor, nn

from ecgqa.errors import EcgqaError
from ecgqa.models.registry import Task
from ecgqa.training.distributed import World

if TYPE_CHECKING:
    from ecgqa.training.recipe import Recipe

OBJECTIVES = {
    "question_answering": "ecgqa.training.objectives.question_answering:QuestionAnswering",
    "classification": "ecgqa.training.objectives.classification:Classification",
    "wav2vec2": "ecgqa.training.objectives.wav2vec2:Wav2Vec2Objective",
    "cmsc": "ecgqa.training.objectives.contrastive:Cmsc",
    "simclr": "ecgqa.training.objectives.contrastive:SimClr",
    "3kg": "ecgqa.training.objectives.contrastive:ThreeKg",
    "m3ae": "ecgqa.training.objectives.m3ae:M3aeObjective",
    "medvill": "ecgqa.training.objectives.medvill:MedvillObjective",
}
"""Where the class of each objective is; it is made from (recipe, run folder or None)."""


class Objective(Protocol):
    """One way of training. A batch is whatever the objective's own model and loss understand."""

    config: ClassVar[type]
    """Dataclass of the recipe's section `objective` (its `name` apart)."""

    task: ClassVar[Task]
    """What the models that it trains are for."""

    unit: ClassVar[str]
    """What it counts as one training item: "questions", "ECGs"."""

    monitor: str
    """Name of the evaluation's value that is maximised."""

    @property
    def inputs(self) -> dict[str, Any]:
        """Digests and names of what is learned from."""

    @property
    def n_train(self) -> int:
        """Training items of one epoch."""

    @property
    def notes(self) -> list[str]:
        """What a user should be told when training starts, a sentence each."""

    def build_model(self) -> nn.Module:
        """A freshly initialised model; the caller has seeded torch."""

    def write_files(self, folder: Path) -> None:
        """Write what using the model later needs besides its weights."""

    def n_batches(self, batch_size: int, world: World) -> int:
        """Micro-batches of an epoch, the same for every process."""

    def batches(self, epoch: int, skip: int, batch_size: int, world: World) -> Generator[Any]:
        """Micro-batches of this process on its device, `batch_size` items each, without the first `skip`."""

    def begin_update(self, update: int) -> None:
        """Called before each update with its number, from 0: for what changes while training goes on."""

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor, int]:
        """Summed loss (scalar with gradient), how many terms were summed (scalar), and of how many items."""

    def name_batch(self, batch: Any) -> str:
        """Which items a batch holds, for a message."""

    def evaluate(
        self, model: nn.Module, batch_size: int, world: World, *, tick: Callable[[], None]
    ) -> dict[str, float]:
        """Values on the validation split, `monitor` among them; calls `tick` between batches."""

    def keep_best(self, folder: Path, update: int) -> None:
        """Write what belongs to the weights of `update`, which the last evaluation found best and which were kept."""


def objective_class(name: str) -> type[Objective]:
    """The class of an objective; raises EcgqaError naming the nearest known one."""
    where = OBJECTIVES.get(name)
    if where is None:
        near = difflib.get_close_matches(str(name), OBJECTIVES, n=1)
        raise EcgqaError(
            f"no objective is called {name!r}",
            expected=", ".join(OBJECTIVES),
            fix=f"did you mean {near[0]!r}?" if near else None,
        )
    module, attribute = where.split(":")
    found: type[Objective] = getattr(import_module(module), attribute)
    return found


def make_objective(recipe: Recipe, folder: Path | None = None) -> Objective:
    """The objective a recipe names. `folder`: a run folder whose own files (tokenizer) are to be used."""
    made: Objective = objective_class(recipe.objective_name)(recipe, folder)  # type: ignore[call-arg]
    return made
