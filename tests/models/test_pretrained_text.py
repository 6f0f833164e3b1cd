"""BERT's files: found in a folder or in the hub's cache, word pieces as BERT has them, weights read and never run."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ecgqa.errors import EcgqaError
from ecgqa.models import build_model
from ecgqa.models.pretrained_text import PretrainedText
from ecgqa.models.tokenizer import Tokenizer
from support.tiny_bert import PIECES, pieces, write_bert

SMALL = {"n_layers": 1, "width": 16, "feedforward": 16, "n_heads": 2, "max_text_tokens": 20}


def test_word_pieces(tmp_path: Path) -> None:
    write_bert(tmp_path / "bert", shift=5)
    tokenizer = PretrainedText(str(tmp_path / "bert")).tokenizer()
    names = pieces(5)
    (ids,) = tokenizer.encode(["Is the Second ÉCG FASTER, (or not)?"])
    shown = [names[index] for index in ids]
    unknown = ["[UNK]"] * 4  # the two brackets and the two words that are not in the vocabulary
    assert shown == ["[CLS]", "is", "the", "second", "ecg", "fast", "##er", ",", *unknown, "?", "[SEP]"]
    assert tokenizer.separator_id == names.index("[SEP]") == 8 and tokenizer.vocab_size == len(names)
    assert tokenizer.decode(ids[:7]) == "is the second ecg faster"
    (cut,) = tokenizer.limited(4).encode(["is the second ecg faster"])
    assert cut == [*ids[:3], 8]
    again = Tokenizer.load(tokenizer.save(tmp_path / "tokenizer.json"))
    assert again.to_json() == tokenizer.to_json() and again.encode(["faster [SEP]"]) == tokenizer.encode(
        ["faster [SEP]"]
    )
    for file in (tmp_path / "tokenizer.json", tmp_path / "bert" / "vocab.txt"):
        assert PretrainedText(str(file)).tokenizer().encode(["is the ecg faster"]) == [
            [ids[0], *ids[1:3], *ids[4:7], 8]
        ]
        assert PretrainedText(str(file)).weights() is None
    (tmp_path / "bert" / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert PretrainedText(str(tmp_path / "bert")).tokenizer().encode(["Is"])[0][1] == names.index("[UNK]")


@pytest.mark.parametrize("form", ["safetensors", "bin", "old bin"])
@pytest.mark.parametrize("prefix", ["bert.", ""])
def test_embeddings_start_from_the_weights(tmp_path: Path, prefix: str, form: str) -> None:
    tensors = write_bert(tmp_path, prefix=prefix, form=form)
    model = build_model("blind_transformer", SMALL, n_answers=3, vocab_size=len(PIECES))
    said = PretrainedText(str(tmp_path)).put_into(model)
    assert "word_embedding, text_positions, token_type" in said and "fresh" not in said
    own = model.state_dict()
    assert torch.equal(own["word_embedding.weight"], tensors[f"{prefix}embeddings.word_embeddings.weight"])
    assert torch.equal(own["text_positions.weight"], tensors[f"{prefix}embeddings.position_embeddings.weight"][:20])
    assert torch.equal(own["token_type.weight"], tensors[f"{prefix}embeddings.token_type_embeddings.weight"])
    everything = PretrainedText(str(tmp_path)).weights()
    assert everything is not None and len(everything) == 5 and "embeddings.LayerNorm.weight" in everything


def test_what_does_not_fit_is_told_and_left_fresh(tmp_path: Path) -> None:
    write_bert(tmp_path / "bert")
    narrow = build_model("blind_transformer", SMALL | {"width": 8}, n_answers=3, vocab_size=len(PIECES))
    before = {name: tensor.clone() for name, tensor in narrow.state_dict().items()}
    said = PretrainedText(str(tmp_path / "bert")).put_into(narrow)
    assert "nothing" in said and f"word_embedding (({len(PIECES)}, 16), here ({len(PIECES)}, 8))" in said
    assert all(torch.equal(tensor, before[name]) for name, tensor in narrow.state_dict().items())
    long = build_model("blind_transformer", SMALL | {"max_text_tokens": 41}, n_answers=3, vocab_size=len(PIECES))
    said = PretrainedText(str(tmp_path / "bert")).put_into(long)
    assert "word_embedding, token_type; fresh: text_positions" in said
    deaf = build_model("deaf_transformer", {"n_layers": 1, "width": 16, "n_heads": 1}, n_answers=3)
    assert "no words" in PretrainedText(str(tmp_path / "bert")).put_into(deaf)
    write_bert(tmp_path / "no weights", form="")
    assert "no weights" in PretrainedText(str(tmp_path / "no weights")).put_into(long)


class Malicious:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("was executed"),)


def test_bad_files_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "bert"
    write_bert(folder, form="")
    bert = PretrainedText(str(folder))
    torch.save({"bert.embeddings.word_embeddings.weight": Malicious()}, folder / "pytorch_model.bin")
    with pytest.raises(EcgqaError, match="read safely"):
        bert.weights()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Malicious(), protocol=2))
    with pytest.raises(EcgqaError, match="read safely"):
        bert.weights()
    assert not (tmp_path / "was executed").exists()
    write_bert(folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-10])
    with pytest.raises(EcgqaError, match="read safely"):
        bert.weights()
    (folder / "vocab.txt").write_text("\n".join([*PIECES[1:], PIECES[0]]))
    with pytest.raises(EcgqaError, match="like BERT's") as caught:
        bert.tokenizer()
    assert "[PAD] as number 28" in str(caught.value)
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\nheart\n")
    with pytest.raises(EcgqaError, match="like BERT's") as caught:
        bert.tokenizer()
    assert "no [SEP]" in str(caught.value)
    (folder / "tokenizer_config.json").write_text("[")
    with pytest.raises(EcgqaError, match="damaged"):
        bert.tokenizer()
    (folder / "vocab.txt").unlink()
    with pytest.raises(EcgqaError, match="holds no tokenizer"):
        bert.tokenizer()
    with pytest.raises(EcgqaError, match="no such folder"):
        PretrainedText("/nowhere/at/all").tokenizer()


def test_a_name_is_looked_up_in_the_cache_and_told_when_absent(tmp_path: Path) -> None:
    commit = "0" * 40
    repository = tmp_path / "hub" / "models--bert-tiny-uncased"
    tensors = write_bert(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    program = """
