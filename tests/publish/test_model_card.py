"""The model card tells what the run's own files say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ecgqa.cli.main import main
from ecgqa.training.recipe import load_recipe
from ecgqa.training.run import train
from support.tiny_recipe import tiny_recipe
from support.tiny_store import build_tiny_store


def test_card_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    store = build_tiny_store(tmp_path)
    run = train(tiny_recipe(store, run__steps=2, run__eval_every=2), tmp_path / "run")
    assert main(["card", str(run)]) == 0
    card = (run / "MODEL_CARD.md").read_text(encoding="utf-8")
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    assert f"{manifest['counts']['parameters']:,}" in card
    assert manifest["inputs"]["store"][:16] in card
    assert f"{manifest['best']['em_candidates']:.4f}" in card
    assert "not for clinical use" in card and "ecgqa score --out" in card
    again = load_recipe(run / "recipe.json")  # as the card says
    assert again.identity() == load_recipe(run / "recipe.json", {"data.store": "elsewhere"}).identity()
    assert again.run.steps == 2

    assert main(["predict", str(run), str(store), "--split", "test", "--out", str(tmp_path / "p.parquet")]) == 0
    scores = tmp_path / "scores.json"
    words = ["score", str(store), str(tmp_path / "p.parquet"), "--n_resamples", "10", "--out", str(scores)]
    assert main(words) == 0
    assert main(["card", str(run), "--scores", str(scores)]) == 0
    value = next(
        row["value"]
        for row in json.loads(scores.read_text(encoding="utf-8"))["scores"]
        if row["breakdown"] == "overall" and row["metric"] == "em_candidates"
    )
    card = (run / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"| {100 * value:.1f}" in card and "ecgqa score --out" not in card

    capsys.readouterr()
    assert main(["card", str(run), "--scores", str(run / "model.json")]) == 1
    assert "holds no scores" in capsys.readouterr().err
    (run / "manifest.json").unlink()
    assert main(["card", str(run)]) == 1
    assert "no finished run" in capsys.readouterr().err
