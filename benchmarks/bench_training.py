"""Training the QA fusion transformer: questions per second of our data path and arithmetic against the original's.

The other side does, on the same device, what the original does: questions in random order, the record of each read by
wfdb.rdsamp, every question's ECG through the front end by itself, softmax attention written out, fp32 without TF32.
Ours: each ECG decoded once per batch from the store and shared by its questions, text of like length together,
PyTorch's fused attention, and bf16 on a GPU (also shown in fp32). Same weights, batch size, forward, backward, Adam.

Target: 5 times the questions per second of the base model on a GPU. Without one, a small model (two layers of width
192) is timed, whose matrix products take most of the time on either side; no target is set for it.

Usage: python benchmarks/bench_training.py [--check] [--base] [--batch 32] [--updates 10]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import wfdb
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import binary_cross_entropy_with_logits

import inputs
from ecgqa.models import build_model
from ecgqa.store import open_store
from ecgqa.store.batch import Batch
from ecgqa.store.batches import BatchLoader, QuestionDataset
from ecgqa.store.build import build_store

N_ECGS = 200
QUESTIONS_PER_ECG = 8
SMALL = {"n_layers": 2, "width": 192, "feedforward": 768, "n_heads": 4}


def encode(texts: list[str]) -> list[list[int]]:
    return [[2, *(4 + len(word) for word in text.split()), 3] for text in texts]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--base", action="store_true", help="the published base model, also without a GPU")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--updates", type=int, default=10)
    asked = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    settings = {} if asked.base or device.type == "cuda" else SMALL
    with tempfile.TemporaryDirectory() as name:
        dataset, paths = prepare(Path(name))
        resident = device.type == "cuda"
        options: dict[str, Any] = {"shuffle": True, "seed": 0, "device": device if resident else None}
        loader = BatchLoader(dataset, asked.batch, resident=resident, questions_per_ecg=QUESTIONS_PER_ECG, **options)
        sides = {
            "the original's way": lambda: run(
                settings, as_original(dataset, paths, asked.batch, device), device, asked.updates, True, False
            ),
            "ours, fp32": lambda: run(settings, iter(loader), device, asked.updates, False, False),
            "ours, bf16": lambda: run(settings, iter(loader), device, asked.updates, False, True),
        }
        if device.type == "cpu":
            del sides["ours, bf16"]
        measured = {label: side() for label, side in sides.items()}
    reference = measured["the original's way"][0]
    rows = [
        (
            label,
            f"{rate:8.1f} questions/s  ratio {rate / reference:5.1f}"
            + (f"  {memory / 2**30:.1f} GiB" if memory else ""),
        )
        for label, (rate, memory) in measured.items()
    ]
    ratio = max(rate for label, (rate, _) in measured.items() if label != "the original's way") / reference
    inputs.table(
        f"training on {device}, batches of {asked.batch}", [*rows, ("ratio", f"{ratio:8.1f} (target on a GPU: 5)")]
    )
    return 0 if ratio >= 5 or device.type == "cpu" or not asked.check else 1


def prepare(folder: Path) -> tuple[QuestionDataset, dict[int, Path]]:
    """A store of questions, several about each ECG, and the record of each row."""
    (folder / "records").mkdir()
    paths = inputs.records(folder / "records")[:N_ECGS]
    ids = [int(path.name.split("_")[0]) for path in paths]
    shard = inputs.released_shard()[: 20 * N_ECGS]
    samples = [sample | {"ecg_id": [ids[number % len(ids)]]} for number, sample in enumerate(shard)]
    root = inputs.real_data()
    store = build_store(
        folder / "store",
        questions_root=inputs.write_dataset(folder / "questions", samples),
        records_root=root / "ptbxl" if root else folder / "records",
    )
    opened = open_store(store)
    dataset = QuestionDataset(opened, split="train", version="template", encode=encode)
    by_id = dict(zip(ids, paths, strict=True))
    return dataset, {row: by_id[ecg_id] for row, ecg_id in enumerate(opened.records["ecg_id"].to_list())}


def as_original(
    dataset: QuestionDataset, paths: dict[int, Path], batch_size: int, device: torch.device
) -> Iterator[Batch]:
    """Batches in random order whose questions share nothing, each ECG read from its record."""
    order = np.random.default_rng(0)
    while True:
        rows = order.permutation(len(dataset))
        for start in range(0, len(rows) - batch_size, batch_size):
            chosen = rows[start : start + batch_size]
            signals = [wfdb.rdsamp(str(paths[row]))[0].T.astype(np.float32) for row in dataset.ecg_rows[chosen, 0]]
            batch = dataset.batch(chosen)
            batch.ecgs = torch.from_numpy(np.nan_to_num(np.stack(signals)))
            batch.ecgs_length = torch.full((batch_size,), batch.ecgs.shape[-1])
            batch.ecg_of = torch.arange(batch_size)[:, None]
            yield batch.to(device)


def run(
    settings: dict[str, Any], batches: Iterator[Batch], device: torch.device, updates: int, plain: bool, half: bool
) -> tuple[float, int]:
    """Questions per second (of processor time on a CPU) of `updates` updates, and the most memory of the GPU."""
    torch.manual_seed(0)
    model = build_model("ecg_transformer", settings, n_answers=103, vocab_size=2000).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=not plain)
    torch.set_float32_matmul_precision("highest" if plain else "high")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    n_questions, started = 0, 0.0
    for update in range(updates + 2):
        batch = next(batches)
        if update == 2:  # the first two warm up
            _wait(device)
            started = clock()
        attention = sdpa_kernel(SDPBackend.MATH) if plain else nullcontext()
        precision = torch.autocast(device.type, dtype=torch.bfloat16) if half else nullcontext()
        with attention, precision:
            logits = model(batch)
            loss = binary_cross_entropy_with_logits(logits.float(), batch.target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        n_questions += len(batch) if update >= 2 else 0
    _wait(device)
    memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    return n_questions / (clock() - started), memory


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    sys.exit(main())
