"""From questions and predictions to a finished report folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from ecgqa.artefacts import artefact_folder, write_json, write_text
from ecgqa.evaluation.baselines import BASELINES, expected_chance
from ecgqa.evaluation.compare import as_json, compare_measured
from ecgqa.evaluation.report.examples import pick
from ecgqa.evaluation.report.findings import MAIN, Findings
from ecgqa.evaluation.report.markdown import markdown
from ecgqa.evaluation.report.page import page
from ecgqa.evaluation.score import Scorer, score_runs
from ecgqa.evaluation.scores import questions_digest

if TYPE_CHECKING:
    from ecgqa.store import Store

KIND = "report"
TITLE = "Questions about ECGs: how well they were answered"


def report(
    questions: pl.DataFrame,
    predictions: pl.DataFrame,
    dest: str | Path,
    *,
    store: Store | None = None,
    title: str = TITLE,
    subset: str = "all",
    about: Mapping[str, object] | None = None,
    command: str = "",
    n_resamples: int = 1000,
    n_permutations: int = 10_000,
    seed: int = 0,
    overwrite: bool = False,
) -> Findings:
    """Score all runs in `predictions` and write `dest`: report.html, report.md, scores.json and the manifest.

    questions, predictions: tables 3 and 4. Runs named as in BASELINES are taken for baselines, all others for models.
    store: where the ECGs of the examples are drawn from; none are drawn without it. about, subset, command: facts shown
    under "what was scored". Returns what the report says. Raises EcgqaError as `score` does, or if `dest` is taken.
    """
    findings = find(
        questions, predictions, store=store, title=title, subset=subset, about=about, command=command,
        n_resamples=n_resamples, n_permutations=n_permutations, seed=seed,
    )  # fmt: skip
    inputs = {"questions_digest": questions_digest(questions), "predictions_digest": _digest(predictions)}
    config = {"title": title, "subset": subset, "n_resamples": n_resamples, "seed": seed, "drawings": store is not None}
    with artefact_folder(dest, kind=KIND, inputs=inputs, config=config, overwrite=overwrite) as draft:
        if draft.complete:
            return findings
        write_json(draft.path / "scores.json", as_plain(findings))
        write_text(draft.path / "report.md", markdown(findings))
        write_text(draft.path / "report.html", page(findings))
        draft.counts = {"questions": findings.scores.about["n_questions"], "runs": len(findings.scores.runs)}
    return findings


def find(
    questions: pl.DataFrame,
    predictions: pl.DataFrame,
    *,
    store: Store | None = None,
    title: str = TITLE,
    subset: str = "all",
    about: Mapping[str, object] | None = None,
    command: str = "",
    n_resamples: int = 1000,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> Findings:
    """What the report says, without writing it."""
    scorer = Scorer(questions, n_resamples=n_resamples, seed=seed)
    scores, measured = score_runs(scorer, predictions, subset=subset, about=about)
    ranked = sorted(scores.runs, key=lambda run: (-(scores.value(run, MAIN) or 0.0), run))
    models = [run for run in ranked if run not in BASELINES]
    best_baseline = next((run for run in ranked if run in BASELINES), None)
    comparisons = [
        compare_measured(
            scorer, measured[run], measured[best_baseline], metric=MAIN, n_permutations=n_permutations, seed=seed
        )
        for run in models
        if best_baseline is not None
    ]
    focus = (models or ranked)[0]
    rival = best_baseline if best_baseline != focus else (ranked[1] if len(ranked) > 1 else None)
    examples = pick(scorer, {run: measured[run] for run in ranked}, focus, rival, seed=seed, store=store)
    chance = expected_chance(scorer.asked.frame).mean()
    return Findings(
        scores=scores,
        comparisons=comparisons,
        examples=examples,
        expected_chance=chance if isinstance(chance, float) else 0.0,
        title=title,
        command=command,
    )


def as_plain(findings: Findings) -> dict[str, Any]:
    """scores.json of a report: all scores, comparisons and examples (without the drawings)."""
    examples = [
        {name: value for name, value in asdict(example).items() if name != "drawings"} for example in findings.examples
    ]
    return findings.scores.to_json() | {
        "expected_chance_em_candidates": findings.expected_chance,
        "comparisons": [as_json(comparison) for comparison in findings.comparisons],
        "examples": examples,
        "command": findings.command,
    }


def _digest(predictions: pl.DataFrame) -> str:
    import hashlib

    rows = predictions.select("run", "split", "version", "sample_id", "answer", "status", "scores").sort(
        "run", "split", "version", "sample_id"
    )
    columns = [pl.col(name).cast(pl.String) for name in ("run", "split", "version", "sample_id", "status")]
    lists = [pl.col("answer").list.join("\x1f"), pl.col("scores").cast(pl.List(pl.String)).list.join(" ").fill_null("")]
    lines = rows.select(pl.concat_str([*columns, *lists], separator="\x1e")).to_series().to_list()
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
