"""What the store delivers is what the original's data sets delivered: units, padding, crops, pairs, masked leads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ecgqa.models.ecg_encoder import EcgEncoderConfig, EcgFrontEnd
from ecgqa.signals.augment import limb_leads, only_leads, scaled, surviving_leads, with_limb_leads
from ecgqa.store import Store, open_store
from ecgqa.store.build import build_store
from ecgqa.store.decode import Decoder
from ecgqa.store.segments import SegmentBatch, SegmentLoader
from support.ecg_file import write_signal

pytestmark = pytest.mark.parity

FS_HZ = 500


def cases(root: Path) -> list[tuple[Path, dict[str, Tensor], dict[str, Tensor]]]:
    """Case folders of the data utilities: those whose outputs hold collated signals."""
    found = []
    for config in sorted(root.glob("*/config.json")):
        folder = config.parent
        if "RawECGDataset" in str(json.loads(config.read_text()).get("upstream_class")):
            inputs, outputs = (load_file(folder / f"{name}.safetensors") for name in ("inputs", "outputs"))
            found.append((folder, inputs, outputs))
    if not found:
        pytest.skip("no case of this kind")
    return found


def packed(folder: Path, signals: dict[int, Tensor]) -> Store:
    """A store of signals in mV with a resolution of 1 µV, which is what the cases hold."""
    longest = max(signal.shape[1] for signal in signals.values())
    for ecg_id, signal in signals.items():
        digital = np.round(signal.numpy().astype(np.float64) * 1000).astype("<i2")
        assert np.abs(digital / 1000 - signal.numpy()).max() < 1e-6
        write_signal(folder / "records", ecg_id, digital, fs_hz=FS_HZ)
    return open_store(build_store(folder / "store", records_root=folder / "records", samples=longest))


def numbered(inputs: dict[str, Tensor], name: str) -> dict[int, Tensor]:
    return {int(key.removeprefix(name)): value for key, value in inputs.items() if key.startswith(name)}


def close(ours: Tensor, golden: Tensor, what: str) -> None:
    tolerance = 2e-5 + 1e-5 * golden.abs().max().item()
    torch.testing.assert_close(ours, golden, atol=tolerance, rtol=0.0, msg=lambda text: f"{what}: {text}")


def lengths_of(padding_mask: Tensor) -> list[int]:
    return (~padding_mask[:, 0]).sum(-1).tolist()


def test_signals_padding_and_crops(parity_cases: Path, tmp_path: Path) -> None:
    for number, (folder, inputs, outputs) in enumerate(cases(parity_cases)):
        signals = numbered(inputs, "signal")
        store = packed(tmp_path / str(number), signals)
        rows = np.arange(len(signals))
        for decoder in (Decoder.mapped(store), _at_once(store)):
            ecg, length = decoder(rows)
            close(ecg, outputs["collate.pad.source"], f"{folder.name} collate.pad.source")
            assert length.tolist() == lengths_of(outputs["collate.pad.padding_mask"])

            drawn = iter(inputs["crop_starts"].tolist())
            shortest = int(length.min())
            starts = np.array([next(drawn) if n > shortest else 0 for n in length.tolist()])
            ecg, _ = decoder(rows, starts, shortest)
            close(ecg, outputs["collate.crop.source"], f"{folder.name} collate.crop.source")

            largest = int(outputs["collate.padmax.max_sample_size"])
            drawn = iter(inputs["crop_starts"].tolist())
            starts = np.array([min(next(drawn), n - largest) if n > largest else 0 for n in length.tolist()])
            golden = outputs["collate.padmax.source"]
            ecg, length = decoder(rows, starts, golden.shape[-1])
            close(ecg, golden, f"{folder.name} collate.padmax.source")
            assert length.tolist() == lengths_of(outputs["collate.padmax.padding_mask"])

        golden = outputs["crop.start_aligned"]
        first = SegmentLoader(
            store, rows[:1], 1, seconds=golden.shape[-1] / FS_HZ, random_crop=False, shuffle=False, seed=0
        )
        close(next(iter(first)).ecg[0], golden, f"{folder.name} crop.start_aligned")


def _at_once(store: Store) -> Decoder:
    """A decoder that decodes the way a GPU does."""
    mapped = Decoder.mapped(store)

    class AtOnce(Decoder):
        one_by_one = Decoder.all_at_once

    return AtOnce(mapped.signals, mapped.scale_mv, mapped.length, mapped.has_invalid)


def test_consecutive_pairs(parity_cases: Path, tmp_path: Path) -> None:
    for number, (folder, inputs, outputs) in enumerate(cases(parity_cases)):
        pieces = numbered(inputs, "piece")
        pairs = {place: torch.cat([pieces[2 * place], pieces[2 * place + 1]], 1) for place in range(len(pieces) // 2)}
        store = packed(tmp_path / str(number), pairs)
        golden = outputs["cmsc.source"]
        mask = outputs["cmsc.padding_mask"]
        numbers = []
        for row in pairs:
            n_samples = lengths_of(mask)[2 * row]
            batch = _pair(store, row, n_samples)
            close(batch.ecg, golden[2 * row : 2 * row + 2, :, :n_samples], f"{folder.name} cmsc.source")
            assert batch.segment.tolist() == outputs["cmsc.segment"][2 * row : 2 * row + 2].tolist()
            numbers += batch.patient.tolist()
        theirs = outputs["cmsc.patient_id"].tolist()
        assert [a == b for a in numbers for b in numbers] == [a == b for a in theirs for b in theirs]


def _pair(store: Store, row: int, n_samples: int) -> SegmentBatch:
    one = SegmentLoader(store, np.array([row]), 1, seconds=n_samples / FS_HZ, n_segments=2, shuffle=True, seed=0)
    return next(iter(one))


def test_leads_and_normalisation(parity_cases: Path) -> None:
    for folder, inputs, outputs in cases(parity_cases):
        signals = numbered(inputs, "signal")
        for key, leads in inputs.items():
            if key.startswith("subset_"):
                kept = torch.zeros(12, dtype=torch.bool)
                kept[leads] = True
                name = f"leads.padded.{key.removeprefix('subset_')}"
                close(only_leads(signals[0], kept), outputs[name], f"{folder.name} {name}")
        for key in [name for name in outputs if name.startswith("random_leads_mask.p")]:
            kept = surviving_leads(inputs["lead_mask_uniform"], float(key.partition(".p")[2]))
            close(only_leads(signals[0], kept), outputs[key], f"{folder.name} {key}")
        close(with_limb_leads(signals[1]), outputs["limb_dependency"], f"{folder.name} limb_dependency")
        close(limb_leads(signals[1][0], signals[1][1]), outputs["limb_dependency"][2:6], f"{folder.name} limb leads")
        ours = scaled(signals[0], inputs["lead_mean"][:, None], inputs["lead_std"][:, None])
        close(ours, outputs["normalized"], f"{folder.name} normalized")


def test_digital_samples_and_frames(parity_cases: Path, tmp_path: Path) -> None:
    for number, (folder, inputs, outputs) in enumerate(cases(parity_cases)):
        write_signal(tmp_path / str(number), 1, inputs["raw_int16"].numpy().astype("<i2"), fs_hz=FS_HZ)
        store = open_store(build_store(tmp_path / f"store {number}", records_root=tmp_path / str(number)))
        ecg, _ = Decoder.mapped(store)(np.array([0]))
        close(ecg[0], outputs["wfdb.signal"], f"{folder.name} wfdb.signal")
        front_end = EcgFrontEnd(EcgEncoderConfig())
        assert torch.equal(front_end.n_frames(inputs["lengths"]), outputs["frames_of_lengths"]), folder.name


def test_both_ecgs_of_a_question(parity_cases: Path, tmp_path: Path) -> None:
    for number, (folder, inputs, outputs) in enumerate(cases(parity_cases)):
        signals = numbered(inputs, "signal")
        second = numbered(inputs, "second_ecg.")
        base = len(signals)
        store = packed(tmp_path / str(number), signals | {base + place: signal for place, signal in second.items()})
        ids = store.records["ecg_id"].to_list()
        decoder = Decoder.mapped(store)
        first, length = decoder(np.arange(base))
        golden = outputs["qa_one.ecg"]
        close(first[..., : golden.shape[-1]], golden, f"{folder.name} qa_one.ecg")
        assert length.tolist() == lengths_of(outputs["qa_one.ecg_padding_mask"])
        rows = np.array([ids.index(base + place) if place in second else -1 for place in range(base)])
        other, length = decoder(rows)
        golden = outputs["qa_two.ecg_2"]
        close(other[..., : golden.shape[-1]], golden, f"{folder.name} qa_two.ecg_2")
        assert not other[..., golden.shape[-1] :].any()
        assert length.tolist() == lengths_of(outputs["qa_two.ecg_2_padding_mask"])
