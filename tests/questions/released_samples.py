"""Small question datasets in the published layout, for tests of the question room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Sample = dict[str, Any]

CLASSES = ["no", "not sure", "yes", "static noise", "burst noise", "p duration", "qt interval", "none"]
BY_TEMPLATE = {
    1: ["no", "not sure", "yes"],
    24: ["early stage of myocardial infarction", "old stage of myocardial infarction", "none"],
    26: ["no", "yes"],
    30: ["burst noise", "none", "static noise"],
    32: ["burst noise", "none", "static noise"],
    40: ["above the normal range", "below the normal range", "none", "within the normal range"],
    54: ["none", "p duration", "qt interval"],
    70: ["none", "p duration", "qt interval"],
}
CLASSES += [name for names in BY_TEMPLATE.values() for name in names if name not in CLASSES]
CLASSES = list(dict.fromkeys(CLASSES))
SPLITS = {"train": [1, 2, 3, 4], "valid": [11, 12], "test": [21, 22]}


def sample(sample_id: int = 0, **changes: Any) -> Sample:
    """A valid noise question about ECG 1."""
    base: Sample = {
        "template_id": 26,
        "question_id": 1709,
        "sample_id": sample_id,
        "question_type": "single-verify",
        "attribute_type": "noise",
        "question": "Is there static noise in lead II?",
        "answer": ["yes"],
        "ecg_id": [1],
        "attribute": ["static noise"],
    }
    return base | changes


def pair(sample_id: int = 0, **changes: Any) -> Sample:
    """A valid comparison of ECGs 1 and 2."""
    base = sample(
        sample_id,
        template_id=70,
        question_id=2472,
        question_type="comparison_irrelevant-query",
        attribute_type="numeric_feature",
        question="Which features stay abnormal in the second ECG?",
        answer=["qt interval", "p duration"],
        ecg_id=[1, 2],
        attribute=None,
    )
    return base | changes


def valid_samples() -> list[Sample]:
    """Four valid samples of the train split."""
    return [
        sample(0),
        sample(1, ecg_id=[2], answer=["no"]),
        sample(
            2,
            template_id=30,
            question_id=1770,
            question_type="single-choose",
            question="Which noise is it, static noise or burst noise?",
            answer=["static noise", "burst noise"],
            attribute=["static noise", "burst noise"],
        ),
        pair(3),
    ]


def write_root(
    root: Path,
    shards: dict[str, list[Sample] | bytes] | None = None,
    *,
    lists: bool = True,
    splits: dict[str, list[int]] | None = None,
) -> Path:
    """Write shards (path below root -> samples or raw bytes) as the release does; by default one in both versions."""
    if shards is None:
        shards = {f"{version}/train/00000.json": valid_samples() for version in ("template", "paraphrased")}
    for name, samples in shards.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(samples if isinstance(samples, bytes) else json.dumps(samples, indent=4).encode())
    if lists:
        numbered = "".join(f"{index},{name}\n" for index, name in enumerate(CLASSES))
        (root / "answers.csv").write_text("index,class\n" + numbered)
        rows = "".join(f'{template_id},"{names!r}"\n' for template_id, names in BY_TEMPLATE.items())
        (root / "answers_for_each_template.csv").write_text("template_id,classes\n" + rows)
        for split, ids in (SPLITS if splits is None else splits).items():
            lines = "".join(f"{index}\t{ecg_id}\n" for index, ecg_id in enumerate(ids))
            (root / f"{split}_ecgs.tsv").write_text(lines)
    return root


def write_ptbxl_records(root: Path, ids: list[int], *, folder: str = "records500", suffix: str = "hr") -> Path:
    """Empty record files in PTB-XL's layout (mapping looks only whether they exist)."""
    for ecg_id in ids:
        parent = root / folder / f"{ecg_id // 1000 * 1000:05d}"
        parent.mkdir(parents=True, exist_ok=True)
        for extension in ("hea", "dat"):
            (parent / f"{ecg_id:05d}_{suffix}.{extension}").touch()
    return root
