"""A run may start from another's weights and average its own; both survive interruptions and refuse what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from ecgqa.errors import EcgqaError
from ecgqa.training import train
from ecgqa.training.checkpoint import BEST, LAST, read_tensors
from ecgqa.training.moving_average import MovingAverage
from support.tiny_recipe import tiny_recipe


def test_the_average_follows_the_weights() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    with torch.no_grad():
        model[0].weight.fill_(0.0)  # type: ignore[union-attr,operator]
    average = MovingAverage(model, 0.5)
    expected = 0.0
    for done in range(6):
        with torch.no_grad():
            model[0].weight.fill_(1.0 + done)  # type: ignore[union-attr,operator]
        average.update(done)
        decay = min(0.5, (1 + done) / (10 + done))
        expected = decay * expected + (1 - decay) * (1.0 + done)
    with average.in_place():
        assert float(model[0].weight) == pytest.approx(expected)  # type: ignore[arg-type]
    assert float(model[0].weight) == 6.0  # type: ignore[arg-type]
    assert "1.running_mean" in average.weights and "1.num_batches_tracked" not in average.weights


def test_the_average_is_what_is_kept_and_survives_a_stop(tiny_store: Path, tmp_path: Path) -> None:
    overrides = {"optimizer__average": 0.9, "run__save_every": 5, "run__steps": 12}
    whole = train(tiny_recipe(tiny_store, **overrides), tmp_path / "whole")
    plain = train(tiny_recipe(tiny_store, run__steps=12), tmp_path / "plain")
    ours, theirs = read_tensors(whole / LAST)[0], read_tensors(plain / LAST)[0]
    assert torch.equal(ours["model.proj.weight"], theirs["model.proj.weight"])  # averaging does not change training
    assert not torch.equal(ours["average.proj.weight"], ours["model.proj.weight"])
    best, facts = read_tensors(whole / BEST)
    if facts["update"] == 12:
        assert torch.equal(best["proj.weight"], ours["average.proj.weight"])
    assert not torch.equal(best["proj.weight"], read_tensors(plain / BEST)[0]["proj.weight"])
    # Going on from the state after update 10 gives the same average.
    part = train(tiny_recipe(tiny_store, **overrides | {"run__steps": 12}), tmp_path / "part")
    (part / "manifest.json").unlink()
    again = train(tiny_recipe(tiny_store, **overrides), part)
    after = read_tensors(again / LAST)[0]
    assert all(torch.equal(after[name], ours[name]) for name in ours)


def test_starting_from_another_run(tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = train(tiny_recipe(tiny_store, run__steps=6), tmp_path / "first")
    recipe = tiny_recipe(tiny_store, run__steps=1, run__start_from=str(first), optimizer__lr=0.0)
    second = train(recipe, tmp_path / "second")
    assert f"starting from {first}" in capsys.readouterr().err
    ours, theirs = read_tensors(second / BEST)[0], read_tensors(first / BEST)[0]
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert "start_from" in json.loads((second / "manifest.json").read_text())["inputs"]
    # The same weights in another place are the same run; other weights are not.
    moved = first.rename(tmp_path / "moved")
    train(tiny_recipe(tiny_store, run__steps=1, run__start_from=str(moved), optimizer__lr=0.0), second)
    other = train(tiny_recipe(tiny_store, run__steps=6, run__seed=7), tmp_path / "other")
    with pytest.raises(EcgqaError, match="another run"):
        train(tiny_recipe(tiny_store, run__steps=1, run__start_from=str(other), optimizer__lr=0.0), second)


def test_a_start_that_does_not_fit_is_told(tiny_store: Path, tmp_path: Path) -> None:
    first = train(tiny_recipe(tiny_store, run__steps=6), tmp_path / "first")
    with pytest.raises(EcgqaError, match="another size"):
        recipe = tiny_recipe(tiny_store, run__start_from=str(first), model__width=32)
        train(recipe, tmp_path / "wider")
    with pytest.raises(EcgqaError, match="no such folder"):
        train(tiny_recipe(tiny_store, run__start_from=str(tmp_path / "nowhere")), tmp_path / "run")
