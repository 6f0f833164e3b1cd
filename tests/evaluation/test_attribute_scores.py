"""Scores of findings against plain definitions, their intervals, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ecgqa.errors import EcgqaError
from ecgqa.evaluation.attribute_scores import METRICS, SCHEMA, score_findings
from ecgqa.evaluation.terminal import print_attribute_scores
from ecgqa.records import ALL_LEADS, FINDINGS


def findings(
    n_ecgs: int = 60, per_ecg: int = 12, *, seed: int = 0, run: str = "a", signal: float = 0.4
) -> pl.DataFrame:
    """Three attributes in single leads; the label of an ECG's leads is the same, as a real ECG's tend to be."""
    generator = np.random.default_rng(seed)
    n = n_ecgs * per_ecg
    ecg = np.repeat(np.arange(n_ecgs), per_ecg)
    attribute = np.tile(np.arange(per_ecg) % 3, n_ecgs)
    label = (generator.random((n_ecgs, 3)) < [0.5, 0.2, 0.05])[ecg, attribute]
    noise = generator.random((n_ecgs, 3))[ecg, attribute]
    frame = pl.DataFrame(
        {
            "source": ["x"] * n,
            "ecg_id": ecg,
            "split": ["test"] * n,
            "leads": np.tile(1 << np.arange(per_ecg) // 3, n_ecgs).astype(np.uint16),
            "attribute": np.array(["drift", "flutter", "pacing"])[attribute],
            "probability": np.round((1 - signal) * noise + signal * label, 2).astype(np.float32),
            "threshold": np.array([0.5, 0.3, 0.5], np.float32)[attribute],
            "label": label,
            "run": [run] * n,
        }
    )
    return frame.cast(FINDINGS.polars)  # type: ignore[arg-type]


def auroc(score: Any, label: Any) -> float:
    yes, no = score[label], score[~label]
    return float(((yes[:, None] > no).sum() + ((yes[:, None] == no).sum() / 2)) / (len(yes) * len(no)))


def auprc(score: Any, label: Any) -> float:
    return float(np.mean([label[score >= value].mean() for value in score[label]]))


def test_values_follow_their_definitions() -> None:
    frame = findings()
    scores = score_findings(frame, n_resamples=20)
    assert scores.table["attribute"].to_list() == ["drift", "flutter", "pacing", "macro", "micro"]
    by_hand = {}
    for name in ("drift", "flutter", "pacing"):
        mine = frame.filter(pl.col("attribute") == name)
        score, label = mine["probability"].to_numpy(), mine["label"].to_numpy()
        row = scores.row("a", name)
        by_hand[name] = {
            "accuracy": float(((score > mine["threshold"].to_numpy()) == label).mean()),
            "accuracy_at_half": float(((score > 0.5) == label).mean()),
            "auroc": auroc(score, label),
            "auprc": auprc(score, label),
            "majority": max(label.mean(), 1 - label.mean()),
        }
        assert (row["n"], row["positives"], row["ecgs"]) == (mine.height, label.sum(), 60)
        for metric, value in by_hand[name].items():
            assert row[metric] == pytest.approx(value), (name, metric)
    macro, micro = scores.row("a", "macro"), scores.row("a", "micro")
    for metric in (*METRICS, "majority"):
        assert macro[metric] == pytest.approx(np.mean([one[metric] for one in by_hand.values()]))
    assert micro["auroc"] == pytest.approx(auroc(frame["probability"].to_numpy(), frame["label"].to_numpy()))
    assert micro["auprc"] == pytest.approx(auprc(frame["probability"].to_numpy(), frame["label"].to_numpy()))
    assert micro["accuracy_at_half"] == pytest.approx(((frame["probability"] > 0.5) == frame["label"]).mean())


def test_intervals_are_those_of_a_bootstrap_over_ecgs() -> None:
    """Against a bootstrap that computes everything anew; one over items would be half as wide."""
    frame = findings(200)
    scores = score_findings(frame, n_resamples=600)
    generator = np.random.default_rng(5)
    rows = [np.flatnonzero(frame["ecg_id"].to_numpy() == ecg) for ecg in range(200)]
    score, label = frame["probability"].to_numpy(), frame["label"].to_numpy()
    code = frame["attribute"].to_numpy()
    values: dict[str, list[float]] = {"drift": [], "macro": []}
    for _ in range(300):
        drawn = np.concatenate([rows[ecg] for ecg in generator.integers(0, 200, 200)])
        each = [auroc(score[drawn][code[drawn] == name], label[drawn][code[drawn] == name]) for name in np.unique(code)]
        values["drift"].append(each[0])
        values["macro"].append(float(np.mean(each)))
    for name, samples in values.items():
        row = scores.row("a", name)
        low, high = np.quantile(samples, [0.025, 0.975])
        assert row["auroc_low"] < row["auroc"] < row["auroc_high"]
        assert row["auroc_high"] - row["auroc_low"] == pytest.approx(high - low, rel=0.25), name
        assert row["auroc_low"] == pytest.approx(low, abs=0.02), name


def test_an_attribute_of_one_label_has_no_area_and_is_not_averaged() -> None:
    pacing = pl.col("attribute") == "pacing"
    frame = findings().with_columns(
        pl.col("label") & ~pacing, pl.when(pacing).then(0.1).otherwise("probability").alias("probability")
    )
    scores = score_findings(frame, n_resamples=20)
    row = scores.row("a", "pacing")
    assert row["auroc"] is None and row["auprc"] is None and row["auroc_low"] is None
    assert row["accuracy"] == row["majority"] == 1.0  # nothing is ever above 0.5 there
    assert row["accuracy_low"] == pytest.approx(0.025 ** (1 / 60)) and row["accuracy_high"] == 1.0
    areas = [scores.row("a", name)["auroc"] for name in ("drift", "flutter")]
    assert scores.row("a", "macro")["auroc"] == pytest.approx(np.mean(areas))
    assert scores.row("a", "macro")["n"] == scores.row("a", "micro")["n"] - row["n"]


def test_runs_are_scored_by_themselves_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = pl.concat([findings(), findings(run="b", signal=0.9)])
    unlabelled = findings(run="c").with_columns(pl.lit(None, dtype=pl.Boolean).alias("label"))
    scores = score_findings(pl.concat([both, unlabelled]), n_resamples=20)
    assert scores.runs == ["a", "b"]
    alone = score_findings(findings(run="b", signal=0.9), n_resamples=20)
    assert alone.table.equals(scores.table.filter(pl.col("run") == "b"))
    assert scores.row("b", "macro")["auroc"] > scores.row("a", "macro")["auroc"]
    written = json.loads(scores.write(tmp_path / "s.json").read_text())
    assert pl.DataFrame(written["scores"], schema=SCHEMA).equals(scores.table)
    assert pl.read_csv(scores.write(tmp_path / "s.csv")).height == scores.table.height
    with pytest.raises(EcgqaError, match="no format"):
        scores.write(tmp_path / "s.xlsx")
    print_attribute_scores(scores)
    assert "flutter" in capsys.readouterr().out


def test_what_cannot_be_scored_is_refused() -> None:
    frame = findings()
    with pytest.raises(EcgqaError, match="none of these findings has a label"):
        score_findings(frame.with_columns(pl.lit(None, dtype=pl.Boolean).alias("label")))
    with pytest.raises(EcgqaError, match="speaks twice"):
        score_findings(pl.concat([frame, frame.head(1)]))
    one = frame.filter(pl.col("ecg_id") == 3).with_columns(pl.lit(ALL_LEADS, dtype=pl.UInt16).alias("leads"))
    row = score_findings(one.unique("attribute"), n_resamples=5).row("a", "micro")
    assert row["accuracy"] is not None and row["accuracy_low"] is None
