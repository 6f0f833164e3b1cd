"""The commands `ecgqa checkpoint import`, `ecgqa checkpoint export` and `ecgqa checkpoint info`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def import_(
    file: Path,
    out: Path,
    answers: Path | None = None,
    tokenizer: Path | None = None,
    classes: Path | None = None,
    compat: Literal["published", "off"] | None = None,
    architecture: str | None = None,
    origin: Literal["scratch", "medvill"] | None = None,
    settings: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Turn a checkpoint of the original (fairseq-signals) into a folder that predicts and trains on like a run.

    Example: ecgqa checkpoint import checkpoint_best.pt runs/published --answers ecgqa/ptbxl/answers.csv

    Nothing in the file is executed, whoever wrote it: it is read as data, and anything that no checkpoint needs is
    refused by name. Missing, surplus and misshapen tensors are named, and nothing is written then.

    Args:
        file: checkpoint of the original's training (.pt)
        out: folder to write: model.json, best.safetensors, upstream.json (its settings), manifest.json and the rest
        answers: answers.csv of the data set, or the folder of a store (models that answer questions)
        tokenizer: tokenizer.json or vocab.txt, a folder that holds one, or a name on the Hugging Face hub such as
            bert-base-uncased (models that read questions)
        classes: grounding_class.csv (classifiers)
        compat: published keeps the defects that the weights were trained with (default), off repairs them
        architecture: the original's name of the model, if the file does not state it
        origin: what a question answering model was fine-tuned from, if the file does not state it
        settings: YAML or JSON with settings of the original's model that replace those of the file
        overwrite: replace a folder made from another checkpoint or with other options
    """
    import shlex

    from ecgqa.training.threads import wait_quietly

    wait_quietly()
    from ecgqa.models.registry import Task
    from ecgqa.training.checkpoint_import import import_checkpoint

    done = import_checkpoint(
        file,
        out,
        architecture=architecture,
        answers=answers,
        tokenizer=tokenizer,
        classes=classes,
        compat=compat,
        origin=origin,
        settings=settings,
        overwrite=overwrite,
    )
    print(f"{done.upstream} imported as {done.model}: {done.n_parameters:,} parameters in {done.n_tensors} tensors")
    if done.compat is not None:
        print(f"compat: {done.compat}" + (" (as trained; --compat off repairs)" if done.compat != "off" else ""))
    if done.dropped:
        print(f"left out, as they mean nothing: {', '.join(done.dropped)}")
    where = shlex.quote(str(out))
    options = {"answers.json": "--answers FILE", "classes.json": "--classes FILE", "tokenizer.json": "--tokenizer FILE"}
    if done.lacking:
        again = " ".join(options[name] for name in done.lacking)
        print(f"still lacking for predictions: {', '.join(done.lacking)}")
        print(f"next: ecgqa checkpoint import {shlex.quote(str(file))} {where} {again} --overwrite true")
    elif done.task is Task.QUESTION_ANSWERING:
        print(f"next: ecgqa predict {where} STORE --split test")
    elif done.task is Task.CLASSIFICATION:
        print(f"next: ecgqa findings predict {where} STORE --split test")
    else:
        print(f"next: ecgqa train RECIPE --run.start_from {where}")


def export(folder: Path, file: Path, architecture: str | None = None) -> None:
    """Write the best weights of a run as a checkpoint in the original's layout (fairseq-signals).

    Example: ecgqa checkpoint export runs/base checkpoint_best.pt

    The file holds plain values and tensors only, so that torch.load reads it with weights_only=True; importing it
    again gives the same model.

    Args:
        folder: folder of a run or of an imported checkpoint
        file: file to write (.pt)
        architecture: the original's name of the model, where several of its models have the same tensors
    """
    import shlex

    from ecgqa.training.threads import wait_quietly

    wait_quietly()
    from ecgqa.training.checkpoint_export import export_checkpoint

    name = export_checkpoint(folder, file, architecture=architecture)
    print(f"written as {name}: {file}")
    print(f"next: ecgqa checkpoint info {shlex.quote(str(file))}")


def info(path: Path, json: bool = False) -> None:
    """Tell what a checkpoint of the original, a safetensors file or a run folder holds, and what comes next.

    Example: ecgqa checkpoint info checkpoint_best.pt

    Args:
        path: checkpoint (.pt), safetensors file, or folder with model.json
        json: print everything as JSON instead
    """
    from ecgqa.training.threads import wait_quietly

    wait_quietly()
    from ecgqa.training.checkpoint_info import weights_info

    told = weights_info(path)
    if json:
        from json import dumps

        print(dumps(told.to_dict(), indent=2, ensure_ascii=False))
    else:
        print(told)
