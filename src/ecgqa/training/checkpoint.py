"""Weights and training state on disk, as safetensors with JSON in the header: nothing in them is ever executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ecgqa.artefacts import atomic_path
from ecgqa.errors import EcgqaError

BEST, LAST = "best.safetensors", "last.safetensors"
_MODEL, _OPTIMIZER, _AVERAGE = "model.", "optimizer.", "average."


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON `facts` as one file, whole or not at all."""
    from safetensors.torch import save_file

    plain = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        temporary.touch()  # with the permissions the user asks for; the library would make it private
        mode = temporary.stat().st_mode
        save_file(plain, temporary, metadata={"ecgqa": json.dumps(facts)})
        temporary.chmod(mode)


def read_tensors(path: Path, prefix: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors whose name begins with `prefix` (which is cut off), and the facts; raises EcgqaError if damaged."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise EcgqaError(f"no such file: {path}", expected="a checkpoint in safetensors format")
    try:
        with safe_open(path, "pt") as stream:
            facts = json.loads((stream.metadata() or {}).get("ecgqa", "{}"))
            names = [name for name in stream.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name.removeprefix(prefix): stream.get_tensor(name) for name in names}, facts
    except (SafetensorError, ValueError, OSError, RuntimeError) as error:
        raise EcgqaError(f"{path} is truncated or no safetensors file: {error}") from None


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Put `weights` into `model`; raises EcgqaError naming what is missing, left over or of another shape."""
    own = model.state_dict()
    missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    shapes = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    if missing or extra or shapes:
        problem = [
            f"{len(names)} {what} ({names[0]}, ...)"
            for what, names in (("missing", missing), ("left over", extra), ("of another shape", shapes))
            if names
        ]
        raise EcgqaError(f"{where} is not a checkpoint of this model", found=f"tensors: {', '.join(problem)}")
    model.load_state_dict(weights, strict=True)


def save_best(folder: Path, model: nn.Module, facts: Mapping[str, Any]) -> None:
    """Write the weights alone."""
    write_tensors(folder / BEST, model.state_dict(), facts)


def save_last(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    facts: Mapping[str, Any],
    average: Mapping[str, Tensor] | None = None,
) -> None:
    """Write everything that going on needs. One file, so that a kill can never leave two halves of different age.

    No random state is kept: each update seeds its own (see loop.py). average: the moving average of the weights, if
    one is kept.
    """
    tensors = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
    tensors |= {_AVERAGE + name: tensor for name, tensor in (average or {}).items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{_OPTIMIZER}{key}.{name}"] = torch.as_tensor(value)
    write_tensors(folder / LAST, tensors, facts)


def load_last(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor] | None = None
) -> dict[str, Any]:
    """Put the state that `save_last` wrote into model, optimizer and `average`; returns its facts."""
    path = folder / LAST
    tensors, facts = read_tensors(path)
    weights = {name.removeprefix(_MODEL): value for name, value in tensors.items() if name.startswith(_MODEL)}
    load_weights(model, weights, str(path))
    for name, mean in (average or {}).items():
        mean.copy_(tensors.get(_AVERAGE + name, weights[name]))
    state: dict[int, dict[str, Tensor]] = {}
    for index, (name, parameter) in enumerate(model.named_parameters()):
        for key in ("step", "exp_avg", "exp_avg_sq"):
            value = tensors.get(f"{_OPTIMIZER}{key}.{name}")
            if value is not None:
                state.setdefault(index, {})[key] = value if key == "step" else value.to(parameter.device)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return facts


def load_best(folder: Path, model: nn.Module, which: str = "best") -> dict[str, Any]:
    """Put the weights of the best (or "last") checkpoint of a run into `model`; returns its facts."""
    weights, facts = read_weights(folder, which)
    load_weights(model, weights, str(folder))
    return facts


def read_weights(folder: Path, which: str = "best") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and facts of the best (or "last") checkpoint of a run folder; raises EcgqaError if there is none."""
    if which not in ("best", "last"):
        raise EcgqaError(f"no checkpoint {which!r}", expected="best or last")
    path = folder / (BEST if which == "best" else LAST)
    if not path.is_file():
        raise EcgqaError(
            f"{folder} holds no trained model yet",
            expected=path.name,
            fix="ecgqa train RECIPE --out FOLDER (the first checkpoint comes with the first evaluation)",
        )
    return read_tensors(path, "" if which == "best" else _MODEL)
