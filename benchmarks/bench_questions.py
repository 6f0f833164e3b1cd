"""How long and how much memory do all questions of a finished attribute table take, at PTB-XL's and MIMIC-IV's size?

PTB-XL: the real attribute table where the real data are at hand (every record has metadata; numeric features and axis
as far as waveforms are there), else a made-up one of the same size. MIMIC: 800,000 made-up ECGs of 160,000 patients
with the released 155 symptoms, as sparse as machine statements are. Each run is a process of its own; the peak is that
of all its processes together. Prints one table per size.

Usage: python benchmarks/bench_questions.py [--size ptbxl|mimic|both] [--ecgs 800000] [--workers 2] [--check]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

import inputs
from ecgqa.attributes.build import BuiltAttributes, write_attributes
from ecgqa.attributes.vocabulary import FEATURES, NORMAL_ECG, NORMAL_RANGES_S, VOCABULARIES, Vocabulary
from ecgqa.records import ATTRIBUTES, LEADS, RECORDS

TARGETS = {"ptbxl": (60, 2.0), "mimic": (900, 8.0)}


def made_up(n_ecgs: int, vocabulary: Vocabulary, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Attribute and records tables. Symptom k is about as common as 1/k; patients have from 1 to some 200 ECGs."""
    rng = np.random.default_rng(seed)
    per_patient = 1 + np.minimum(rng.lognormal(0.7, 1.15, n_ecgs).astype(int), 200)
    patient = np.repeat(np.arange(len(per_patient)), per_patient)[:n_ecgs]
    ecg_id = 40_000_000 + np.sort(rng.choice(10_000_000, n_ecgs, replace=False))
    parts: list[pl.DataFrame] = []

    def add(rows: np.ndarray, kind: str, names: pl.Series | str, **columns: object) -> None:
        values = {"lead": None, "value": "yes", "number": None, "unit": None, "origin": "metadata"} | columns
        frame = pl.DataFrame({"ecg_id": ecg_id[rows]}).with_columns(
            pl.lit(kind).alias("attribute_type"),
            (pl.lit(names) if isinstance(names, str) else names).alias("attribute"),
            *((one if isinstance(one, pl.Series) else pl.lit(one)).alias(name) for name, one in values.items()),
        )
        parts.append(frame.select(pl.col(name).cast(dtype) for name, dtype in ATTRIBUTES.polars.items()))

    everyone = np.arange(n_ecgs)
    symptoms = np.array(vocabulary.symptoms)[rng.permutation(len(vocabulary.symptoms))]
    for rank, name in enumerate(symptoms):  # the first findings are frequent, most are rare
        rows = np.flatnonzero(rng.random(n_ecgs) < 0.6 / (1 + rank) ** 1.25)
        value = pl.Series(np.where(rng.random(len(rows)) < 0.1, "uncertain", "yes"))
        add(rows, "scp_code", name, value=value)
        if name in vocabulary.forms_in_leads:
            for lead in LEADS:
                add(rows[rng.random(len(rows)) < 0.2], "scp_code", name, lead=lead)
    for name in vocabulary.superclasses:
        add(np.flatnonzero(rng.random(n_ecgs) < 0.15), "scp_code", name)
    add(everyone, "scp_code", NORMAL_ECG, value=pl.Series(np.where(rng.random(n_ecgs) < 0.3, "yes", "no")))
    abnormal = pl.Series(np.where(rng.random(n_ecgs) < 0.6, "yes", "no"))
    add(everyone, "scp_code", "any kind of abnormal symptoms", value=abnormal)
    for noise in vocabulary.noises:
        noisy = np.flatnonzero(rng.random(n_ecgs) < 0.08)
        for lead in LEADS:
            add(noisy[rng.random(len(noisy)) < 0.3], "noise", noise, lead=lead)
    add(everyone, "noise", "any kind of noises", value="no")
    add(everyone, "extra_systole", "any kind of extra systoles", value="no")
    for kind in vocabulary.extra_systoles:
        add(np.flatnonzero(rng.random(n_ecgs) < 0.05), "extra_systole", kind)
    stages = pl.Series(
        rng.choice([*vocabulary.stages, "none of myocardial infarction"], n_ecgs, p=[0.01, 0.01, 0.08, 0.9])
    )
    add(everyone, "stage_of_infarction", stages)
    add(everyone, "heart_axis", pl.Series(rng.choice(vocabulary.axes, n_ecgs, p=[0.75, 0.15, 0.07, 0.03])))
    for feature in FEATURES:
        low, high = NORMAL_RANGES_S[feature]
        number = rng.normal((low or 0.05) * 0.45 + high * 0.55, 0.35 * (high - (low or 0.05)), n_ecgs)
        normal = (number >= (low or 0)) & (number <= high)
        value = pl.Series(np.where(normal, "yes", "no"))
        add(everyone, "numeric_feature", feature, value=value, number=pl.Series(number), unit="s", origin="waveform")
    start = datetime(2110, 1, 1)
    hours = np.sort(rng.integers(0, 200_000, n_ecgs))  # later ids are later recordings
    records = pl.DataFrame(
        {
            "source": "made-up",
            "ecg_id": ecg_id,
            "patient_id": patient,
            "recorded_at": pl.Series(hours).cast(pl.Int64) * 3_600_000_000,
            "path": pl.Series(ecg_id).cast(pl.String),
        }
    ).with_columns((pl.lit(start) + pl.duration(microseconds=pl.col("recorded_at"))).alias("recorded_at"))
    assert timedelta(hours=int(hours[-1])) < timedelta(days=10_000)
    missing = [name for name in RECORDS.columns if name not in records.columns]
    return pl.concat(parts), records.with_columns(
        pl.lit(None, dtype=RECORDS.columns[name].dtype).alias(name) for name in missing
    )


