"""Delineation: time per twelve-lead record, and agreement with the manual marks of LUDB where that database is at hand.

A mark is met by the nearest unused detection within the tolerance (150 ms or 75 ms) to either side; every other
detection between the first and the last mark, or within the tolerance of them, is false.

The shipped parameters are fitted to all LUDB records named in their provenance. `--parameters FILE` scores others, for
instance those of `python -m ecgqa.signals.delineation.fit LUDB_DATA FILE --records odd` on the even records.

Usage: python benchmarks/bench_delineation_ludb.py [--check] [--lead II] [--parameters FILE]
       [--detections OUT.json]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # time on one core

import numpy as np

import inputs
from ecgqa.records import LEADS
from ecgqa.signals.delineation import Delineation, delineate
from ecgqa.signals.delineation.consensus import delineate_consensus
from ecgqa.signals.delineation.wave_network import layers_of, shipped_layers
from ecgqa.signals.read import read_ecg

POINTS = ("p_onset", "p_peak", "p_offset", "qrs_onset", "r_peak", "qrs_offset", "t_onset", "t_peak", "t_offset")
WAVES = {"p": POINTS[0:3], "N": POINTS[3:6], "t": POINTS[6:9]}
TOLERANCES_MS = (150.0, 75.0)
TARGET_MS = 3.0
ROUNDS = 20
FS_HZ = 500.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="a time above the target is an error")
    parser.add_argument("--lead", default="II", choices=LEADS)
    parser.add_argument("--parameters", type=Path, help="parameter file other than the shipped one")
    parser.add_argument("--detections", type=Path, help="write all detections of the lead as JSON")
    given = parser.parse_args()
    layers = shipped_layers()
    if given.parameters:
        with np.load(given.parameters, allow_pickle=False) as stored:
            layers = layers_of({name: stored[name] for name in stored.files if name != "provenance"})
    root = inputs.real_data()
    folder = root / "ludb" / "data" if root else None
    records = sorted(folder.glob("*.hea"), key=lambda path: int(path.stem)) if folder else []
    found: dict[str, Delineation] = {}
    for path in records:
        ecg = read_ecg(path)
        found[path.stem] = delineate_consensus(ecg.millivolts(), ecg.fs_hz, layers=layers)
    for parity, name in ((1, "odd"), (0, "even")):
        half = {record: result for record, result in found.items() if int(record) % 2 == parity}
        if folder and half:
            show(f"{len(half)} LUDB records of {name} number, lead {given.lead}", score(folder, half, given.lead))
    if folder and found:
        false_p(folder, found, given.lead)
    if given.detections:
        given.detections.write_text(
            json.dumps(
                {
                    record: {name: [int(v) for v in result.point(name, given.lead) if v >= 0] for name in POINTS}
                    for record, result in found.items()
                }
            )
        )
    ecgs = signals(records)
    spent = time_per_record(ecgs, lambda ecg: delineate(ecg, FS_HZ), ROUNDS)
    rows = [("ecgqa, twelve leads", f"{spent:6.2f} ms a record (target {TARGET_MS:g})")]
    other = neurokit()
    if other is None:
        rows.append(("NeuroKit2, lead II", "not installed: python -m pip install neurokit2"))
    else:
        slow = time_per_record(ecgs, other, 2)
        rows.append(
            ("NeuroKit2, lead II", f"{slow:6.2f} ms a record, ratio {slow / spent:.1f} for a twelfth of the leads")
        )
    inputs.table("\ndelineation of 10 s at 500 Hz, one thread, median over records of the fastest run", rows)
    return int(given.check and spent > TARGET_MS)


def marks(folder: Path, record: str, lead: str) -> tuple[dict[str, list[int]], int, int]:
    """Marked samples of each point, the first mark and the last."""
    from wfdb import rdann

    notes = rdann(str(folder / record), lead.lower())
    marked: dict[str, list[int]] = {name: [] for name in POINTS}
    symbols = ["", *notes.symbol, ""]
    for i, symbol in enumerate(symbols):
        if symbol in WAVES:
            onset, peak, offset = WAVES[symbol]
            marked[peak].append(int(notes.sample[i - 1]))
            if symbols[i - 1] == "(":
                marked[onset].append(int(notes.sample[i - 2]))
            if symbols[i + 1] == ")":
                marked[offset].append(int(notes.sample[i]))
    return marked, int(notes.sample[0]), int(notes.sample[-1])


def score(folder: Path, found: dict[str, Delineation], lead: str) -> dict[str, dict[Any, Any]]:
    """Per point: F1 at both tolerances, errors in ms of the detections within 150 ms."""
    counts = {name: {reach_ms: [0, 0] for reach_ms in TOLERANCES_MS} for name in POINTS}
    errors: dict[str, list[float]] = {name: [] for name in POINTS}
    for record, result in found.items():
        marked, first, last = marks(folder, record, lead)
        for name in POINTS:
            values = result.point(name, lead)
            values = values[values >= 0]
            for reach_ms, pair in counts[name].items():
                reach = reach_ms / 1000 * FS_HZ
                near = values[(values >= first - reach) & (values <= last + reach)]
                met = matched(marked[name], near.tolist(), reach)
                pair[0] += len(met)
                pair[1] += len(marked[name]) + len(near)
                if reach_ms == max(TOLERANCES_MS):
                    errors[name] += met
    return {
        name: {reach_ms: 2 * pair[0] / max(pair[1], 1) for reach_ms, pair in counts[name].items()}
        | {"errors": errors[name]}
        for name in POINTS
    }


def matched(marked: list[int], detected: list[int], reach: float) -> list[float]:
    """Error in ms at 500 Hz of each mark that is met."""
    unused = list(detected)
    out = []
    for mark in marked:
        near = min(unused, key=lambda value: abs(value - mark), default=None)
        if near is not None and abs(near - mark) <= reach:
            unused.remove(near)
            out.append((near - mark) * 2.0)
    return out


def show(title: str, scores: dict[str, dict[Any, Any]]) -> None:
    print(f"\n{title}\n  {'':11s}      F1           error (ms)\n  {'':11s} 150 ms   75 ms   mean    SD")
    for name, row in scores.items():
        f1 = "  ".join(f"{row[reach_ms]:.4f}" for reach_ms in TOLERANCES_MS)
        print(f"  {name:11s} {f1}  {np.mean(row['errors']):+5.1f} {np.std(row['errors']):5.1f}")


def false_p(folder: Path, found: dict[str, Delineation], lead: str) -> None:
    """P waves found between the first and last mark of the records in atrial fibrillation or flutter."""
    table = folder.parent / "ludb.csv"
    if not table.is_file():
        return
    with table.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["ID"].strip() in found]
    words = ("fibrillation", "flutter")
    atrial = [row["ID"].strip() for row in rows if any(word in (row["Rhythms"] or "").lower() for word in words)]
    n_false = 0
    for record in atrial:
        marked, first, last = marks(folder, record, lead)
        values = found[record].point("p_peak", lead)
        values = values[(values >= first) & (values <= last)]
        n_false += len(values) - len(matched(marked["p_peak"], values.tolist(), 75.0))
    print(f"\nfalse P waves in {len(atrial)} records in atrial fibrillation or flutter: {n_false} (target: at most 10)")


def signals(records: list[Path]) -> list[np.ndarray]:
    """Millivolts of up to twenty records, or made-up beats where there are none."""
    if records:
        return [read_ecg(path).millivolts() for path in records[:: max(1, len(records) // 20)]]
    time_s = np.arange(5000) / FS_HZ
    beats = sum(np.exp(-0.5 * ((time_s - at) / 0.012) ** 2) for at in np.arange(0.5, 10, 0.8))
    return [np.outer(np.linspace(0.3, 1.5, 12), beats).astype(np.float32)]


def neurokit() -> Callable[[np.ndarray], object] | None:
    """Lead II cleaned, its R peaks and its waves by NeuroKit2's wavelet method; None where it is not installed."""
    try:
        import neurokit2
    except ImportError:
        return None

    def run(ecg: np.ndarray) -> object:
        cleaned = neurokit2.ecg_clean(ecg[1].astype(np.float64), sampling_rate=500)
        _, peaks = neurokit2.ecg_peaks(cleaned, sampling_rate=500)
        return neurokit2.ecg_delineate(cleaned, peaks, sampling_rate=500, method="dwt")

    return run


def time_per_record(ecgs: list[np.ndarray], run: Callable[[np.ndarray], object], rounds: int) -> float:
    """Milliseconds: each record's fastest of `rounds` runs, median over the records."""
    fastest = np.full(len(ecgs), np.inf)
    for _ in range(rounds):
        for k, ecg in enumerate(ecgs):
            started = time.perf_counter()
            run(ecg)
            fastest[k] = min(fastest[k], time.perf_counter() - started)
    return float(np.median(fastest) * 1000)


if __name__ == "__main__":
    sys.exit(main())
