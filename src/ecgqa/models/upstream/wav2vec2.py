"""The original's wav2vec 2.0 model, and that of W2V+CMSC, which has the same tensors."""

from __future__ import annotations

from typing import Any

from ecgqa.errors import EcgqaError
from ecgqa.models.upstream import Architecture, Values
from ecgqa.models.upstream.renaming import ENCODER, Renaming
from ecgqa.models.upstream.settings import encoder_settings


def settings(original: Values) -> dict[str, Any]:
    if not original["quantize_targets"] or original["quantize_input"] or original["target_glu"]:
        raise EcgqaError(
            "this variant of wav2vec 2.0 is not known here",
            expected="quantize_targets true, quantize_input and target_glu false, as published",
        )
    return encoder_settings(original) | {
        "n_codebooks": original["latent_groups"],
        "n_codes": original["latent_vars"],
        "code_width": original["latent_dim"] or None,
        "prediction_width": original["final_dim"] or original["encoder_embed_dim"],
        "feature_dropout": original["dropout_features"],
    }


def sizes(original: Values) -> dict[str, Any]:
    return {}


def original(ours: Values) -> dict[str, Any]:
    return {
        "quantize_targets": True,
        "quantize_input": False,
        "target_glu": False,
        "latent_groups": ours["n_codebooks"],
        "latent_vars": ours["n_codes"],
        "latent_dim": ours["code_width"] or 0,
        "final_dim": ours["prediction_width"],
        "dropout_features": ours["feature_dropout"],
        "apply_mask": True,
    }


ARCHITECTURE = Architecture(
    model="wav2vec2",
    settings=settings,
    sizes=sizes,
    renaming=Renaming(ENCODER),
    published={"compat": "published"},
    original=original,
)
