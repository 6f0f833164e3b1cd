"""The command `ecgqa stats`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def stats(
    questions: Path,
    *,
    records: Path | None = None,
    attributes: Path | None = None,
    split: str | None = None,
    version: str | None = None,
    out: Path | None = None,
    html: Path | None = None,
) -> None:
    """Count what a question set holds: kinds, answers, reuse of ECGs, texts, labels that go together, leaks.

    Example: ecgqa stats my-store --html stats.html
             ecgqa stats ecgqa/ptbxl --records physionet.org/ptb-xl --attributes attributes --out stats.json

    A leak is an ECG, or with records a patient, in two splits. What does not depend on the wording counts a sample once
    that stands in both wordings.

    Args:
        questions: A store folder, a data set in the published layout, or a questions.parquet.
        records: Folder of the ECGs' data set or of attributes, or a records.parquet, to tell the patients of questions;
            a store knows them itself.
        attributes: Folder made by ecgqa attributes build, to count the attributes that ECGs have together.
        split: Count this split only: train, valid or test.
        version: Count this wording only: template or paraphrased.
        out: JSON file for all numbers.
        html: HTML file for a page with plots that needs no network.
    """
    from ecgqa.artefacts import write_json, write_text
    from ecgqa.evaluation.load import load_questions
    from ecgqa.evaluation.report.question_page import question_page
    from ecgqa.evaluation.terminal import print_statistics
    from ecgqa.questions.statistics import count_questions
    from ecgqa.records import ATTRIBUTES
    from ecgqa.tables import read_table

    table = load_questions(questions, split, version)
    known = None
    if attributes is not None:
        known = read_table(attributes / "attributes.parquet" if attributes.is_dir() else attributes, ATTRIBUTES)
    counted = count_questions(table, records=_records(records or questions, records is not None), attributes=known)
    print_statistics(counted)
    if out is not None:
        write_json(out, counted.to_json())
        print(f"all numbers written to {out}")
    if html is not None:
        write_text(html, question_page(counted, f"Questions of {questions.resolve().name}"))
        print(f"page written to {html}")


def _records(place: Path, asked_for: bool) -> pl.DataFrame | None:
    """The records table at `place`: a Parquet file, a folder with one, or the folder of a data set if asked for."""
    from ecgqa.records import RECORDS
    from ecgqa.tables import read_table

    file = place / "records.parquet" if place.is_dir() else place
    if file.is_file() and (asked_for or place.is_dir()):
        return read_table(file, RECORDS)
    if not asked_for:
        return None
    from ecgqa.sources import open_source

    return open_source(place).records()
