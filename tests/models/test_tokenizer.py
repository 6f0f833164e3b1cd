"""The tokenizer: ids of the special tokens, determinism across processes, lossless words, bad files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgqa.errors import EcgqaError
from ecgqa.models.tokenizer import CLS_ID, PAD_ID, SEP_ID, UNK_ID, Tokenizer, train_tokenizer

QUESTIONS = [
    f"Does this ECG show {finding}{where}?"
    for finding in ("myocardial infarction", "left axis deviation", "sinus rhythm", "p duration", "t-wave changes")
    for where in ("", " in lead V1", " in inferior leads", " excluding uncertain symptoms")
]
TOKENIZER = train_tokenizer(QUESTIONS, vocab_size=200)


def test_ids_and_case() -> None:
    (ids,) = TOKENIZER.encode(["Does this ECG show SINUS rhythm?"])
    assert ids[0] == CLS_ID and ids[-1] == SEP_ID
    assert UNK_ID not in ids and PAD_ID not in ids
    assert TOKENIZER.decode(ids) == "does this ecg show sinus rhythm?"
    assert UNK_ID in TOKENIZER.encode(["\u2603"])[0]
    assert TOKENIZER.vocab_size <= 200


def test_the_same_questions_give_the_same_tokenizer_in_another_process() -> None:
    program = (
        "import sys, json; from ecgqa.models.tokenizer import train_tokenizer;"
        "sys.stdout.write(train_tokenizer(json.loads(sys.stdin.read()), vocab_size=200).to_json())"
    )
    import json

    for seed in ("1", "2", "3"):
        reversed_and_doubled = json.dumps([*reversed(QUESTIONS), *QUESTIONS])
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=reversed_and_doubled,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"},
        )
        assert done.stdout == TOKENIZER.to_json()


@given(st.text(max_size=60))
def test_any_text_has_ids_within_the_vocabulary(text: str) -> None:
    (ids,) = TOKENIZER.encode([text])
    assert ids[0] == CLS_ID and ids[-1] == SEP_ID
    assert all(0 <= index < TOKENIZER.vocab_size for index in ids)


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    path = TOKENIZER.save(tmp_path / "ein Ordner é" / "tokenizer.json")
    again = Tokenizer.load(path, max_tokens=5)
    assert again.to_json() == TOKENIZER.to_json()
    (full,), (cut,) = TOKENIZER.encode(QUESTIONS[:1]), again.encode(QUESTIONS[:1])
    assert len(full) > 5 and cut == [*full[:4], SEP_ID]


def test_bad_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(EcgqaError, match="no such file"):
        Tokenizer.load(path)
    path.write_text(TOKENIZER.to_json()[:-20])
    with pytest.raises(EcgqaError, match="no tokenizer"):
        Tokenizer.load(path)
    path.write_text('{"a": 1}')
    with pytest.raises(EcgqaError, match="no tokenizer"):
        Tokenizer.load(path)
