"""From a checkpoint of the original to a folder that predicts, scores and trains on like a run of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ecgqa.artefacts import artefact_folder, digest_file, digest_of, write_json, write_text
from ecgqa.errors import EcgqaError
from ecgqa.models.registry import Task, entry, make_config, sizes_taken
from ecgqa.models.upstream import Architecture, architecture
from ecgqa.models.upstream.settings import refuse_other
from ecgqa.progress import progress
from ecgqa.training.checkpoint import BEST, write_tensors
from ecgqa.training.companion_files import TOKENIZER, companions
from ecgqa.training.model_file import write_model_file
from ecgqa.training.safe_pickle import StoredTensor
from ecgqa.training.upstream_checkpoint import UpstreamCheckpoint, ignored, on_meta

KIND = "imported checkpoint"
UPSTREAM = "upstream.json"

_BERT_WORDS, _BERT_SEPARATOR = 30522, 102
_LARGEST_SETTING = 10_000_000
_PROBES = (10_007, 10_009, 10_037, 10_039, 10_061)


@dataclass(frozen=True)
class Imported:
    """What became of a checkpoint: its folder, how it reads, and what is left for the user to know or do."""

    folder: Path
    upstream: str
    model: str
    task: Task
    compat: str | None
    n_tensors: int
    n_parameters: int
    dropped: list[str]
    lacking: list[str]


@dataclass(frozen=True)
class Plan:
    """How the tensors of a checkpoint become those of one of our models."""

    upstream: str
    of: Architecture
    config: Any
    sizes: dict[str, Any]
    tensors: dict[str, StoredTensor]
    dropped: list[str]
    n_parameters: int


def import_checkpoint(
    path: str | Path,
    out: str | Path,
    *,
    architecture: str | None = None,
    answers: str | Path | None = None,
    tokenizer: str | Path | None = None,
    classes: str | Path | None = None,
    compat: Literal["published", "off"] | None = None,
    origin: Literal["scratch", "medvill"] | None = None,
    settings: str | Path | None = None,
    overwrite: bool = False,
) -> Imported:
    """Write the folder `out` with the model of the checkpoint `path`; nothing in the checkpoint is executed.

    architecture: the original's name of the model, if the file does not state it. answers: answers.csv of the data set
    or the folder of a store, for models that answer questions; tokenizer: theirs. classes: grounding_class.csv, for
    classifiers. compat: None keeps what an exported checkpoint of ours says, else "published". origin: what a question
    answering model was fine-tuned from, if the file does not say. settings: YAML or JSON with model settings that
    replace those of the file. Raises EcgqaError if tensors are missing, left over or of another shape.
    """
    checkpoint = UpstreamCheckpoint.read(path)
    given = _read_settings(settings) if settings else {}
    plan = make_plan(checkpoint, architecture, compat=compat, origin=origin, settings=given)
    task = entry(plan.of.model).task
    kept = checkpoint.ours.get("files")
    files = companions(task, plan.sizes, kept, answers=answers, tokenizer=tokenizer, classes=classes)
    kept_defects = getattr(plan.config, "compat", None)
    inputs = {"checkpoint": digest_file(path)} | {name: digest_of(value) for name, value in files.items() if value}
    config = {"upstream": plan.upstream, "compat": kept_defects, "settings": given}
    made = artefact_folder(out, kind=KIND, inputs=inputs, config=config, overwrite=overwrite)
    with made as draft:
        if not draft.complete:
            write_folder(draft.path, checkpoint, plan, files)
            draft.counts = {"tensors": len(plan.tensors), "parameters": plan.n_parameters}
            draft.extra = {"source": Path(path).name, "dropped": plan.dropped}
    return Imported(
        folder=Path(out),
        upstream=plan.upstream,
        model=plan.of.model,
        task=task,
        compat=kept_defects,
        n_tensors=len(plan.tensors),
        n_parameters=plan.n_parameters,
        dropped=plan.dropped,
        lacking=[name for name, value in files.items() if not value],
    )


def make_plan(
    checkpoint: UpstreamCheckpoint,
    asked: str | None = None,
    *,
    compat: str | None = None,
    origin: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Plan:
    """Which model the checkpoint is, how it is set, and which tensor goes where."""
    upstream = checkpoint.identify(asked)
    of = architecture(upstream)
    original = {**checkpoint.model_config, **(settings or {})}
    with _settings_told(checkpoint, upstream):
        if checkpoint.ours:
            values, sizes = dict(checkpoint.ours["config"]), dict(checkpoint.ours["sizes"])
        elif original:
            refuse_other(original, layer_norm_first=False, extractor_mode="default", in_d=12)
            values, sizes = of.settings(original), of.sizes(original)
        else:
            values, sizes = _from_shapes(checkpoint, of)
        _check_plausible(values | sizes, len(checkpoint.weights))
        if compat == "off":
            values["compat"] = "off"
        elif compat == "published" or not checkpoint.ours:
            values |= _kept_defects(checkpoint, of, origin)
        if "compat" not in _settings_of(of):
            values.pop("compat", None)
        config = make_config(of.model, values)
        model = on_meta(of.model, config, sizes)
    tensors, dropped = _fit(checkpoint, upstream, of, model.state_dict())
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    return Plan(upstream, of, config, sizes_taken(of.model, sizes), tensors, dropped, n_parameters)


def write_folder(folder: Path, checkpoint: UpstreamCheckpoint, plan: Plan, files: Mapping[str, Any]) -> None:
    """Write all but the manifest."""
    weights: dict[str, Tensor] = {}
    with progress("importing", len(plan.tensors), unit="tensors") as advance:
        for name, stored in plan.tensors.items():
            tensor = checkpoint.file.tensor(stored)
            weights[name] = tensor.float() if tensor.is_floating_point() else tensor
            advance()
    history = checkpoint.progress.get("optimizer_history") or [{}]
    write_tensors(folder / BEST, weights, {"update": history[-1].get("num_updates") or 0, "upstream": plan.upstream})
    write_model_file(folder, plan.of.model, plan.config, plan.sizes)
    described = {"name": plan.upstream, "cfg": checkpoint.config, **checkpoint.progress}
    write_json(folder / UPSTREAM, described)
    for name, value in files.items():
        if value and name == TOKENIZER:
            write_text(folder / name, value)
        elif value:
            write_json(folder / name, value)


def _kept_defects(checkpoint: UpstreamCheckpoint, of: Architecture, origin: str | None) -> dict[str, Any]:
    """Settings that make the model compute what it was trained with."""
    if not of.from_medvill:
        return of.published
    origin = origin or checkpoint.origin
    if origin is None and checkpoint.model_config:
        raise EcgqaError(
            f"{checkpoint.file.path} was fine-tuned from {checkpoint.model_config.get('model_path')!r}, "
            "which does not tell whether that was MedViLL",
            expected="models fine-tuned from MedViLL leave padding of the text out, those from scratch read it",
            fix="--origin medvill, or --origin scratch",
        )
    return of.from_medvill if origin == "medvill" else of.published


def _fit(
    checkpoint: UpstreamCheckpoint, upstream: str, of: Architecture, own: Mapping[str, Tensor]
) -> tuple[dict[str, StoredTensor], list[str]]:
    """The checkpoint's tensors under our names, and those that mean nothing; EcgqaError for what does not fit."""
    modern = of.renaming.theirs(of.renaming.ours(checkpoint.weights))  # type: ignore[arg-type]
    dropped = [name for name in modern if ignored(name, of)]
    renamed: Mapping[str, Any] = of.renaming.ours({name: modern[name] for name in modern if name not in dropped})
    theirs = {of.renaming.ours({name: torch.empty(0)}).popitem()[0]: name for name in checkpoint.weights}
    theirs |= {name: of.renaming.theirs({name: tensor}).popitem()[0] for name, tensor in own.items()}
    missing = [theirs[name] for name in own if name not in renamed]
    extra = [theirs[name] for name in renamed if name not in own]
    wrong = [
        f"{theirs[name]} {tuple(own[name].shape)} but {stored.shape}"
        for name, stored in renamed.items()
        if name in own and tuple(own[name].shape) != stored.shape
    ]
    problems = [
        f"{len(names)} {what}: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
        for what, names in (("missing", missing), ("left over", extra), ("of another shape", wrong))
        if names
    ]
    if problems:
        looks = checkpoint.looks_like
        raise EcgqaError(
            f"{checkpoint.file.path} is no {upstream} as its settings describe it",
            expected=f"{len(own)} tensors",
            found="; ".join(problems),
            fix=f"its tensors look like {' or '.join(looks)}; --settings FILE gives its sizes" if looks else None,
        )
    claimed = sum(4 * stored.n_values for stored in renamed.values())
    if claimed > 8 * checkpoint.file.n_bytes:
        raise EcgqaError(f"{checkpoint.file.path} repeats a few numbers as tensors of {claimed:,} bytes")
    return {name: renamed[name] for name in own}, dropped


