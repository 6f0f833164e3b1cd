"""A folder laid out like bert-base-uncased, with a few dozen word pieces and narrow embeddings."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

PIECES = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "is", "there", "this", "does", "the", "ecg", "show", "fast", "##er",
    "rhythm", "slow", "of", "what", "axis", "have", "second", "first", "than", "a", "would", "you", "say", "?", ",",
]  # fmt: skip


def pieces(shift: int = 0) -> list[str]:
    """The vocabulary; `shift` unused pieces behind [PAD] give the other special tokens other ids."""
    return [PIECES[0], *(f"[unused{number}]" for number in range(shift)), *PIECES[1:]]


def bert_tensors(n_pieces: int, width: int = 16, n_positions: int = 40, prefix: str = "bert.") -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "embeddings.word_embeddings.weight": (n_pieces, width),
        "embeddings.position_embeddings.weight": (n_positions, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.LayerNorm.gamma": (width,),
        "encoder.layer.0.attention.self.query.weight": (width, width),
    }
    return {prefix + name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def write_bert(folder: Path, *, prefix: str = "bert.", shift: int = 0, form: str = "safetensors") -> dict[str, Tensor]:
    """Write vocab.txt and weights ("safetensors", "bin", "old bin", or "" for none); returns the tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(pieces(shift)) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    tensors = bert_tensors(len(pieces(shift)), prefix=prefix)
    if form == "safetensors":
        save_file(tensors, folder / "model.safetensors")
    elif form:
        torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=form == "bin")
    return tensors
