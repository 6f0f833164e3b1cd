"""The command `ecgqa demo`: the other commands, one after the other, each shown before it runs."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from ecgqa.errors import EcgqaError


def demo(
    dest: Path = Path("demo"),
    records: Path | None = None,
    questions: Path | None = None,
    recipe: str = "ecgqa-tiny",
    patients: int = 1500,
    scale: float = 0.2,
    seed: int = 0,
) -> int:
    """Make the whole journey in small: ECGs, questions, store, model, baselines, report.

    Example: ecgqa demo
    Example: ecgqa demo --records /data/ptb-xl/1.0.3 --dest demo-ptbxl

    Without --records a synthetic cohort is written first, and nothing else is needed: no data, no network. Each step is
    an ecgqa command, printed before it runs. Steps that an earlier run finished are kept; an interrupted one goes on.

    Args:
        dest: folder for everything the journey makes
        records: folder of PTB-XL (ptbxl_database.csv, records500/) to use instead of a synthetic cohort
        questions: questions in the published layout to use instead of making them from the records' metadata
        recipe: what to train: the name of a shipped recipe, or a YAML file
        patients: patients of the synthetic cohort
        scale: factor on how many questions are made; 1 makes a set as large as the released one
        seed: seed of the cohort, the questions and the training
    """
    if questions is not None and records is None:
        raise EcgqaError("--questions needs the ECGs it asks about", fix="add --records FOLDER")
    started = time.monotonic()
    steps = _steps(dest, records, questions, recipe, patients, scale, seed)
    for number, words in enumerate(steps, 1):
        print(f"\n[{number}/{len(steps)}] $ ecgqa {shlex.join(words)}", flush=True)
        status = _run(words)
        if status:
            print(f"\nStopped at step {number} of {len(steps)}. The same command goes on from there.")
            return status
    report = dest / "report" / "report.html"
    predictions = (str(dest / "predictions" / name) for name in ("model.parquet", "baselines"))
    print(f"\nTo look around in a browser: {shlex.join(['ecgqa', 'explore', str(dest / 'store'), *predictions])}")
    print(f"Done in {time.monotonic() - started:.0f} s. Open {report.absolute()}")
    return 0


def _steps(
    dest: Path, records: Path | None, questions: Path | None, recipe: str, patients: int, scale: float, seed: int
) -> list[list[str]]:
    """The command lines of the journey."""
    cohort, attributes, store, run = (str(dest / name) for name in ("cohort", "attributes", "store", "run"))
    made, report = str(dest / "questions"), str(dest / "report")
    model, baselines = str(dest / "predictions" / "model.parquet"), str(dest / "predictions" / "baselines")
    steps = []
    if records is None:
        steps.append(["synth", cohort, "--patients", str(patients), "--seed", str(seed)])
    ecgs = cohort if records is None else str(records)
    if questions is None:
        pool = [] if records is None else ["--pool", "released", "--present"]
        steps.append(["attributes", "build", ecgs, attributes, *pool])
        steps.append(["questions", "build", attributes, made, "--scale", str(scale), "--seed", str(seed)])
    asked = made if questions is None else str(questions)
    missing = [] if questions is None else ["--missing", "skip"]
    steps.append(["store", "build", asked, store, "--records", ecgs, "--versions", "paraphrased", *missing])
    steps.append(["train", recipe, "--data.store", store, "--out", run, "--run.seed", str(seed)])
    steps.append(["predict", run, store, "--split", "test", "--out", model, "--name", Path(recipe).stem])
    steps.append(["baselines", store, "--split", "test", "--out", baselines])
    steps.append(["report", store, model, baselines, "--dest", report])
    return steps


def _run(words: list[str]) -> int:
    from ecgqa.cli.main import main

    return main(words)
