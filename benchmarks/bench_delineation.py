"""Delineating lead II as behind the released questions: ours against NeuroKit2, on the same records, in one run.

NeuroKit2 is no dependency: where it cannot be imported, or its version does not run beside today's numpy, only our time
is printed (its figures in docs/benchmarks.md are from version 0.2.3 beside numpy 1.23.5, scipy 1.10.1, pandas 1.5.3).
The two sides take turns, so that a busy machine slows both. The second table is the way from record to attributes
(reading, three leads delineated, six features, heart axis) on one thread; the third the same for a collection, as
`ecgqa attributes build` does it, on all processors, against the loop of before. Targets: 15, 15 and 25 times as fast.

Usage: python benchmarks/bench_delineation.py [--check]
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import inputs
from ecgqa.attributes.waveform import measure_released, waveform_attributes
from ecgqa.records import LEADS
from ecgqa.signals.delineation.released import delineate_lead, exact_millivolts
from ecgqa.signals.read import Ecg, read_ecg
from ecgqa.sources import open_source

TARGET = 15.0
TARGET_COLLECTION = 25.0
N_COLLECTION = 2000
N_RECORDS = 200
N_SLOW = 10
ROUNDS = 3
FS_HZ = 500


def main() -> int:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        found = inputs.records(Path(name), N_RECORDS)
        paths = [str(path) for path in found[:: max(1, len(found) // N_RECORDS)][:N_RECORDS]]
        ecgs = [read_ecg(path) for path in paths]
        leads = [exact_millivolts(ecg)[LEADS.index("II")] for ecg in ecgs]
        theirs = their_delineation(leads[0])
        label = f"NeuroKit2 {theirs[1]}" if theirs else ""
        slow_lead = slow_record = None
        if theirs:
            slow_lead = lambda number: theirs[0](leads[number])
            slow_record = lambda number: their_record(theirs[0], paths[number])
        one = compare(
            "one lead of 10 s, cleaned and delineated",
            label,
            slow_lead,
            lambda number: delineate_lead(leads[number], FS_HZ),
            len(paths),
        )
        whole = compare(
            "a record read, three leads delineated, attributes",
            f"{label} and wfdb.rdsamp" if label else "",
            slow_record,
            lambda number: our_record(paths[number]),
            len(paths),
        )
        met = [ratio is None or ratio >= TARGET for ratio in (one, whole)]
        met.append(collection(label, slow_record))
    return 1 if not all(met) and "--check" in sys.argv else 0


def collection(label: str, theirs: Callable[[int], object] | None) -> bool:
    """Print the time a record of a whole collection; whether the target is met, or there is nothing to compare."""
    root = inputs.real_data()
    if root is None:
        return True
    source = open_source(root / "ptbxl")
    records = source.records().filter(pl.col("ecg_id").is_in(sorted(source.present())[:N_COLLECTION]))

    def loop() -> float:
        started = time.perf_counter()
        for number in range(N_SLOW if theirs else 0):
            theirs(number)
        return 1000 * (time.perf_counter() - started) / N_SLOW

    before = loop()
    started = time.perf_counter()
    rows = waveform_attributes(source, records)
    ms = 1000 * (time.perf_counter() - started) / max(records.height, 1)
    ratio = (before + loop()) / 2 / ms
    lines = [("ecgqa, all processors", f"{ms:8.2f} ms a record, {rows.height} rows")]
    if theirs:
        lines.append((f"loop over wfdb.rdsamp and {label}", f"{ratio * ms:8.2f} ms a record"))
        lines.append(("ratio", f"{ratio:8.1f} (target {TARGET_COLLECTION:.0f})"))
    inputs.table(f"attributes of {records.height} real records", lines)
    return not theirs or ratio >= TARGET_COLLECTION


def compare(
    title: str, label: str, theirs: Callable[[int], object] | None, ours: Callable[[int], object], n_records: int
) -> float | None:
    """Print time a record of both sides, which take turns; the ratio, None without the other side."""
    ours(0)
    spent, done = Counter[str](), Counter[str]()
    for turn in range(ROUNDS):
        sides = [("ecgqa", ours, range(n_records))]
        if theirs:
            sides.append((label, theirs, range(turn * N_SLOW % n_records, n_records)[:N_SLOW]))
        for side, run, numbers in sides:
            started = time.perf_counter()
            for number in numbers:
                run(number)
            spent[side] += time.perf_counter() - started
            done[side] += len(numbers)
    ms = {side: 1000 * spent[side] / done[side] for side in spent}
    ratio = ms[label] / ms["ecgqa"] if theirs else None
    rows = [(side, f"{time_ms:8.2f} ms a record") for side, time_ms in ms.items()]
    rows.append(("ratio", f"{ratio:8.1f} (target {TARGET:.0f})" if ratio else "NeuroKit2 not at hand"))
    kind = "real" if inputs.real_data() else "made-up"
    inputs.table(f"{title} ({kind} records, one thread)", rows)
    return ratio


def our_record(path: str) -> object:
    ecg: Ecg = read_ecg(path)
    return measure_released(0, ecg, Counter())


def their_delineation(signal: np.ndarray) -> tuple[Callable[[np.ndarray], Any], str] | None:
    """A function that cleans and delineates one lead by NeuroKit2, and its version; None where that does not run."""
    try:
        import neurokit2
    except ImportError:
        return None

    def run(lead: np.ndarray) -> Any:
        cleaned = neurokit2.ecg_clean(lead, sampling_rate=FS_HZ, method="neurokit")
        _, peaks = neurokit2.ecg_peaks(cleaned, sampling_rate=FS_HZ)
        try:
            return neurokit2.ecg_delineate(cleaned, peaks, sampling_rate=FS_HZ, method="dwt")
        except (ValueError, ZeroDivisionError):  # what it raises for a lead with too few beats
            return None

    try:
        run(signal)
    except Exception as error:  # an old version beside a new numpy fails in its own ways
        print(f"NeuroKit2 {neurokit2.__version__} does not run here: {type(error).__name__}", file=sys.stderr)
        return None
    return run, str(neurokit2.__version__)


def their_record(run: Callable[[np.ndarray], Any], path: str) -> object:
    import wfdb

    millivolts, fields = wfdb.rdsamp(path)
    names = [name.upper() for name in fields["sig_name"]]
    return [run(millivolts[:, names.index(lead)]) for lead in ("I", "II", "AVF")]


if __name__ == "__main__":
    sys.exit(main())
