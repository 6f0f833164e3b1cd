"""Noise by lead and heart axis from the waveform, against the columns of PTB-XL's metadata where that is at hand.

Noise: area under the ROC curve over leads (1 = every lead that the column names measures higher than every other), then
sensitivity, specificity and number of leads found with the thresholds of `ecgqa.signals.quality`. Thresholds and
measures were chosen on records of odd number; those of even number are the test. Axis: PTB-XL's heart_axis (rows)
against ours (columns), for the twelve-lead consensus and for the method behind the released questions.

Usage: python benchmarks/bench_quality.py [--check]
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

import inputs
from ecgqa.attributes.noise import leads_named
from ecgqa.attributes.vocabulary import AXES
from ecgqa.attributes.waveform import measure_consensus, measure_released
from ecgqa.records import LEADS
from ecgqa.signals.quality import KINDS, Quality, signal_quality
from ecgqa.signals.read import read_ecg
from ecgqa.sources.metadata_csv import read_csv

LEAST_AREA = {"baseline_drift": 0.88, "static_noise": 0.80, "burst_noise": 0.70, "electrodes_problems": 0.0}
SAME_AXIS = dict.fromkeys(("MID", "AXL", "AXR"), AXES[0])
SAME_AXIS |= dict.fromkeys(("LAD", "ALAD"), AXES[1]) | dict.fromkeys(("RAD", "ARAD"), AXES[2])
"""AXL and AXR are the horizontal and the vertical heart; SAG, the sagittal one, has no counterpart."""


def main() -> int:
    root = inputs.real_data()
    if root is None:
        print("no PTB-XL records at hand (ECGQA_REAL_DATA): nothing to compare with")
        return 0
    metadata = read_csv(root / "ptbxl" / "ptbxl_database.csv")
    wanted = ["ecg_id", "filename_hr", "heart_axis", *KINDS]
    rows = [row for row in metadata.select(wanted).iter_rows(named=True) if is_there(root, row["filename_hr"])]
    odd = np.array([int(float(row["ecg_id"])) % 2 == 1 for row in rows])
    named = np.array([[[i in leads_named(row[kind] or "") for i in range(12)] for kind in KINDS] for row in rows])
    measured, found = np.zeros(named.shape), np.zeros(named.shape, dtype=np.bool_)
    axes: dict[str, Counter[tuple[str, str]]] = {"consensus": Counter(), "released": Counter()}
    degrees: dict[str, dict[str, list[float]]] = {method: {} for method in axes}
    spent = 0.0
    for k, row in enumerate(rows):
        ecg = read_ecg(root / "ptbxl" / row["filename_hr"])
        started = time.process_time()
        quality = signal_quality(ecg)
        spent += time.process_time() - started
        measured[k], found[k] = (
            measures(quality),
            [[lead in leads for lead in LEADS] for leads in quality.found().values()],
        )
        for method, measure in (("consensus", measure_consensus), ("released", measure_released)):
            mine = [(line[2], line[5]) for line in measure(0, ecg, Counter()) if line[1] == "heart_axis"]
            theirs = (row["heart_axis"] or "").strip() or "(empty)"
            axes[method][theirs, mine[0][0] if mine else "none"] += 1
            degrees[method].setdefault(theirs, []).extend(angle for _, angle in mine if angle is not None)
    print(f"{len(rows)} records, quality of one in {1000 * spent / len(rows):.1f} ms of processor time")
    low = show_noise(named, measured, found, odd)
    for method, counts in axes.items():
        show_axes(method, counts, degrees[method])
    return int(low and "--check" in sys.argv[1:])


def is_there(root: Path, name: str | None) -> bool:
    return bool(name) and (root / "ptbxl" / f"{name}.hea").is_file()


def measures(quality: Quality) -> npt.NDArray[np.float64]:
    """(4, 12): what tells each of `KINDS`."""
    contact = np.nan_to_num(quality.step_mv) + 100 * quality.flat_share
    return np.nan_to_num(np.stack((quality.drift_mv, quality.noise_mv, quality.burst_mv, contact)))


def show_noise(
    named: npt.NDArray[np.bool_],
    measured: npt.NDArray[np.float64],
    found: npt.NDArray[np.bool_],
    odd: npt.NDArray[np.bool_],
) -> bool:
    """Prints a line per kind and half; whether an area in the half that nothing was chosen on is below its least."""
    print(f"  {'':21s}{'records':9s}{'leads named':>12s}{'area':>7s}{'sens.':>7s}{'spec.':>7s}{'leads found':>13s}")
    low = False
    for k, kind in enumerate(KINDS):
        for half, mine in (("odd", odd), ("even", ~odd)):
            truth, size, said = (array[mine, k].ravel() for array in (named, measured, found))
            if not truth.any() or truth.all():
                continue
            area = area_under_curve(size, truth)
            low |= half == "even" and area < LEAST_AREA[kind]
            sensitivity, specificity = said[truth].mean(), 1 - said[~truth].mean()
            print(
                f"  {kind:21s}{half:9s}{truth.sum():12d}{area:7.3f}{sensitivity:7.3f}{specificity:7.3f}{said.sum():13d}"
            )
    return low


def area_under_curve(size: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> float:
    n = int(truth.sum())
    return float((rankdata(size)[truth].sum() - n * (n + 1) / 2) / (n * (truth.size - n)))


def show_axes(method: str, counts: Counter[tuple[str, str]], degrees: dict[str, list[float]]) -> None:
    columns = (*AXES, "none")
    told = {pair: n for pair, n in counts.items() if pair[0] in SAME_AXIS and pair[1] in AXES}
    same = sum(n for (theirs, ours), n in told.items() if SAME_AXIS[theirs] == ours)
    print(
        f"\nheart axis, {method}: the same for {same} of {sum(told.values())} ({same / max(sum(told.values()), 1):.1%})"
    )
    print(f"  {'':9s}" + "".join(f"{name.split()[0]:>9s}" for name in columns) + "   degrees (quartiles)")
    for theirs in sorted({pair[0] for pair in counts}, key=lambda name: -sum(counts[name, c] for c in columns)):
        angles = "  ".join(f"{angle:4.0f}" for angle in np.percentile(degrees[theirs] or [np.nan], (25, 50, 75)))
        print(f"  {theirs:9s}" + "".join(f"{counts[theirs, name]:9d}" for name in columns) + f"   {angles}")


if __name__ == "__main__":
    sys.exit(main())
