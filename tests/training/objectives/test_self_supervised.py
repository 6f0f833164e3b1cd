"""Every self-supervised objective trains, resumes to the bit, keeps test ECGs apart, and agrees over processes."""

from __future__ import annotations

import json
import math
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed

from ecgqa.errors import EcgqaError
from ecgqa.models import build_model
from ecgqa.training import train
from ecgqa.training.checkpoint import BEST, LAST, read_tensors
from ecgqa.training.checkpoint_export import export_checkpoint
from ecgqa.training.checkpoint_import import import_checkpoint
from ecgqa.training.distributed import World, gathered
from ecgqa.training.loop import Interrupted, Trainer
from ecgqa.training.masking import draw_negatives, draw_spans
from ecgqa.training.metrics_log import TIMINGS, read_metrics
from ecgqa.training.objectives.base import make_objective
from ecgqa.training.objectives.contrastive import SimClr, ThreeKg
from ecgqa.training.objectives.wav2vec2 import Wav2Vec2Objective, Wav2Vec2ObjectiveConfig, gumbel_temperature, terms_of
from ecgqa.training.recipe import load_recipe
from ecgqa.training.start import BODY
from support.tiny_pretraining import ENCODER, OBJECTIVES, QUANTIZER, tiny_pretraining
from support.tiny_recipe import tiny_recipe

ALONE = World(0, 1, torch.device("cpu"))


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in TIMINGS} for line in read_metrics(folder)]


