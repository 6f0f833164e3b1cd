"""The original's models in terms of ours, one file each: settings, sizes and parameter names, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from ecgqa.errors import EcgqaError
from ecgqa.models.upstream.renaming import Renaming

MODULES = {
    "ecg_language_transformer_classifier": "ecgqa.models.upstream.fusion_transformer",
    "m3ae_qa": "ecgqa.models.upstream.m3ae_qa",
    "resnet_lstm_classifier": "ecgqa.models.upstream.resnet_lstm",
    "blind_transformer_qa": "ecgqa.models.upstream.blind_transformer",
    "deaf_transformer_qa": "ecgqa.models.upstream.deaf_transformer",
    "ecg_transformer_classifier": "ecgqa.models.upstream.ecg_classifier",
    "nejedly2021resnet_classifier": "ecgqa.models.upstream.nejedly2021",
    "se_wrn_classifier": "ecgqa.models.upstream.se_wrn",
    "wav2vec2": "ecgqa.models.upstream.wav2vec2",
    "wav2vec2_cmsc": "ecgqa.models.upstream.wav2vec2",
    "ecg_transformer": "ecgqa.models.upstream.ecg_encoder",
    "m3ae": "ecgqa.models.upstream.m3ae",
    "medvill": "ecgqa.models.upstream.medvill",
}
"""Where the `ARCHITECTURE` of each of the original's models is, by the original's registered name."""

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """One of the original's models.

    model: our registered name. settings: our configuration's values from the original's model configuration. sizes: the
    sizes that the data decides, from the same. renaming: of parameters. published: settings that keep the defects which
    the published numbers carry. ignored: beginnings of names in old checkpoints that mean nothing. from_medvill:
    settings that replace `published` in a model fine-tuned from MedViLL. original: the way back from the settings that
    `original_settings` does not know by name.
    """

    model: str
    settings: Callable[[Values], dict[str, Any]]
    sizes: Callable[[Values], dict[str, Any]]
    renaming: Renaming
    published: dict[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    from_medvill: dict[str, Any] = field(default_factory=dict)
    original: Callable[[Values], dict[str, Any]] | None = None


def architecture(upstream_name: str) -> Architecture:
    """The original's model of that registered name; raises EcgqaError for an unknown one."""
    if upstream_name not in MODULES:
        raise EcgqaError(f"the original's model {upstream_name!r} is not known here", expected=", ".join(MODULES))
    found: Architecture = import_module(MODULES[upstream_name]).ARCHITECTURE
    return found
