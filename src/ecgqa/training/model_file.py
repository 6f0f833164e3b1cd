"""The file model.json of a run folder: which architecture its weights belong to, how it is set, and its sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from ecgqa.artefacts import write_json
from ecgqa.errors import EcgqaError
from ecgqa.models.registry import Task, build_model, describe, entry, sizes_taken

MODEL = "model.json"


class ModelFile(NamedTuple):
    """What model.json says: enough to build the model again."""

    name: str
    config: dict[str, Any]
    sizes: dict[str, Any]

    @property
    def task(self) -> Task:
        return entry(self.name).task

    def build(self) -> nn.Module:
        """The model, freshly initialised."""
        return build_model(self.name, self.config, **self.sizes)


def write_model_file(folder: Path, name: str, config: Any, sizes: Mapping[str, Any]) -> None:
    """Write model.json; `config` is the model's dataclass, of `sizes` the model's own are kept."""
    write_json(
        folder / MODEL,
        {"name": name, "task": str(entry(name).task), "config": describe(config), "sizes": sizes_taken(name, sizes)},
    )


def read_model_file(folder: Path) -> ModelFile:
    """Read model.json; raises EcgqaError if it is absent or damaged."""
    path = folder / MODEL
    if not folder.is_dir():
        raise EcgqaError(f"no such folder: {folder}", expected="the folder of a training run")
    if not path.is_file():
        raise EcgqaError(
            f"{folder} holds no trained model yet",
            expected=MODEL,
            fix="ecgqa train RECIPE --out FOLDER (the first checkpoint comes with the first evaluation)",
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return ModelFile(str(values["name"]), dict(values["config"]), dict(values["sizes"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EcgqaError(f"{path} is damaged: {error}") from None
