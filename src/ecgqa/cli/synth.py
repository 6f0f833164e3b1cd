"""`ecgqa synth`: write a synthetic cohort."""

from __future__ import annotations

from pathlib import Path


def synth(
    dest: Path,
    patients: int = 1500,
    seed: int = 0,
    workers: int | None = None,
    records100: bool = False,
    overwrite: bool = False,
) -> None:
    """Write a synthetic cohort of twelve-lead ECGs in PTB-XL's layout, for trying everything without real data.

    Example: ecgqa synth cohort --patients 2000 --seed 0

    The folder holds WFDB records (500 Hz, 10 s), ptbxl_database.csv, scp_statements.csv, attributes.parquet (true heart
    axis and intervals) and parameters.parquet (everything each ECG was made from). About 120 kB per record. Made for
    training and testing software: it is not evidence about patients, and not for clinical use.

    Args:
        dest: Folder to make. It appears whole or not at all; the same command again changes nothing.
        patients: Number of patients; each has one to five dated records, 1.6 on average.
        seed: Whole number that decides everything; the same seed gives the same bytes.
        workers: Processes to use; by default all processors.
        records100: Also write 100 Hz copies below records100/.
        overwrite: Replace a cohort that was made with other settings.
    """
    from shlex import quote

    from ecgqa.artefacts import read_manifest
    from ecgqa.sources.synthetic import write_cohort

    write_cohort(dest, n_patients=patients, seed=seed, workers=workers, records100=records100, overwrite=overwrite)
    counts = read_manifest(dest)["counts"]
    print(f"{dest}: {counts['records']} ECGs of {counts['patients']} synthetic patients")
    print(f"next: ecgqa attributes build {quote(str(dest))} attributes")
