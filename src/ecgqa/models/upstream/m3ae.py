"""The original's M3AE in pretraining; its body serves question answering too."""

from __future__ import annotations

from typing import Any

from ecgqa.models.upstream import Architecture, Values
from ecgqa.models.upstream.renaming import ENCODER, Renaming
from ecgqa.models.upstream.settings import encoder_settings

BERT_BASE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
}
"""Sizes of the text tower, which the original loads by name; the golden cases state their own as `tiny_bert`."""

BODY = Renaming(
    [
        ("language_encoder.", "text_encoder."),
        ("multi_modal_language_proj.", "text_projection."),
        ("multi_modal_ecg_proj.", "ecg_projection."),
        ("modality_type_embeddings.", "modality."),
        ("multi_modal_language_layers.", "text_layers."),
        ("multi_modal_ecg_layers.", "ecg_layers."),
        ("multi_modal_language_pooler.dense.", "text_pooler."),
        ("multi_modal_ecg_pooler.dense.", "ecg_pooler."),
        ("sep_embedding", "separator"),
    ]
) + Renaming(ENCODER).below("ecg_encoder.", "ecg_encoder.")

HEADS = Renaming(
    [
        ("mlm_head.", "word_head."),
        ("itm_head.fc.", "match_head."),
        ("mim_head.mask_token", "decoder.mask_token"),
        ("mim_head.decoder_embed.", "decoder.embed."),
        ("mim_head.decoder_pos_embed.pe", "decoder.positions"),
        ("mim_head.decoder.resblocks.", "decoder.blocks."),
        ("mim_head.decoder_norm.", "decoder.norm."),
        ("mim_head.decoder_pred.", "decoder.predict."),
    ]
)

IGNORED = ("ecg_encoder.mask_emb", "language_encoder.embeddings.position_ids")


def settings(original: Values) -> dict[str, Any]:
    bert = BERT_BASE | dict(original.get("tiny_bert") or {})
    return encoder_settings(original) | {
        "text_layers": bert["num_hidden_layers"],
        "text_width": bert["hidden_size"],
        "text_feedforward": bert["intermediate_size"],
        "text_heads": bert["num_attention_heads"],
        "max_text_tokens": bert["max_position_embeddings"],
        "fusion_layers": original["num_top_layer"],
        "fusion_width": original["hidden_dim"],
        "fusion_heads": original["num_heads"],
        "fusion_dropout": original["drop_rate"],
    }


def original(ours: Values) -> dict[str, Any]:
    bert = {
        "hidden_size": ours["text_width"],
        "num_hidden_layers": ours["text_layers"],
        "num_attention_heads": ours["text_heads"],
        "intermediate_size": ours["text_feedforward"],
        "max_position_embeddings": ours["max_text_tokens"],
    }
    return {
        "num_top_layer": ours["fusion_layers"],
        "hidden_dim": ours["fusion_width"],
        "num_heads": ours["fusion_heads"],
        "drop_rate": ours["fusion_dropout"],
        **({} if bert == BERT_BASE else {"tiny_bert": bert}),
    }


def pretraining_original(ours: Values) -> dict[str, Any]:
    return original(ours) | {
        "mim_prob": ours["removed"],
        "mim_layer": ours["reconstruct_before"],
        "mim_decoder_hidden_dim": ours["decoder_width"],
        "mim_decoder_num_layers": ours["decoder_layers"],
        "mim_decoder_num_heads": ours["decoder_heads"],
    }


def pretraining_settings(original: Values) -> dict[str, Any]:
    return settings(original) | {
        "removed": original["mim_prob"],
        "reconstruct_before": original["mim_layer"],
        "decoder_width": original["mim_decoder_hidden_dim"],
        "decoder_layers": original["mim_decoder_num_layers"],
        "decoder_heads": original["mim_decoder_num_heads"],
    }


ARCHITECTURE = Architecture(
    model="m3ae_pretraining",
    settings=pretraining_settings,
    sizes=lambda original: {"vocab_size": original["vocab_size"]},
    renaming=BODY + HEADS,
    published={"compat": "published"},
    ignored=IGNORED,
    original=pretraining_original,
)
