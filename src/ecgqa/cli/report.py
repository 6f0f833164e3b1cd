"""`ecgqa report`: tables, JSON, Markdown and one HTML page."""

from __future__ import annotations

from pathlib import Path


def report(
    questions: Path,
    predictions: list[Path],
    *,
    dest: Path = Path("report"),
    title: str | None = None,
    split: str | None = None,
    version: str | None = None,
    subset: str = "all",
    drawings: bool = True,
    n_resamples: int = 1000,
    n_permutations: int = 10_000,
    seed: int = 0,
    overwrite: bool = False,
) -> int:
    """Write a report on one or more runs: report.html (one page that needs no network), report.md and scores.json.

    Example: ecgqa report my-store runs/fusion.parquet runs/baselines --dest report

    The page shows every run beside the best baseline that sees no ECG, with 95 % intervals and a paired test, by
    question type, attribute and template, with calibration, outcomes and examples, and defines every metric it names.

    Args:
        questions: A store folder, a data set in the published layout, or a questions.parquet.
        predictions: Prediction files, or folders of them (e.g. of ecgqa baselines), as many as wanted.
        dest: Folder to write.
        title: Title of the page.
        split: Report this split only: train, valid or test; all that were predicted when left out.
        version: Report this wording only: template or paraphrased; all that were predicted when left out.
        subset: all, answered (only questions that every run has a row for), or a file with one sample id per line.
        drawings: Draw the ECGs of the examples (needs a store and matplotlib); --drawings false leaves them out.
        n_resamples: Resamples of ECGs behind each interval.
        n_permutations: Sign flips behind each p-value.
        seed: Seed of resamples, flips and the choice of examples.
        overwrite: Replace a report made of other inputs.
    """
    from ecgqa.evaluation.load import load_predictions, load_questions, select
    from ecgqa.evaluation.report import report as write_report
    from ecgqa.evaluation.report.build import TITLE
    from ecgqa.evaluation.terminal import print_comparison, print_scores
    from ecgqa.evaluation.wording import command

    chosen = select(load_questions(questions, split, version), load_predictions(predictions, split, version), subset)
    about: dict[str, object] = {"questions": str(questions), "predictions": [str(path) for path in predictions]}
    store = None
    if (questions / "signals.npy").is_file():
        from ecgqa.store import open_store

        store = open_store(questions)
        about["dataset"] = _dataset(store.manifest)
    again: list[object] = ["report", questions, *predictions, "--dest", dest]
    for name, value, default in (
        ("title", title, None), ("split", split, None), ("version", version, None), ("subset", subset, "all"),
        ("drawings", str(drawings).lower(), "true"), ("n_resamples", n_resamples, 1000),
        ("n_permutations", n_permutations, 10_000), ("seed", seed, 0),
    ):  # fmt: skip
        if value != default:
            again += [f"--{name}", value]
    findings = write_report(
        chosen.questions,
        chosen.predictions,
        dest,
        store=store if drawings else None,
        title=TITLE if title is None else title,
        subset=chosen.subset,
        about=about,
        command=command(*again),
        n_resamples=n_resamples,
        n_permutations=n_permutations,
        seed=seed,
        overwrite=overwrite,
    )
    print_scores(findings.scores)
    if findings.headline is not None:
        print_comparison(findings.headline)
    print(f"Written to {dest}: report.html, report.md, scores.json. Next: open {dest / 'report.html'} in a browser.")
    return 0


def _dataset(manifest: dict[str, object]) -> str:
    """What a store says it was made from, in one line."""
    inputs = manifest.get("inputs")
    if not isinstance(inputs, dict):
        return ""
    return ", ".join(
        f"{name} {str(value)[:16]}" for name, value in sorted(inputs.items()) if isinstance(value, (str, int))
    )
