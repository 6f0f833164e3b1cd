"""Published text encoders such as BERT: their files in a folder or on the Hugging Face hub, word pieces, weights."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ecgqa.errors import EcgqaError

if TYPE_CHECKING:
    from ecgqa.models.tokenizer import Tokenizer

TOKENIZER, VOCABULARY, TOKENIZER_CONFIG = "tokenizer.json", "vocab.txt", "tokenizer_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")

EMBEDDINGS = {
    "word_embedding.weight": "embeddings.word_embeddings.weight",
    "text_positions.weight": "embeddings.position_embeddings.weight",
    "token_type.weight": "embeddings.token_type_embeddings.weight",
}
"""Ends of our parameters' names, and what BERT calls the same."""

TOWER = ".text_encoder."
"""Below this lies a text tower whose parts are named as in BERT."""

_SPELLED_BY_TENSORFLOW = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class PretrainedText:
    """A text encoder by the name of a folder, of a single tokenizer file, or of a repository on the hub."""

    name: str

    def file(self, *names: str) -> Path | None:
        """The first of these files that it has; raises EcgqaError if the hub cannot be asked."""
        place = Path(self.name).expanduser()
        if place.is_file():
            as_what = TOKENIZER if place.suffix == ".json" else VOCABULARY
            return place if as_what in names else None
        if place.is_dir():
            return next((place / name for name in names if (place / name).is_file()), None)
        if not _HUB_NAME.fullmatch(self.name):
            raise EcgqaError(
                f"no such folder: {self.name}", expected=f"a folder that holds {VOCABULARY} or {TOKENIZER}, or its name"
            )
        return _from_hub(self.name, names)

    def tokenizer(self) -> Tokenizer:
        """Its word pieces; raises EcgqaError if it has none that our models can use."""
        from ecgqa.models.tokenizer import Tokenizer

        path = self.file(TOKENIZER, VOCABULARY)
        if path is None:
            raise EcgqaError(f"{self.name} holds no tokenizer", expected=f"{TOKENIZER} or {VOCABULARY}")
        if path.suffix == ".json":
            return Tokenizer.load(path)
        return Tokenizer.of_vocabulary(path, lowercase=self._lowercase())

    def _lowercase(self) -> bool:
        try:
            path = self.file(TOKENIZER_CONFIG)
        except EcgqaError:  # out of the hub's reach: as most are
            path = None
        try:
            return bool(json.loads(path.read_text(encoding="utf-8")).get("do_lower_case", True)) if path else True
        except (ValueError, AttributeError) as error:
            raise EcgqaError(f"{path} is damaged: {error}") from None

    def weights(self, beginning: str = "") -> dict[str, Tensor] | None:
        """Its tensors whose name in a bare BertModel begins so; None if it has no weights.

        Nothing in the file is executed. Raises EcgqaError for a damaged or malicious one.
        """
        path = self.file(*WEIGHTS)
        if path is None:
            return None
        try:
            if path.suffix == ".bin":
                tensors = torch.load(path, map_location="cpu", weights_only=True)
                found = {name: tensor for name, tensor in tensors.items() if _bare(name).startswith(beginning)}
            else:
                from safetensors import safe_open

                with safe_open(path, "pt") as stream:
                    names = [name for name in stream.keys() if _bare(name).startswith(beginning)]  # noqa: SIM118
                    found = {name: stream.get_tensor(name) for name in names}
        except Exception as error:  # of either library, for a file that is none of its own
            reason = str(error).strip().splitlines()[:1]
            raise EcgqaError(f"{path} holds no weights that can be read safely: {' '.join(reason)}") from None
        return {_bare(name): tensor.float() for name, tensor in found.items() if isinstance(tensor, Tensor)}

    def put_into(self, model: nn.Module) -> str:
        """Copy its weights into a model's text tower, or its embeddings into the model's own; says what was taken."""
        own = {name: tensor for name, tensor in model.state_dict().items() if _bert_name(name)}
        if not own:
            return f"{type(model).__name__} has no words that could start from {self.name}"
        has_tower = any(TOWER in f".{name}" for name in own)
        weights = self.weights("" if has_tower else "embeddings.")
        if weights is None:
            return f"{self.name} holds no weights: words start fresh"
        taken, left = [], []
        for name, tensor in own.items():
            theirs = weights.get(_bert_name(name))
            if theirs is not None and _fits(name, theirs, tensor):
                tensor.copy_(theirs[: len(tensor)])
                taken.append(name.removesuffix(".weight"))
            else:
                found = "absent" if theirs is None else f"{tuple(theirs.shape)}, here {tuple(tensor.shape)}"
                left.append(f"{name.removesuffix('.weight')} ({found})")
        if has_tower:
            taken = [f"{len(taken)} of {len(own)} tensors of the text tower"]
            left = [*left[:2], f"{len(left) - 2} more"] if len(left) > 3 else left
        said = f"starting from {self.name}: {', '.join(taken) or 'nothing'}"
        return said + (f"; fresh: {', '.join(left)}" if left else "")


def _bert_name(name: str) -> str:
    """What BERT calls one of our parameters, or nothing."""
    if TOWER in f".{name}":
        return f".{name}".split(TOWER, 1)[1]
    return next((theirs for end, theirs in EMBEDDINGS.items() if f".{name}".endswith(f".{end}")), "")


def _fits(name: str, theirs: Tensor, ours: Tensor) -> bool:
    """Whether the shapes agree; of embeddings the first rows are taken."""
    if name.endswith(("embedding.weight", "embeddings.weight", "positions.weight", "token_type.weight")):
        return theirs.shape[1:] == ours.shape[1:] and len(theirs) >= len(ours)
    return theirs.shape == ours.shape


def _bare(name: str) -> str:
    """A parameter's name as in a BertModel of today that stands alone."""
    for before, after in _SPELLED_BY_TENSORFLOW:
        name = name.replace(before, after)
    return name.removeprefix("bert.")


def _from_hub(repository: str, names: Sequence[str]) -> Path | None:
    """The first of these files on the hub, better still in its cache; None if the repository has none of them."""
    without = "--data.text_weights false" if names == WEIGHTS else "--data.tokenizer own"
    advice = (
        f"copy the files of {repository} ({VOCABULARY}, and {WEIGHTS[0]} for its weights) into a folder and give "
        f"--data.tokenizer FOLDER, or do without: {without}"
    )
    try:
        from huggingface_hub import hf_hub_download, try_to_load_from_cache
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ImportError:
        raise EcgqaError(
            f"no folder {repository} here, and huggingface_hub, which could fetch it, is not installed", fix=advice
        ) from None
    try:
        cached = [try_to_load_from_cache(repository, name) for name in names]
        for path in cached:
            if isinstance(path, str):
                return Path(path)
        for name in names:
            try:
                return Path(hf_hub_download(repository, name))
            except LocalEntryNotFoundError:
                raise
            except EntryNotFoundError:
                continue
    except LocalEntryNotFoundError:
        reason = "not in the cache, and the hub cannot be reached"
    except Exception as error:  # no such repository, no right to it, any trouble of the network
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    else:
        return None
    raise EcgqaError(
        f"no {' or '.join(names)} of {repository}: {reason}", expected="a folder, or a name on the hub", fix=advice
    )
