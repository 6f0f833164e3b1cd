"""Fits the wave network of `delineate(method="ecgqa")` to manually annotated ECGs and writes its parameter file.

Needs torch; nothing else in this folder does. The shipped parameters come from the Lobachevsky University
Electrocardiography Database (LUDB 1.0.1, Open Data Commons Attribution License 1.0, doi:10.13026/eegm-h675):

    python -m ecgqa.signals.delineation.fit LUDB_DATA_DIR wave_network.npz --records all
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ecgqa.artefacts import atomic_path
from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS
from ecgqa.signals.delineation.augment import Example, augmented, taken_apart
from ecgqa.signals.delineation.network_input import network_input
from ecgqa.signals.delineation.transplant import beats_of, transplanted
from ecgqa.signals.delineation.wave_network import DILATIONS
from ecgqa.signals.read import read_ecg

ANNOTATION_LABELS: Final = {"p": 1, "N": 2, "t": 3}
CROP: Final = 416
"""Samples of the network's rate per training piece: 4.16 s."""
HALF, QUARTER, EIGHTH, TRUNK = 16, 24, 32, 64
"""Channels per lead at 1/2, 1/4 and 1/8 of the rate, and of all leads together."""
DONORS_PER_ECG: Final = 6
MIXED_PER_ECG: Final = 3
MIXED_SHARE: Final = 0.35
"""Share of training pieces from ECGs that were given the complexes of another."""
GREATEST_RATE: Final = 4e-3
UNKNOWN_END_SAMPLES: Final = 40


