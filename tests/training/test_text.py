"""A run with BERT's word pieces: starts from its embeddings, needs its folder only once, says what it took."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.models.tokenizer import Tokenizer
from ecgqa.training import predict, train
from ecgqa.training.checkpoint import BEST, LAST
from ecgqa.training.model_file import read_model_file
from ecgqa.training.objectives.question_answering import QuestionAnswering
from support.tiny_bert import pieces, write_bert
from support.tiny_recipe import tiny_recipe

SHORT = {"run__steps": 4, "run__eval_every": 2, "run__log_every": 2}


def test_embeddings_start_from_bert_unless_told_otherwise(tiny_store: Path, tmp_path: Path) -> None:
    tensors = write_bert(tmp_path / "bert")
    bert = tensors["bert.embeddings.word_embeddings.weight"]
    folder = str(tmp_path / "bert")
    objective = QuestionAnswering(tiny_recipe(tiny_store, data__tokenizer=folder))
    assert torch.equal(objective.build_model().word_embedding.weight, bert)
    assert objective.notes == [f"starting from {folder}: word_embedding, text_positions, token_type"]
    without = QuestionAnswering(tiny_recipe(tiny_store, data__tokenizer=folder, data__text_weights=False))
    fresh = without.build_model().word_embedding.weight
    assert fresh.shape == bert.shape and not torch.equal(fresh, bert)
    assert without.notes == []


def test_a_run_needs_the_folder_only_once(tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bert(tmp_path / "bert", shift=3)
    recipe = tiny_recipe(tiny_store, data__tokenizer=str(tmp_path / "bert"), **SHORT)
    run = train(recipe, tmp_path / "run")
    assert f"starting from {tmp_path / 'bert'}: word_embedding" in capsys.readouterr().err
    assert read_model_file(run).sizes["separator_id"] == pieces(3).index("[SEP]") == 6
    rows, weights = predict(run, tiny_store, split="test"), (run / BEST).read_bytes()
    shutil.rmtree(tmp_path / "bert")
    assert Tokenizer.load(run / "tokenizer.json").encode(["slow"])[0][1] == pieces(3).index("slow")
    assert predict(run, tiny_store, split="test").equals(rows)
    (run / "manifest.json").unlink()  # as if killed just before its end
    train(recipe, run)
    assert "going on from update 4 of 4" in capsys.readouterr().err and (run / BEST).read_bytes() == weights
    (run / "manifest.json").unlink()
    with pytest.raises(EcgqaError, match="another run") as caught:
        train(tiny_recipe(tiny_store, **SHORT), run)
    assert "tokenizer" in str(caught.value)
    (run / LAST).unlink()  # killed before its first checkpoint: it would start from BERT again
    with pytest.raises(EcgqaError, match="no such folder"):
        train(recipe, run)


def test_the_command(tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("model: {name: blind_transformer, n_layers: 1, width: 16, n_heads: 2}\nrun: {steps: 2}\n")
    words = ["train", str(recipe), "--data.store", str(tiny_store), "--out", str(tmp_path / "run")]
    assert main([*words, "--data.tokenizer", str(tmp_path / "nothing here")]) != 0
    assert "no such folder" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    write_bert(tmp_path / "bert é")
    assert main([*words, "--data.tokenizer", str(tmp_path / "bert é"), "--run.device", "cpu"]) == 0
    said = capsys.readouterr().err
    assert "word_embedding, token_type; fresh: text_positions ((40, 16), here (512, 16))" in said


def test_the_first_text_encoder_at_hand_is_taken(
    tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bert(tmp_path / "bert")
    wishes = f"{tmp_path / 'nowhere'}, {tmp_path / 'bert'}, own"
    run = train(tiny_recipe(tiny_store, data__tokenizer=wishes, **SHORT), tmp_path / "run")
    said = capsys.readouterr().err
    assert "nowhere" in said and f"starting from {tmp_path / 'bert'}: word_embedding" in said
    lacking = tiny_recipe(tiny_store, data__tokenizer=f"{tmp_path / 'nowhere'}, own", **SHORT)
    assert QuestionAnswering(lacking).tokenizer.vocab_size <= 100 and "taking own instead" in capsys.readouterr().err
    # A run that has begun with BERT goes on with it, whatever is at hand now.
    shutil.rmtree(tmp_path / "bert")
    (run / "manifest.json").unlink()
    train(tiny_recipe(tiny_store, data__tokenizer=wishes, **SHORT), run)
    assert "going on from update 4 of 4" in capsys.readouterr().err
