"""The commands `ecgqa questions ...`."""

from __future__ import annotations

from pathlib import Path


def check(path: Path, records: Path | None = None, json: Path | None = None) -> int:
    """Report everything wrong with a question dataset, and say which release it looks like.

    Example: ecgqa questions check ecgqa/ptbxl --records physionet.org/ptb-xl --json findings.json

    Checks structure, ids, types, answers, pairs, splits, agreement of the two wordings, duplicates and known errata.
    Ends with status 1 if there are errors (warnings and notes do not count).

    Args:
        path: Folder of questions, holding template/ and/or paraphrased/ (released, mapped, or made by ecgqa).
        records: Folder of the ECGs' data set; its metadata tell patients and times, to find leaks between splits.
        json: File to write the whole report to, as JSON.
    """
    from ecgqa.artefacts import write_json
    from ecgqa.questions.check import check_dataset

    report = check_dataset(path, records=records)
    print(report.as_text())
    if json is not None:
        write_json(json, report.as_json())
        print(f"report written to {json}")
    return 1 if report.n_errors else 0
