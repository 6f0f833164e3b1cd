"""The one form in which every model receives questions and ECGs."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(slots=True)
class Batch:
    """B questions about K ECGs each (K is the same for the whole batch).

    ecg: float32 (B, K, 12, T) millivolts, leads in canonical order; 0 where there is no valid sample.
    ecg_length: int64 (B, K) samples per lead that belong to the ECG; 0 where a question has no such ECG.
    text: int64 (B, L) token ids, padded on the right with 0.
    text_length: int64 (B,) tokens of each question.
    target: float32 (B, C) 1 for each right answer; all 0 stands for "none".
    candidates: bool (B, C) the answers that may be given.
    row: int64 (B,) row of each question in the data set's frame.
    """

    ecg: Tensor
    ecg_length: Tensor
    text: Tensor
    text_length: Tensor
    target: Tensor
    candidates: Tensor
    row: Tensor

    def __len__(self) -> int:
        return self.row.shape[0]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """The batch on `device` (this one, if it is there already)."""
        return Batch(*(getattr(self, field.name).to(device, non_blocking=non_blocking) for field in fields(self)))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, from which copies to a GPU run beside other work."""
        return Batch(*(getattr(self, field.name).pin_memory() for field in fields(self)))
