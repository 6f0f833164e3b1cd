"""A recipe that trains on the tiny store in a second or two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ecgqa.training.recipe import Recipe, make_recipe

SETTINGS: dict[str, Any] = {
    "model": {
        "name": "ecg_transformer",
        "n_layers": 1,
        "width": 16,
        "feedforward": 32,
        "n_heads": 2,
        "conv_layers": [[8, 5, 4], [16, 5, 4]],
        "positions_kernel": 3,
        "positions_groups": 2,
        "max_text_tokens": 32,
        "activation_dropout": 0.2,
        "dropout": 0.1,
    },
    "objective": {"loss": "candidates"},
    "data": {"vocab_size": 100},
    "optimizer": {"lr": 0.003, "weight_decay": 0.01, "clip_norm": 1.0},
    "run": {
        "steps": 24,
        "batch_size": 16,
        "accumulation": 2,
        "eval_every": 6,
        "log_every": 4,
        "device": "cpu",
        "threads": 1,
    },
}


def tiny_recipe(store: Path, **overrides: Any) -> Recipe:
    """The recipe of the tests; overrides with __ for the dot."""
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return make_recipe({"name": "tiny", **SETTINGS}, {"data.store": str(store), **dotted})
