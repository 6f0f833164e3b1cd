"""The original's QA fusion transformer, trained from scratch or from MedViLL: both have the same tensors."""

from __future__ import annotations

from typing import Any

from ecgqa.models.upstream import Architecture, Values
from ecgqa.models.upstream.renaming import FUSION, Renaming
from ecgqa.models.upstream.settings import encoder_settings


def settings(original: Values) -> dict[str, Any]:
    return encoder_settings(original) | {"max_text_tokens": original["max_text_size"]}


def sizes(original: Values) -> dict[str, Any]:
    return {
        "n_answers": original["num_labels"],
        "vocab_size": original["vocab_size"],
        "separator_id": original["sep_token"],
    }


ARCHITECTURE = Architecture(
    model="ecg_transformer",
    settings=settings,
    sizes=sizes,
    renaming=Renaming(FUSION).below("encoder.") + Renaming([("proj.", "proj.")]),
    published={"compat": "published"},
    from_medvill={"compat": "pooling"},  # such a model was trained with the text mask applied
)