@pytest.mark.parametrize("method", OBJECTIVES)
def test_it_trains_and_an_interrupted_run_ends_with_the_same_bits(
    method: str, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = {"run__accumulation": 2, "run__steps": 24}
    whole = train(tiny_pretraining(method, tiny_store, **overrides), tmp_path / "whole")
    lines = metrics(whole)
    losses = [line["loss"] for line in lines if line["split"] == "train"]
    assert all(math.isfinite(loss) for loss in losses) and sum(losses[-3:]) < sum(losses[:3])
    assert all(0 <= line["accuracy"] <= 1 for line in lines if line["split"] == "valid")
    update = Trainer._update

    def stop_early(self: Trainer, group: list[Any]) -> tuple[float, float, int, bool]:
        return (*update(self, group)[:3], self.at.update == 6)

    monkeypatch.setattr(Trainer, "_update", stop_early)
    with pytest.raises(Interrupted):
        train(tiny_pretraining(method, tiny_store, **overrides), tmp_path / "part")
    monkeypatch.undo()
    part = train(tiny_pretraining(method, tiny_store, **overrides), tmp_path / "part")
    ours, theirs = read_tensors(part / LAST)[0], read_tensors(whole / LAST)[0]
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert metrics(part) == lines


@pytest.mark.parametrize("method", ["w2v_cmsc_rlm", "3kg"])
def test_half_precision_and_kept_defects_train_too(method: str, tiny_store: Path, tmp_path: Path) -> None:
    first = {}
    for kind, override in {
        "whole": {},
        "half": {"run__precision": "bf16"},
        "published": {"model__compat": "published"},
    }.items():
        recipe = tiny_pretraining(method, tiny_store, run__steps=2, run__log_every=1, **override)
        lines = metrics(train(recipe, tmp_path / kind))
        assert all(math.isfinite(line["loss"]) for line in lines)
        first[kind] = lines[0]["loss"]
    assert first["half"] == pytest.approx(first["whole"], rel=0.02) and first["half"] != first["whole"]


def test_what_cannot_be_trained_is_told(tiny_store: Path) -> None:
    with pytest.raises(EcgqaError, match="mask_span is positive"):
        tiny_pretraining("wav2vec2", tiny_store, objective__mask_span=0)
    with pytest.raises(EcgqaError, match="too short for the convolutions"):
        make_objective(tiny_pretraining("cmsc", tiny_store, objective__seconds=0.05)).build_model()
    with pytest.raises(EcgqaError, match="does not train the model"):
        tiny_pretraining("cmsc", tiny_store, model__name="ecg_transformer")


def test_test_ecgs_are_left_out_and_it_says_so(
    tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny_pretraining("cmsc", tiny_store, run__steps=1)
    train(recipe, tmp_path / "run")
    assert "4 ECGs of the test questions" in capsys.readouterr().err
    objective = make_objective(recipe)
    assert isinstance(objective, SimClr | ThreeKg) is False
    batches = list(objective.batches(0, 0, 8, ALONE))
    store = objective.store  # type: ignore[attr-defined]
    seen = set(store.records["ecg_id"][torch.cat([batch.row for batch in batches]).tolist()].to_list())
    assert seen and not seen & set(store.questions("test")["ecg_id"].explode().to_list())
    everything = make_objective(tiny_pretraining("cmsc", tiny_store, objective__leave_out="nothing"))
    assert everything.n_train > objective.n_train and "flattered" in " ".join(everything.notes)
    with pytest.raises(EcgqaError, match="no ECG is left to watch"):
        make_objective(tiny_pretraining("cmsc", tiny_store, objective__valid_share=0.0))


@pytest.mark.parametrize("method", OBJECTIVES)
def test_evaluation_draws_the_same_each_time(method: str, tiny_store: Path) -> None:
    objective = make_objective(tiny_pretraining(method, tiny_store))
    torch.manual_seed(0)
    model = objective.build_model().eval()
    first = objective.evaluate(model, 4, ALONE, tick=lambda: None)
    torch.rand(100)
    assert objective.evaluate(model, 4, ALONE, tick=lambda: None) == first
    other = make_objective(tiny_pretraining(method, tiny_store, run__seed=2))
    assert other.evaluate(model, 4, ALONE, tick=lambda: None) != first


def test_the_codes_cool_down_with_the_updates(tiny_store: Path, tmp_path: Path) -> None:
    assert gumbel_temperature(0, 2.0, 0.5, 0.999995) == 2.0
    assert gumbel_temperature(20_000, 2.0, 0.5, 0.999995) == pytest.approx(1.80967, rel=1e-5)
    assert gumbel_temperature(10**6, 2.0, 0.5, 0.999995) == 0.5
    recipe = tiny_pretraining("wav2vec2", tiny_store, objective__gumbel_decay=0.5)
    objective = make_objective(recipe)
    assert isinstance(objective, Wav2Vec2Objective)
    trainer = Trainer(recipe, objective, tmp_path, ALONE)
    for update, temperature in ((0, 2.0), (1, 1.0), (2, 0.5), (3, 0.5)):
        trainer.at.update = update
        trainer._update([next(objective.batches(0, 0, 8, ALONE))])
        assert objective.gumbel_temperature == temperature


def test_what_counts_as_belonging_together(tiny_store: Path) -> None:
    simclr, three = (make_objective(tiny_pretraining(method, tiny_store)) for method in ("simclr", "3kg"))
    assert isinstance(simclr, SimClr) and isinstance(three, ThreeKg)
    batch = next(three.batches(0, 0, 4, ALONE))
    batch = replace(batch, patient=torch.tensor([5, 5, 6, 7]))
    for objective, groups in ((simclr, [0, 0, 1, 1, 2, 2, 3, 3]), (three, [5, 5, 5, 5, 6, 6, 7, 7])):
        generator = torch.Generator().manual_seed(0)
        views = objective.views(batch, generator, training=False)
        assert objective.groups(views.patient).tolist() == groups
        assert views.row.tolist() == batch.row.repeat_interleave(2).tolist()
        assert not torch.equal(views.ecg[::2], views.ecg[1::2])


def test_a_pretrained_encoder_moves_into_a_model_for_questions(
    tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for method in ("w2v_cmsc_rlm", "simclr"):
        pretrained = train(tiny_pretraining(method, tiny_store, run__steps=2), tmp_path / method)
        settings = {f"model__{key}": value for key, value in ENCODER.items()}
        recipe = tiny_recipe(tiny_store, run__steps=1, run__start_from=str(pretrained), optimizer__lr=0.0, **settings)
        answering = train(recipe, tmp_path / f"{method} questions")
        ours, theirs = read_tensors(answering / BEST)[0], read_tensors(pretrained / BEST)[0]
        body = [name for name in theirs if name.startswith(BODY)]
        assert len(body) > 20 and all(torch.equal(ours[name], theirs[name]) for name in body)
        assert "starting from" in capsys.readouterr().err


@pytest.mark.parametrize(("method", "upstream"), [("w2v_cmsc_rlm", "wav2vec2_cmsc"), ("cmsc", "ecg_transformer")])
def test_a_run_goes_to_the_original_and_back(method: str, upstream: str, tiny_store: Path, tmp_path: Path) -> None:
    layers = [[8, 5, 3], [12, 3, 2]]  # not as wide as the transformer, where the original leaves out the projection
    run = train(tiny_pretraining(method, tiny_store, run__steps=1, model__conv_layers=layers), tmp_path / "run")
    export_checkpoint(run, tmp_path / "theirs.pt", architecture=upstream)
    import_checkpoint(tmp_path / "theirs.pt", tmp_path / "back")
    ours, again = read_tensors(run / BEST)[0], read_tensors(tmp_path / "back" / BEST)[0]
    assert ours.keys() == again.keys() and all(torch.equal(ours[name], again[name]) for name in ours)


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    """W2V+CMSC on given draws: losses and summed gradients of two halves of a batch are those of the whole."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    whole = whole_batch(slice(0, 8))
    torch.multiprocessing.start_processes(half_batch, (address, str(tmp_path)), nprocs=2, start_method="spawn")
    for rank in (0, 1):
        ours = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert ours.keys() == whole.keys()
        for name, value in whole.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-6 * float(value.abs().max()), msg=name)


def half_batch(rank: int, address: str, folder: str) -> None:
    """What one of two processes makes of its (uneven) part of the batch, summed over both."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    sums = whole_batch(slice(0, 6) if rank == 0 else slice(6, 8))
    for value in sums.values():
        distributed.all_reduce(value)
    assert gathered(torch.full((rank + 1, 2), float(rank))).tolist() == [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    torch.save(sums, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


def whole_batch(rows: slice) -> dict[str, Tensor]:
    """Loss terms (sums over frames) and their gradients, of some rows of a fixed batch with fixed draws."""
    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(0)
    model = build_model(
        "wav2vec2", {**ENCODER, **QUANTIZER, "dropout": 0.0, "attention_dropout": 0.0, "input_dropout": 0.0,
                     "feature_dropout": 0.0},
    ).train()  # fmt: skip
    settings = Wav2Vec2ObjectiveConfig(mask_span=3, n_negatives=10, cmsc_weight=1.0)
    ecg = torch.randn((8, 12, 180), generator=generator)
    length = torch.tensor([180, 180, 150, 150, 180, 100, 180, 180])
    n_frames = model.n_frames(length)  # type: ignore[operator]
    mask = draw_spans(n_frames, int(n_frames.max()), 0.65, 3, generator)
    most = int(mask.sum(1).max())
    noise = -torch.empty((8, most, 2, 10)).exponential_(generator=generator).log()
    negatives = draw_negatives(mask.sum(1), most, 10, generator)
    patient, segment = torch.tensor([1, 1, 2, 2, 3, 3, 1, 1]), torch.tensor([0, 1] * 4)
    kept = int(mask[rows].sum(1).max())
    out = model(ecg[rows], length[rows], mask[rows], temperature=2.0, noise=noise[rows, :kept])
    terms = terms_of(out, negatives[rows, :kept], patient[rows], segment[rows], settings)
    terms.loss.backward()  # type: ignore[no-untyped-call]
    parts = ("n", "info_nce", "diversity", "penalty", "cmsc")
    values = {name: getattr(terms, name).detach().double() for name in parts}
    gradients = {name: p.grad.double() for name, p in model.named_parameters() if p.grad is not None}
    # Key biases have no effect: what is there is rounding.
    return values | {name: value for name, value in gradients.items() if not name.endswith("k_proj.bias")}


@pytest.mark.slow
def test_cmsc_trains_alike_on_two_processes(tiny_store: Path, tmp_path: Path) -> None:
    """All of a batch's patients are told apart, wherever they are: the losses are those of one process."""
    without_dropout = {f"model__{name}": 0.0 for name in ("dropout", "attention_dropout", "input_dropout")}
    overrides = {**without_dropout, "run__steps": 6, "run__log_every": 1}
    alone = train(tiny_pretraining("cmsc", tiny_store, **overrides), tmp_path / "alone")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    together = tmp_path / "together"
    arguments = (port, str(tiny_store), str(together), json.dumps(overrides))
    torch.multiprocessing.start_processes(train_in_two, arguments, nprocs=2, start_method="spawn")
    ours, theirs = metrics(together), metrics(alone)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        if one["split"] == "train":
            assert one["loss"] == pytest.approx(other["loss"], rel=1e-5), (one, other)


def train_in_two(rank: int, port: int, store: str, out: str, overrides: str) -> None:
    import os

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "RANK": str(rank)}
    train(tiny_pretraining("cmsc", Path(store), **json.loads(overrides)), out)


@pytest.mark.parametrize(
    ("pretrained", "started"),
    [
        ("w2v_cmsc_rlm-tiny", "w2v_cmsc_rlm-findings-tiny"),
        ("w2v_cmsc_rlm-base", "w2v_cmsc_rlm-findings-base"),
        ("w2v_cmsc_rlm-base", "ecg_transformer-base"),
        ("w2v_cmsc_rlm-small", "ecg_transformer-small"),
    ],
)
def test_shipped_recipes_that_belong_together_share_their_encoder(pretrained: str, started: str) -> None:
    parts = []
    for name in (pretrained, started):
        recipe = load_recipe(name)
        with torch.device("meta"):
            model = build_model(recipe.model_name, recipe.model, n_answers=3, n_classes=3, vocab_size=9)
        tensors = {key.removeprefix("ecg_encoder."): tuple(value.shape) for key, value in model.state_dict().items()}
        parts.append({key: shape for key, shape in tensors.items() if key.startswith(BODY)})
    assert parts[0] == parts[1] and parts[0]