def _from_shapes(checkpoint: UpstreamCheckpoint, of: Architecture) -> tuple[dict[str, Any], dict[str, Any]]:
    """Published settings, with layers and sizes as the shapes tell; for checkpoints without a configuration."""
    shapes: Mapping[str, Any] = of.renaming.ours(checkpoint.weights)  # type: ignore[arg-type]
    needed = [size for size, optional in entry(of.model).sizes.items() if not optional]
    probes = dict(zip(needed, _PROBES, strict=False))
    probe = on_meta(of.model, entry(of.model).config(), probes).state_dict()
    sizes: dict[str, Any] = {}
    for size, value in probes.items():
        for name, tensor in probe.items():
            if value in tensor.shape and name in shapes:
                sizes.setdefault(size, shapes[name].shape[list(tensor.shape).index(value)])
    if sizes.get("vocab_size") == _BERT_WORDS and "separator_id" in entry(of.model).sizes:
        sizes["separator_id"] = _BERT_SEPARATOR
    layers = {found[1] for found in (re.search(r"(?:^|\.)encoder\.layers\.(\d+)\.", name) for name in shapes) if found}
    return ({"n_layers": len(layers)} if layers and "n_layers" in _settings_of(of) else {}), sizes


def _settings_of(of: Architecture) -> set[str]:
    return {field.name for field in fields(entry(of.model).config)}


