"""Checkpoints of the original's M3AE and MedViLL: imported to the last tensor, given back unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ecgqa.models import build_model, make_config
from ecgqa.models.registry import describe
from ecgqa.models.upstream import architecture
from ecgqa.models.upstream.settings import original_settings
from ecgqa.training.checkpoint import read_weights
from ecgqa.training.checkpoint_export import export_checkpoint
from ecgqa.training.checkpoint_import import import_checkpoint
from ecgqa.training.model_file import read_model_file

ENCODER = {
    "encoder_layers": 1, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 32, "encoder_attention_heads": 2,
    "conv_feature_layers": "[(8, 2, 2)] * 3", "conv_pos": 4, "conv_pos_groups": 2, "dropout": 0.1,
    "attention_dropout": 0.1, "activation_dropout": 0.0, "dropout_input": 0.1, "feature_grad_mult": 1.0,
    "vocab_size": 40, "max_text_size": 20,
}  # fmt: skip
M3AE = ENCODER | {
    "num_top_layer": 2, "hidden_dim": 16, "num_heads": 2, "drop_rate": 0.1, "mim_prob": 0.75, "mim_layer": 1,
    "mim_decoder_hidden_dim": 8, "mim_decoder_num_layers": 1, "mim_decoder_num_heads": 2,
    "tiny_bert": {
        "hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
        "max_position_embeddings": 20,
    },
}  # fmt: skip
ORIGINALS: dict[str, dict[str, Any]] = {
    "m3ae": M3AE,
    "m3ae_qa": M3AE | {"num_labels": 5, "num_ecgs": 2},
    "medvill": ENCODER,
}
MEANINGLESS = {"m3ae": "ecg_encoder.mask_emb", "m3ae_qa": "encoder.language_encoder.embeddings.position_ids"}


def weights_of(upstream: str) -> dict[str, Tensor]:
    of = architecture(upstream)
    torch.manual_seed(0)
    model = build_model(of.model, of.settings(ORIGINALS[upstream]), **of.sizes(ORIGINALS[upstream]))
    return of.renaming.theirs({name: torch.rand_like(tensor) for name, tensor in model.state_dict().items()})


@pytest.mark.parametrize("upstream", ORIGINALS)
def test_a_checkpoint_comes_in_whole_and_goes_back_unchanged(upstream: str, tmp_path: Path) -> None:
    weights = weights_of(upstream)
    old = {MEANINGLESS[upstream]: torch.zeros(3)} if upstream in MEANINGLESS else {}
    cfg = {"_name": None, "model": {"_name": upstream, "args": None, **ORIGINALS[upstream]}}
    history = [{"lr_scheduler_state": {}, "num_updates": 4}]
    torch.save({"cfg": cfg, "model": weights | old, "optimizer_history": history}, tmp_path / "theirs.pt")
    import_checkpoint(tmp_path / "theirs.pt", tmp_path / "ours")
    found = read_model_file(tmp_path / "ours")
    assert found.name == architecture(upstream).model and found.config["compat"] == "published"
    ours = read_weights(tmp_path / "ours")[0]
    found.build().load_state_dict(ours)
    theirs = architecture(upstream).renaming.theirs(ours)
    assert theirs.keys() == weights.keys() and all(torch.equal(theirs[name], weights[name]) for name in weights)
    assert export_checkpoint(tmp_path / "ours", tmp_path / "back.pt") == upstream
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert back["cfg"] == cfg and all(torch.equal(back["model"][name], weights[name]) for name in weights)


@pytest.mark.parametrize("upstream", ORIGINALS)
def test_the_published_sizes_can_be_told_to_the_original(upstream: str) -> None:
    of = architecture(upstream)
    ours = describe(make_config(of.model, {})) | {"n_answers": 103, "vocab_size": 30_522}
    told = original_settings(ours) | (of.original(ours) if of.original else {})
    again = describe(make_config(of.model, of.settings(told)))
    assert again == {name: ours[name] for name in again}
    assert all(ours[name] == size for name, size in of.sizes(told).items())
