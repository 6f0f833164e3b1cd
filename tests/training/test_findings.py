"""Classifiers of findings, from a store to scored findings: they learn, repeat, and refuse what does not fit."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.records import ALL_LEADS, FINDINGS, lead_set
from ecgqa.signals.read import Ecg
from ecgqa.store import open_store
from ecgqa.store.grounding import grounding_of
from ecgqa.tables import read_table
from ecgqa.training import train
from ecgqa.training.checkpoint import BEST
from ecgqa.training.distributed import World
from ecgqa.training.findings import load_classifier, predict_findings
from ecgqa.training.loop import Trainer
from ecgqa.training.metrics_log import TIMINGS, read_metrics
from ecgqa.training.objectives.base import make_objective
from ecgqa.training.thresholds import THRESHOLDS
from support.tiny_findings import CLASSES, build_findings_store, findings_recipe

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from support.tiny_findings import findings_recipe
from ecgqa.training import train
train(findings_recipe(sys.argv[2], **json.loads(sys.argv[4])), sys.argv[3])
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_findings_store(tmp_path_factory.mktemp("findings"))


@pytest.fixture(scope="module")
def run(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = findings_recipe(store, run__steps=150, run__eval_every=50)
    return train(recipe, tmp_path_factory.mktemp("runs") / "strides")


def test_it_learns_and_leaves_what_using_it_needs(run: Path, store: Path) -> None:
    lines = read_metrics(run)
    valid = [line for line in lines if line["split"] == "valid"]
    assert max(line["auroc_macro"] for line in valid) > 0.9
    assert {"loss", "accuracy", "auroc_micro", "auprc_macro", "auprc_micro"} <= valid[0].keys()
    assert json.loads((run / "classes.json").read_text())["classes"] == CLASSES
    thresholds = json.loads((run / THRESHOLDS).read_text())
    best = max(valid, key=lambda line: line["auroc_macro"])
    assert thresholds["update"] == best["update"] and list(thresholds["attributes"]) == CLASSES
    assert THRESHOLDS in json.loads((run / "manifest.json").read_text())["files"]
    items = grounding_of(open_store(store)).items.filter(pl.col("split") == "valid")
    assert sum(one["n"] for one in thresholds["attributes"].values()) == items.height


def test_findings_of_a_store_have_the_labels_of_its_questions(run: Path, store: Path, tmp_path: Path) -> None:
    opened = open_store(store)
    asked = predict_findings(run, opened, split="test", leads="asked")
    items = grounding_of(opened).items.filter(pl.col("split") == "test")
    assert asked.height == items.height and asked["label"].null_count() == 0
    assert asked["run"].unique().to_list() == ["strides"]
    entire = predict_findings(run, opened, split="test", leads="entire")
    assert entire.height == items["ecg_row"].n_unique() * len(CLASSES)
    each = predict_findings(run, opened, split="test", leads="each", batch_size=7)
    assert each.height == 12 * entire.height
    # The same look gives the same probability and label, whichever way it was asked for.
    for frame in (entire, each):
        both = asked.join(frame, on=["ecg_id", "leads", "attribute"], suffix="_other")
        assert both.height == asked.filter(pl.col("leads").is_in(frame["leads"].unique().implode())).height > 0
        np.testing.assert_allclose(both["probability"], both["probability_other"], atol=1e-6)
        assert both["label"].equals(both["label_other"])
        assert frame["label"].null_count() == frame.height - both.height
    out = tmp_path / "f.parquet"
    assert main(["findings", "predict", str(run), str(store), "--out", str(out), "--device", "cpu"]) == 0
    assert read_table(out, FINDINGS).equals(asked)
    assert main(["findings", "score", str(out), "--out", str(tmp_path / "s.json"), "--n-resamples", "50"]) == 0
    scores = json.loads((tmp_path / "s.json").read_text())["scores"]
    macro = next(row for row in scores if row["attribute"] == "macro")
    assert macro["auroc_low"] <= macro["auroc"] <= macro["auroc_high"] and macro["auroc"] > 0.85


def test_an_ecg_in_memory_is_read_like_that_of_the_store(run: Path, store: Path) -> None:
    opened = open_store(store)
    classifier = load_classifier(run)
    expected = predict_findings(classifier, opened, leads=["all", "V1", "inferior leads"])
    gains = np.array(opened.records["gain_per_mv"].to_list())
    ids = opened.records["ecg_id"].to_list()
    wanted = expected["probability"].to_numpy()
    ecgs = [Ecg(np.array(opened.signals[row]), gains[row], 100.0) for row in range(opened.n_ecgs)]
    millivolts = np.stack([ecg.millivolts() for ecg in ecgs])
    for given in (ecgs, millivolts):
        found = predict_findings(classifier, given, leads=["all", "V1", "inferior"], ecg_id=ids, fs_hz=100.0)
        np.testing.assert_allclose(found["probability"], wanted, atol=1e-6)
        assert found["leads"].unique().sort().to_list() == sorted([ALL_LEADS, 64, lead_set(("II", "III", "aVF"))])
    many = predict_findings(classifier, ecgs[0], leads="entire,each,V1,groups")
    assert many["leads"].n_unique() == 1 + 12 + 7 and many.height == 20 * len(CLASSES)
    alone = predict_findings(classifier, millivolts[3], leads=["all", "V1", "inferior"])
    np.testing.assert_allclose(alone["probability"], wanted[27:36], atol=1e-6)
    assert alone["ecg_id"].unique().to_list() == [0] and alone["source"].null_count() == alone.height


def test_what_does_not_fit_is_refused(run: Path, store: Path, tmp_path: Path) -> None:
    signal = np.zeros((12, 200), np.float32)
    with pytest.raises(EcgqaError, match="another sampling rate"):
        predict_findings(run, signal, fs_hz=500.0)
    with pytest.raises(EcgqaError, match="no leads 'V7'"):
        predict_findings(run, signal, leads="V1,V7")
    with pytest.raises(EcgqaError, match="these are no ECGs"):
        predict_findings(run, signal[:8])
    with pytest.raises(EcgqaError, match="without questions"):
        predict_findings(run, signal, leads="asked")
    with pytest.raises(EcgqaError, match="each ECG needs one id"):
        predict_findings(run, signal, ecg_id=[1, 2])
    other = shutil.copytree(run, tmp_path / "other")
    (other / "classes.json").write_text(json.dumps({"classes": ["x", "y", "z"]}))
    with pytest.raises(EcgqaError, match="ask about none of the model's attributes"):
        predict_findings(other, store, leads="asked")
    (other / "classes.json").write_text(json.dumps({"classes": CLASSES[:2]}))
    with pytest.raises(EcgqaError, match="does not belong to the model"):
        load_classifier(other)
    (other / "classes.json").write_text("{")
    with pytest.raises(EcgqaError, match="damaged or missing"):
        load_classifier(other)


def test_a_store_that_says_nothing_of_single_ecgs_is_refused(run: Path, store: Path, tmp_path: Path) -> None:
    with pytest.raises(EcgqaError, match="the objective classification does not train"):
        findings_recipe(store, model__name="ecg_transformer")
    moved = shutil.copytree(store, tmp_path / "store")
    questions = pl.read_parquet(moved / "questions.parquet").with_columns(
        pl.lit(None, dtype=pl.List(pl.String)).alias("attribute")
    )
    questions.write_parquet(moved / "questions.parquet")
    manifest = json.loads((moved / "manifest.json").read_text())
    manifest["files"] = {"questions.parquet": (moved / "questions.parquet").stat().st_size}
    (moved / "manifest.json").write_text(json.dumps(manifest))
    (moved / "grounding.json").unlink()
    with pytest.raises(EcgqaError, match="say nothing about single ECGs") as caught:
        train(findings_recipe(moved), tmp_path / "run")
    assert "questions without attribute field" in str(caught.value)
    assert predict_findings(run, moved, leads="entire")["label"].null_count() == 40 * len(CLASSES)
    with pytest.raises(EcgqaError, match="ask about none of the model's attributes"):
        predict_findings(run, moved, leads="asked")


def test_accumulated_micro_batches_are_averaged_as_published(store: Path, tmp_path: Path) -> None:
    """The loss of an update is the mean over micro-batches, each balanced by itself, not over their items."""
    recipe = findings_recipe(store, run__accumulation=4, model__dropout=0.0)
    objective = make_objective(recipe)
    trainer = Trainer(recipe, objective, tmp_path, World(0, 1, torch.device("cpu")))
    group = next(trainer._groups())
    assert len(group) == 4
    trainer.model.train()
    losses = [objective.loss(trainer.model, batch) for batch in group]
    assert [float(terms) for _, terms, _ in losses] == [1.0] * 4
    mean = torch.stack([loss for loss, _, _ in losses]).mean()
    expected = torch.autograd.grad(mean, list(trainer.model.parameters()))
    loss, _, items, _ = trainer._update(group)
    assert loss == pytest.approx(mean.item()) and items == sum(len(batch) for batch in group)
    for parameter, gradient in zip(trainer.model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-5, atol=1e-8)


@pytest.mark.slow
def test_two_processes_average_their_losses_and_measure_as_one(store: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    overrides = {"run__steps": 8, "run__eval_every": 8, "run__log_every": 1, "model__dropout": 0.0}
    words = [sys.executable, "-c", PROGRAM, str(Path(__file__).parents[1]), str(store), str(tmp_path / "two")]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [*words, json.dumps(overrides)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    lines = read_metrics(tmp_path / "two")
    objective = make_objective(findings_recipe(store, **overrides))
    torch.manual_seed(objective.recipe.run.seed)  # type: ignore[attr-defined]
    model = objective.build_model()
    worlds = [World(rank, 2, torch.device("cpu")) for rank in range(2)]
    losses = [objective.loss(model, next(objective.batches(0, 0, 8, world)))[0].item() for world in worlds]
    assert lines[0]["loss"] == pytest.approx(np.mean(losses), rel=1e-6)
    # What the processes measured together, looks that fill the last batch included, is what one measures alone.
    found = predict_findings(tmp_path / "two", store, leads="asked", split="valid")
    values = json.loads((tmp_path / "two" / THRESHOLDS).read_text())["attributes"]
    for name, about in values.items():
        mine = found.filter(pl.col("attribute") == name)
        right = ((mine["probability"] > 0.5) == mine["label"]).mean()
        assert about["n"] == mine.height and about["accuracy"] == pytest.approx(right)


def test_the_seed_decides(store: Path, tmp_path: Path) -> None:
    runs = [train(findings_recipe(store), tmp_path / name) for name in ("first", "second")]
    assert (runs[0] / BEST).read_bytes() == (runs[1] / BEST).read_bytes()
    told = [[{k: v for k, v in line.items() if k not in TIMINGS} for line in read_metrics(run)] for run in runs]
    assert told[0] == told[1]
