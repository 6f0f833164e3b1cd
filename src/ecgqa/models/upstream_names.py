"""Parameter names of the original checkpoints in terms of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ecgqa.models.ecg_encoder import ConvLayer

_RULES = (
    (r"^feature_extractor\.", "front_end."),
    (r"^post_extract_proj\.", "front_end.projection."),
    (r"^feats_layer_norm\.", "front_end.layer_norm."),
    (r"^conv_pos\.pos_conv\.0\.", "positions.conv."),
    (r"\bweight_g$", "parametrizations.weight.original0"),  # spelling before 2025
    (r"\bweight_v$", "parametrizations.weight.original1"),
    (r"^language_embedding\.", "word_embedding."),
    (r"^position_embedding\.", "text_positions."),
    (r"^token_type_embedding\.", "token_type."),
)


def rename_encoder(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the original ECG encoder (no text) under the names of `EcgEncoder`."""
    return {_rename(re.sub(r"^layer_norm\.", "front_end.layer_norm.", key)): weights[key] for key in weights}


def rename_fusion(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the original QA fusion transformer under the names of `FusionTransformer`."""
    renamed = {}
    for key, value in weights.items():
        inner = key.removeprefix("encoder.") if not key.startswith("proj.") else key
        renamed[_rename(re.sub(r"^layer_norm\.", "text_layer_norm.", inner))] = value
    return renamed


def _rename(key: str) -> str:
    for pattern, replacement in _RULES:
        key = re.sub(pattern, replacement, key)
    return key


def encoder_settings(original: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `EcgEncoderConfig` that the original's model configuration stands for."""
    return {
        "n_layers": original["encoder_layers"],
        "width": original["encoder_embed_dim"],
        "feedforward": original["encoder_ffn_embed_dim"],
        "n_heads": original["encoder_attention_heads"],
        "conv_layers": parse_conv_layers(original["conv_feature_layers"]),
        "positions_kernel": original["conv_pos"],
        "positions_groups": original["conv_pos_groups"],
        "dropout": original["dropout"],
        "attention_dropout": original["attention_dropout"],
        "activation_dropout": original["activation_dropout"],
        "input_dropout": original["dropout_input"],
        "front_end_gradient": original["feature_grad_mult"],
    }


def fusion_settings(original: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `FusionTransformerConfig` that the original's model configuration stands for."""
    return encoder_settings(original) | {
        "max_text_tokens": original["max_text_size"],
        "separator": original["sep_token"],
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


def read_weights(path: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file, in float32."""
    from safetensors.torch import load_file

    return {key: value.to(torch.float32) for key, value in load_file(path).items()}
