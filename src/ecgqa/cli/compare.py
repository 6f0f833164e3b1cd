"""`ecgqa compare`: paired test between two runs."""

from __future__ import annotations

from pathlib import Path


def compare(
    questions: Path,
    predictions: list[Path],
    *,
    a: str | None = None,
    b: str | None = None,
    metric: str = "em_candidates",
    split: str | None = None,
    version: str | None = None,
    subset: str = "all",
    n_resamples: int = 1000,
    n_permutations: int = 10_000,
    seed: int = 0,
    out: Path | None = None,
) -> int:
    """Is run A better than run B on the same questions? Difference, 95 % interval and p-value, by question type.

    Example: ecgqa compare my-store runs/fusion.parquet runs/baselines --a fusion --b question_only

    The interval resamples ECGs, the test flips the sign of the difference per ECG; both respect that questions about
    the same ECG are not independent.

    Args:
        questions: A store folder, a data set in the published layout, or a questions.parquet.
        predictions: Prediction files, or folders of them, as many as wanted.
        a: Name of run A; the first run of the files when left out.
        b: Name of run B; the second run of the files when left out.
        metric: em_candidates or em_set have a p-value; the other metrics get a difference and its interval.
        split: Compare on this split only: train, valid or test.
        version: Compare on this wording only: template or paraphrased.
        subset: all, answered (only questions that both runs have a row for), or a file with one sample id per line.
        n_resamples: Resamples of ECGs behind each interval.
        n_permutations: Sign flips behind each p-value.
        seed: Seed of resamples and flips.
        out: Write the comparison to this JSON file.
    """
    from ecgqa.artefacts import write_json
    from ecgqa.errors import EcgqaError
    from ecgqa.evaluation.compare import as_json, pair_of
    from ecgqa.evaluation.compare import compare as compare_runs
    from ecgqa.evaluation.load import load_predictions, load_questions, select
    from ecgqa.evaluation.terminal import print_comparison

    found = load_predictions(predictions, split, version)
    runs = found["run"].unique(maintain_order=True).to_list()
    if (a is None or b is None) and len(runs) < 2:
        raise EcgqaError("two runs are needed", found=", ".join(runs), fix="give two prediction files")
    run_a = runs[0] if a is None else a
    run_b = next(run for run in runs if run != run_a) if b is None else b
    first, second = pair_of(found, run_a, run_b)
    both = first.vstack(second) if run_a != run_b else first
    chosen = select(load_questions(questions, split, version), both, subset)
    first, second = pair_of(chosen.predictions, run_a, run_b)
    comparison = compare_runs(
        chosen.questions,
        first,
        second,
        metric=metric,
        n_resamples=n_resamples,
        n_permutations=n_permutations,
        seed=seed,
    )
    print_comparison(comparison)
    if out is not None:
        write_json(out, as_json(comparison))
        print(f"Written to {out}.")
    return 0
