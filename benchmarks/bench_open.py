"""Opening the questions of a whole train split and reading the first row: a store against json.load of the shards.

The 267,539 samples of the PTB-XL train split are replicated from one shard. Each side runs in a fresh process that
reports the time after its imports and its greatest resident memory, which is given as a whole and over that of the
same process just after its imports. Targets: 100 times faster, 10 times less memory over the imports.

Usage: python benchmarks/bench_open.py [--check]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

N_SAMPLES = 267_539

# ru_maxrss survives exec on Linux, so a child would report its parent's peak; VmHWM begins anew with each program.
PEAK = """
import sys, time
def peak_mb():
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
"""
JSON_SIDE = """
import json, pathlib
base = peak_mb()
started = time.perf_counter()
samples = []
for path in sorted(pathlib.Path(sys.argv[1]).glob("template/train/*.json")):
    with path.open() as stream:
        samples += json.load(stream)
first = samples[0]
elapsed = time.perf_counter() - started
"""
STORE_SIDE = """
import polars
from ecgqa.store import open_store
base = peak_mb()
started = time.perf_counter()
first = open_store(sys.argv[1]).scan().head(1).collect().row(0, named=True)
elapsed = time.perf_counter() - started
"""
REPORT = """
peak = peak_mb()
import json
print(json.dumps({"s": elapsed, "peak_mb": peak, "over_mb": peak - base, "id": first["sample_id"]}))
"""


def main() -> int:
    import inputs

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shard = inputs.released_shard()
        samples = [shard[number % len(shard)] | {"sample_id": number} for number in range(N_SAMPLES)]
        dataset = inputs.write_dataset(folder / "questions", samples)
        ids = {ecg_id for sample in shard for ecg_id in sample["ecg_id"]}
        del samples
        _write_store(dataset, folder / "records", ids, folder / "store")
        ours = _best(STORE_SIDE, folder / "store")
        theirs = _best(JSON_SIDE, dataset)
    faster = theirs["s"] / ours["s"]
    smaller, smaller_all = theirs["over_mb"] / max(ours["over_mb"], 0.1), theirs["peak_mb"] / ours["peak_mb"]
    inputs.table(
        f"opening {N_SAMPLES:,} questions and reading the first ({'real' if inputs.real_data() else 'made-up'} shard)",
        [
            ("json.load", _row(theirs)),
            ("store", _row(ours)),
            ("ratio", f"{faster:10.0f}    {smaller:8.0f}    ({smaller_all:.1f} in all)   targets 100, 10"),
        ],
    )  # fmt: skip
    print("  memory: greatest resident memory over that after the imports; in all = interpreter and libraries included")
    return 0 if (faster >= 100 and smaller >= 10) or "--check" not in sys.argv else 1


def _row(side: dict[str, float]) -> str:
    return f"{side['s'] * 1e3:10,.1f} ms {side['over_mb']:8.1f} MB ({side['peak_mb']:.0f} MB in all)"


def _write_store(dataset: Path, records: Path, ids: set[int], dest: Path) -> None:
    """A store of these questions; its ECGs are ten samples long, for opening never touches the signals."""
    import inputs
    from ecgqa.store.build import build_store

    records.mkdir()
    for ecg_id in ids:
        leads = "".join(f"{ecg_id}.dat 16 1000/mV 16 0 0 0 0 {lead}\n" for lead in inputs.LEADS)
        (records / f"{ecg_id}.hea").write_text(f"{ecg_id} 12 500 10\n{leads}")
        (records / f"{ecg_id}.dat").write_bytes(bytes(240))
    build_store(dest, questions_root=dataset, records_root=records)


def _best(side: str, folder: Path) -> dict[str, float]:
    runs = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", PEAK + side + REPORT, str(folder)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ,
        )
        runs.append(json.loads(done.stdout))
    return min(runs, key=lambda run: run["s"])


if __name__ == "__main__":
    sys.exit(main())
