"""Every shipped `*-tiny` recipe, as it is shipped, learns something in its first updates.

A recipe's data come from the fixture `data_for_OBJECTIVE` in conftest.py, which returns the settings (dotted keys) that
point the recipe at data small enough for a test. A new objective adds its fixture there; a new recipe adds nothing.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ecgqa.training import train
from ecgqa.training.metrics_log import read_metrics
from ecgqa.training.prediction import load_run
from ecgqa.training.recipe import load_recipe, shipped_recipes

UPDATES, WINDOW = 24, 4
SHORT = {
    "run.steps": UPDATES,
    "run.epochs": None,
    "run.batch_size": 32,
    "run.accumulation": 1,
    "run.eval_every": UPDATES,
    "run.log_every": WINDOW,
    "run.device": "cpu",
    "run.threads": 1,
    "run.start_from": None,
    "schedule.warmup": 0.1,
}


@pytest.mark.parametrize("name", [name for name in sorted(shipped_recipes()) if name.endswith("-tiny")])
def test_a_tiny_recipe_learns(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    objective = load_recipe(name).objective_name
    data = request.getfixturevalue(f"data_for_{objective}")
    lines = read_metrics(train(load_recipe(name, SHORT | data), tmp_path / "run"))
    losses = [line["loss"] for line in lines if line["split"] == "train"]
    assert len(losses) == UPDATES // WINDOW and all(math.isfinite(loss) for loss in losses)
    assert min(losses[-2:]) < 0.97 * losses[0], losses
    (valid,) = [line for line in lines if line["split"] == "valid"]
    assert all(math.isfinite(value) for value in valid.values() if isinstance(value, float)), valid
    if objective == "question_answering":
        load_run(tmp_path / "run")


def test_every_published_recipe_has_a_tiny_variant() -> None:
    shipped = set(shipped_recipes())
    for name in shipped:
        assert f"{name.rsplit('-', 1)[0]}-tiny" in shipped, f"{name} has no tiny variant"
