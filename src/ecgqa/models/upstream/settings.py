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
    }


def parse_conv_layers(text: str) -> list[ConvLayer]:
    """`"[(256, 2, 2)] * 4 + [(8, 3, 1)]"` as a list of (channels, kernel, stride), without evaluating it."""
    layers: list[ConvLayer] = []
    for match in re.finditer(r"\[([^\]]*)\]\s*(?:\*\s*(\d+))?", text):
        inside = re.findall(r"\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)", match[1])
        layers += [(int(a), int(b), int(c)) for a, b, c in inside] * int(match[2] or 1)
    if not layers:
        raise ValueError(f"no convolution layers in {text!r}")
    return layers
