"""The commands `ecgqa findings predict` and `ecgqa findings score`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def predict(
    run: Path,
    store: Path,
    split: Literal["train", "valid", "test", "all"] = "test",
    leads: str = "asked",
    out: Path | None = None,
    name: str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    checkpoint: Literal["best", "last"] = "best",
    precision: Literal["fp32", "bf16"] = "fp32",
) -> None:
    """Write what a trained classifier finds on a store's ECGs: the probability of each attribute in each set of leads.

    Example: ecgqa findings predict runs/se_wrn my-store --split test --leads asked --out findings/se_wrn.parquet

    Args:
        run: folder of a training run of the objective classification (an unfinished one will do)
        store: folder of the store that holds the ECGs
        split: ECGs that the questions of this split ask about; all takes every ECG of the store
        leads: asked (what the store's questions ask about, with labels), entire (all twelve leads), each (one lead at
            a time), groups (limb, chest and the regions of the heart), or names, comma separated: V1,inferior
        out: Parquet file to write (default: findings-SPLIT.parquet in the run folder)
        name: name of the run in the table (default: the run folder's name)
        batch_size: looks at a time; lower it if memory runs out
        device: auto, cpu, cuda or cuda:N
        checkpoint: the weights with the best validation score, or those of the last checkpoint
        precision: bf16 is faster on recent hardware
    """
    from ecgqa.evaluation.wording import command
    from ecgqa.records import FINDINGS
    from ecgqa.tables import write_table
    from ecgqa.training.threads import wait_quietly

    wait_quietly()
    from ecgqa.training.findings import predict_findings

    path = out or run / f"findings-{split}.parquet"
    rows = predict_findings(
        run,
        store,
        split=None if split == "all" else split,
        leads=leads,
        name=name,
        batch_size=batch_size,
        device=device,
        checkpoint=checkpoint,
        precision=precision,
    )
    write_table(rows, path, FINDINGS)
    labelled = rows.height - rows["label"].null_count()
    print(
        f"{rows.height:,} findings ({labelled:,} with label) on {rows['ecg_id'].n_unique():,} ECGs, "
        f"{rows['attribute'].n_unique()} attributes: {path}"
    )
    if labelled:
        print(f"next: {command('findings', 'score', path)}")


def score(
    findings: list[Path],
    *,
    split: Literal["train", "valid", "test"] | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Score findings against their labels: accuracy, AUROC and AUPRC per attribute, macro and micro.

    Example: ecgqa findings score findings/se_wrn.parquet --out scores.csv

    Every number has a 95 % interval that resamples ECGs. Findings without label are left out.

    Args:
        findings: Files that ecgqa findings predict wrote, as many as wanted.
        split: Score this split only; all that were predicted when left out.
        n_resamples: Resamples of ECGs behind each interval.
        seed: Seed of the resampling.
        out: Write all numbers to this file, .json or .csv.
    """
    import polars as pl

    from ecgqa.evaluation.attribute_scores import score_findings
    from ecgqa.evaluation.terminal import print_attribute_scores
    from ecgqa.records import FINDINGS
    from ecgqa.tables import read_table

    rows = pl.concat([read_table(path, FINDINGS) for path in findings], how="diagonal")
    if split is not None:
        rows = rows.filter(pl.col("split") == split)
    about = {"findings": [str(path) for path in findings]}
    scores = score_findings(rows, n_resamples=n_resamples, seed=seed, about=about)
    print_attribute_scores(scores)
    if out is not None:
        scores.write(out)
        print(f"{scores.table.height:,} rows written to {out}.")
