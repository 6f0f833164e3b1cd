"""The architectures by name: each file of `models` registers its configuration and its module here."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ecgqa.errors import EcgqaError

if TYPE_CHECKING:
    from torch import nn

Model = TypeVar("Model", bound="type[nn.Module]")

MODULES = {"ecg_transformer": "ecgqa.models.fusion_transformer"}
"""Where each name is registered, so that naming one model does not import the others."""


class Entry(NamedTuple):
    config: type
    build: Callable[..., Any]


_REGISTRY: dict[str, Entry] = {}


def register_model(name: str, config: type) -> Callable[[Model], Model]:
    """Class decorator: `name` builds this module from an instance of the dataclass `config`."""

    def register(model: Model) -> Model:
        _REGISTRY[name] = Entry(config, model)
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


def build_model(name: str, config: Any, *, n_answers: int, vocab_size: int) -> nn.Module:
    """A freshly initialised model. `config` is its dataclass or a mapping of the settings that differ from default.

    The module maps a `store.batches.Batch` to logits (B, n_answers) and carries `config`.
    """
    if not is_dataclass(config):
        config = make_config(name, config)
    model: nn.Module = entry(name).build(config, n_answers=n_answers, vocab_size=vocab_size)
    return model


def describe(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON values."""
    return asdict(config)
