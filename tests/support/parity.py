"""Golden cases of the original models: finding them, reading them, and how close is close enough."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ecgqa.models import build_model
from ecgqa.models.upstream import Architecture, architecture


@dataclass(frozen=True)
class Case:
    """One case folder: the original's model configuration, weights, and batches of inputs and outputs."""

    name: str
    upstream_name: str
    config: dict[str, Any]
    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    @property
    def batches(self) -> list[str]:
        return sorted({key.split(".")[0] for key in self.inputs})

    @property
    def architecture(self) -> Architecture:
        return architecture(self.upstream_name)

    def build(self, **settings: Any) -> nn.Module:
        """Our model with the original's weights, for evaluation; every tensor has its place and finds back."""
        upstream = self.architecture
        model = build_model(
            upstream.model, {**upstream.settings(self.config), **settings}, **upstream.sizes(self.config)
        )
        model.load_state_dict(upstream.renaming.ours(self.weights), strict=True)
        back = upstream.renaming.theirs(model.state_dict())
        assert back.keys() == self.weights.keys()
        assert all(torch.equal(back[name], self.weights[name]) for name in back)
        return model.eval()

    def lengths(self, batch: str, part: str) -> Tensor:
        """Valid samples (or tokens) per row of an input."""
        mask = self.inputs[f"{batch}.{part}_padding_mask"]
        return (~(mask[:, 0] if mask.dim() == 3 else mask)).sum(-1)

    def ecgs(self, batch: str) -> list[tuple[Tensor, Tensor]]:
        """(B, 12, T) millivolts and (B,) lengths of the first ECGs and, if the batch has any, the second."""
        parts = [part for part in ("ecg", "ecg_2") if f"{batch}.{part}" in self.inputs]
        return [(self.inputs[f"{batch}.{part}"], self.lengths(batch, part)) for part in parts]

    def is_padded(self, batch: str) -> bool:
        """Whether any ECG that is there is shorter than its batch."""
        return any(bool(((length > 0) & (length < ecg.shape[-1])).any()) for ecg, length in self.ecgs(batch))

    def compare(self, batch: str, ours: dict[str, Tensor]) -> None:
        """Each golden number of this batch (masks apart) has its equal among ours, within the suggested tolerance."""
        golden = {
            name.removeprefix(f"{batch}."): out for name, out in self.outputs.items() if name.startswith(f"{batch}.")
        }
        for name, out in golden.items():
            if out.dtype != torch.bool:
                close(ours[name], out, f"{self.name} batch {batch} {name}")


def close(ours: Tensor, golden: Tensor, what: str) -> None:
    tolerance = 2e-5 + 1e-5 * golden.abs().max().item()
    torch.testing.assert_close(ours, golden, atol=tolerance, rtol=0.0, msg=lambda text: f"{what}: {text}")


def cases(root: Path, upstream_name: str) -> list[Case]:
    """Case folders of one original model, whatever their number, size or seed; skips the test if there is none."""
    found = []
    for path in sorted(root.glob("*/config.json")):
        values = json.loads(path.read_text())
        if values.get("upstream_model_name") == upstream_name and (path.parent / "weights.safetensors").is_file():
            extra = {key: value for key, value in values.items() if key == "stage_width_divisor"}
            tensors = [load_file(path.parent / f"{part}.safetensors") for part in ("weights", "inputs", "outputs")]
            found.append(Case(path.parent.name, upstream_name, values["model"] | extra, *tensors))
    if not found:
        pytest.skip(f"no golden case of {upstream_name}")
    return found
