"""From a run or an imported checkpoint to a file in the layout of the original's training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from ecgqa.artefacts import atomic_path
from ecgqa.errors import EcgqaError
from ecgqa.models.registry import Task, describe, entry, make_config
from ecgqa.models.upstream import MODULES, Architecture
from ecgqa.models.upstream import architecture as upstream_architecture
from ecgqa.models.upstream.settings import original_settings
from ecgqa.training.checkpoint import read_weights
from ecgqa.training.checkpoint_import import UPSTREAM
from ecgqa.training.companion_files import COMPANIONS, TOKENIZER
from ecgqa.training.model_file import ModelFile, read_model_file
from ecgqa.training.upstream_checkpoint import OURS

TASKS = {
    Task.QUESTION_ANSWERING: "ecg_question_answering",
    Task.CLASSIFICATION: "ecg_classification",
    Task.PRETRAINING: "ecg_pretraining",
}
_NOT_THEIRS = {"compat", "init_std"}
"""Settings of ours that change no tensor and that the original need not know."""


def export_checkpoint(folder: str | Path, path: str | Path, *, architecture: str | None = None) -> str:
    """Write the best weights of a run folder as a checkpoint of the original; returns the original's model name.

    architecture: the original's name, where several of its models have the same tensors. The file holds plain values
    and tensors only, so that `torch.load(..., weights_only=True)` reads it, and under the key "ecgqa" our own
    description of the model, which lets an import give the same folder again. Raises EcgqaError if the original has no
    such model.
    """
    folder, path = Path(folder), Path(path)
    described = read_model_file(folder)
    weights, facts = read_weights(folder)
    kept = _kept(folder)
    upstream = architecture or kept.get("name") or _only_upstream(described)
    of = _architecture(upstream, described)
    config = kept.get("cfg") if upstream == kept.get("name") else None
    config = config or _config(described, upstream)
    history = kept.get("optimizer_history") or [
        {
            "criterion_name": None,
            "optimizer_name": "Adam",
            "lr_scheduler_state": {"best": None},
            "num_updates": facts.get("update", 0),
        }
    ]
    extra = {"metrics": [], "previous_training_time": 0.0, "val_loss": None} | (kept.get("extra_state") or {})
    extra.setdefault("train_iterator", {"version": 2, "epoch": 1, "iterations_in_epoch": 0, "shuffle": True})
    content = {
        "args": None,
        "cfg": config,
        "model": of.renaming.theirs(weights),
        "criterion": None,
        "optimizer_history": history,
        "task_state": {},
        "extra_state": extra,
        "last_optimizer_state": None,
        OURS: {
            "upstream": upstream,
            "config": described.config,
            "sizes": described.sizes,
            "files": {name: _read(folder / name) for name in COMPANIONS if (folder / name).is_file()},
        },
    }
    if path.is_dir():
        raise EcgqaError(f"{path} is a folder", expected="the name of the file to write, e.g. checkpoint_best.pt")
    with atomic_path(path) as temporary:
        torch.save(content, temporary)
    return str(upstream)


def _kept(folder: Path) -> dict[str, Any]:
    """What an import kept of the original's file, {} for a run of our own."""
    try:
        values = json.loads((folder / UPSTREAM).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EcgqaError(f"{folder / UPSTREAM} is damaged: {error}") from None
    return values if isinstance(values, dict) else {}


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        return text if path.name == TOKENIZER else json.loads(text)
    except (OSError, ValueError) as error:
        raise EcgqaError(f"{path} is damaged: {error}") from None


def _only_upstream(described: ModelFile) -> str:
    names = [name for name in MODULES if upstream_architecture(name).model == described.name]
    if len(names) == 1:
        return names[0]
    raise EcgqaError(
        f"the original has {'several models' if names else 'no model'} with the tensors of {described.name}",
        expected=f"one of {', '.join(names)}" if names else None,
        fix=f"--architecture {names[0]}" if names else None,
    )


def _architecture(upstream: str, described: ModelFile) -> Architecture:
    of = upstream_architecture(upstream)
    if of.model != described.name:
        raise EcgqaError(f"{upstream} is {of.model} here", found=f"a model {described.name}")
    return of


def _config(described: ModelFile, upstream: str) -> dict[str, Any]:
    """A training configuration that builds the same model in the original; EcgqaError if none does."""
    of = upstream_architecture(upstream)
    ours: Mapping[str, Any] = describe(make_config(described.name, described.config)) | described.sizes
    model = original_settings(ours) | (of.original(ours) if of.original else {})
    try:
        again = describe(make_config(described.name, {**of.settings(model), **of.published}))
        sizes = of.sizes(model)
    except (KeyError, ValueError, TypeError) as error:
        raise EcgqaError(
            f"the settings of this {described.name} cannot be told to the original: {error}",
            fix="export the folder of an imported checkpoint, which keeps the original's own settings",
        ) from None
    known = {field.name for field in fields(entry(described.name).config)} - _NOT_THEIRS
    other = [key for key in known if json.dumps(again[key]) != json.dumps(ours[key])]
    other += [key for key in sizes if sizes[key] != ours.get(key, sizes[key])]
    if other:
        raise EcgqaError(
            f"the original cannot build this {described.name}",
            found=", ".join(f"{key} {ours[key]!r}" for key in sorted(other)),
            expected=f"settings that the original's {upstream} has too",
        )
    return {
        "_name": None,
        "common": {"_name": None, "seed": 1, "fp16": False},
        "model": {"_name": upstream, "normalize": False, "filter": False, "no_pretrained_weights": True, **model},
        "task": {"_name": TASKS[described.task], "normalize": False, "filter": False, "enable_padding": True}
        | {key: model[key] for key in ("sep_token", "max_text_size") if key in model},
        "criterion": None,
        "lr_scheduler": None,
        "optimizer": None,
    }
