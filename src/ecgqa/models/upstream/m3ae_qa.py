"""The original's M3AE in question answering."""

from __future__ import annotations

from ecgqa.models.upstream import Architecture
from ecgqa.models.upstream.m3ae import BODY, IGNORED, original, settings
from ecgqa.models.upstream.renaming import Renaming

ARCHITECTURE = Architecture(
    model="m3ae_qa",
    settings=settings,
    sizes=lambda original: {"n_answers": original["num_labels"], "vocab_size": original["vocab_size"]},
    renaming=BODY.below("encoder.") + Renaming([("head.", "head.")]),
    published={"compat": "published"},
    ignored=tuple(f"encoder.{name}" for name in IGNORED),
    original=original,
)
