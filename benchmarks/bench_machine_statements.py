"""How long do the machine statements of a MIMIC-IV-ECG-sized table take, against reading every one by itself?

A made-up machine_measurements.csv (800,000 ECGs, 18 report columns, thousands of distinct statements with frequencies
like 1/rank, some of them unknown) goes through `statement_attributes` in a process of its own. Beside it, the rate of
reading statements one by one, ECG by ECG, on a part of the same table. Prints seconds, peak memory and the ratio.

Usage: python benchmarks/bench_machine_statements.py [--ecgs 800000] [--check]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from ecgqa.attributes.mimic import statement_attributes
from ecgqa.attributes.statement_rules import statement_rules
from ecgqa.attributes.statements import read_statement

TARGET_S, TARGET_GB, ONE_BY_ONE = 60, 3.0, 2_000


def made_up(path: Path, n_ecgs: int, seed: int = 0) -> None:
    """Write a machine_measurements.csv."""
    rng = np.random.default_rng(seed)
    phrases = sorted(" ".join(p) for p, meaning in statement_rules().phrases.items() if meaning.role == "finding")
    places = ("", "Inferior ", "Lateral ", "Anterior ", "Septal ", "Possible ", "Old inferior ", "Nonspecific ")
    statements = np.array(
        ["Sinus rhythm", "Abnormal ECG", "Normal ECG"]
        + [place + phrase for place in places for phrase in phrases]
        + [f"unheard-of statement {letter}{letter}" for letter in "abcdefghij"],
        dtype=object,
    )
    weights = 1.0 / np.arange(1, len(statements) + 1)
    length = rng.integers(1, 10, n_ecgs)
    columns = {"study_id": pl.Series(40_000_000 + np.arange(n_ecgs))}
    for column in range(18):
        said = statements[rng.choice(len(statements), n_ecgs, p=weights / weights.sum())]
        said[length <= column] = None
        columns[f"report_{column}"] = pl.Series(said.tolist(), dtype=pl.String)
    pl.DataFrame(columns).write_csv(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ecgs", type=int, default=800_000)
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.table is None:
        import subprocess
        import sys

        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "machine_measurements.csv"
            made_up(table, arguments.ecgs)
            command = [sys.executable, __file__, "--table", str(table), *(["--check"] if arguments.check else [])]
            return subprocess.run(command, check=False).returncode
    frame = pl.scan_csv(arguments.table, infer_schema=False).rename({"study_id": "ecg_id"})
    frame = frame.with_columns(pl.col("ecg_id").cast(pl.Int64))
    started = time.perf_counter()
    rows = statement_attributes(frame, Counter()).attributes
    seconds = time.perf_counter() - started
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    n_ecgs = rows["ecg_id"].n_unique()
    sample = frame.head(ONE_BY_ONE).select(pl.exclude("ecg_id")).collect()
    started = time.perf_counter()
    for reports in sample.iter_rows():
        for report in reports:
            if report:
                read_statement(report)
    one_by_one = (time.perf_counter() - started) / sample.height * n_ecgs
    print(f"{n_ecgs:,} ECGs, {rows.height:,} rows: {seconds:.1f} s, peak {peak_gb:.2f} GB")
    print(f"every statement by itself: {one_by_one:.0f} s, {one_by_one / seconds:.0f} times as long")
    missed = seconds > TARGET_S or peak_gb > TARGET_GB
    return int(arguments.check and missed)


if __name__ == "__main__":
    raise SystemExit(main())
