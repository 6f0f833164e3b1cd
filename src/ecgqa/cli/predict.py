"""The command `ecgqa predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def predict(
    run: Path,
    store: Path,
    split: Literal["train", "valid", "test"] = "test",
    out: Path | None = None,
    version: Literal["template", "paraphrased"] | None = None,
    name: str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    checkpoint: Literal["best", "last"] = "best",
    precision: Literal["fp32", "bf16"] = "fp32",
) -> None:
    """Let a trained model answer the questions of a store, and write its answers as prediction rows.

    Example: ecgqa predict runs/tiny stores/ptbxl --split test --out runs/tiny/test.parquet

    Args:
        run: folder of a training run (an unfinished one will do, once it has a checkpoint)
        store: folder of the store whose questions are asked
        split: split to answer
        out: Parquet file to write (default: predictions-SPLIT.parquet in the run folder)
        version: wording to answer (default: all that the store holds)
        name: name of the run in reports (default: the run folder's name)
        batch_size: questions at a time; lower it if memory runs out
        device: auto, cpu, cuda or cuda:N
        checkpoint: the weights with the best validation score, or those of the last checkpoint
        precision: bf16 is faster on recent hardware
    """
    import shlex

    from ecgqa.records import PREDICTIONS
    from ecgqa.tables import write_table
    from ecgqa.training.threads import wait_quietly

    wait_quietly()
    from ecgqa.training.prediction import predict as run_prediction

    path = out or run / f"predictions-{split}.parquet"
    rows = run_prediction(
        run,
        store,
        split=split,
        version=version,
        name=name,
        batch_size=batch_size,
        device=device,
        checkpoint=checkpoint,
        precision=precision,
    )
    write_table(rows, path, PREDICTIONS)
    print(f"{rows.height:,} {split} questions answered by {rows['run'][0] if rows.height else run.name}: {path}")
    print(f"next: ecgqa score {shlex.quote(str(store))} {shlex.quote(str(path))}")
