"""Prediction rows: one per question in order, answers from probabilities, refusals of other stores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.records import NONE, PREDICTIONS, options_of
from ecgqa.store import open_store
from ecgqa.tables import read_table
from ecgqa.training import predict, train
from support.tiny_recipe import tiny_recipe
from support.tiny_store import build_tiny_store


@pytest.fixture(scope="module")
def run(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = tiny_recipe(tiny_store, run__steps=150, run__accumulation=1, run__eval_every=50, optimizer__lr=0.01)
    return train(recipe, tmp_path_factory.mktemp("runs") / "läuft gut")


def test_rows_follow_the_questions(run: Path, tiny_store: Path) -> None:
    questions = open_store(tiny_store).questions("test")
    rows = predict(run, tiny_store, split="test", batch_size=4)
    assert rows["sample_id"].to_list() == questions["sample_id"].to_list()
    assert rows["run"].unique().to_list() == ["läuft gut"]
    assert rows["status"].unique().to_list() == ["ok"]
    for row, candidates in zip(rows.iter_rows(named=True), questions["candidates"].to_list(), strict=True):
        options = options_of(candidates)
        assert len(row["scores"]) == len(options)
        chosen = [option for option, score in zip(options, row["scores"], strict=True) if score > 0.5]
        assert row["answer"] == (chosen or [NONE])
    right = [set(a) == set(b) for a, b in zip(rows["answer"], questions["answer"], strict=True)]
    assert sum(right) / len(right) > 0.85


def test_batch_size_does_not_change_answers(run: Path, tiny_store: Path) -> None:
    one, many = (predict(run, tiny_store, split="valid", batch_size=size) for size in (1, 64))
    assert one["answer"].to_list() == many["answer"].to_list()
    for first, second in zip(one["scores"].to_list(), many["scores"].to_list(), strict=True):
        assert first == pytest.approx(second, abs=1e-5)


def test_exact_match_of_training_is_that_of_the_rows(run: Path, tiny_store: Path) -> None:
    questions = open_store(tiny_store).questions("valid")
    rows = predict(run, tiny_store, split="valid")
    right = [set(a) == set(b) for a, b in zip(rows["answer"], questions["answer"], strict=True)]
    best = json.loads((run / "manifest.json").read_text())["best"]["em_candidates"]
    assert sum(right) / len(right) == pytest.approx(best)


def test_the_command(run: Path, tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a b" / "rows.parquet"
    assert main(["predict", str(run), str(tiny_store), "--split", "test", "--out", str(out), "--name", "mine"]) == 0
    assert read_table(out, PREDICTIONS)["run"].unique().to_list() == ["mine"]
    assert "ecgqa score" in capsys.readouterr().out


def test_another_stores_answers_are_refused(run: Path, tmp_path: Path) -> None:
    other = build_tiny_store(tmp_path / "other", extra_class="extreme axis deviation")
    with pytest.raises(EcgqaError, match="was not trained on") as caught:
        predict(run, other)
    assert "extreme axis deviation" in (caught.value.found or "")


@pytest.mark.parametrize("victim", ["best.safetensors", "model.json", "answers.json", "tokenizer.json"])
def test_damaged_runs_are_told(run: Path, tiny_store: Path, tmp_path: Path, victim: str) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    whole = (copy / victim).read_bytes()
    (copy / victim).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EcgqaError):
        predict(copy, tiny_store)
    (copy / victim).unlink()
    with pytest.raises(EcgqaError):
        predict(copy, tiny_store)


def test_weights_of_another_model_are_refused(run: Path, tiny_store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    described = json.loads((copy / "model.json").read_text())
    described["config"]["width"] = 32
    (copy / "model.json").write_text(json.dumps(described))
    with pytest.raises(EcgqaError, match="not a checkpoint of this model") as caught:
        predict(copy, tiny_store)
    assert "of another shape" in (caught.value.found or "")
