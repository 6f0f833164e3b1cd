"""A shuffled epoch of (signal, tokens, target) without a model, against a .mat per question plus wfdb.rdsamp.

The other side does what the original data path does for each question: scipy.io.loadmat of a small file with the ECG's
path, text and target, then wfdb.rdsamp of the record, as float32. Both sides go through the same questions in a
shuffled order, warm, on one thread, in this run; the text is turned into tokens once by ours and at each question by
the other side, as the original does. Target: 20 times the samples per second.

Usage: python benchmarks/bench_epoch.py [--check]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.io
import torch
import wfdb

import inputs
from ecgqa.store import open_store
from ecgqa.store.batches import BatchLoader, QuestionDataset
from ecgqa.store.build import build_store

N_ECGS = 400
N_SAMPLES = 4_000
N_REFERENCE = 300
BATCH_SIZE = 32


def encode(texts: list[str]) -> list[list[int]]:
    return [[2, *(4 + len(word) for word in text.split()), 3] for text in texts]


def main() -> int:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "records").mkdir()
        paths = inputs.records(folder / "records")[:N_ECGS]
        ids = [int(path.name.split("_")[0]) for path in paths]
        shard = inputs.released_shard()[:N_SAMPLES]
        samples = [sample | {"ecg_id": [ids[number % len(ids)]]} for number, sample in enumerate(shard)]
        root = inputs.real_data()
        store = build_store(
            folder / "store",
            questions_root=inputs.write_dataset(folder / "questions", samples),
            records_root=root / "ptbxl" if root else folder / "records",
        )
        dataset = QuestionDataset(open_store(store), split="train", version="template", encode=encode)
        mats = _write_mats(folder, dataset, dict(zip(ids, paths, strict=True)))

        _reference_epoch(mats[:20])
        reference = _reference_epoch(mats)
        rates = {}
        for label, options in {
            "store, mapped": {"prefetch": 0},
            "store, mapped, prefetch": {"prefetch": 2},
            "store, resident": {"prefetch": 0, "device": "cpu", "resident": True},
        }.items():
            loader = BatchLoader(dataset, BATCH_SIZE, shuffle=True, seed=0, **options)
            _epoch(loader)
            loader.set_epoch(1)
            rates[label] = _epoch(loader)
    ratio = rates["store, mapped"] / reference
    rows = [(".mat + wfdb.rdsamp", f"{reference:8,.0f} samples/s")]
    rows += [(label, f"{rate:8,.0f} samples/s  ratio {rate / reference:6.1f}") for label, rate in rates.items()]
    kind = "real" if root else "made-up"
    inputs.table(
        f"shuffled epoch, {len(dataset):,} questions about {len(ids)} {kind} ECGs, batches of {BATCH_SIZE}",
        [*rows, ("ratio", f"{ratio:8.1f} (target 20)")],
    )
    return 0 if ratio >= 20 or "--check" not in sys.argv else 1


def _write_mats(folder: Path, dataset: QuestionDataset, paths: dict[int, Path]) -> list[Path]:
    mats = []
    order = np.random.default_rng(0).permutation(len(dataset))[:N_REFERENCE]
    for number in order.tolist():
        row = dataset.frame.row(number, named=True)
        batch = dataset[number]
        mat = {
            "ecg_path": [str(paths[ecg_id]) for ecg_id in row["ecg_id"]],
            "question": row["question"],
            "answer": batch.target[0].numpy().astype(np.int64),
            "valid_classes": batch.candidates[0].nonzero()[:, 0].numpy(),
        }
        scipy.io.savemat(folder / f"{number}.mat", mat)
        mats.append(folder / f"{number}.mat")
    return mats


def _reference_epoch(mats: list[Path]) -> float:
    started = time.perf_counter()
    for path in mats:
        mat = scipy.io.loadmat(path)
        ecg = np.stack([wfdb.rdsamp(record.strip())[0].T.astype(np.float32) for record in mat["ecg_path"]])
        torch.from_numpy(ecg), encode([mat["question"][0]]), torch.from_numpy(mat["answer"][0])
    return len(mats) / (time.perf_counter() - started)


def _epoch(loader: BatchLoader) -> float:
    started = time.perf_counter()
    n = sum(len(batch) for batch in loader)
    return n / (time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())
