"""`ecgqa score`: prediction rows to scores with intervals."""

from __future__ import annotations

from pathlib import Path


def score(
    questions: Path,
    predictions: list[Path],
    *,
    split: str | None = None,
    version: str | None = None,
    subset: str = "all",
    breakdown: str | None = None,
    metric: str = "em_candidates",
    n_resamples: int = 1000,
    seed: int = 0,
    out: Path | None = None,
) -> int:
    """Score one or more runs and print a table; every number has a 95 % interval that resamples ECGs.

    Example: ecgqa score my-store runs/fusion.parquet runs/baselines --out scores.json

    A question without a usable answer (unparseable, refused, failed or missing) counts as wrong. The definition of each
    metric stands in scores.json and in `ecgqa report`.

    Args:
        questions: A store folder, a data set in the published layout, or a questions.parquet.
        predictions: Prediction files, or folders of them, as many as wanted.
        split: Score this split only: train, valid or test; all that were predicted when left out.
        version: Score this wording only: template or paraphrased; all that were predicted when left out.
        subset: all, answered (only questions that every run has a row for), or a file with one sample id per line.
        breakdown: Print one more table: comparison, question_and_attribute_type, attribute_type, template, n_answers,
            split or version.
        metric: Metric of the tables by group.
        n_resamples: Resamples of ECGs behind each interval.
        seed: Seed of the resampling.
        out: Write all numbers to this JSON file.
    """
    from ecgqa.errors import EcgqaError
    from ecgqa.evaluation.breakdowns import BREAKDOWNS
    from ecgqa.evaluation.load import load_predictions, load_questions, select
    from ecgqa.evaluation.metrics import METRICS
    from ecgqa.evaluation.score import score as score_runs
    from ecgqa.evaluation.terminal import print_scores
    from ecgqa.evaluation.wording import command

    if metric not in METRICS:
        raise EcgqaError(f"no such metric: {metric!r}", expected=", ".join(METRICS))
    if breakdown is not None and breakdown not in BREAKDOWNS:
        raise EcgqaError(f"no such breakdown: {breakdown!r}", expected=", ".join(BREAKDOWNS))
    chosen = select(load_questions(questions, split, version), load_predictions(predictions, split, version), subset)
    scores = score_runs(
        chosen.questions,
        chosen.predictions,
        n_resamples=n_resamples,
        seed=seed,
        subset=chosen.subset,
        about={"questions": str(questions), "predictions": [str(path) for path in predictions]},
    )
    print_scores(scores, breakdown=breakdown, metric=metric)
    if out is not None:
        scores.write(out)
        print(f"{scores.table.height:,} numbers written to {out}.")
    print(f"Next: {command('report', questions, *predictions, '--dest', 'report')}")
    return 0
