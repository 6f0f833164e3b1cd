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
        leads: asked (what the store's questions ask about, with labels); every (all lead sets that any question may ask
            about, for ecgqa llm run); or any of entire (all twelve leads), each (one lead at a time), groups (limb,
            chest and the regions of the heart) and names, comma separated: V1,inferior
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


def items(store: Path, as_published: bool = False, classes: Path | None = None, out: Path | None = None) -> None:
    """Tell what a store's questions say of single ECGs: attributes in sets of leads, which classifiers learn.

    Example: ecgqa findings items my-store --as-published --classes grounding_class.csv

    Args:
        store: folder of the store
        as_published: the items and classes of the original preprocessing, its defects included (the recipe's
            objective.items)
        classes: write the class list to this CSV file, in the layout of the published one
        out: write the items to this Parquet file, with the ids and names that they stand for
    """
    import polars as pl

    from ecgqa.artefacts import atomic_path
    from ecgqa.store import open_store
    from ecgqa.store.grounding import grounding_of

    opened = open_store(store)
    found = grounding_of(opened, published=as_published)
    numbers = found.items.group_by("split", maintain_order=True).agg(
        pl.struct("ecg_row", "leads").n_unique().alias("looks"), pl.len().alias("items"), pl.col("label").sum()
    )
    print(f"{store}: {found.items.height:,} items of {len(found.classes)} attributes")
    for row in numbers.iter_rows(named=True):
        print(f"  {row['split']}: {row['looks']:,} looks (an ECG in a set of leads), {row['items']:,} items, "
              f"{row['label']:,} yes")  # fmt: skip
    for note, count in found.notes.items():
        print(f"  note: {count:,} x {note}")
    if classes is not None:
        with atomic_path(classes) as temporary:
            pl.DataFrame({"index": range(len(found.classes)), "class": found.classes}).write_csv(temporary)
    if out is not None:
        ids = opened.records["ecg_id"].gather(found.items["ecg_row"])
        names = pl.Series("attribute", found.classes, dtype=pl.String).gather(found.items["class_id"])
        with atomic_path(out) as temporary:
            found.items.with_columns(ids, names).write_parquet(temporary)


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
