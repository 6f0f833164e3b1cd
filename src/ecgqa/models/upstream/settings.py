"""Settings of the original's model configurations in terms of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ecgqa.models.ecg_encoder import ConvLayer


def transformer_settings(original: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that sizes the transformer."""
    return {
        "n_layers": original["encoder_layers"],
        "width": original["encoder_embed_dim"],
        "feedforward": original["encoder_ffn_embed_dim"],
        "n_heads": original["encoder_attention_heads"],
        "dropout": original["dropout"],
        "attention_dropout": original["attention_dropout"],
        "activation_dropout": original["activation_dropout"],
        "input_dropout": original["dropout_input"],
    }


def encoder_settings(original: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `EcgEncoderConfig` that the original's model configuration stands for."""
    return transformer_settings(original) | {
        "conv_layers": parse_conv_layers(original["conv_feature_layers"]),
        "positions_kernel": original["conv_pos"],
        "positions_groups": original["conv_pos_groups"],
        "front_end_gradient": original["feature_grad_mult"],
        "projection": parse_conv_layers(original["conv_feature_layers"])[-1][0] != original["encoder_embed_dim"],
    }


MOST_CONV_LAYERS = 100

SAME_MEANING = {
    "n_layers": "encoder_layers",
    "width": "encoder_embed_dim",
    "feedforward": "encoder_ffn_embed_dim",
    "n_heads": "encoder_attention_heads",
    "positions_kernel": "conv_pos",
    "positions_groups": "conv_pos_groups",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "input_dropout": "dropout_input",
    "front_end_gradient": "feature_grad_mult",
    "final_dropout": "final_dropout",
    "max_text_tokens": "max_text_size",
    "n_answers": "num_labels",
    "n_classes": "num_labels",
    "vocab_size": "vocab_size",
    "separator_id": "sep_token",
}
"""Our settings and sizes that the original has under another name, with the same values."""


def original_settings(ours: Mapping[str, Any]) -> dict[str, Any]:
    """The original's model configuration that our settings and sizes stand for, as far as names tell."""
    found = {SAME_MEANING[key]: value for key, value in ours.items() if key in SAME_MEANING}
    if "conv_layers" in ours:
        layers = ", ".join(str(tuple(layer)) for layer in ours["conv_layers"])
        found["conv_feature_layers"] = f"[{layers}]"
    return found


def parse_conv_layers(text: str) -> list[ConvLayer]:
    """`"[(256, 2, 2)] * 4 + [(8, 3, 1)]"` as a list of (channels, kernel, stride), without evaluating it."""
    layers: list[ConvLayer] = []
    for match in re.finditer(r"\[([^\]]*)\]\s*(?:\*\s*(\d+))?", text):
        inside = re.findall(r"\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)", match[1])
        times = int(match[2] or 1)
        if len(layers) + len(inside) * times > MOST_CONV_LAYERS:
            raise ValueError(f"more than {MOST_CONV_LAYERS} convolution layers")
        layers += [(int(a), int(b), int(c)) for a, b, c in inside] * times
    if not layers:
        raise ValueError(f"no convolution layers in {text!r}")
    return layers


def parse_integers(text: str) -> list[int]:
    """`"[15, 9]"` as a list of integers, without evaluating it."""
    if not re.fullmatch(r"\s*\[\s*\d+(\s*,\s*\d+)*\s*,?\s*\]\s*", text):
        raise ValueError(f"no list of integers: {text!r}")
    return [int(number) for number in re.findall(r"\d+", text)]


def refuse_other(original: Mapping[str, Any], **only: object) -> None:
    """Raise ValueError if a setting has another value than the only one that is built here."""
    for key, value in only.items():
        if original.get(key, value) != value:
            raise ValueError(f"{key} {original[key]!r} is not built here, only {value!r}")
