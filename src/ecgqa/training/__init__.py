"""One training loop for every recipe, its schedules and its checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgqa.training.prediction import predict
    from ecgqa.training.recipe import Recipe, load_recipe, make_recipe
    from ecgqa.training.run import train

__all__ = ["Recipe", "load_recipe", "make_recipe", "predict", "train"]


def __getattr__(name: str) -> Any:  # torch is imported by what needs it, not by naming the package
    from importlib import import_module

    where = {"predict": "prediction", "train": "run"}.get(name, "recipe")
    if name not in __all__:
        raise AttributeError(name)
    return getattr(import_module(f"ecgqa.training.{where}"), name)
