"""Recipes: every shipped one is sound, and what is wrong in one is told with the nearest right thing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ecgqa.cli.train import _parse
from ecgqa.errors import EcgqaError
from ecgqa.models import build_model
from ecgqa.training.recipe import flatten, load_recipe, make_recipe, read_recipe, shipped_recipes, unflatten


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_shipped_recipes_are_sound(name: str) -> None:
    recipe = load_recipe(name)
    assert make_recipe(recipe.to_dict()).to_dict() == recipe.to_dict()
    assert recipe.run.batch_size % recipe.run.accumulation == 0


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("ecg_transformer-base", 114_447_847),
        ("ecg_transformer-small", 86_096_359),
        ("blind_transformer-base", 108_972_391),
        ("deaf_transformer-base", 90_532_327),
        ("resnet_lstm-base", 48_428_775),
    ],
)
def test_a_published_recipe_has_the_published_size(name: str, parameters: int) -> None:
    recipe = load_recipe(name)
    with torch.device("meta"):
        model = build_model(recipe.model_name, recipe.model, n_answers=103, vocab_size=30522)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize(
    ("overrides", "message", "fix"),
    [
        ({"run.stepz": 3}, "no key 'run.stepz'", "run.steps"),
        ({"model.n_layer": 3}, "no key 'model.n_layer'", "model.n_layers"),
        ({"lr": 3}, "no key 'lr'", "optimizer.lr"),
        ({"model.name": "ecg_transformr"}, "no model", "ecg_transformer"),
        ({"run.steps": "many"}, "does not fit", None),
        ({"run.epochs": 3}, "either run.steps or run.epochs", None),
        ({"run.batch_size": 0}, "batch_size", None),
        ({"model.n_heads": 5}, "multiple of n_heads", None),
        ({"model.compat": "partly"}, "compat", None),
        ({"schedule.name": "linear"}, "does not fit", None),
    ],
)
def test_wrong_settings_are_told(overrides: dict[str, object], message: str, fix: str | None) -> None:
    with pytest.raises(EcgqaError, match=message) as caught:
        load_recipe("ecg_transformer-tiny", overrides)
    assert fix is None or fix in (caught.value.fix or "")


def test_a_missing_or_damaged_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(EcgqaError, match="no recipe") as caught:
        read_recipe("ecg_transformer-tyni")
    assert "ecg_transformer-tiny" in (caught.value.fix or "")
    bad = tmp_path / "bad é.yaml"
    bad.write_text("model: [1, 2\n")
    with pytest.raises(EcgqaError, match="no YAML"):
        read_recipe(bad)
    bad.write_text("just words\n")
    with pytest.raises(EcgqaError, match="no recipe"):
        read_recipe(bad)


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model: {name: ecg_transformer, n_layers: 3, width: 32, n_heads: 2}\nrun: {steps: 10, seed: 5}\n")
    recipe, out, overwrite = _parse([str(file), "--run.steps", "20", "--model.n-layers=1", "--data.store", "a b"])
    assert (recipe.run.steps, recipe.run.seed, recipe.model.n_layers, recipe.model.width) == (20, 5, 1, 32)
    assert (recipe.data.store, recipe.name, out, overwrite) == ("a b", "mine", Path("runs/mine"), False)
    with pytest.raises(EcgqaError) as caught:
        _parse([str(file), "--optimizer.lrr", "1"])
    assert "optimizer.lr" in (caught.value.fix or "")


def test_what_names_the_run_is_in_its_identity() -> None:
    base = load_recipe("ecg_transformer-tiny")
    moved = load_recipe("ecg_transformer-tiny", {"data.store": "/elsewhere", "run.device": "cpu", "run.threads": 2})
    other = load_recipe("ecg_transformer-tiny", {"optimizer.lr": 1.0})
    assert base.identity() == moved.identity() != other.identity()


def test_flatten_and_back() -> None:
    nested = {"a": {"b": 1, "c": {"d": [1, 2]}}, "e": None}
    assert unflatten(dict(flatten(nested))) == nested
