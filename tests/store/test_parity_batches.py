"""Batches, frame counts and millivolts equal those of the original's data loader, for every golden case of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import wfdb
from safetensors.torch import load_file
from torch import Tensor

from ecgqa.models.ecg_encoder import EcgEncoderConfig, EcgFrontEnd
from ecgqa.models.pretrained_text import PretrainedText
from ecgqa.records import LEADS
from ecgqa.signals.read import read_ecg
from ecgqa.store import open_store
from ecgqa.store.batch import Batch
from ecgqa.store.batches import QuestionDataset
from ecgqa.store.build import build_store

pytestmark = pytest.mark.parity
GAIN = 8_000.0
HALF_A_UNIT = 0.51 / GAIN
"""Ours are stored as int16; the golden ones never were."""


@pytest.fixture(scope="module")
def data_cases(parity_cases: Path) -> list[tuple[Path, dict[str, Any]]]:
    found = [(path.parent, json.loads(path.read_text())) for path in sorted(parity_cases.glob("*/config.json"))]
    found = [(folder, config) for folder, config in found if "vocab" in config and "texts" in config]
    if not found:
        pytest.skip("no golden case of data utilities")
    return found


def write_ecg(folder: Path, name: str, millivolts: Tensor, gain: float = GAIN) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    digital = np.rint(millivolts.numpy().T.astype(np.float64) * gain).astype(np.int64)
    wfdb.wrsamp(
        name, 500, ["mV"] * 12, list(LEADS), d_signal=digital, fmt=["16"] * 12, adc_gain=[gain] * 12,
        baseline=[0] * 12, write_dir=str(folder),
    )  # fmt: skip
    return str(folder / name)


def batch_of_case(root: Path, config: dict[str, Any], ecgs: list[list[Tensor]], answers: Tensor) -> Batch:
    """The questions of a case, written in the published layout, packed into a store and batched."""
    classes = [f"answer {place}" for place in range(answers.shape[1])]
    samples = []
    for row, (text, given) in enumerate(zip(config["texts"], ecgs, strict=True)):
        ids = [10 * (row + 1) + place for place in range(len(given))]
        samples.append(
            {
                "template_id": 8 if len(given) == 1 else 61,
                "question_id": row,
                "sample_id": row,
                "question_type": "single-query" if len(given) == 1 else "comparison_irrelevant-query",
                "attribute_type": "scp_code",
                "question": text,
                "answer": [name for name, right in zip(classes, answers[row].tolist(), strict=True) if right],
                "ecg_id": ids,
                "attribute": None,
                "ecg_path": [write_ecg(root / "ecgs", f"{i:05d}", x) for i, x in zip(ids, given, strict=True)],
            }
        )
    folder = root / "data" / "template" / "train"
    folder.mkdir(parents=True)
    (folder / "00000.json").write_text(json.dumps(samples))
    (root / "data" / "answers.csv").write_text(
        "index,class\n" + "".join(f"{index},{name}\n" for index, name in enumerate([*classes, "none"]))
    )
    (root / "data" / "answers_for_each_template.csv").write_text(
        "template_id,classes\n" + "".join(f'{template},"{[*classes, "none"]}"\n' for template in (8, 61))
    )
    (root / "vocab.txt").write_text("\n".join(config["vocab"]) + "\n", encoding="utf-8")
    longest = max(ecg.shape[-1] for given in ecgs for ecg in given)
    store = open_store(build_store(root / "store", questions_root=root / "data", samples=longest))
    encode = PretrainedText(str(root / "vocab.txt")).tokenizer().encode
    dataset = QuestionDataset(store, split="train", version=None, encode=encode)
    assert dataset.frame["sample_id"].to_list() == list(range(len(samples)))
    return dataset.batch(range(len(samples)))


@pytest.mark.parametrize("kind", ["qa_one", "qa_two"])
def test_a_batch_is_the_original_batch(
    data_cases: list[tuple[Path, dict[str, Any]]], tmp_path: Path, kind: str
) -> None:
    for folder, config in data_cases:
        inputs, golden = (load_file(folder / f"{part}.safetensors") for part in ("inputs", "outputs"))
        ecgs = [[inputs[f"signal{row}"]] for row in range(len(config["texts"]))]
        if kind == "qa_two":
            for row, given in enumerate(ecgs):
                given += [inputs[key] for key in (f"second_ecg.{row}",) if key in inputs]
        batch = batch_of_case(tmp_path / folder.name, config, ecgs, golden[f"{kind}.answer"])
        assert torch.equal(batch.text, golden[f"{kind}.text"])
        places = torch.arange(batch.text.shape[1])
        assert torch.equal(places >= batch.text_length[:, None], golden[f"{kind}.text_padding_mask"])
        assert torch.equal(batch.target, golden[f"{kind}.answer"].float())
        parts = ["ecg", "ecg_2"] if f"{kind}.ecg_2" in golden else ["ecg"]
        assert batch.ecg_of.shape == (len(ecgs), len(parts))
        for place, part in enumerate(parts):
            theirs, padding = golden[f"{kind}.{part}"], golden[f"{kind}.{part}_padding_mask"]
            ours, length = batch.ecg[:, place], batch.ecg_length[:, place]
            width = theirs.shape[-1]
            torch.testing.assert_close(ours[..., :width], theirs, atol=HALF_A_UNIT, rtol=0.0)
            assert not bool(ours[..., width:].any())
            assert torch.equal((torch.arange(width) >= length[:, None])[:, None].expand_as(padding), padding)
            assert not bool(ours[..., :width][padding].any())


def test_frames_of_lengths(data_cases: list[tuple[Path, dict[str, Any]]]) -> None:
    front_end = EcgFrontEnd(EcgEncoderConfig(width=16, n_heads=1))
    for folder, _ in data_cases:
        lengths = load_file(folder / "inputs.safetensors")["lengths"]
        assert torch.equal(front_end.n_frames(lengths), load_file(folder / "outputs.safetensors")["frames_of_lengths"])


def test_millivolts_of_a_record(data_cases: list[tuple[Path, dict[str, Any]]], tmp_path: Path) -> None:
    for folder, _ in data_cases:
        digital = load_file(folder / "inputs.safetensors")["raw_int16"]
        record = write_ecg(tmp_path, folder.name, digital.double() / 1000, gain=1000.0)
        golden = load_file(folder / "outputs.safetensors")["wfdb.signal"]
        np.testing.assert_allclose(read_ecg(record).millivolts(), golden.numpy(), rtol=1e-6, atol=0)
