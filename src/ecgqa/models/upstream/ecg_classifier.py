"""The original's upper-bound classifier on the ECG transformer, scratch or fine-tuned: both have the same tensors."""

from __future__ import annotations

from typing import Any

from ecgqa.models.upstream import Architecture, Values
from ecgqa.models.upstream.renaming import ENCODER, Renaming
from ecgqa.models.upstream.settings import encoder_settings


def settings(original: Values) -> dict[str, Any]:
    return encoder_settings(original) | {"final_dropout": original["final_dropout"]}


def sizes(original: Values) -> dict[str, Any]:
    return {"n_classes": original["num_labels"]}


ARCHITECTURE = Architecture(
    model="ecg_transformer_classifier",
    settings=settings,
    sizes=sizes,
    renaming=Renaming(ENCODER).below("encoder.") + Renaming([("proj.", "proj.")]),
    published={"compat": "published"},
    ignored=("encoder.mask_emb",),
)
