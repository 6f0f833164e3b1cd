"""Starting, resuming and finishing a training run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from ecgqa import run_folder
from ecgqa.errors import EcgqaError
from ecgqa.training.distributed import World, world
from ecgqa.training.loop import Trainer
from ecgqa.training.objectives.base import make_objective
from ecgqa.training.recipe import Recipe
from ecgqa.training.start import Start


def train(recipe: Recipe, out: str | Path, *, overwrite: bool = False) -> Path:
    """Train by `recipe` in the run folder `out`, or go on where an earlier start of the same run stopped.

    Returns the folder, finished. It holds recipe.json, tokenizer.json, answers.json, model.json, metrics.jsonl,
    tensorboard/, best.safetensors (weights with the best validation score), last.safetensors (everything that resuming
    needs) and, last, manifest.json. Under torchrun every process calls this; the first one writes. Raises EcgqaError
    for a folder that holds another run, a store or recipe that does not fit, divergence and lack of memory; raises
    KeyboardInterrupt when asked to stop, with the state saved.
    """
    folder = run_folder.absolute(out)
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        here = stack.enter_context(world(recipe.run.device))
        stack.enter_context(_hardware(recipe, here))
        if here.is_first:
            stack.enter_context(run_folder.claimed(folder))
        stack.enter_context(_memory_told())
        _train(recipe, folder, here, overwrite=overwrite)
    return folder


def _train(recipe: Recipe, folder: Path, here: World, *, overwrite: bool) -> None:
    again = (folder / run_folder.TRAINING.file).is_file() and not overwrite
    here.wait()
    objective = make_objective(recipe, folder if again else None)
    start = Start.read(recipe.run.start_from) if recipe.run.start_from else None
    inputs = objective.inputs | ({"start_from": start.digest} if start else {})
    identity = {"settings": recipe.identity(), "inputs": inputs}
    if here.is_first:
        run_folder.begin(folder, recipe.to_dict(), identity, overwrite=overwrite)
    here.wait()
    if run_folder.finished(folder) is not None:
        if here.is_first:
            print("this run is finished already: nothing to do", file=sys.stderr)
        return
    trainer = Trainer(recipe, objective, folder, here)
    resumed = trainer.resume()
    if start and not resumed:
        told = trainer.begin_from(start)
        if here.is_first:
            print(told, file=sys.stderr)
    if here.is_first and resumed:
        print(f"going on from update {trainer.at.update} of {trainer.total}", file=sys.stderr)
    elif here.is_first:
        objective.write_files(folder)
        print(
            f"{recipe.model_name} with {sum(p.numel() for p in trainer.model.parameters()):,} parameters, "
            f"{objective.n_train:,} training {objective.unit}, {trainer.total} updates of {recipe.run.batch_size} "
            f"on {here.size} x {here.device}",
            file=sys.stderr,
        )
        for note in objective.notes:
            print(note, file=sys.stderr)
    at = trainer.run()
    if here.is_first:
        stopped = "all updates done" if at.update >= trainer.total else "no gain within the patience"
        run_folder.finish(
            folder,
            identity,
            counts={
                "updates": at.update,
                "epochs": at.epoch,
                "training_items": objective.n_train,
                "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
            },
            best={"update": at.best_update, objective.monitor: at.best_score},
            stopped=stopped,
            elapsed_s=round(at.elapsed_s, 1),
            device=str(here.device),
        )
    here.wait()


@contextmanager
def _hardware(recipe: Recipe, here: World) -> Iterator[None]:
    """Threads and TF32 as the recipe asks, put back afterwards."""
    threads, matmul = torch.get_num_threads(), torch.get_float32_matmul_precision()
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    if here.device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(matmul)


@contextmanager
def _memory_told() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise EcgqaError(
            "out of memory",
            found=str(error).splitlines()[0] if str(error) else None,
            fix="raise --run.accumulation (smaller micro-batches), use --run.precision bf16, "
            "or lower --model.width, --model.n_layers or --run.batch_size",
        ) from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of PyTorch or Python means that memory ran out, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return any(words in text for words in ("out of memory", "not enough memory", "can't allocate memory"))


def summary(folder: Path) -> dict[str, Any]:
    """The manifest of a finished run."""
    manifest = run_folder.finished(folder)
    if manifest is None:
        raise EcgqaError(f"{folder} holds no finished run", fix="ecgqa train with the same recipe goes on")
    return manifest
