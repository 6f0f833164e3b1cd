"""The original's wide residual network with squeeze-and-excitation."""

from __future__ import annotations

from typing import Any

from ecgqa.models.upstream import Architecture, Values
from ecgqa.models.upstream.renaming import Renaming
from ecgqa.models.upstream.settings import parse_integers, refuse_other


def settings(original: Values) -> dict[str, Any]:
    refuse_other(original, leadwise=False, in_d=12, widening_factor=1)
    return {
        "channels": parse_integers(original["num_filters"]),
        "n_blocks": original["num_blocks"],
        "kernel": original["kernel_size"],
        "squeeze": original["ratio"],
        "conv_bias": original["conv_bias"],
        "dropout": original["final_dropout"],
    }


def sizes(original: Values) -> dict[str, Any]:
    return {"n_classes": original["num_labels"]}


def original(ours: Values) -> dict[str, Any]:
    return {
        "num_filters": str(list(ours["channels"])),
        "num_blocks": ours["n_blocks"],
        "kernel_size": ours["kernel"],
        "ratio": ours["squeeze"],
        "conv_bias": ours["conv_bias"],
        "final_dropout": ours["dropout"],
        "in_d": 12,
        "widening_factor": 1,
        "leadwise": False,
    }


ARCHITECTURE = Architecture(
    model="se_wrn",
    settings=settings,
    sizes=sizes,
    renaming=Renaming(
        [
            ("encoder.conv.", "stem."),
            ("encoder.bn.", "stem_norm."),
            ("encoder.groups.", "groups."),
            ("bn.", "norm."),
        ]
    ),
    published={"compat": "published"},
    original=original,
)
