"""A small question data set and its ECGs, written by hand in the published layout and in WFDB format 16."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ecgqa.store.build import build_store
from support.ecg_file import write_signal

ANSWERS = ["no", "not sure", "yes", "lead I", "lead II", "sinus rhythm", "pacing", "none"]
BY_TEMPLATE = {
    1: ["no", "yes"],
    2: ["lead I", "lead II", "none"],
    3: ["no", "yes"],
    4: ["sinus rhythm", "pacing", "lead I", "none"],
}
N_SAMPLES = 100


def write_ecg(folder: Path, ecg_id: int, *, n_samples: int = N_SAMPLES, fs_hz: int = 500, gain: int = 1000) -> Any:
    """Write a WFDB record with its leads in reverse order; returns the int16 (12, n_samples) in canonical order."""
    signal = np.random.default_rng(ecg_id).integers(-2000, 2000, (12, n_samples)).astype("<i2")
    write_signal(folder, ecg_id, signal, fs_hz=fs_hz, gain=gain)
    return signal


def sample(
    number: int, template_id: int, question: str, answer: Sequence[str], ecg_id: Sequence[int], **more: Any
) -> Any:
    kinds = {1: "single-verify", 2: "single-query", 3: "comparison_irrelevant-verify", 4: "single-choose"}
    return {
        "template_id": template_id,
        "question_id": template_id * 10,
        "sample_id": number,
        "question_type": kinds[template_id],
        "attribute_type": "noise",
        "question": question,
        "answer": list(answer),
        "ecg_id": list(ecg_id),
        "attribute": {1: ["static noise"], 2: ["static noise"], 3: None, 4: ["sinus rhythm", "pacing"]}[template_id],
    } | more


TRAIN = [
    sample(0, 1, "Is there noise?", ["yes"], [11]),
    sample(1, 1, "Is there noise?", ["no"], [7]),
    sample(2, 3, "Is there more noise in the second ECG than in the first ECG?", ["yes"], [7, 11]),
    sample(3, 2, "Which leads show noise?", ["lead I", "lead II"], [30]),
    sample(4, 2, "Which leads show noise?", ["none"], [11]),
    sample(5, 4, "Is this sinus rhythm or pacing?", ["pacing"], [30]),
    sample(6, 3, "Is there more noise in the second ECG than in the first ECG?", ["no"], [30, 30]),
]
VALID = [sample(0, 1, "Any noise at all?", ["no"], [50])]


@dataclass
class Dataset:
    """Folders of questions and ECGs, with the signals that were written."""

    base: Path
    signals: dict[int, Any] = field(default_factory=dict)

    @property
    def questions(self) -> Path:
        return self.base / "questions"

    @property
    def records(self) -> Path:
        return self.base / "records"

    def write(self, split: str, samples: list[Any], version: str = "template") -> None:
        folder = self.questions / version / split
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "00000.json").write_text(json.dumps(samples, indent=4))
        rows = "".join(f"{index},{name}\n" for index, name in enumerate(ANSWERS))
        (self.questions / "answers.csv").write_text("index,class\n" + rows)
        lists = "".join(f'{template_id},"{classes!r}"\n' for template_id, classes in BY_TEMPLATE.items())
        (self.questions / "answers_for_each_template.csv").write_text("template_id,classes\n" + lists)

    def write_ecgs(self, *ids: int, **options: int) -> None:
        self.signals |= {ecg_id: write_ecg(self.records, ecg_id, **options) for ecg_id in ids}

    def build(self, name: str = "store", **options: Any) -> Path:
        options = {"records_root": self.records, "workers": 2} | options
        return build_store(self.base / name, questions_root=self.questions, **options)
