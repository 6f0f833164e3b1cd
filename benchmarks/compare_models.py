"""Two recipes trained on the same store, beside every question-only baseline: CPU seconds, scores, paired intervals.

    python benchmarks/compare_models.py STORE --dest FOLDER [--recipes ecgqa-tiny ecg_transformer-tiny] [--splits test]

The two trainings run at the same time, so that a busy machine slows both alike, with one thread each; the CPU seconds
of each are those of its process. What docs/experiments.md reports comes from here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def ecgqa(*words: str) -> None:
    """Run the command line in a process of its own; its failure is ours."""
    subprocess.run([sys.executable, "-m", "ecgqa", *words], check=True)


def train(recipe: str, store: Path, folder: Path) -> float | None:
    """CPU seconds of training `recipe`, None if it was trained before."""
    if (folder / "manifest.json").is_file():
        return None
    words = ["train", recipe, "--data.store", str(store), "--out", str(folder), "--run.threads", "1"]
    process = subprocess.Popen([sys.executable, "-m", "ecgqa", *words], env=os.environ | {"OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"training {recipe} failed")
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--dest", type=Path, required=True)
    parser.add_argument("--recipes", nargs=2, default=["ecgqa-tiny", "ecg_transformer-tiny"])
    parser.add_argument("--splits", nargs="+", default=["test"])
    asked = parser.parse_args()
    names = [Path(recipe).stem for recipe in asked.recipes]
    runs = [asked.dest / name for name in names]
    with ThreadPoolExecutor(2) as both:
        seconds = list(both.map(train, asked.recipes, [asked.store] * 2, runs))
    for name, run, used in zip(names, runs, seconds, strict=True):
        counts = json.loads((run / "manifest.json").read_text())["counts"]
        spent = "trained before" if used is None else f"{used:.0f} CPU s"
        print(f"{name}: {spent}, {counts['updates']:,} updates, {counts['parameters']:,} parameters")
    for split in asked.splits:
        where = asked.dest / split
        store, rows = str(asked.store), [str(where / f"{name}.parquet") for name in names]
        for name, run, out in zip(names, runs, rows, strict=True):
            ecgqa("predict", str(run), store, "--split", split, "--out", out, "--name", name)
        ecgqa("baselines", store, "--split", split, "--out", str(where / "baselines"))
        ecgqa("score", store, *rows, str(where / "baselines"), "--out", str(where / "scores.json"))
        for other in (names[1], "majority_template", "majority_attribute", "question_only"):
            out = str(where / f"against-{other}.json")
            ecgqa("compare", store, *rows, str(where / "baselines"), "--a", names[0], "--b", other, "--out", out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
