"""A checkpoint of the original: its weights, its configuration, and which of its models it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from ecgqa.errors import EcgqaError
from ecgqa.models.registry import entry
from ecgqa.models.upstream import MODULES, Architecture, architecture
from ecgqa.training.safe_pickle import Inert, StoredTensor, printable
from ecgqa.training.torch_file import TorchFile

OURS = "ecgqa"
"""Key of an exported checkpoint under which our own description of the model stands."""

IGNORED = re.compile(r"(^|\.)embeddings\.position_ids$")
"""A counter that older versions of BERT saved beside their weights."""

MOST_VALUES, DEEPEST = 100_000, 50


@dataclass(frozen=True)
class UpstreamCheckpoint:
    """What a checkpoint says, without the values of its tensors.

    weights: the model's tensors by the original's names. config: the whole training configuration as JSON values, {}
    if there is none. progress: updates, epoch and scores reached. ours: our own description, if ecgqa exported it.
    """

    file: TorchFile
    weights: dict[str, StoredTensor]
    config: dict[str, Any]
    progress: dict[str, Any]
    ours: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> UpstreamCheckpoint:
        """Read a checkpoint; nothing in it is executed. Raises EcgqaError for anything else than a checkpoint."""
        file = TorchFile(path)
        content = file.content
        if not isinstance(content, dict):
            raise EcgqaError(f"{path} holds no model", expected="the dictionary of a checkpoint")
        weights = next((content[key] for key in ("model", "state_dict") if isinstance(content.get(key), dict)), content)
        strangers = [
            key
            for key, value in weights.items()
            if not isinstance(value, StoredTensor) or type(key) is not str or not key.isprintable() or len(key) > 500
        ]
        if not weights or strangers:
            raise EcgqaError(
                f"{path} holds no model",
                expected="named tensors under the key 'model'",
                found=f"the keys {', '.join(printable(str(key), 40) for key in list(content)[:8])}"
                if content
                else "nothing",
            )
        wrapped = "module." if all(name.startswith("module.") for name in weights) else ""
        return cls(
            file=file,
            weights={name.removeprefix(wrapped): tensor for name, tensor in weights.items()},
            config={} if weights is content else _config(content, Path(path)),
            progress={} if weights is content else _progress(content),
            ours={} if weights is content else _ours(content, Path(path)),
        )

    @property
    def model_config(self) -> dict[str, Any]:
        """The section `model` of the configuration, {} if there is none."""
        section = self.config.get("model")
        return section if isinstance(section, dict) else {}

    @property
    def name(self) -> str | None:
        """The original's registered name of the model, if the file states it."""
        stated = self.ours.get("upstream") or self.model_config.get("_name")
        return printable(str(stated)) if stated else None

    @property
    def origin(self) -> str | None:
        """ "medvill" or "scratch" where the configuration says what a question answering model started from."""
        before = self.model_config.get("args")
        if isinstance(before, dict) and isinstance(before.get("model"), dict):
            return "medvill" if before["model"].get("_name") == "medvill" else "scratch"
        started_from = self.model_config.get("model_path")
        if self.model_config.get("no_pretrained_weights") or not started_from:
            return "scratch" if self.model_config else None
        return "medvill" if "medvill" in str(started_from).lower() else None

    @property
    def looks_like(self) -> list[str]:
        """The original's models that have tensors of these names."""
        return models_with(self.weights)

    def identify(self, asked: str | None) -> str:
        """The original's name of this model: as asked, else as stated, else as its tensors' names tell.

        Raises EcgqaError if these contradict each other or none of them tells.
        """
        stated = asked or self.name
        if stated in MODULES and stated == self.name:
            return stated
        looks = self.looks_like
        seen = f"a checkpoint whose tensors are those of {' or '.join(looks)}" if looks else None
        if stated is not None and stated not in MODULES:
            raise EcgqaError(
                f"the original's model {stated!r} is not known here",
                expected=", ".join(sorted(MODULES)),
                found=seen,
                fix=f"--architecture {looks[0]}" if looks else None,
            )
        if stated is not None and looks and stated not in looks:
            raise EcgqaError(f"{self.file.path} holds no {stated}", found=seen, fix=f"--architecture {looks[0]}")
        if stated is None and not looks:
            names = list(self.weights)
            raise EcgqaError(
                f"{self.file.path} does not say which model it is, and its tensors are those of none known here",
                expected=", ".join(sorted(MODULES)),
                found=f"{len(names)} tensors: {', '.join(names[:3])}, ...",
            )
        return stated or looks[0]


