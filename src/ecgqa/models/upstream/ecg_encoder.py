"""The original's ECG encoder by itself, as CMSC, SimCLR and 3KG pretrain it."""

from __future__ import annotations

from typing import Any

from ecgqa.models.upstream import Architecture, Values
from ecgqa.models.upstream.renaming import ENCODER, Renaming
from ecgqa.models.upstream.settings import encoder_settings


def settings(original: Values) -> dict[str, Any]:
    return encoder_settings(original)


def sizes(original: Values) -> dict[str, Any]:
    return {}


ARCHITECTURE = Architecture(
    model="ecg_encoder",
    settings=settings,
    sizes=sizes,
    renaming=Renaming(ENCODER),
    published={"compat": "published"},
)
