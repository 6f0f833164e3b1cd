"""`ecgqa baselines`: answers that never look at an ECG."""

from __future__ import annotations

from pathlib import Path


def baselines(
    questions: Path,
    *,
    out: Path,
    split: str = "test",
    train_split: str = "train",
    version: str | None = None,
    only: list[str] | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> int:
    """Write the answers of chance, majority and a question-only model, to stand beside every model.

    Example: ecgqa baselines my-store --split test --out runs/baselines

    Each baseline becomes one file of prediction rows, OUT/NAME.parquet, for `ecgqa score` and `ecgqa report`:
    chance (a random candidate), nothing (always "none"), majority_type, majority_template, majority_attribute (the most
    frequent training answer of the question's group; groups never seen in training back off to coarser ones) and
    question_only (logistic regression on the question's words). None of them sees an ECG.

    Args:
        questions: A store folder, a data set in the published layout, or a questions.parquet.
        out: Folder to write; must be new, or written by this command before.
        split: Which questions to answer: train, valid or test.
        train_split: Which questions to learn from.
        version: Wording: template or paraphrased; all that are there when left out.
        only: Names of the baselines to write, e.g. '[chance, question_only]'; all when left out.
        seed: Seed of the random answers.
        overwrite: Replace a folder that this command made from other questions or settings.
    """
    from ecgqa.errors import EcgqaError
    from ecgqa.evaluation.baselines import BASELINES, BASIS
    from ecgqa.evaluation.load import load_questions
    from ecgqa.evaluation.scores import questions_digest
    from ecgqa.evaluation.wording import command

    names = list(BASELINES) if only is None else only
    for name in names:
        if name not in BASELINES:
            raise EcgqaError(f"no baseline {name!r}", expected=", ".join(BASELINES))
    if split == train_split:
        raise EcgqaError(f"learning from and answering the same split ({split}) would flatter the baselines")
    asked = load_questions(questions, split, version)
    try:
        train = load_questions(questions, train_split, version)
    except EcgqaError:
        skipped = [name for name in names if BASELINES[name].needs_training]
        names = [name for name in names if name not in skipped]
        if not names:
            raise
        train = asked.clear()
        print(f"No {train_split} questions at {questions}: left out {', '.join(skipped)}.")

    from ecgqa.artefacts import artefact_folder
    from ecgqa.records import PREDICTIONS
    from ecgqa.tables import write_table

    inputs = {
        "questions_digest": questions_digest(asked),
        "train_questions_digest": questions_digest(train) if train.height else None,
    }
    config = {"split": split, "train_split": train_split, "version": version, "baselines": names, "seed": seed}
    with artefact_folder(out, kind="baseline predictions", inputs=inputs, config=config, overwrite=overwrite) as draft:
        if draft.complete:
            print(f"{out} is already complete: nothing to do.")
            return 0
        for name in names:
            predictions = BASELINES[name].answer(train, asked, seed)
            write_table(predictions, draft.path / f"{name}.parquet", PREDICTIONS)
            basis = predictions[BASIS].value_counts(sort=True)
            draft.counts[name] = dict(basis.iter_rows())
            rests = ", ".join(f"{label} {count:,}" for label, count in basis.iter_rows())
            print(f"{name:<20}{predictions.height:>8,} answers   resting on: {rests}")
    print(f"Written to {out}. Next: {command('score', questions, out)}")
    return 0
