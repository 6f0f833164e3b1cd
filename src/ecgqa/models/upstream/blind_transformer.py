"""The original's text-only baseline."""

from __future__ import annotations

from typing import Any

from ecgqa.models.upstream import Architecture, Values
from ecgqa.models.upstream.renaming import TEXT, Renaming
from ecgqa.models.upstream.settings import transformer_settings


def settings(original: Values) -> dict[str, Any]:
    return transformer_settings(original) | {"max_text_tokens": original["max_text_size"]}


def sizes(original: Values) -> dict[str, Any]:
    return {"n_answers": original["num_labels"], "vocab_size": original["vocab_size"]}


ARCHITECTURE = Architecture("blind_transformer", settings, sizes, Renaming(TEXT))
