"""How well a classifier's findings fit the labels: accuracy, AUROC and AUPRC per attribute, macro and micro."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ecgqa.artefacts import atomic_path, write_json
from ecgqa.curves import ClassCurves, class_curves
from ecgqa.errors import EcgqaError
from ecgqa.evaluation.resampling import LEVEL, EcgResampler, certain, interval
from ecgqa.records import FINDINGS
from ecgqa.tables import conform

METRICS = ("accuracy", "accuracy_at_half", "auroc", "auprc")
MACRO, MICRO = "macro", "micro"
DEFINITIONS = {
    "accuracy": "share of items on the right side of the attribute's own threshold",
    "accuracy_at_half": "share of items on the right side of 0.5, as published",
    "auroc": "P(probability of a positive item > of a negative one) + half P(equal)",
    "auprc": "mean over positive items of the precision at their probability (average precision)",
    "majority": "accuracy of always giving each attribute's commoner label, known only with hindsight",
    MACRO: "mean over the attributes that have items of both labels",
    MICRO: "all items together, whatever their attribute",
}
SCHEMA = {
    "run": pl.String(),
    "attribute": pl.String(),
    "n": pl.Int64(),
    "positives": pl.Int64(),
    "ecgs": pl.Int64(),
    "majority": pl.Float64(),
    **{name: pl.Float64() for metric in METRICS for name in (metric, f"{metric}_low", f"{metric}_high")},
}


@dataclass(frozen=True)
class AttributeScores:
    """One row per run and attribute, then one for `macro` and one for `micro`; columns of SCHEMA.

    A value is null where it is undefined (AUROC with items of one label only), an interval also where a single ECG
    stands behind it. about: what was scored, and how.
    """

    table: pl.DataFrame
    about: dict[str, Any]

    @property
    def runs(self) -> list[str]:
        return list(self.table["run"].unique(maintain_order=True))

    def row(self, run: str, attribute: str) -> dict[str, Any]:
        """The numbers of one attribute, "macro" or "micro"."""
        found = self.table.filter(pl.col("run") == run, pl.col("attribute") == attribute)
        if found.is_empty():
            raise EcgqaError(f"no scores of {attribute!r} for the run {run!r}", expected=", ".join(self.runs))
        return found.row(0, named=True)

    def write(self, path: str | Path) -> Path:
        """Write the table as .csv, or everything as .json; whole or not at all."""
        path = Path(path)
        if path.suffix.lower() == ".json":
            return write_json(path, {"about": self.about, "definitions": DEFINITIONS, "scores": self.table.to_dicts()})
        if path.suffix.lower() != ".csv":
            raise EcgqaError(f"no format for {path.name!r}", expected="a name that ends in .json or .csv")
        with atomic_path(path) as temporary:
            self.table.write_csv(temporary)
        return path


def score_findings(
    findings: pl.DataFrame, *, n_resamples: int = 1000, seed: int = 0, about: Mapping[str, Any] | None = None
) -> AttributeScores:
    """Scores of the labelled rows of FINDINGS frames, each run by itself, with 95 % intervals that resample ECGs.

    Raises EcgqaError if no row has a label, or if a run says the same thing twice.
    """
    rows = conform(findings, FINDINGS, where="findings").drop_nulls("label")
    if rows.is_empty():
        raise EcgqaError(
            "none of these findings has a label to compare with",
            found=f"{findings.height:,} rows without label",
            fix="ecgqa findings predict RUN STORE --split test --leads asked",
        )
    keys = ["run", "source", "ecg_id", "leads", "attribute"]
    if (twice := rows.filter(pl.struct(keys).is_duplicated())).height:
        row = twice.row(0, named=True)
        raise EcgqaError(
            f"the run {row['run']!r} speaks twice of ECG {row['ecg_id']}, {row['attribute']}",
            expected="each finding once",
            fix="give each file once, and each run its own --name",
        )
    runs = rows["run"].unique(maintain_order=True).to_list()
    facts = {
        "n_resamples": n_resamples,
        "seed": seed,
        "level": LEVEL,
        "resampled": "ECGs, with replacement",
        "splits": sorted(rows["split"].cast(pl.String).drop_nulls().unique().to_list()),
    }
    tables = [_scored(run, rows.filter(pl.col("run") == run), n_resamples, seed) for run in runs]
    return AttributeScores(pl.concat(tables), facts | dict(about or {}))


def _scored(run: str, rows: pl.DataFrame, n_resamples: int, seed: int) -> pl.DataFrame:
    # Scores resample by whole numbers: ECGs of several sources are numbered through.
    ecg = rows.select(pl.struct("source", "ecg_id").rank("dense").cast(pl.Int64).alias("ecg"))["ecg"]
    resampler = EcgResampler(ecg.reshape((-1, 1)).arr.to_list(), n_resamples, seed)
    names = sorted(rows["attribute"].unique().to_list())
    code = rows["attribute"].replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
    probability = rows["probability"].to_numpy()
    label = rows["label"].to_numpy().astype(np.bool_)
    right = {
        "accuracy": (probability > rows["threshold"].to_numpy()) == label,
        "accuracy_at_half": (probability > 0.5) == label,
    }
    group_names = [*names, MACRO, MICRO]
    estimate = {metric: np.full(len(group_names), np.nan) for metric in METRICS}
    samples = {metric: np.full((len(group_names), n_resamples), np.nan) for metric in METRICS}
    n = np.bincount(code, minlength=len(names))
    positives = np.bincount(code, weights=label, minlength=len(names)).astype(np.int64)
    both, common = (positives > 0) & (positives < n), np.maximum(positives, n - positives)

    counts = resampler.sums(resampler.by_unit(code, np.ones(len(code), np.float32), len(names))).astype(np.float64)
    for metric, hit in right.items():
        hits = resampler.sums(resampler.by_unit(code, hit.astype(np.float32), len(names))).astype(np.float64)
        exact = np.bincount(code, weights=hit, minlength=len(names))
        with np.errstate(invalid="ignore", divide="ignore"):
            _put(estimate[metric], samples[metric], exact / n, hits / counts, both)
        estimate[metric][-1] = exact.sum() / n.sum()
        samples[metric][-1] = hits.sum(0) / counts.sum(0)

    curves = class_curves(code, probability, label)
    pooled = class_curves(np.zeros_like(code), probability, label)
    for metric in ("auroc", "auprc"):
        value, moved = _areas(curves, metric, code, resampler, len(names))
        value = np.where(positives > 0, value, np.nan)
        _put(estimate[metric], samples[metric], value, np.clip(value[:, None] + moved, 0.0, 1.0), both)
        whole, moved = _areas(pooled, metric, np.zeros_like(code), resampler, 1)
        if positives.any():
            estimate[metric][-1], samples[metric][-1] = whole[0], np.clip(whole[0] + moved[0], 0.0, 1.0)

    ecg_codes = ecg.to_numpy()
    ecgs = [int(np.unique(ecg_codes[code == number]).size) for number in range(len(names))]
    everything = int(np.unique(ecg_codes).size)
    columns: dict[str, Any] = {
        "run": [run] * len(group_names),
        "attribute": group_names,
        "n": [*n.tolist(), int(n[both].sum()), int(n.sum())],
        "positives": [*positives.tolist(), int(positives[both].sum()), int(positives.sum())],
        "ecgs": [*ecgs, everything, everything],
        "majority": [*(common / n), (common / n)[both].mean() if both.any() else np.nan, common.sum() / n.sum()],
    }
    few = np.array(columns["ecgs"]) < 2
    for metric in METRICS:
        low, high = interval(estimate[metric], samples[metric])
        if metric in right:
            for place in np.flatnonzero(np.isin(estimate[metric], (0.0, 1.0))):
                share, n_items = float(estimate[metric][place]), int(columns["n"][place])
                low[place], high[place] = certain(share, int(columns["ecgs"][place]), n_items)
        columns[metric] = estimate[metric]
        columns[f"{metric}_low"], columns[f"{metric}_high"] = np.where(few, np.nan, low), np.where(few, np.nan, high)
    return pl.DataFrame(columns, schema=SCHEMA).with_columns(pl.col(pl.Float64).fill_nan(None))


def _put(
    estimate: NDArray[np.float64],
    samples: NDArray[np.float64],
    value: NDArray[np.float64],
    resampled: NDArray[np.float64],
    averaged: NDArray[np.bool_],
) -> None:
    """Values of the attributes, and behind them their mean over those `averaged`."""
    n = len(value)
    estimate[:n], samples[:n] = value, resampled
    if averaged.any():
        estimate[n] = value[averaged].mean()
        known = np.isfinite(resampled[averaged])
        total = np.where(known, resampled[averaged], 0.0).sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            samples[n] = total / known.sum(0)


def _areas(
    curves: ClassCurves, metric: str, code: NDArray[np.int64], resampler: EcgResampler, n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas (n,), and how far each resample moves them (n, n_resamples): to first order, by the items' influences."""
    value = np.full(n, np.nan)
    value[curves.cell] = getattr(curves, metric)
    influence = getattr(curves, f"{metric}_influence").astype(np.float32)
    return value, resampler.sums(resampler.by_unit(code, influence, n)).astype(np.float64)
