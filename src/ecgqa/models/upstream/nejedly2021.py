"""The original's residual network with attention (Nejedly et al. 2021)."""

from __future__ import annotations

from typing import Any

from ecgqa.models.upstream import Architecture, Values
from ecgqa.models.upstream.renaming import Renaming
from ecgqa.models.upstream.settings import parse_integers, refuse_other


def settings(original: Values) -> dict[str, Any]:
    refuse_other(original, leadwise=False, in_d=12)
    first_kernel, kernel = parse_integers(original["kernel_size"])
    return {
        "n_blocks": original["num_blocks"],
        "channels": original["num_filters"],
        "first_kernel": first_kernel,
        "kernel": kernel,
        "stride": original["stride"],
        "conv_bias": original["conv_bias"],
        "dropout": original["final_dropout"],
        "attention": original["use_mha"],
        "indicate_leads": original["indicate_leads"],
    }


def sizes(original: Values) -> dict[str, Any]:
    return {"n_classes": original["num_labels"]}


def original(ours: Values) -> dict[str, Any]:
    return {
        "num_blocks": ours["n_blocks"],
        "num_filters": ours["channels"],
        "kernel_size": str([ours["first_kernel"], ours["kernel"]]),
        "stride": ours["stride"],
        "conv_bias": ours["conv_bias"],
        "final_dropout": ours["dropout"],
        "use_mha": ours["attention"],
        "indicate_leads": ours["indicate_leads"],
        "in_d": 12,
        "leadwise": False,
    }


ARCHITECTURE = Architecture(
    model="nejedly2021",
    settings=settings,
    sizes=sizes,
    renaming=Renaming([("encoder.conv.", "stem."), ("encoder.bn.", "stem_norm."), ("encoder.blocks.", "blocks.")]),
    published={"compat": "published"},
    original=original,
)
