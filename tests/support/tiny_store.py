"""A store small enough for a test, whose questions can be answered from a glance at the waves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import wfdb

from ecgqa.records import LEADS
from ecgqa.store.build import build_store

CLASSES = ["no", "none", "normal axis", "left axis deviation", "right axis deviation", "yes"]
FS_HZ, N_SAMPLES = 100, 200


def build_tiny_store(
    root: Path, *, n_ecgs: int = 24, extra_class: str | None = None, fs_hz: int = FS_HZ, n_samples: int = N_SAMPLES
) -> Path:
    """Write ECGs and questions below `root` and pack them; returns the store's folder."""
    data, ecgs = root / "data", root / "ecgs"
    ecgs.mkdir(parents=True)
    generator = np.random.default_rng(7)
    time_s = np.arange(n_samples) / fs_hz
    for ecg_id in range(1, n_ecgs + 1):
        fast = ecg_id % 2
        wave = np.sin(2 * np.pi * (4 if fast else 2) * time_s)[:, None] * np.linspace(-1, 1, 12)
        signal = wave + 0.05 * generator.standard_normal((n_samples, 12))
        wfdb.wrsamp(
            f"{ecg_id:05d}", fs_hz, ["mV"] * 12, list(LEADS), signal, fmt=["16"] * 12, adc_gain=[1000.0] * 12,
            baseline=[0] * 12, write_dir=str(ecgs),
        )  # fmt: skip
    classes = sorted([*CLASSES, extra_class] if extra_class else CLASSES)
    axes = [name for name in classes if name.endswith("axis deviation") or name in ("normal axis", extra_class)]
    for split, ids in (("train", range(1, n_ecgs - 7)), ("valid", range(n_ecgs - 7, n_ecgs - 3)),
                       ("test", range(n_ecgs - 3, n_ecgs + 1))):  # fmt: skip
        samples: list[dict[str, object]] = []

        def add(template: int, kind: str, text: str, answer: list[str], *ecg_ids: int) -> None:
            samples.append(  # noqa: B023
                {
                    "template_id": template,
                    "question_id": template,
                    "sample_id": len(samples),  # noqa: B023
                    "question_type": kind,
                    "attribute_type": "scp_code" if template != 22 else "heart_axis",
                    "question": text,
                    "answer": answer,
                    "ecg_id": list(ecg_ids),
                    "attribute": ["sinus rhythm"] if len(ecg_ids) == 1 else None,
                    "ecg_path": [str(ecgs / f"{ecg_id:05d}") for ecg_id in ecg_ids],
                }
            )

        for ecg_id in ids:
            fast = ecg_id % 2
            add(2, "single-verify", "Does this ECG show a fast rhythm?", ["yes" if fast else "no"], ecg_id)
            add(2, "single-verify", "Is the rhythm of this ECG slow, would you say?", ["no" if fast else "yes"], ecg_id)
            add(22, "single-query", "What axis does this ECG have?", [axes[fast]], ecg_id)
        pairs = zip(ids, [*ids[1:], ids[0]], strict=True)
        for first, second in pairs:
            text = "Is the second ECG faster than the first ECG?"
            add(57, "comparison_irrelevant-verify", text, ["yes" if second % 2 else "no"], first, second)
        folder = data / "template" / split
        folder.mkdir(parents=True)
        (folder / "00000.json").write_text(json.dumps(samples, indent=4))
    lines = [f"{index},{name}" for index, name in enumerate(classes)]
    (data / "answers.csv").write_text("index,class\n" + "\n".join(lines) + "\n")
    rows = {2: ["no", "yes"], 22: axes, 57: ["no", "yes"]}
    text = "\n".join(f'{template},"{names}"' for template, names in rows.items())
    (data / "answers_for_each_template.csv").write_text(f"template_id,classes\n{text}\n")
    return build_store(root / "store", questions_root=data)
