"""A shuffled epoch of pairs of 5-s segments with masked leads, against the original's pieces of float64 in .mat files.

The other side does what the original data path of pretraining (CMSC with random lead masking) does for each pair: load
two .mat files of 12 x 2,500 float64 samples, turn each to float32, mask leads lead by lead, and stack a batch. Beside
it the same from the WFDB record, without pieces written beforehand. All sides are warm, on one thread, in this run.
Processor time is what is compared; the pieces also take 480 kB of disk per ECG where the store takes 120.
Target: 3 times the pairs per second.

Usage: python benchmarks/bench_segments.py [--check]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
import wfdb

import inputs
from ecgqa.signals.augment import Augmentations, generator_for
from ecgqa.store import open_store
from ecgqa.store.build import build_store
from ecgqa.store.segments import SegmentLoader

N_ECGS = 400
N_REFERENCE = 200
BATCH_SIZE = 64
HALF = 2_500
MASKED = Augmentations(leads_masking=1.0)


def main() -> int:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "records").mkdir()
        paths = inputs.records(folder / "records")[:N_ECGS]
        ids = [int(path.name.split("_")[0]) for path in paths]
        root = inputs.real_data()
        built = build_store(
            folder / "store", records_root=root / "ptbxl" if root else folder / "records", ecgs=ids, missing="skip"
        )
        store = open_store(built)
        rows = np.arange(store.n_ecgs)
        pieces = _write_pieces(folder, paths[:N_REFERENCE])
        references = {
            ".mat pieces": _reference(pieces, _from_pieces),
            "wfdb.rdsamp": _reference(paths[:N_REFERENCE], _from_record),
        }
        rates = {}
        for label, options in {
            "store, mapped": {"prefetch": 0},
            "store, mapped, prefetch": {"prefetch": 2},
            "store, resident": {"prefetch": 0, "device": "cpu", "resident": True},
        }.items():
            loader = SegmentLoader(store, rows, BATCH_SIZE, n_segments=2, shuffle=True, seed=0, **options)
            _epoch(loader, store.fs_hz)
            loader.set_epoch(1)
            rates[label] = _epoch(loader, store.fs_hz)
    slowest = references[".mat pieces"]
    ratio = rates["store, mapped"] / slowest
    table = [(label, f"{rate:8,.0f} pairs/s") for label, rate in references.items()]
    table += [(label, f"{rate:8,.0f} pairs/s  ratio {rate / slowest:6.1f}") for label, rate in rates.items()]
    kind = "real" if root else "made-up"
    inputs.table(
        f"shuffled epoch of pairs of 5-s segments with masked leads, {len(ids)} {kind} ECGs, batches of {BATCH_SIZE}",
        [*table, ("ratio to .mat pieces", f"{ratio:8.1f} (target 3)")],
    )
    return 0 if ratio >= 3 or "--check" not in sys.argv else 1


def _write_pieces(folder: Path, paths: list[Path]) -> list[tuple[Path, Path]]:
    pairs = []
    for number, path in enumerate(paths):
        signal = wfdb.rdsamp(str(path))[0].T
        names = [folder / f"{number}_{piece}.mat" for piece in (0, 1)]
        for piece, name in enumerate(names):
            mat = {"feats": signal[:, piece * HALF : (piece + 1) * HALF], "patient_id": number, "curr_sample_rate": 500}
            scipy.io.savemat(name, mat)
        pairs.append((names[0], names[1]))
    return pairs


def _from_pieces(pair: tuple[Path, Path]) -> list[torch.Tensor]:
    return [torch.from_numpy(scipy.io.loadmat(name)["feats"]).float() for name in pair]


def _from_record(path: Path) -> list[torch.Tensor]:
    signal = torch.from_numpy(wfdb.rdsamp(str(path))[0].T).float()
    return [signal[:, :HALF], signal[:, HALF : 2 * HALF]]


def _reference(items: list[Any], read: Callable[[Any], list[torch.Tensor]]) -> float:
    for item in items[:20]:
        read(item)
    generator = np.random.default_rng(0)
    order = generator.permutation(len(items)).tolist()
    started = time.process_time()
    for first in range(0, len(order), BATCH_SIZE):
        segments = []
        for number in order[first : first + BATCH_SIZE]:
            for segment in read(items[number]):
                kept = torch.from_numpy(generator.binomial(1, 0.5, 12)).float()
                segments.append(segment * kept[:, None])
        torch.stack(segments)
    return len(items) / (time.process_time() - started)


def _epoch(loader: SegmentLoader, fs_hz: float) -> float:
    started = time.process_time()
    n = 0
    for number, batch in enumerate(loader):
        MASKED(batch.ecg, batch.length, fs_hz, generator_for("cpu", 0, number))
        n += len(batch) // 2
    return n / (time.process_time() - started)


if __name__ == "__main__":
    sys.exit(main())