import sys, json
from ecgqa.errors import EcgqaError
from ecgqa.models.pretrained_text import PretrainedText
bert = PretrainedText("bert-tiny-uncased")
repository, weights, ids = bert.file("vocab.txt"), bert.weights("embeddings.word"), bert.tokenizer().encode(["Is"])
told = []
for name in ("bert-base-uncased", "someone/bert"):
    try:
        PretrainedText(name).tokenizer()
    except EcgqaError as error:
        told.append(str(error))
print(json.dumps([str(repository), list(weights["embeddings.word_embeddings.weight"].shape), ids, told]))
"""
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    vocabulary, shape, ids, told = json.loads(done.stdout)
    assert Path(vocabulary) == repository / "snapshots" / commit / "vocab.txt"
    assert ids == [[2, 5, 3]]
    assert tuple(shape) == tensors["bert.embeddings.word_embeddings.weight"].shape
    for name, message in zip(("bert-base-uncased", "someone/bert"), told, strict=True):
        assert message.startswith(f"no tokenizer.json or vocab.txt of {name}: not in the cache")
        assert "--data.tokenizer FOLDER" in message and "--data.tokenizer own" in message


@pytest.mark.parity
def test_ids_of_the_original(parity_cases: Path, tmp_path: Path) -> None:
    """Token ids of every golden case that brings a vocabulary and texts."""
    found = [(path.parent, json.loads(path.read_text())) for path in sorted(parity_cases.glob("*/config.json"))]
    found = [(folder, config) for folder, config in found if "vocab" in config and "texts" in config]
    if not found:
        pytest.skip("no golden case with a vocabulary")
    for folder, config in found:
        vocabulary = tmp_path / f"{folder.name}.txt"
        vocabulary.write_text("\n".join(config["vocab"]) + "\n", encoding="utf-8")
        ids = PretrainedText(str(vocabulary)).tokenizer().encode(config["texts"])
        golden = load_file(folder / "outputs.safetensors")
        for batch in ("qa_one", "qa_two"):
            text, padding = golden[f"{batch}.text"], golden[f"{batch}.text_padding_mask"]
            assert [row[~mask].tolist() for row, mask in zip(text, padding, strict=True)] == ids
            assert not bool(text[padding].any())
