"""The original's MedViLL in pretraining; fine-tuned, it is the QA fusion transformer (fusion_transformer.py)."""

from __future__ import annotations

from ecgqa.models.upstream import Architecture
from ecgqa.models.upstream.fusion_transformer import settings
from ecgqa.models.upstream.renaming import FUSION, Renaming

ARCHITECTURE = Architecture(
    model="medvill_pretraining",
    settings=settings,
    sizes=lambda original: {"vocab_size": original["vocab_size"]},
    renaming=Renaming(FUSION)
    + Renaming([("mask_emb", "mask_embedding"), ("mlm_proj.", "word_head."), ("align_proj.", "match_head.")]),
    published={"compat": "published"},
)