def _check_plausible(values: Mapping[str, Any], n_tensors: int) -> None:
    """Raise ValueError for sizes that would take for ever to build, before anything is built."""
    for key, value in values.items():
        flat = [value]
        while any(isinstance(item, list | tuple) for item in flat):
            flat = [one for item in flat for one in (item if isinstance(item, list | tuple) else [item])]
        numbers = [item for item in flat if isinstance(item, int | float)]
        is_count = key.endswith(("layers", "blocks")) and key != "conv_layers"
        if len(flat) > max(300, n_tensors) or any(
            not 0 <= number <= (n_tensors if is_count else _LARGEST_SETTING) for number in numbers
        ):
            raise ValueError(f"{key} is {str(value)[:80]}, in a file of {n_tensors} tensors")


@contextmanager
def _settings_told(checkpoint: UpstreamCheckpoint, upstream: str) -> Iterator[None]:
    hint = "--settings FILE with the section `model` of the training's configuration"
    try:
        yield
    except KeyError as error:
        lacking = error.args[0] if error.args else "?"
        raise EcgqaError(f"{checkpoint.file.path} does not state the setting {lacking}", fix=hint) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise EcgqaError(f"the settings of {upstream} in {checkpoint.file.path} are odd: {error}", fix=hint) from None


def _read_settings(path: str | Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EcgqaError(f"no such file: {path}", expected="settings of a model, as YAML or JSON") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise EcgqaError(f"{path} cannot be read: {error}") from None
    if isinstance(values, dict) and isinstance(values.get("model"), dict):
        values = values["model"]
    if not isinstance(values, dict):
        raise EcgqaError(f"{path} holds no settings", expected="a mapping, or one with the section `model`")
    return values
