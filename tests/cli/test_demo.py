"""The whole journey runs from nothing, is kept by a second run, and completed after an interruption."""

import json
import shutil

import pytest
import yaml

from ecgqa.cli.main import main
from ecgqa.training.recipe import shipped_recipes


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    values = yaml.safe_load(shipped_recipes()["ecgqa-tiny"].read_text())
    values["run"] |= {"steps": 12, "eval_every": 6}
    path = tmp_path_factory.mktemp("recipes") / "short.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.slow
def test_the_journey_ends_with_a_report(tmp_path, recipe, capsys):
    dest = tmp_path / "mein Ordner ü"
    words = ["demo", "--dest", str(dest), "--patients", "60", "--scale", "0.05", "--recipe", str(recipe)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    page = dest / "report" / "report.html"
    assert shown.rstrip().endswith(f"Open {page}")
    scores = json.loads((dest / "report" / "scores.json").read_text())
    assert {"short", "question_only", "chance"} <= set(json.dumps(scores).replace('"', " ").split())
    assert "not for clinical use" in page.read_text()

    before = {path: path.stat().st_mtime_ns for path in dest.rglob("*.safetensors")}
    shutil.rmtree(dest / "report")
    assert main(words) == 0
    assert page.exists()
    assert before == {path: path.stat().st_mtime_ns for path in dest.rglob("*.safetensors")}


def test_questions_need_their_ecgs(tmp_path, capsys):
    assert main(["demo", "--questions", str(tmp_path), "--dest", str(tmp_path / "d")]) == 1
    assert "--records" in capsys.readouterr().err


def test_it_stops_at_the_first_step_that_fails(tmp_path, capsys):
    assert main(["demo", "--records", str(tmp_path), "--dest", str(tmp_path / "d")]) == 1
    shown = capsys.readouterr()
    assert "Stopped at step 1 of 7" in shown.out
    assert "no ECG source" in shown.err