def attribute_folder(size: str, n_ecgs: int, dest: Path) -> str:
    """Write the attributes to build from; returns what they are."""
    root = inputs.real_data()
    if size == "ptbxl" and root:
        command = [sys.executable, "-m", "ecgqa", "attributes", "build", str(root / "ptbxl"), str(dest)]
        subprocess.run([*command, "--pool", "released"], check=True, capture_output=True)
        return "real attributes of the 16,054 ECGs of the released pool"
    vocabulary = VOCABULARIES["ptbxl" if size == "ptbxl" else "mimic-iv-ecg"]()
    n = 16_054 if size == "ptbxl" else n_ecgs
    table, records = made_up(n, vocabulary)
    write_attributes(
        BuiltAttributes(table, frozenset(records["ecg_id"]), vocabulary.name), records, dest, inputs={}, config={}
    )
    people = records["patient_id"].n_unique()
    return f"{n:,} made-up ECGs of {people:,} patients, {table.height:,} attribute rows"


def resident_mb(pid: int) -> float:
    """Memory of a process and its descendants; pages that several share count once (PSS)."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
            waiting += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except (OSError, StopIteration):
            continue
    return total / 1024


def measured(command: list[str]) -> tuple[float, float, float, str]:
    """Seconds, processor seconds, greatest memory (MB) and output of a command."""
    started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    peak = 0.0

    def watch() -> None:
        nonlocal peak
        while process.poll() is None:
            peak = max(peak, resident_mb(process.pid))
            time.sleep(0.25)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output = process.communicate()[0]
    watcher.join()
    if process.returncode:
        raise SystemExit(output)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return time.perf_counter() - started, processor, peak, output


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=["ptbxl", "mimic", "both"], default="ptbxl")
    parser.add_argument("--ecgs", type=int, default=800_000, help="ECGs of the MIMIC-size table")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="exit with status 1 above the targets")
    arguments = parser.parse_args()
    slow = False
    for size in ("ptbxl", "mimic") if arguments.size == "both" else (arguments.size,):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            what = attribute_folder(size, arguments.ecgs, folder / "attributes")
            command = [
                sys.executable,
                "-m",
                "ecgqa",
                "questions",
                "build",
                str(folder / "attributes"),
                str(folder / "q"),
            ]
            seconds, processor, peak, output = measured([*command, "--workers", str(arguments.workers)])
            n = output.split(" questions, each")[0].rsplit(" ", 1)[-1]
        limit_s, limit_gb = TARGETS[size]
        inputs.table(
            f"all questions, {what}",
            [
                ("questions", f"{n}, each in two wordings"),
                ("time", f"{seconds:.0f} s on {arguments.workers} processes   target {limit_s} s"),
                ("processors", f"{processor:.0f} s of work of all processes"),
                ("memory", f"{peak / 1024:.2f} GB of all processes   target {limit_gb:.0f} GB"),
            ],
        )
        slow = slow or seconds > limit_s or peak / 1024 > limit_gb
    return 1 if slow and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
