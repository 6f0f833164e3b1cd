"""Recipes of pretraining that run on the tiny store in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ecgqa.training.recipe import Recipe, make_recipe

ENCODER: dict[str, Any] = {
    "n_layers": 1,
    "width": 16,
    "feedforward": 32,
    "n_heads": 2,
    "conv_layers": [[8, 5, 3], [16, 3, 2]],
    "positions_kernel": 3,
    "positions_groups": 2,
}
QUANTIZER: dict[str, Any] = {"n_codes": 10, "prediction_width": 16}
SEGMENTS: dict[str, Any] = {"seconds": 1.0, "valid_share": 0.2}
MASKS: dict[str, Any] = {"mask_span": 3, "n_negatives": 10}

OBJECTIVES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "wav2vec2": ({"name": "wav2vec2", **QUANTIZER}, {"name": "wav2vec2", **MASKS}),
    "w2v_cmsc_rlm": (
        {"name": "wav2vec2", **QUANTIZER},
        {"name": "wav2vec2", **MASKS, "cmsc_weight": 1.0, "leads_masking": 1.0},
    ),
    "cmsc": ({"name": "ecg_encoder"}, {"name": "cmsc"}),
    "simclr": ({"name": "ecg_encoder"}, {"name": "simclr", "leads_masking": 1.0, "emg_noise": 1.0}),
    "3kg": ({"name": "ecg_encoder"}, {"name": "3kg"}),
}
"""Model and objective by the name of the method."""


def tiny_pretraining(method: str, store: Path, **overrides: Any) -> Recipe:
    """The recipe of a method; overrides with __ for the dot."""
    model, objective = OBJECTIVES[method]
    values = {
        "model": {**ENCODER, **model},
        "objective": {**SEGMENTS, **objective},
        "data": {"store": str(store)},
        "optimizer": {"lr": 3e-3},
        "run": {"steps": 12, "batch_size": 8, "eval_every": 4, "log_every": 2, "device": "cpu", "threads": 1},
    }
    return make_recipe({"name": method, **values}, {key.replace("__", "."): value for key, value in overrides.items()})
