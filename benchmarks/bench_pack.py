"""Packing ECGs into a store against reading them with wfdb.rdsamp, and what a store takes on disk.

Both sides read the same records, warm, in this run. Ours includes writing, syncing to disk and the record of what is
done; the other side only reads. Targets: 10 times the records per second, 125 kB per ECG, 100 bytes per question.

Usage: python benchmarks/bench_pack.py [--check]
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import wfdb

import inputs
from ecgqa.store.build import build_store
from ecgqa.store.info import describe
from ecgqa.store.packing import Form, pack

N_REFERENCE = 200
N_WORKERS = 2


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "records").mkdir()
        paths = inputs.records(folder / "records")
        for path in paths:  # the same warm start for both sides
            path.with_name(path.name + ".dat").read_bytes()
        reference = paths[:: max(1, len(paths) // N_REFERENCE)][:N_REFERENCE]
        wfdb.rdsamp(str(reference[0]))
        started = time.perf_counter()
        for path in reference:
            wfdb.rdsamp(str(path))
        wfdb_rate = len(reference) / (time.perf_counter() - started)

        (folder / "draft").mkdir()
        started = time.perf_counter()
        with ThreadPoolExecutor(N_WORKERS) as executor:
            texts = [str(path) for path in paths]
            outcomes = pack(texts, folder / "draft", Form(500.0, 5000, False), executor=executor, n_parallel=N_WORKERS)
        our_rate = len(paths) / (time.perf_counter() - started)
        failed = [one for one in outcomes if one.problem]

        samples = inputs.released_shard()
        dataset = inputs.write_dataset(folder / "questions", _about(samples, paths))
        root = inputs.real_data()
        store = build_store(
            folder / "store",
            questions_root=dataset,
            records_root=root / "ptbxl" if root else folder / "records",
            missing="skip",
        )
        sizes = describe(store)
    ratio = our_rate / wfdb_rate
    inputs.table(
        f"packing {len(paths):,} {'real' if root else 'made-up'} records",
        [
            ("wfdb.rdsamp", f"{wfdb_rate:8,.0f} records/s"),
            (f"pack, {N_WORKERS} threads", f"{our_rate:8,.0f} records/s ({len(failed)} unreadable)"),
            ("ratio", f"{ratio:8.1f} (target 10)"),
            ("bytes per ECG", f"{sizes['bytes_per_ecg']:8,.0f} (target 125,000; {sizes['ecgs']:,} ECGs)"),
            (
                "bytes per question",
                f"{sizes['bytes_per_question']:8.1f} (target 100; {sizes['questions']:,} questions)",
            ),
        ],
    )
    sound = ratio >= 10 and sizes["bytes_per_ecg"] <= 125_000 and sizes["bytes_per_question"] <= 100
    return 0 if sound or "--check" not in sys.argv else 1


def _about(samples: list[dict[str, object]], paths: list[Path]) -> list[dict[str, object]]:
    """The samples, asked about the records at hand in turn, so that none has to be left out."""
    ids = [int(path.name.split("_")[0]) for path in paths]
    return [sample | {"ecg_id": [ids[number % len(ids)]]} for number, sample in enumerate(samples)]


if __name__ == "__main__":
    sys.exit(main())
