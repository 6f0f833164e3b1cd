"""The original's ResNet-LSTM baseline."""

from __future__ import annotations

from typing import Any

from ecgqa.errors import EcgqaError
from ecgqa.models.upstream import Architecture, Values
from ecgqa.models.upstream.renaming import Renaming

PLANES, BLOCKS = (64, 128, 256, 512), {"resnet50": [3, 4, 6, 3], "resnet101": [3, 4, 23, 3], "resnet152": [3, 8, 36, 3]}


def settings(original: Values) -> dict[str, Any]:
    """`stage_width_divisor`, which no original has, narrows the stages of a small copy of it."""
    asked = {key: original.get(key) for key in ("apply_norm", "bidirectional", "configuration")}
    if asked["apply_norm"] or asked["bidirectional"] or asked["configuration"] not in BLOCKS:
        raise EcgqaError(
            "a ResNet-LSTM of this kind is in no published experiment, and not known here",
            expected=f"configuration {', '.join(BLOCKS)}, without apply_norm and bidirectional",
            found=", ".join(f"{key} {value}" for key, value in asked.items()),
        )
    return {
        "planes": [planes // original.get("stage_width_divisor", 1) for planes in PLANES],
        "blocks": BLOCKS[original["configuration"]],
        "word_width": original["lstm_input_dim"],
        "lstm_width": original["lstm_embed_dim"],
        "lstm_layers": original["lstm_num_layer"],
        "dropout": original["dropout"],
        "final_width": original["final_dim"],
    }


def original(ours: Values) -> dict[str, Any]:
    published = [name for name, blocks in BLOCKS.items() if blocks == list(ours["blocks"])]
    return {
        **({"configuration": published[0]} if published else {}),
        **({} if ours["planes"][0] == PLANES[0] else {"stage_width_divisor": PLANES[0] // ours["planes"][0]}),
        "lstm_input_dim": ours["word_width"],
        "lstm_embed_dim": ours["lstm_width"],
        "lstm_num_layer": ours["lstm_layers"],
        "final_dim": ours["final_width"],
    }


def sizes(original: Values) -> dict[str, Any]:
    return {"n_answers": original["num_labels"], "vocab_size": original["vocab_size"]}


_RESNET = "encoder.resnet.featuare_extractor."  # the original's spelling

ARCHITECTURE = Architecture(
    model="resnet_lstm",
    settings=settings,
    sizes=sizes,
    renaming=Renaming(
        [
            (_RESNET, "resnet."),
            *((f"{_RESNET}layer{stage + 1}.", f"resnet.stages.{stage}.") for stage in range(len(PLANES))),
            ("encoder.resnet_final_proj.", "ecg_projection."),
            ("encoder.lstm.encoder.", "lstm."),
            ("encoder.lstm.word_embeddings.", "word_embedding."),
            ("encoder.lstm_final_proj.", "text_projection."),
        ]
    ),
    published={"compat": "published"},
    original=original,
)
