"""The architectures by name: each file of `models` registers its configuration and its module here."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ecgqa.errors import EcgqaError

if TYPE_CHECKING:
    from torch import nn

Model = TypeVar("Model", bound="type[nn.Module]")


class Task(StrEnum):
    """What a model is for, which decides what it is called with and what it returns."""

    QUESTION_ANSWERING = "question answering"
    CLASSIFICATION = "classification"
    PRETRAINING = "pretraining"


MODULES = {
    "ecg_transformer": "ecgqa.models.fusion_transformer",
    "ecgqa": "ecgqa.models.candidate_reader",
    "m3ae_qa": "ecgqa.models.m3ae_qa",
    "resnet_lstm": "ecgqa.models.resnet_lstm",
    "blind_transformer": "ecgqa.models.blind_transformer",
    "deaf_transformer": "ecgqa.models.deaf_transformer",
    "ecg_transformer_classifier": "ecgqa.models.ecg_classifier",
    "nejedly2021": "ecgqa.models.nejedly2021",
    "se_wrn": "ecgqa.models.se_wrn",
    "wav2vec2": "ecgqa.models.wav2vec2",
    "ecg_encoder": "ecgqa.models.pooled_encoder",
    "m3ae_pretraining": "ecgqa.models.m3ae_pretraining",
    "medvill_pretraining": "ecgqa.models.medvill",
}
"""Where each name is registered, so that naming one model does not import the others."""


class Entry(NamedTuple):
    config: type
    build: Callable[..., Any]
    task: Task

    @property
    def sizes(self) -> dict[str, bool]:
        """Names of what the constructor takes from the data (vocab_size, ...), and whether it can do without."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default is not p.empty for p in parameters if p.kind is p.KEYWORD_ONLY}


_REGISTRY: dict[str, Entry] = {}


def register_model(name: str, config: type, task: Task = Task.QUESTION_ANSWERING) -> Callable[[Model], Model]:
    """Class decorator: `name` builds this module from an instance of the dataclass `config`.

    Keyword-only arguments of the constructor are sizes that come from the data, such as `n_answers`; the objective
    supplies those it knows, and model.json keeps them.
    """

    def register(model: Model) -> Model:
        _REGISTRY[name] = Entry(config, model, task)
        return model

    return register


def entry(name: str) -> Entry:
    """Configuration class and constructor of a model; raises EcgqaError naming the nearest known one."""
    if name not in _REGISTRY and name in MODULES:
        import_module(MODULES[name])
    if name not in _REGISTRY:
        known = sorted(_REGISTRY | MODULES)
        near = difflib.get_close_matches(str(name), known, n=1)
        raise EcgqaError(
            f"no model is called {name!r}",
            expected=", ".join(known),
            fix=f"did you mean {near[0]!r}?" if near else None,
        )
    return _REGISTRY[name]


def models_for(task: Task) -> list[str]:
    """Names of the models made for a task."""
    return [name for name in sorted(MODULES) if entry(name).task is task]


def make_config(name: str, values: Mapping[str, Any]) -> Any:
    """The model's configuration from plain values; raises EcgqaError for unknown or impossible ones."""
    config = entry(name).config
    known = [field.name for field in fields(config)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise EcgqaError(
                f"{name} has no setting {key!r}",
                expected=", ".join(known),
                fix=f"did you mean {near[0]!r}?" if near else None,
            )
    try:
        return config(**values)
    except (TypeError, ValueError) as error:
        raise EcgqaError(f"{name} cannot be built so: {error}") from None


def build_model(name: str, config: Any, **sizes: Any) -> nn.Module:
    """A freshly initialised model. `config` is its dataclass or a mapping of the settings that differ from default.

    sizes: what the data decides; of these the model takes those that its constructor names (`Entry.sizes`).
    The module carries `config`. Raises EcgqaError if a size is lacking.
    """
    if not is_dataclass(config):
        config = make_config(name, config)
    taken = sizes_taken(name, sizes)
    lacking = [size for size, optional in entry(name).sizes.items() if not optional and size not in taken]
    if lacking:
        raise EcgqaError(f"{name} needs {', '.join(lacking)}", found=f"sizes {', '.join(sizes) or 'none'}")
    model: nn.Module = entry(name).build(config, **taken)
    return model


def sizes_taken(name: str, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the sizes that the model of this name takes."""
    return {size: sizes[size] for size in entry(name).sizes if size in sizes}


def takes_sets(name: str) -> bool:
    """Whether the model can be called with `sets=True`, for the distribution over sets of answers."""
    forward = getattr(entry(name).build, "forward", None)
    return forward is not None and "sets" in inspect.signature(forward).parameters


def describe(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON values."""
    return asdict(config)
