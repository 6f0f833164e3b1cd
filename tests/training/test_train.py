"""Training runs: they learn, repeat to the bit, survive kills, refuse what does not fit, and agree over processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ecgqa.errors import EcgqaError
from ecgqa.training import train
from ecgqa.training.checkpoint import BEST, LAST, read_tensors
from ecgqa.training.metrics_log import TIMINGS, read_metrics
from ecgqa.training.objectives.question_answering import QuestionAnswering
from support.tiny_recipe import tiny_recipe
from support.tiny_store import build_tiny_store

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from support.tiny_recipe import tiny_recipe
from ecgqa.training import train
train(tiny_recipe(sys.argv[2], **json.loads(sys.argv[4])), sys.argv[3])
"""


def start(store: Path, out: Path, overrides: dict[str, Any], **environment: str) -> subprocess.Popen[bytes]:
    tests = str(Path(__file__).parents[1])
    words = [sys.executable, "-c", PROGRAM, tests, str(store), str(out), json.dumps(overrides)]
    return subprocess.Popen(words, env={**os.environ, **environment}, stderr=subprocess.PIPE)


def metrics_without_timings(folder: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in TIMINGS} for line in read_metrics(folder)]


def same_tensors(first: Path, second: Path) -> None:
    ours, theirs = load_file(first), load_file(second)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.fixture(scope="module")
