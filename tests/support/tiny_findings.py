"""A store whose single questions a small classifier can learn: a fast or slow rhythm, and drift in single leads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import wfdb
from torch import Tensor, nn

from ecgqa.models.registry import MODULES, Task, register_model
from ecgqa.records import LEADS
from ecgqa.store.build import build_store

CLASSES = ["atrial flutter", "baseline drift", "sinus rhythm"]


def build_findings_store(root: Path, *, n_ecgs: int = 40, fs_hz: int = 100, n_samples: int = 200) -> Path:
    """Write ECGs and questions below `root` and pack them; of the ECGs a quarter is valid and a quarter test."""
    data, ecgs = root / "data", root / "ecgs"
    ecgs.mkdir(parents=True)
    generator = np.random.default_rng(3)
    time_s = np.arange(n_samples) / fs_hz
    samples: dict[str, list[dict[str, Any]]] = {"train": [], "valid": [], "test": []}
    for ecg_id in range(1, n_ecgs + 1):
        fast, drifting = ecg_id % 2 == 0, generator.random(12) < 0.3
        signal = np.sin(2 * np.pi * (8 if fast else 4) * time_s)[:, None] * generator.uniform(0.5, 1, 12)
        signal += drifting * 2 * np.sin(np.pi * time_s / 2)[:, None] + 0.05 * generator.standard_normal(signal.shape)
        wfdb.wrsamp(
            f"{ecg_id:05d}", fs_hz, ["mV"] * 12, list(LEADS), signal, fmt=["16"] * 12, adc_gain=[1000.0] * 12,
            baseline=[0] * 12, write_dir=str(ecgs),
        )  # fmt: skip
        split = ("train", "train", "valid", "test")[ecg_id // 2 % 4]

        def ask(template_id: int, kind: str, about: str, text: str, answer: list[str], attribute: list[str]) -> None:
            rows = samples[split]  # noqa: B023
            rows.append(
                {
                    "template_id": template_id,
                    "question_id": template_id,
                    "sample_id": len(rows),
                    "question_type": kind,
                    "attribute_type": about,
                    "question": text,
                    "answer": answer,
                    "ecg_id": [ecg_id],  # noqa: B023
                    "attribute": attribute,
                    "ecg_path": [str(ecgs / f"{ecg_id:05d}")],  # noqa: B023
                }
            )

        for name, holds in (("atrial flutter", fast), ("sinus rhythm", not fast)):
            ask(1, "single-verify", "scp_code", f"Is {name} there?", ["yes" if holds else "no"], [name])
        ask(27, "single-verify", "noise", "Baseline drift?", ["yes" if drifting.any() else "no"], ["baseline drift"])
        shown = [f"lead {lead}" for lead, drifts in zip(LEADS, drifting, strict=True) if drifts] or ["none"]
        ask(34, "single-query", "noise", "What leads show baseline drift?", shown, ["baseline drift"])
    for split, rows in samples.items():
        folder = data / "template" / split
        folder.mkdir(parents=True)
        (folder / "00000.json").write_text(json.dumps(rows, indent=4))
    classes = sorted(["no", "not sure", "yes", "none", *(f"lead {lead}" for lead in LEADS)])
    lines = [f"{index},{name}" for index, name in enumerate(classes)]
    (data / "answers.csv").write_text("index,class\n" + "\n".join(lines) + "\n")
    lists = {1: ["no", "not sure", "yes"], 27: ["no", "yes"], 34: [f"lead {lead}" for lead in LEADS] + ["none"]}
    text = "\n".join(f'{template},"{names}"' for template, names in lists.items())
    (data / "answers_for_each_template.csv").write_text(f"template_id,classes\n{text}\n")
    return build_store(root / "store", questions_root=data)


@dataclass
class StridesConfig:
    """Size of the test's classifier."""

    width: int = 16
    dropout: float = 0.1


@register_model("test_strides", StridesConfig, Task.CLASSIFICATION)
class Strides(nn.Module):
    """Two strided convolutions, the root mean square over time, a linear map: enough for the tests, row by row."""

    def __init__(self, config: StridesConfig, *, n_classes: int) -> None:
        super().__init__()
        self.config = config
        self.first, self.second = nn.Conv1d(12, config.width, 9, stride=2), nn.Conv1d(config.width, config.width, 5)
        self.dropout, self.out = nn.Dropout(config.dropout), nn.Linear(config.width + 24, n_classes)

    def forward(self, ecg: Tensor, length: Tensor, leads: Tensor) -> Tensor:
        x = self.second(torch.tanh(self.first(ecg))).pow(2).mean(-1).add(1e-3).sqrt()
        size = ecg.mean(-1).abs()
        logits: Tensor = self.out(self.dropout(torch.cat([x, size, leads.to(x.dtype)], 1)))
        return logits


MODULES["test_strides"] = __name__


def findings_recipe(store: Path, **overrides: Any) -> Any:
    """A recipe that learns the store in a few seconds; overrides with __ for the dot."""
    from ecgqa.training.recipe import make_recipe

    settings = {
        "name": "tiny findings",
        "model": {"name": "test_strides"},
        "objective": {"name": "classification"},
        "optimizer": {"lr": 0.01},
        "run": {"steps": 40, "batch_size": 16, "eval_every": 10, "log_every": 5, "device": "cpu", "threads": 1},
    }
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return make_recipe(settings, {"data.store": str(store), **dotted})
