"""`ecgqa fetch`: the command line of the downloads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal


def fetch(
    source: Literal["ptbxl", "mimic-iv-ecg", "questions"],
    dest: Path | None = None,
    version: str | None = None,
    what: Literal["metadata", "records500", "records100", "all", "ptbxl", "mimic-iv-ecg"] | None = None,
    ids: Path | None = None,
    questions: Path | None = None,
    mirror: str | None = None,
    connections: int = 8,
    dry_run: bool = False,
) -> int:
    """Download a data set, verified by its published checksums; the same command again goes on where it stopped.

    Examples: ecgqa fetch questions
              ecgqa fetch ptbxl --dry-run
              ecgqa fetch ptbxl --questions ~/.cache/ecgqa/questions

    Args:
        source: what to download: ptbxl (about 2.7 GB), mimic-iv-ecg (about 97 GB) or the ECG-QA questions (about 2 GB).
        dest: folder to download into (default: the cache folder of the source, below ECGQA_CACHE or ~/.cache/ecgqa).
        version: version of the data set (default: ptbxl 1.0.3, mimic-iv-ecg 1.0); for questions any commit or branch.
        what: records500 (default, 500 Hz records and metadata), records100, metadata or all; for questions ptbxl,
            mimic-iv-ecg or all (default).
        ids: only these ECGs: a text file with one id a line, or a split list such as train_ecgs.tsv.
        questions: only the ECGs that this question data set refers to (a folder in the published layout).
        mirror: another address in the place of the built-in ones; several are separated by commas. For records the
            base that stands for https://physionet.org/files/ptb-xl/1.0.3/, for questions a .tar.gz of the repository.
        connections: how many files at once, 1 to 256; PhysioNet itself prefers few, its S3 bucket takes 64.
        dry_run: say what would be downloaded, how much, from where and to where, and write nothing.
    """
    from ecgqa.sources.fetch import fetch as fetch_source
    from ecgqa.sources.fetch_report import summary

    report = fetch_source(
        source,
        dest,
        version=version,
        what=what,
        ids=ids,
        questions=questions,
        mirrors=[text.strip() for text in mirror.split(",") if text.strip()] if mirror else (),
        connections=connections,
        dry_run=dry_run,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    print(summary(report))
    return 0 if report.complete or report.dry_run else 1
