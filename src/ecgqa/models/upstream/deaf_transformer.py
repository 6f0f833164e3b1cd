"""The original's ECG-only baseline."""

from __future__ import annotations

from typing import Any

from ecgqa.models.upstream import Architecture, Values
from ecgqa.models.upstream.renaming import ENCODER, Renaming
from ecgqa.models.upstream.settings import encoder_settings


def sizes(original: Values) -> dict[str, Any]:
    return {"n_answers": original["num_labels"]}


ARCHITECTURE = Architecture(
    model="deaf_transformer",
    settings=encoder_settings,
    sizes=sizes,
    renaming=Renaming(ENCODER) + Renaming([("sep_embedding", "separator")]),
    published={"compat": "published"},
)
