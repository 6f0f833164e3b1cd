"""The command `ecgqa map`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal


def map_questions(
    root: Path,
    records: Path | None = None,
    dest: Path | None = None,
    kind: Literal["ptbxl", "mimic-iv-ecg"] | None = None,
    records100: bool = False,
    missing: Literal["error", "skip"] = "error",
    relative: bool = False,
    overwrite: bool = False,
) -> None:
    """Add the path of each ECG to published questions (template and paraphrased in one go).

    Example: ecgqa map ecgqa/ptbxl --records physionet.org/ptb-xl --dest output/ptbxl

    Each sample gets "ecg_path", a list of record paths without extension in the order of "ecg_id". Files keep their
    names and layout; the answer and split lists are copied along. Nothing half-written stays behind.

    Args:
        root: Folder of questions, holding template/ and/or paraphrased/ (e.g. ecgqa/ptbxl).
        records: Folder of ECGs: PTB-XL's, holding records500/, or MIMIC-IV-ECG's, holding files/ and record_list.csv.
            Without it, what `ecgqa fetch` put into the cache folder.
        dest: Folder to write. Default: output/ptbxl or output/mimic-iv-ecg.
        kind: Which data set the records are. Default: seen from the folder.
        records100: Paths of the 100 Hz records of PTB-XL instead of the 500 Hz ones.
        missing: When ECGs are missing: error (write nothing and say which) or skip (leave out their samples).
        relative: Write paths relative to the folder of records, so that it can be moved, instead of absolute ones.
        overwrite: Replace what an earlier run with other settings wrote to dest.
    """
    from ecgqa.questions.mapping import map_dataset

    done = map_dataset(
        root,
        records=records,
        dest=dest,
        kind=kind,
        records100=records100,
        missing=missing,
        relative=relative,
        overwrite=overwrite,
    )
    state = "is complete already, nothing to do" if done.already_complete else "written"
    print(f"{done.dest} {state}")
    print(f"{done.n_samples:,} samples (all wordings) in {done.n_files} files, with the paths of {done.n_ecgs:,} ECGs")
    if done.n_missing:
        first = ", ".join(map(str, done.first_missing)) + (", …" if done.n_missing > len(done.first_missing) else "")
        print(f"left out: {done.n_skipped:,} samples")
        print(f"missing: {done.n_missing:,} of {done.n_ecgs + done.n_missing:,} ECGs ({first})")
        if done.already_complete:
            print("more ECGs there now? add --overwrite true to map again")
    print(f"next: ecgqa questions check {shlex.quote(str(done.dest))}")
