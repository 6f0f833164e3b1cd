"""Input for the benchmarks: the real data where they are at hand, else questions and records made up in their form."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
CLASSES = ["no", "not sure", "yes", "none"]


def real_data() -> Path | None:
    """Root of the real data (ECGQA_REAL_DATA, default ../shared/data beside the checkout), None if it is not there."""
    root = Path(os.environ.get("ECGQA_REAL_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    return root if (root / "ptbxl" / "ptbxl_database.csv").is_file() else None


def released_shard() -> list[dict[str, object]]:
    """The 10,000 samples of the real shard train/120000, or made-up ones of the same form and size."""
    root = real_data()
    shard = root / "ecgqa/ptbxl/template/train/120000.json" if root else None
    if shard and shard.is_file():
        return list(json.loads(shard.read_text()))
    draw = np.random.default_rng(0)
    return [
        {
            "template_id": 26,
            "question_id": 1709 + number // 250,
            "sample_id": 120_000 + number,
            "question_type": "single-verify",
            "attribute_type": "noise",
            "question": f"Does this ECG show static noise in lead {LEADS[number // 250 % 12]}?",
            "answer": [str(draw.choice(["no", "yes"]))],
            "ecg_id": [int(draw.integers(1, 21_838))],
            "attribute": ["static noise"],
        }
        for number in range(10_000)
    ]


def write_dataset(folder: Path, samples: list[dict[str, object]]) -> Path:
    """Write template questions of split train in the published layout, 10,000 to a shard."""
    target = folder / "template" / "train"
    target.mkdir(parents=True)
    for first in range(0, len(samples), 10_000):
        (target / f"{first:06d}.json").write_text(json.dumps(samples[first : first + 10_000], indent=4))
    root = real_data()
    for name in ("answers.csv", "answers_for_each_template.csv"):
        real = root / "ecgqa/ptbxl" / name if root else None
        if real and real.is_file():
            (folder / name).write_bytes(real.read_bytes())
    if not (folder / "answers.csv").exists():
        rows = "".join(f"{index},{name}\n" for index, name in enumerate(CLASSES))
        (folder / "answers.csv").write_text("index,class\n" + rows)
        (folder / "answers_for_each_template.csv").write_text("template_id,classes\n26,\"['no', 'yes']\"\n")
    return folder


def records(folder: Path, n_made_up: int = 400) -> list[Path]:
    """Paths (without extension) of the real PTB-XL records at 500 Hz, or of made-up ones written below `folder`."""
    root = real_data()
    if root:
        found = sorted(path.with_suffix("") for path in (root / "ptbxl/records500").rglob("*.hea"))
        if found:
            return found
    import wfdb

    draw = np.random.default_rng(0)
    made = []
    for number in range(n_made_up):
        signal = draw.normal(0, 0.3, (5000, 12)).cumsum(axis=0) * 0.02
        name = f"{number + 1:05d}"
        wfdb.wrsamp(
            name, fs=500, units=["mV"] * 12, sig_name=LEADS, p_signal=signal, fmt=["16"] * 12, adc_gain=[1000.0] * 12,
            baseline=[0] * 12, write_dir=str(folder),
        )  # fmt: skip
        made.append(folder / name)
    return made


def table(title: str, rows: list[tuple[str, str]]) -> None:
    """Print a title and aligned rows."""
    print(title)
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        print(f"  {label:<{width}}  {value}")
