"""Facts as a folder of arrays that worker processes map into memory instead of receiving copies."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ecgqa.attributes.vocabulary import Vocabulary
from ecgqa.questions.facts import Facts, Ints, View
from ecgqa.records import Split

_INDEX = "facts.json"


def save_facts(facts: Facts, parts: dict[Split, Ints], folder: Path) -> Path:
    """Write facts and the rows of each split to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    index: dict[str, Any] = {"vocabulary": asdict(facts.vocabulary), "views": {}}
    for name in ("ecg_id", "patient_id", "recorded_us"):
        np.save(folder / f"{name}.npy", getattr(facts, name))
    for split, rows in parts.items():
        np.save(folder / f"{split.value}.npy", rows)
    for number, (name, view) in enumerate(facts.views.items()):
        arrays = {"holds": view.holds, "known": view.known, "uncertain": view.uncertain}
        index["views"][name] = {"number": number, "options": view.options, "arrays": []}
        for kind, array in arrays.items():
            if array is not None:
                index["views"][name]["arrays"].append(kind)
                np.save(folder / f"view{number}_{kind}.npy", array)
    (folder / _INDEX).write_text(json.dumps(index), encoding="utf-8")
    return folder


def load_facts(folder: Path) -> tuple[Facts, dict[Split, Ints]]:
    """What `save_facts` wrote, as read-only memory maps."""
    index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    words: Any = {name: tuple(one) if isinstance(one, list) else one for name, one in index["vocabulary"].items()}
    vocabulary = Vocabulary(**words)

    def array(name: str) -> Any:
        # A plain array over the mapped bytes: arithmetic on np.memmap itself is slower.
        path = folder / f"{name}.npy"
        mapped = np.load(path, mmap_mode="r") if path.stat().st_size > 1 << 16 else np.load(path)
        return mapped.view(np.ndarray)

    views = {
        name: View(
            tuple(entry["options"]),
            **{kind: array(f"view{entry['number']}_{kind}") for kind in entry["arrays"]},
        )
        for name, entry in index["views"].items()
    }
    facts = Facts(vocabulary, array("ecg_id"), array("patient_id"), array("recorded_us"), views)
    return facts, {split: array(split.value) for split in Split}
