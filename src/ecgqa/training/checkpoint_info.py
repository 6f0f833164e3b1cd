"""What a file or folder of weights holds, told without loading the weights."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecgqa.artefacts import MANIFEST
from ecgqa.errors import EcgqaError
from ecgqa.models.registry import Task
from ecgqa.training.checkpoint import BEST, LAST
from ecgqa.training.checkpoint_import import KIND
from ecgqa.training.model_file import MODEL, read_model_file
from ecgqa.training.upstream_checkpoint import UpstreamCheckpoint, models_with

_NO_PARAMETER = re.compile(r"(running_(mean|var)|num_batches_tracked|position_ids|\.pe)$")
_TOLD = {
    "optimization": ("max_update", "max_epoch", "lr", "update_freq", "clip_norm"),
    "dataset": ("batch_size", "train_subset", "valid_subset"),
    "optimizer": ("_name", "adam_betas", "adam_eps", "weight_decay"),
    "lr_scheduler": ("_name", "phase_ratio", "final_lr_scale"),
    "criterion": ("_name",),
    "common": ("seed", "fp16"),
    "task": ("_name", "sample_rate", "normalize", "filter"),
    "checkpoint": ("best_checkpoint_metric",),
}
"""Sections of the original's configuration, and what of them a reader wants to know."""


@dataclass(frozen=True)
class WeightsInfo:
    """kind: what sort of file it is. shapes: of every tensor by name, as (shape, dtype)."""

    path: Path
    kind: str
    model: str
    shapes: dict[str, tuple[tuple[int, ...], str]]
    settings: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    next: str = ""

    @property
    def n_parameters(self) -> int:
        """Values of all tensors that are trained, as far as names tell."""
        return sum(_count(shape) for name, (shape, _) in self.shapes.items() if not _NO_PARAMETER.search(name))

    @property
    def dtypes(self) -> dict[str, int]:
        """How many tensors there are of each data type."""
        return dict(Counter(dtype for _, dtype in self.shapes.values()))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "model": self.model,
            "parameters": self.n_parameters,
            "tensors": len(self.shapes),
            "dtypes": self.dtypes,
            "settings": self.settings,
            "training": self.training,
            "notes": self.notes,
            "next": self.next,
            "tree": dict(tree(self.shapes)),
        }

    def __str__(self) -> str:
        dtypes = ", ".join(f"{n} {dtype}" for dtype, n in self.dtypes.items())
        lines = [
            f"{self.path}: {self.kind}",
            f"model       {self.model}",
            f"parameters  {self.n_parameters:,} in {len(self.shapes)} tensors ({dtypes})",
        ]
        for title, values in (("settings", self.settings), ("training", self.training)):
            if values:
                told = ", ".join(f"{key} {_short(value)}" for key, value in values.items() if value is not None)
                lines.append(f"{title:<12}{told}")
        lines += [f"note        {note}" for note in self.notes]
        rows = tree(self.shapes)
        width = max(len(name) for name, _ in rows)
        lines += ["tensors", *(f"  {name:<{width}}  {n:>13,}" for name, n in rows)]
        return "\n".join([*lines, f"next: {self.next}"] if self.next else lines)


def weights_info(path: str | Path) -> WeightsInfo:
    """What a checkpoint (.pt), a safetensors file or a folder with a model holds; EcgqaError for anything else."""
    path = Path(path)
    if path.is_dir():
        return _of_folder(path)
    if path.suffix == ".safetensors":
        return _of_safetensors(path)
    return _of_upstream(path)


def tree(shapes: Mapping[str, tuple[tuple[int, ...], str]], depth: int = 3) -> list[tuple[str, int]]:
    """Parts of a model, their layers gathered, and how many values each holds."""
    parts: dict[str, tuple[int, set[str]]] = {}
    for name, (shape, _) in shapes.items():
        words = name.split(".")
        numbered = next((place for place, word in enumerate(words) if word.isdigit()), None)
        cut = min(depth, len(words) - 1) if numbered is None else numbered
        part = ".".join(words[: max(cut, 1)])
        total, layers = parts.get(part, (0, set()))
        parts[part] = (total + _count(shape), layers | ({words[numbered]} if numbered is not None else set()))
    return [(f"{part} x {len(layers)}" if layers else part, total) for part, (total, layers) in parts.items()]


