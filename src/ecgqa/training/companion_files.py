"""What a model's folder needs beside its weights: the names of its answers or classes, and its tokenizer."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecgqa.errors import EcgqaError
from ecgqa.models.registry import Task
from ecgqa.models.tokenizer import Tokenizer
from ecgqa.records import NONE

ANSWERS, CLASSES, TOKENIZER = "answers.json", "classes.json", "tokenizer.json"
COMPANIONS = (ANSWERS, CLASSES, TOKENIZER)
PUBLISHED_FS_HZ = 500.0

Place = str | Path | None


def companions(
    task: Task,
    sizes: Mapping[str, Any],
    kept: Any,
    *,
    answers: Place = None,
    tokenizer: Place = None,
    classes: Place = None,
) -> dict[str, Any]:
    """Contents of the files by name, None for those that are lacking.

    sizes: the model's. kept: contents that came with the checkpoint, used where none are named. answers, classes: CSV
    files (index,class), JSON lists or, for answers, the folder of a store. Raises EcgqaError if one does not fit.
    """
    kept = kept if isinstance(kept, dict) else {}
    if task is Task.QUESTION_ANSWERING:
        names = read_names(answers, "answers") if answers else kept.get(ANSWERS)
        if names:
            _check_count(names, sizes.get("n_answers"), answers or "the checkpoint", "answers")
        text = Tokenizer.load(tokenizer).to_json() + "\n" if tokenizer else kept.get(TOKENIZER)
        if text and "vocab_size" in sizes:
            _check_tokenizer(text, sizes, tokenizer or "the checkpoint")
        return {ANSWERS: names, **({TOKENIZER: text} if "vocab_size" in sizes else {})}
    if task is Task.CLASSIFICATION:
        described = kept.get(CLASSES)
        if classes:
            described = {"items": "published", "fs_hz": PUBLISHED_FS_HZ, "classes": read_names(classes, "classes")}
        if described:
            _check_count(
                described.get("classes") if isinstance(described, dict) else None,
                sizes.get("n_classes"),
                classes or "the checkpoint",
                "classes",
            )
        return {CLASSES: described}
    return {}


def read_names(path: str | Path, what: str) -> list[str]:
    """Names of answers or classes, without "none"; raises EcgqaError if the file lists none."""
    path = Path(path)
    if path.is_dir():
        from ecgqa.store import open_store

        return [name for name in open_store(path).answers if name != NONE]
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            found = json.loads(text)
            names = [str(name) for name in (found["classes"] if isinstance(found, dict) else found)]
        else:
            names = [row["class"] for row in csv.DictReader(text.splitlines())]
    except FileNotFoundError:
        raise EcgqaError(f"no such file: {path}", expected=f"the {what} of the data set, as CSV") from None
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        raise EcgqaError(f"{path} lists no {what}", expected="a CSV file with the columns index,class") from None
    return [name for name in names if name != NONE]


def _check_count(names: Any, expected: int | None, where: Any, what: str) -> None:
    if not isinstance(names, list) or len(names) != expected or any(not isinstance(name, str) for name in names):
        raise EcgqaError(
            f"the {what} of {where} are not those of this model",
            expected=f"{expected} {what}, {NONE!r} not counted",
            found=str(len(names)) if isinstance(names, list) else "no list",
        )


def _check_tokenizer(text: Any, sizes: Mapping[str, Any], where: Any) -> None:
    from tokenizers import Tokenizer as Backend

    try:
        backend = Backend.from_str(text)
    except Exception as error:  # the library raises bare Exception for text it cannot use
        raise EcgqaError(f"the tokenizer of {where} cannot be used: {str(error).splitlines()[0]}") from None
    n_tokens, separator = backend.get_vocab_size(), backend.token_to_id("[SEP]")
    wanted = sizes.get("separator_id", separator)
    if n_tokens > sizes["vocab_size"] or separator != wanted:
        raise EcgqaError(
            f"the tokenizer of {where} is not that of this model",
            expected=f"at most {sizes['vocab_size']:,} tokens, [SEP] being number {wanted}",
            found=f"{n_tokens:,} tokens, [SEP] being number {separator}",
        )