def whole(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    return train(tiny_recipe(tiny_store), tmp_path_factory.mktemp("runs") / "whole")


def test_a_run_leaves_everything_behind(whole: Path, tiny_store: Path) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    assert manifest["kind"] == "run" and manifest["counts"]["updates"] == 24
    for name in ("recipe.json", "tokenizer.json", "answers.json", "model.json", "metrics.jsonl", BEST, LAST):
        assert manifest["files"][name] == (whole / name).stat().st_size
    assert list((whole / "tensorboard").glob("events.*"))
    lines = read_metrics(whole)
    assert [line["update"] for line in lines if line["split"] == "valid"] == [6, 12, 18, 24]
    assert [line["update"] for line in lines if line["split"] == "train"] == [4, 8, 12, 16, 20, 24]
    best = max(line["em_candidates"] for line in lines if line["split"] == "valid")
    assert manifest["best"]["em_candidates"] == best
    _, facts = read_tensors(whole / BEST)
    assert facts["em_candidates"] == best
    recipe = json.loads(json.dumps(tiny_recipe(tiny_store).to_dict()))
    assert recipe.items() <= json.loads((whole / "recipe.json").read_text()).items()


def test_it_learns(tiny_store: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(tiny_store, run__steps=150, run__accumulation=1, run__eval_every=50, optimizer__lr=0.01)
    lines = read_metrics(train(recipe, tmp_path / "run"))
    assert max(line.get("em_candidates", 0.0) for line in lines) > 0.9
    assert lines[-1]["loss"] < 0.3 < lines[0]["loss"]


def test_the_seed_decides(whole: Path, tiny_store: Path, tmp_path: Path) -> None:
    torch.manual_seed(12345)  # the caller's random state plays no part, and is given back
    state = torch.get_rng_state()
    again = train(tiny_recipe(tiny_store), tmp_path / "again")
    assert torch.equal(state, torch.get_rng_state())
    same_tensors(whole / LAST, again / LAST)
    other = train(tiny_recipe(tiny_store, run__seed=2), tmp_path / "other")
    assert metrics_without_timings(whole) == metrics_without_timings(again) != metrics_without_timings(other)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(whole: Path, tiny_store: Path, tmp_path: Path) -> None:
    """Killed twice at unforeseen moments, with checkpoints inside logging windows and epochs."""
    out = tmp_path / "ein Ordner"
    overrides = {"run__save_every": 1}
    for n_updates in (5, 14):
        process = start(tiny_store, out, overrides)
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and process.poll() is None:
                with contextlib.suppress(EcgqaError):  # not there yet, or replaced while being read
                    if read_tensors(out / LAST)[1]["progress"]["update"] >= n_updates:
                        break
                time.sleep(0.001)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert not (out / "manifest.json").exists()
    (out / f".{LAST}.99999.partial").write_bytes(b"half a checkpoint")
    with (out / "metrics.jsonl").open("a") as stream:
        stream.write('{"split": "train", "upd')
    train(tiny_recipe(tiny_store, **overrides), out)
    assert not list(out.glob(".*.partial"))
    ours, theirs = read_tensors(out / LAST)[0], read_tensors(whole / LAST)[0]
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    same_tensors(out / BEST, whole / BEST)
    assert metrics_without_timings(out) == metrics_without_timings(whole)


@pytest.mark.slow
def test_ctrl_c_saves_and_goes_on(whole: Path, tiny_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(tiny_store, out, {})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (out / LAST).is_file() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert not (out / "manifest.json").exists()
    train(tiny_recipe(tiny_store), out)
    assert metrics_without_timings(out) == metrics_without_timings(whole)


def test_a_kill_before_the_first_checkpoint(whole: Path, tiny_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    shutil.copy(whole / "recipe.json", out)
    train(tiny_recipe(tiny_store), out)
    same_tensors(whole / LAST, out / LAST)
    assert (out / "tokenizer.json").read_bytes() == (whole / "tokenizer.json").read_bytes()


def test_a_finished_run_is_left_alone(
    whole: Path, tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(whole, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    train(tiny_recipe(tiny_store), out)
    assert "finished already" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(EcgqaError, match="another run") as caught:
        train(tiny_recipe(tiny_store, optimizer__lr=0.5), out)
    assert "optimizer.lr 0.003, now 0.5" in (caught.value.found or "")
    train(tiny_recipe(tiny_store, run__steps=2), out, overwrite=True)
    assert json.loads((out / "manifest.json").read_text())["counts"]["updates"] == 2


def test_other_contents_of_the_store_are_another_run(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    store = build_tiny_store(tmp_path / "other", n_ecgs=26)
    with pytest.raises(EcgqaError, match="another run") as caught:
        train(tiny_recipe(store), out)
    assert "store" in (caught.value.found or "")


def test_a_folder_of_others_is_left_alone(tiny_store: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("precious")
    with pytest.raises(EcgqaError, match="no training run"):
        train(tiny_recipe(tiny_store), tmp_path / "notes", overwrite=True)
    assert (tmp_path / "notes" / "thesis.txt").read_text() == "precious"
    (tmp_path / "file").write_text("")
    with pytest.raises(EcgqaError, match="is a file"):
        train(tiny_recipe(tiny_store), tmp_path / "file")


def test_two_runs_at_once_on_one_folder(tiny_store: Path, tmp_path: Path) -> None:
    from ecgqa.run_folder import claimed

    with claimed(tmp_path / "run"), pytest.raises(EcgqaError, match="another process is at work"):
        train(tiny_recipe(tiny_store), tmp_path / "run")


def test_divergence_stops_and_keeps_the_last_good_state(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    loss_of = QuestionAnswering.loss

    def sometimes_nan(self: QuestionAnswering, model: Any, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        loss, weight, n = loss_of(self, model, batch)
        return (loss * float("nan") if calls == 20 else loss), weight, n

    monkeypatch.setattr(QuestionAnswering, "loss", sometimes_nan)
    out = tmp_path / "run"
    with pytest.raises(EcgqaError, match=r"diverged in update 10 \(epoch \d, batch \d") as caught:
        train(tiny_recipe(tiny_store), out)
    assert "sample_id" in (caught.value.found or "") and LAST in (caught.value.found or "")
    tensors, facts = read_tensors(out / LAST)
    assert facts["progress"]["update"] == 6
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())


def test_early_stopping(tiny_store: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(tiny_store, optimizer__lr=1e-12, run__patience=2, run__eval_every=2, run__steps=40)
    out = train(recipe, tmp_path / "run")
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["counts"]["updates"] == 6 and manifest["best"]["update"] == 2
    assert "patience" in manifest["stopped"]


def test_lack_of_memory_names_the_knobs(tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(QuestionAnswering, "loss", full)
    with pytest.raises(EcgqaError, match="out of memory") as caught:
        train(tiny_recipe(tiny_store), tmp_path / "run")
    assert "--run.accumulation" in (caught.value.fix or "")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"run__batch_size": 15}, "cannot be shared"),
        ({"run__device": "cuda:99"}, "CUDA"),
        ({"run__device": "gpu"}, "no device"),
        ({"data__train_split": "test2"}, "split"),
        ({"data__version": "paraphrased"}, "paraphrased"),
        ({"objective__name": "sim_clr"}, "no objective"),
        ({"data__store": ""}, "names no store"),
        ({"data__store": "/nowhere"}, "no such folder"),
    ],
)
def test_what_does_not_fit_is_told(tiny_store: Path, tmp_path: Path, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(EcgqaError, match=message):
        train(tiny_recipe(tiny_store, **overrides), tmp_path / "run")
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_a_truncated_checkpoint_is_told(whole: Path, tiny_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    (out / "manifest.json").unlink()
    (out / LAST).write_bytes((out / LAST).read_bytes()[:-1000])
    with pytest.raises(EcgqaError, match="truncated"):
        train(tiny_recipe(tiny_store), out)


def test_half_precision_trains(tiny_store: Path, tmp_path: Path) -> None:
    lines = read_metrics(train(tiny_recipe(tiny_store, run__precision="bf16", run__steps=8), tmp_path / "run"))
    assert all(torch.isfinite(torch.tensor(line["loss"])) for line in lines)


def test_fewer_questions_and_epochs(tiny_store: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(
        tiny_store,
        run__steps=None,
        run__epochs=1.5,
        run__accumulation=1,
        data__max_train_questions=32,
        data__max_valid_questions=6,
    )
    manifest = json.loads((train(recipe, tmp_path / "run") / "manifest.json").read_text())
    assert manifest["counts"]["training_items"] == 32
    assert manifest["counts"]["updates"] in (3, 4, 5)


@pytest.mark.slow
def test_two_processes_agree_with_one(tiny_store: Path, tmp_path: Path) -> None:
    """The same recipe on two gloo processes: each takes half of every batch, the losses are the same."""
    overrides = {"model__dropout": 0.0, "model__activation_dropout": 0.0, "run__steps": 8, "run__log_every": 1,
                 "run__eval_every": 4}  # fmt: skip
    alone = train(tiny_recipe(tiny_store, **overrides), tmp_path / "alone")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    together = tmp_path / "together"
    processes = [start(tiny_store, together, overrides, RANK=str(rank), **address) for rank in (0, 1)]
    for process in processes:
        assert process.wait(120) == 0, (process.communicate()[1] or b"").decode()
    ours, theirs = metrics_without_timings(together), metrics_without_timings(alone)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-6), (one, other)
    assert json.loads((together / "manifest.json").read_text())["counts"]["updates"] == 8


def test_more_processes_than_data_is_told(tiny_store: Path, tmp_path: Path) -> None:
    from ecgqa.training.distributed import World
    from ecgqa.training.loop import Trainer

    recipe = tiny_recipe(tiny_store, data__max_train_questions=3, run__accumulation=1)
    with pytest.raises(EcgqaError, match="more processes than training items"):
        Trainer(recipe, QuestionAnswering(recipe), tmp_path, World(0, 4, torch.device("cpu")))


def test_a_store_goes_to_the_gpu_only_where_there_is_room(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu, objective = torch.device("cuda", 0), QuestionAnswering(tiny_recipe(tiny_store))
    needed = objective.store.signals.nbytes
    for free, fits in ((3 * needed, True), (needed, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 10 * free))
        assert objective.is_resident(gpu) is fits
    assert objective.is_resident(torch.device("cpu")) is False
    assert QuestionAnswering(tiny_recipe(tiny_store, data__resident=True)).is_resident(torch.device("cpu")) is True
