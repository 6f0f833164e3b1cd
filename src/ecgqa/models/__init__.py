"""Architectures, one file each, all mapping a batch of ECGs and questions to answer logits."""

from __future__ import annotations

from ecgqa.models.registry import build_model, make_config, register_model

__all__ = ["build_model", "make_config", "register_model"]
