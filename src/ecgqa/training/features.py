"""What a trained model's frozen ECG encoder makes of the ECGs of a store: one vector each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgqa.errors import EcgqaError
from ecgqa.models.layers import masked_mean, positions_below
from ecgqa.store import Store
from ecgqa.store.decode import Decoder

PARTS = ("front_end", "positions", "encoder")


class FrozenEncoder:
    """The ECG transformer inside a model of any kind, in evaluation mode and without gradients.

    Raises EcgqaError if the model has none: it keeps its parts at its top, or below `ecg_encoder`.
    """

    def __init__(self, model: nn.Module) -> None:
        holder = getattr(model, "ecg_encoder", model)
        lacking = [part for part in PARTS if not hasattr(holder, part)]
        if lacking:
            raise EcgqaError(
                f"{type(model).__name__} holds no ECG transformer to look into",
                expected=f"a model with the parts {', '.join(PARTS)}",
                found=", ".join(name for name, _ in holder.named_children()),
            )
        self._holder: nn.Module = holder.eval()
        # In question answering the ECG's tokens carry a mark that tells them from the words.
        kind = getattr(holder, "token_type", None)
        self._kind: Tensor | None = None if kind is None else kind.weight.detach()[0]

    def to(self, device: torch.device) -> FrozenEncoder:
        self._holder.to(device)
        self._kind = None if self._kind is None else self._kind.to(device)
        return self

    @torch.inference_mode()
    def __call__(self, ecg: Tensor, length: Tensor) -> Tensor:
        """ecg (B, 12, T) mV, length (B,) valid samples -> mean over the valid frames, (B, width)."""
        front_end, positions, encoder = (getattr(self._holder, part) for part in PARTS)
        padded = bool((length < ecg.shape[-1]).any())
        x = front_end(ecg, length if padded else None)
        valid = positions_below(front_end.n_frames(length), x.shape[1])
        if padded:
            x = x.masked_fill(~valid[:, :, None], 0.0)
        x = x + positions(x)
        if self._kind is not None:
            x = x + self._kind
        return masked_mean(encoder(x, valid if padded else None), valid)


def encoder_features(
    model: nn.Module,
    store: Store,
    rows: NDArray[np.int64],
    *,
    device: torch.device,
    batch_size: int = 32,
    advance: Callable[[int], None] = lambda n: None,
) -> NDArray[np.float32]:
    """Vectors (n, width) of the ECGs in `rows`; `advance` is told how many are done."""
    encoder = FrozenEncoder(model).to(device)
    found = []
    for ecg, length in _batches(store, rows, batch_size):
        found.append(encoder(ecg.to(device), length.to(device)).float().cpu().numpy())
        advance(len(ecg))
    return np.concatenate(found)


AMPLITUDES = ("mean", "SD", "minimum", "maximum", "mean step")


def amplitude_statistics(store: Store, rows: NDArray[np.int64], batch_size: int = 256) -> NDArray[np.float32]:
    """Five numbers per lead (n, 60), AMPLITUDES in mV over the valid samples: what no encoder is needed for."""
    found = []
    for ecg, length in _batches(store, rows, batch_size):
        valid = positions_below(length, ecg.shape[-1])[:, None]
        count = length.clamp_min(1)[:, None]
        mean = ecg.sum(-1) / count
        sd = (((ecg - mean[..., None]) * valid).square().sum(-1) / count).sqrt()
        low, high = ecg.masked_fill(~valid, torch.inf).amin(-1), ecg.masked_fill(~valid, -torch.inf).amax(-1)
        step = (ecg.diff(dim=-1).abs() * valid[..., 1:]).sum(-1) / count
        found.append(torch.cat([mean, sd, low, high, step], dim=1).nan_to_num(0.0, 0.0, 0.0).numpy())
    return np.concatenate(found)


def _batches(store: Store, rows: NDArray[np.int64], batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    decoder = Decoder.mapped(store)
    for first in range(0, len(rows), batch_size):
        yield decoder(rows[first : first + batch_size])
