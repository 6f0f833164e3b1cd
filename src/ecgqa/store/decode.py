"""From rows of the int16 signal array to float32 millivolts, in host memory or on a device that holds the array."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgqa.errors import EcgqaError
from ecgqa.records import INVALID_SAMPLE
from ecgqa.store.open import Store

NO_ECG = -1
"""In place of a row: this question has no such ECG."""


@dataclass(frozen=True)
class Decoder:
    """Turns ECG rows into millivolts on the device of its tensors.

    signals: int16 (n_ecgs, 12, T), a view of the store's memory map or a copy on the device.
    scale_mv: float32 (n_ecgs, 12, 1) millivolts per unit. length: int64 (n_ecgs + 1,) valid samples, 0 in the last row.
    has_invalid: for each ECG whether any sample of it is INVALID_SAMPLE (kept on the host, where it is asked).
    """

    signals: Tensor
    scale_mv: Tensor
    length: Tensor
    has_invalid: NDArray[np.bool_]

    @classmethod
    def mapped(cls, store: Store) -> Decoder:
        """A decoder that reads the memory map; its batches are in host memory."""
        records = store.records
        if records.height != store.signals.shape[0]:
            raise EcgqaError(
                f"{store.folder} is damaged: its tables do not belong together",
                expected=f"{store.signals.shape[0]:,} records",
                found=f"{records.height:,}",
                fix="build the store again with --overwrite true",
            )
        with warnings.catch_warnings():  # the map is read-only and so is every use of this tensor
            warnings.simplefilter("ignore", UserWarning)
            signals = torch.from_numpy(store.signals)
        lengths = records["n_samples"].to_numpy()
        invalid = pl.element().str.contains("^(invalid|missing):")
        flagged = records["flags"].list.eval(invalid).list.any().fill_null(False).to_numpy()
        return cls(
            signals,
            torch.from_numpy(store.scale_mv).unsqueeze(-1),
            torch.from_numpy(np.append(lengths, 0).astype(np.int64)),
            np.asarray(flagged | (lengths < store.n_samples)),
        )

    def resident(self, device: torch.device | str) -> Decoder:
        """This decoder with the whole signal array on `device`, where batches are then made.

        Raises EcgqaError if it does not fit into the free memory of a CUDA device.
        """
        device = torch.device(device)
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if self.signals.nbytes > 0.9 * free:
                raise EcgqaError(
                    f"the ECGs do not fit into the memory of {device}",
                    expected=f"{self.signals.nbytes / 1e9:.1f} GB free",
                    found=f"{free / 1e9:.1f} GB",
                    fix="leave them on the host (resident=False)",
                )
        signals = torch.empty(self.signals.shape, dtype=torch.int16, device=device)
        for start in range(0, len(signals), 256):  # in pieces: the map must not be pulled into memory as a whole
            signals[start : start + 256] = self.signals[start : start + 256].to(device)
        return Decoder(signals, self.scale_mv.to(device), self.length.to(device), self.has_invalid)

    def __call__(
        self, rows: NDArray[np.int64], starts: NDArray[np.int64] | None = None, n_samples: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Millivolts float32 (n, 12, T) and lengths int64 (n,) of the ECGs in `rows` (n,); row -1 is an empty ECG.

        starts, n_samples: of each ECG only the `n_samples` samples from its start (n,) on, zero beyond the array.
        """
        decode = self.one_by_one if self.signals.device.type == "cpu" else self.all_at_once
        length = self.length[torch.from_numpy(rows).to(self.length.device)]
        if n_samples is None:
            return decode(rows), length
        starts = np.zeros_like(rows) if starts is None else starts
        first = torch.from_numpy(starts).to(length.device)
        return decode(rows, starts, n_samples), (length - first).clamp(0, n_samples)

    def one_by_one(
        self, rows: NDArray[np.int64], starts: NDArray[np.int64] | None = None, n_samples: int | None = None
    ) -> Tensor:
        """Millivolts (n, 12, T) of `rows` (n,), one by one: each is scaled while the processor still caches it."""
        width = self.signals.shape[-1] if n_samples is None else n_samples
        out = torch.empty((rows.size, self.signals.shape[1], width), device=self.signals.device)
        begins = [0] * rows.size if starts is None else starts.tolist()
        for target, row, begin in zip(out, rows.tolist(), begins, strict=True):
            if row == NO_ECG:
                target.zero_()
                continue
            digital = self.signals[row][:, begin : begin + width]
            if digital.shape[-1] < width:
                target[:, digital.shape[-1] :].zero_()
                target = target[:, : digital.shape[-1]]
            target.copy_(digital).mul_(self.scale_mv[row])
            if self.has_invalid[row]:
                target.masked_fill_(digital == INVALID_SAMPLE, 0.0)
        return out

    def all_at_once(
        self, rows: NDArray[np.int64], starts: NDArray[np.int64] | None = None, n_samples: int | None = None
    ) -> Tensor:
        """Millivolts (n, 12, T) of `rows` (n,), in the few large steps that suit a GPU."""
        device = self.signals.device
        index = torch.from_numpy(np.maximum(rows, 0)).to(device)
        if n_samples is None:
            digital = self.signals[index]
        else:
            begins = np.zeros_like(rows) if starts is None else starts
            last = self.signals.shape[-1] - 1
            time = torch.from_numpy(begins).to(device)[:, None, None] + torch.arange(n_samples, device=device)
            leads = torch.arange(self.signals.shape[1], device=device)[:, None]
            digital = self.signals[index[:, None, None], leads, time.clamp_max(last)]
            if begins.size and begins.max() + n_samples > last + 1:
                digital = digital.masked_fill(time > last, 0)
        out = digital * self.scale_mv[index]
        absent = rows == NO_ECG
        if self.has_invalid[rows[~absent]].any():
            out.masked_fill_(digital == INVALID_SAMPLE, 0.0)
        if absent.any():
            out[torch.from_numpy(absent).to(out.device)] = 0.0
        return out