class WaveNetwork(nn.Module):
    """(B, 12, T) input and (B, 12) lead mask -> (B, 12, 4, T) logits of none, P, QRS, T.

    The same computation as `wave_network.wave_probabilities`, with batch normalisation and a mask over the leads.
    """

    def __init__(self) -> None:
        super().__init__()
        self.e1 = nn.Conv1d(1, HALF, 16, stride=2, padding=7, bias=False)
        self.e2 = nn.Conv1d(HALF, QUARTER, 4, stride=2, padding=1, bias=False)
        self.e3 = nn.Conv1d(QUARTER, EIGHTH, 4, stride=2, padding=1, bias=False)
        self.inward = nn.Conv1d(2 * EIGHTH, TRUNK, 1, bias=False)
        self.trunk = nn.ModuleList(nn.Conv1d(TRUNK, TRUNK, 5, dilation=d, padding=2 * d, bias=False) for d in DILATIONS)
        self.outward = nn.Conv1d(TRUNK, EIGHTH, 1, bias=False)
        self.d3 = nn.Conv1d(EIGHTH, EIGHTH, 1, bias=False)
        self.up3 = nn.Conv1d(EIGHTH, 2 * QUARTER, 1)
        self.d2 = nn.Conv1d(QUARTER, QUARTER, 3, padding=1, bias=False)
        self.up2 = nn.Conv1d(QUARTER, 2 * HALF, 1)
        self.d1 = nn.Conv1d(HALF, HALF, 3, padding=1, bias=False)
        self.out = nn.Conv1d(HALF, 2 * 4, 3, padding=1)
        widths = {"e1": HALF, "e2": QUARTER, "e3": EIGHTH, "inward": TRUNK, "d3": EIGHTH, "d2": QUARTER, "d1": HALF}
        self.norms = nn.ModuleDict({name: nn.BatchNorm1d(width) for name, width in widths.items()})
        self.trunk_norms = nn.ModuleList(nn.BatchNorm1d(TRUNK) for _ in DILATIONS)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        b, n_leads, t = x.shape
        e1 = torch.relu(self.norms["e1"](self.e1(x.reshape(b * n_leads, 1, t))))
        e2 = torch.relu(self.norms["e2"](self.e2(e1)))
        e3 = torch.relu(self.norms["e3"](self.e3(e2)))
        leads = e3.reshape(b, n_leads, -1, t // 8)
        there = mask[:, :, None, None]
        mean = (leads * there).sum(1) / there.sum(1).clamp(min=1)
        most = (leads * there).amax(1)  # activations are never negative
        h = torch.relu(self.norms["inward"](self.inward(torch.cat([mean, most], 1))))
        for conv, norm in zip(self.trunk, self.trunk_norms, strict=True):
            h = h + torch.relu(norm(conv(h)))
        h = self.outward(self.drop(h))
        d3 = self.d3(e3).reshape(b, n_leads, -1, t // 8) + h[:, None]
        d3 = torch.relu(self.norms["d3"](d3.reshape(b * n_leads, -1, t // 8)))
        d2 = torch.relu(self.norms["d2"](self.d2(e2 + _unfolded(self.up3(d3)))))
        d1 = torch.relu(self.norms["d1"](self.d1(e1 + _unfolded(self.up2(d2)))))
        return _unfolded(self.out(d1)).reshape(b, n_leads, 4, t)


def _unfolded(x: torch.Tensor) -> torch.Tensor:
    """(B, 2C, T) -> (B, C, 2T): channel 2c + i becomes sample 2t + i."""
    b, c, t = x.shape
    return x.reshape(b, c // 2, 2, t).permute(0, 1, 3, 2).reshape(b, c // 2, 2 * t)


def read_annotated(folder: Path, record: str) -> Example:
    """One LUDB record with its labels per lead: 0 none, 1 P, 2 QRS, 3 T, -1 not annotated (outside of the span)."""
    import wfdb

    millivolts = read_ecg(folder / record).millivolts()
    labels = np.full(millivolts.shape, -1, dtype=np.int8)
    for row, lead in enumerate(LEADS):
        notes = wfdb.rdann(str(folder / record), lead.lower())
        samples, symbols = notes.sample, notes.symbol
        labels[row, samples[0] : samples[-1] + 1] = 0
        for j, symbol in enumerate(symbols):
            if symbol not in ANNOTATION_LABELS:
                continue
            opened = j > 0 and symbols[j - 1] == "("
            closed = j + 1 < len(symbols) and symbols[j + 1] == ")"
            first = samples[j - 1] if opened else max(samples[j] - UNKNOWN_END_SAMPLES, 0)
            last = samples[j + 1] if closed else samples[j] + UNKNOWN_END_SAMPLES
            # A wave of which one end was not marked teaches nothing.
            labels[row, first : last + 1] = ANNOTATION_LABELS[symbol] if opened and closed else -1
    return taken_apart(millivolts, labels)


def fit(
    examples: Sequence[Example], *, steps: int = 3000, batch_size: int = 16, seed: int = 0, report: int = 250
) -> WaveNetwork:
    """A network fitted to `examples`; the same seed on the same machine gives the same network."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = WaveNetwork()
    donors = [beat for example in examples for beat in beats_of(example.millivolts, example.labels)[:DONORS_PER_ECG]]
    mixed = [
        taken_apart(*transplanted(example.millivolts, example.labels, donors, rng)) if donors else example
        for example in examples
        for _ in range(MIXED_PER_ECG)
    ]
    optimiser = torch.optim.AdamW(network.parameters(), lr=GREATEST_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, GREATEST_RATE, total_steps=steps, pct_start=0.15)
    network.train()
    total, started = 0.0, time.monotonic()
    for step in range(1, steps + 1):
        pools = [mixed if is_mixed else examples for is_mixed in rng.random(batch_size) < MIXED_SHARE]
        crops = [augmented(pool[int(rng.integers(len(pool)))], CROP, rng) for pool in pools]
        mask = torch.from_numpy(np.stack([crop.leads for crop in crops])).float()
        x = torch.from_numpy(np.stack([network_input(crop.signal) for crop in crops])) * mask[:, :, None]
        target = torch.from_numpy(np.stack([crop.labels for crop in crops])).long()
        target = torch.where(mask[:, :, None] > 0, target, -1)
        logits = network(x, mask).permute(0, 1, 3, 2)
        loss = nn.functional.cross_entropy(
            logits.reshape(-1, 4), target.reshape(-1), ignore_index=-1, label_smoothing=0.01
        )
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += float(loss.detach())
        if report and step % report == 0:
            print(f"step {step}: loss {total / report:.4f}, {time.monotonic() - started:.0f} s", flush=True)
            total = 0.0
    return network.eval()


def folded(network: WaveNetwork) -> dict[str, npt.NDArray[np.float32]]:
    """Parameters for `wave_network.layers_of`: (kernel x inputs, outputs), batch normalisation folded in."""
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    parts: Any = network  # modules by name
    norms: dict[str, Any] = dict(network.norms.items())
    convolutions = {name: getattr(parts, name) for name in ("e1", "e2", "e3", "inward", "d3", "d2", "d1")}
    for i, (convolution, norm) in enumerate(zip(parts.trunk, parts.trunk_norms, strict=True)):
        convolutions[f"trunk{i}"], norms[f"trunk{i}"] = convolution, norm
    for name in ("up3", "up2", "out"):
        convolutions[name] = getattr(parts, name)
    for name, convolution in convolutions.items():
        weight = convolution.weight.detach().double()
        bias = torch.zeros(len(weight)).double() if convolution.bias is None else convolution.bias.detach().double()
        if name in norms:
            scale, shift = _affine(norms[name])
            weight, bias = weight * scale[:, None, None], bias * scale + shift
        if name in ("up3", "up2", "out"):  # channel 2c + i becomes i * C + c, so that unfolding time is a reshape
            weight, bias = torch.cat([weight[0::2], weight[1::2]]), torch.cat([bias[0::2], bias[1::2]])
        arrays[f"{name}_weight"] = weight.permute(2, 1, 0).reshape(-1, len(bias)).numpy().astype(np.float32)
        arrays[f"{name}_bias"] = bias.numpy().astype(np.float32)
    # What the trunk says is added to d3 before its normalisation.
    outward = parts.outward.weight.detach().double()[:, :, 0] * _affine(norms["d3"])[0][:, None]
    arrays["outward_weight"] = outward.T.numpy().astype(np.float32)
    arrays["outward_bias"] = np.zeros(outward.shape[0], dtype=np.float32)
    return arrays


def _affine(norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and shift that a batch normalisation amounts to once it is fitted."""
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.detach().double() - norm.running_mean.double() * scale


def write_parameters(path: Path, network: WaveNetwork, provenance: dict[str, Any]) -> None:
    """The parameter file: half-precision arrays and, as JSON text, where they come from."""
    arrays: dict[str, Any] = {name: values.astype(np.float16) for name, values in folded(network).items()}
    arrays["provenance"] = np.array(json.dumps(provenance, indent=1))
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def chosen_records(folder: Path, which: str) -> list[str]:
    """Names of the records in `folder`: "all", or those whose number is "odd" or "even"."""
    numbers = sorted(int(path.stem) for path in folder.glob("*.hea") if path.stem.isdigit())
    keep = {"all": numbers, "odd": [n for n in numbers if n % 2], "even": [n for n in numbers if n % 2 == 0]}
    if which not in keep or not keep[which]:
        raise EcgqaError(f"no records {which!r} in {folder}", expected="all, odd or even, and LUDB's numbered records")
    return [str(number) for number in keep[which]]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="LUDB's folder `data`")
    parser.add_argument("out", type=Path, help="parameter file to write (.npz)")
    parser.add_argument("--records", default="all", choices=("all", "odd", "even"))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    records = chosen_records(given.data, given.records)
    examples = [read_annotated(given.data, record) for record in records]
    provenance = {
        "source": "Lobachevsky University Electrocardiography Database 1.0.1 (A. Kalyakulina et al., PhysioNet)",
        "doi": "10.13026/eegm-h675",
        "licence": "Open Data Commons Attribution License 1.0",
        "records": [int(record) for record in records],
        "steps": given.steps,
        "seed": given.seed,
    }
    write_parameters(given.out, fit(examples, steps=given.steps, seed=given.seed), provenance)


if __name__ == "__main__":
    main()