def _of_upstream(path: Path) -> WeightsInfo:
    checkpoint = UpstreamCheckpoint.read(path)
    shapes = {name: (stored.shape, stored.array.dtype) for name, stored in checkpoint.weights.items()}
    looks = checkpoint.looks_like
    name = checkpoint.name or (f"not stated; its tensors look like {' or '.join(looks)}" if looks else "not known here")
    notes = []
    if checkpoint.name and looks and checkpoint.name not in looks:
        notes.append(f"it says {checkpoint.name}, but its tensors look like {' or '.join(looks)}")
    if any(re.search(r"weight_[gv]$", tensor) for tensor in shapes):
        notes.append("weight norm is spelled as before 2025; import understands it")
    if checkpoint.config.get("from_args"):
        notes.append("its settings are one flat list of arguments, as before there were sections")
    if not checkpoint.config and not checkpoint.ours:
        notes.append("it states no settings: import assumes the published ones, and reads sizes from the shapes")
    training = {
        f"{section}.{key}": checkpoint.config[section][key]
        for section, keys in _TOLD.items()
        for key in keys
        if isinstance(checkpoint.config.get(section), dict) and key in checkpoint.config[section]
    }
    for state in checkpoint.progress.get("optimizer_history") or []:
        training["updates"] = state.get("num_updates")
    training |= {
        key: value
        for key, value in (checkpoint.progress.get("extra_state") or {}).items()
        if key in ("val_loss", "best") and value is not None
    }
    skip = ("_name", "data", "args", "model_path")
    settings = {key: value for key, value in checkpoint.model_config.items() if key not in skip and value is not None}
    kind = "checkpoint in the original's layout" + (", exported by ecgqa" if checkpoint.ours else "")
    return WeightsInfo(
        path, kind, name, shapes, settings, training, notes, f"ecgqa checkpoint import {shlex.quote(str(path))} FOLDER"
    )


def _of_safetensors(path: Path) -> WeightsInfo:
    shapes, facts = _header(path)
    looks = models_with(shapes)
    model = f"not stated; its tensors look like {' or '.join(looks)}" if looks else "not stated"
    beside = path.with_name(MODEL)
    if beside.is_file():
        model = f"{read_model_file(path.parent).name} (by {beside.name} beside it)"
    return WeightsInfo(path, "safetensors file", model, shapes, training=facts)


def _of_folder(folder: Path) -> WeightsInfo:
    described = read_model_file(folder)
    weights = folder / (BEST if (folder / BEST).is_file() else LAST)
    shapes, facts = _header(weights)
    manifest: dict[str, Any] = {}
    if (folder / MANIFEST).is_file():
        try:
            manifest = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise EcgqaError(f"{folder / MANIFEST} is damaged: {error}") from None
    kind = {"run": "folder of a finished run", KIND: "folder of an imported checkpoint"}
    notes = [f"from {manifest['source']}"] if "source" in manifest else []
    where = shlex.quote(str(folder))
    follows = {
        Task.QUESTION_ANSWERING: f"ecgqa predict {where} STORE --split test",
        Task.CLASSIFICATION: f"ecgqa findings predict {where} STORE --split test",
        Task.PRETRAINING: f"ecgqa train RECIPE --run.start_from {where}",
    }
    return WeightsInfo(
        folder,
        kind.get(manifest.get("kind", ""), "folder of an unfinished run"),
        f"{described.name} (for {described.task})",
        {name: value for name, value in shapes.items() if weights.name == BEST or name.startswith("model.")},
        {**described.config, **described.sizes},
        facts,
        notes,
        follows[described.task],
    )


def _header(path: Path) -> tuple[dict[str, tuple[tuple[int, ...], str]], dict[str, Any]]:
    """Shapes, data types and facts of a safetensors file, from its header alone."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise EcgqaError(f"no such file: {path}", expected="weights in safetensors format")
    try:
        with safe_open(path, "pt") as stream:
            facts = json.loads((stream.metadata() or {}).get("ecgqa", "{}"))
            slices = {name: stream.get_slice(name) for name in stream.keys()}  # noqa: SIM118
            return {name: (tuple(one.get_shape()), _dtype(one.get_dtype())) for name, one in slices.items()}, facts
    except (SafetensorError, ValueError, OSError, RuntimeError) as error:
        raise EcgqaError(f"{path} is truncated or no safetensors file: {error}") from None


def _dtype(name: str) -> str:
    """`F32` as `float32`."""
    kind = {"F": "float", "BF": "bfloat", "I": "int", "U": "uint"}.get(name.rstrip("0123456789"))
    return kind + name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ") if kind else name.lower()


def _count(shape: Iterable[int]) -> int:
    n = 1
    for size in shape:
        n *= size
    return n


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
