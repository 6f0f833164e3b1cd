"""Reading 12-lead WFDB records: `read_ecg` against `wfdb.rdsamp`, on the same records, warm, on one thread, in one run.

The two sides take turns, so that a busy machine slows both. `read_ecg` also looks for flat, invalid and clipped leads;
the rows below it add the comparison of checksums, and the conversion to millivolts that `wfdb.rdsamp` includes.
Target: 10 times the records per second.

Usage: python benchmarks/bench_read.py [--check]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import wfdb

import inputs
from ecgqa.signals.read import read_ecg

TARGET = 10.0
N_RECORDS = 400
N_WFDB = 60
ROUNDS = 4


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        found = inputs.records(Path(name), N_RECORDS)
        paths = [str(path) for path in found[:: max(1, len(found) // N_RECORDS)][:N_RECORDS]]
        readers: dict[str, tuple[Callable[[str], object], int]] = {
            "wfdb.rdsamp": (wfdb.rdsamp, N_WFDB),
            "wfdb.rdrecord, digital": (lambda path: wfdb.rdrecord(path, physical=False), N_WFDB),
            "read_ecg": (read_ecg, N_RECORDS),
            "read_ecg, checksums compared": (lambda path: read_ecg(path, verify=True), N_RECORDS),
            "read_ecg, then millivolts": (lambda path: read_ecg(path).millivolts(), N_RECORDS),
        }
        for path in paths:  # the same warm start for all
            read_ecg(path)
        spent = dict.fromkeys(readers, 0.0)
        done = dict.fromkeys(readers, 0)
        for _ in range(ROUNDS):
            for label, (reader, n_records) in readers.items():
                part = paths[:n_records]
                started = time.perf_counter()
                for path in part:
                    reader(path)
                spent[label] += time.perf_counter() - started
                done[label] += len(part)
    rates = {label: done[label] / spent[label] for label in readers}
    base = rates["wfdb.rdsamp"]
    kind = "real" if inputs.real_data() else "made-up"
    inputs.table(
        f"reading {len(paths)} {kind} records of 12 leads x 5,000 samples",
        [
            *((label, f"{rate:8,.0f} records/s  ratio {rate / base:6.1f}") for label, rate in rates.items()),
            ("ratio", f"{rates['read_ecg'] / base:8.1f} (target {TARGET:.0f})"),
        ],
    )
    return 0 if rates["read_ecg"] >= TARGET * base or "--check" not in sys.argv else 1


if __name__ == "__main__":
    sys.exit(main())
