"""How much faster is `ecgqa map` per sample than parsing, looking up each reference, and writing JSON again?

The reference does what the published scripts do: for every shard json.load, os.path.exists for every ECG reference,
json.dump(indent=4). Both run here, one after the other, on the same replicated shards (made up in the released format,
or replicated from real ones with --root), against a folder with empty record files. Prints one JSON line.

Usage: python benchmarks/bench_map.py [--shards 10] [--root FOLDER_OF_QUESTIONS] [--check]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import tempfile
import time
from pathlib import Path

from ecgqa.questions.mapping import map_dataset
from ecgqa.questions.shards import format_shard

N_ECGS = 11_566
SAMPLES = 10_000


def made_up_shard(first: int, seed: int) -> list[tuple[object, ...]]:
    draw = random.Random(seed)
    rows: list[tuple[object, ...]] = []
    for sample_id in range(first, first + SAMPLES):
        ids = [draw.randrange(1, N_ECGS) for _ in range(draw.choice([1, 1, 2]))]
        kind = "single-verify" if len(ids) == 1 else "comparison_irrelevant-query"
        attribute = ["static noise"] if len(ids) == 1 else None
        question = f"Placeholder question number {sample_id % 37} of about the usual length of eighty characters?"
        rows.append((26, 1709, sample_id, kind, "noise", question, ["yes"], ids, attribute))
    return rows


def write_questions(folder: Path, n_shards: int, source: Path | None) -> None:
    shards = sorted(source.rglob("template/*/*.json")) if source else []
    for version in ("template", "paraphrased"):
        for number in range(n_shards):
            target = folder / version / "train" / f"{number * SAMPLES:06d}.json"
            target.parent.mkdir(parents=True, exist_ok=True)
            if shards:
                shutil.copyfile(shards[number % len(shards)], target)
            else:
                target.write_text(format_shard(made_up_shard(number * SAMPLES, number)))
    (folder / "answers.csv").write_text("index,class\n0,no\n1,yes\n")
    (folder / "answers_for_each_template.csv").write_text("template_id,classes\n26,\"['no', 'yes']\"\n")


def write_records(folder: Path, questions: Path) -> None:
    ids: set[int] = set()
    for path in sorted(questions.rglob("*.json")):
        ids.update(ecg_id for sample in json.loads(path.read_text()) for ecg_id in sample["ecg_id"])
    for ecg_id in sorted(ids):
        parent = folder / "records500" / f"{ecg_id // 1000 * 1000:05d}"
        parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("hea", "dat"):
            (parent / f"{ecg_id:05d}_hr.{suffix}").touch()


def reference(root: Path, records: Path, dest: Path) -> int:
    """json.load + os.path.exists per reference + json.dump, as the published mapping does."""
    n = 0
    for path in sorted(root.rglob("*.json")):
        with path.open() as stream:
            samples = json.load(stream)
        for sample in samples:
            sample["ecg_path"] = []
            for ecg_id in sample["ecg_id"]:
                record = str(records / f"records500/{ecg_id // 1000 * 1000:05d}/{ecg_id:05d}_hr")
                if not os.path.exists(record + ".dat"):  # noqa: PTH110
                    raise FileNotFoundError(record)
                sample["ecg_path"].append(record)
        target = dest / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("w") as stream:
            json.dump(samples, stream, indent=4)
        n += len(samples)
    return n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=10, help="shards of 10,000 samples per version")
    parser.add_argument("--root", type=Path, help="replicate these real shards instead of made-up ones")
    parser.add_argument("--check", action="store_true", help="exit with status 1 below the target ratio")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        questions, records = base / "questions", base / "records"
        write_questions(questions, arguments.shards, arguments.root)
        write_records(records, questions)
        started = time.perf_counter()
        n = reference(questions, records, base / "reference")
        reference_s = time.perf_counter() - started
        started = time.perf_counter()
        mapped = map_dataset(questions, records=records, dest=base / "ours")
        ours_s = time.perf_counter() - started
        equal = all(
            path.read_bytes() == (base / "ours" / path.relative_to(base / "reference")).read_bytes()
            for path in (base / "reference").rglob("*.json")
        )
        assert mapped.n_samples == n
        result = {
            "benchmark": "map",
            "samples": n,
            "reference_us_per_sample": round(1e6 * reference_s / n, 2),
            "ours_us_per_sample": round(1e6 * ours_s / n, 2),
            "ratio": round(reference_s / ours_s, 1),
            "target": 3,
            "equal_bytes": equal,
        }
        print(json.dumps(result))
        if not equal or (arguments.check and reference_s < 3 * ours_s):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