def ignored(name: str, of: Architecture) -> bool:
    """Whether a tensor of this name means nothing to the model."""
    return bool(IGNORED.search(name)) or name.startswith(of.ignored)


def on_meta(model: str, config: Any, sizes: Mapping[str, Any]) -> nn.Module:
    """The model without memory for its tensors: only their names and shapes."""
    import torch

    from ecgqa.models.registry import build_model

    with torch.device("meta"):
        return build_model(model, config, **sizes)


def models_with(names: Iterable[str]) -> list[str]:
    """The original's models whose tensors have these names, whatever the number of layers."""
    names = list(names)
    found = []
    for upstream_name in MODULES:
        of = architecture(upstream_name)
        modern = of.renaming.theirs(of.renaming.ours(dict.fromkeys(names)))  # type: ignore[arg-type]
        if _pattern(name for name in modern if not ignored(name, of)) == _default_pattern(upstream_name):
            found.append(upstream_name)
    return found


@cache
def _default_pattern(upstream_name: str) -> frozenset[str]:
    of = architecture(upstream_name)
    needed = [size for size, optional in entry(of.model).sizes.items() if not optional]
    model = on_meta(of.model, entry(of.model).config(), dict.fromkeys(needed, 2))
    return _pattern(of.renaming.theirs(model.state_dict()))


def _pattern(names: Iterable[str]) -> frozenset[str]:
    return frozenset(re.sub(r"\.\d+(?=\.)", ".N", name) for name in names)


def _ours(content: Mapping[Any, Any], path: Path) -> dict[str, Any]:
    ours = plain(content.get(OURS))
    if ours is None:
        return {}
    kinds = {"upstream": str, "config": dict, "sizes": dict, "files": dict}
    if not isinstance(ours, dict) or any(not isinstance(ours.get(key), kind) for key, kind in kinds.items()):
        raise EcgqaError(f"{path} holds an odd description of its model under the key {OURS!r}")
    return ours


def _config(content: Mapping[Any, Any], path: Path) -> dict[str, Any]:
    config = plain(content.get("cfg"))
    if isinstance(config, dict):
        return config
    if config is not None:
        raise EcgqaError(f"{path} holds a configuration that is no mapping")
    arguments = plain(content.get("args"))  # one flat list of options, before there were sections
    if not isinstance(arguments, dict):
        return {}
    name = arguments.get("arch") or arguments.get("_name") or arguments.get("model")
    return {"model": {**arguments, "_name": name if isinstance(name, str) else None}, "from_args": True}


def _progress(content: Mapping[Any, Any]) -> dict[str, Any]:
    history, extra = content.get("optimizer_history"), content.get("extra_state")
    last = history[-1] if isinstance(history, list) and history and isinstance(history[-1], dict) else {}
    state = {key: value for key, value in extra.items() if key != "metrics"} if isinstance(extra, dict) else {}
    known = {key: value for key, value in last.items() if key != "optimizer"}
    return {"optimizer_history": [plain(known)] if known else [], "extra_state": plain(state)}


def plain(value: Any) -> Any:
    """JSON values of what a pickle held: configurations as mappings, arrays and unknown objects as None.

    Raises EcgqaError for values that are nested without end, or too many.
    """
    budget = [MOST_VALUES]

    def convert(value: Any, depth: int) -> Any:
        budget[0] -= 1
        if budget[0] < 0 or depth > DEEPEST:
            raise EcgqaError("the configuration in the checkpoint is nested too deeply or too long")
        if isinstance(value, Inert):
            if value.of.startswith("omegaconf.nodes"):
                return convert(value.state.get("_val"), depth + 1)
            if value.of.startswith("omegaconf"):
                return convert(value.state.get("_content"), depth + 1)
            return convert(value.state, depth + 1) if value.of == "argparse.Namespace" else None
        if isinstance(value, dict):
            return {str(key)[:200]: convert(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [convert(item, depth + 1) for item in value]
        if isinstance(value, bool | float | str) or value is None:
            return value
        return value if isinstance(value, int) and value.bit_length() < 64 else None

    return convert(value, 0)
