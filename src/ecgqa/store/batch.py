"""The one form in which every model receives questions and ECGs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ecgqa.store.loader import Tensors


@dataclass(slots=True)
class Batch(Tensors):
    """B questions about K ECGs each (K is the same for the whole batch), which share E distinct ECGs.

    ecgs: float32 (E, 12, T) millivolts, leads in canonical order; 0 where there is no valid sample.
    ecgs_length: int64 (E,) samples per lead that belong to the ECG; 0 for the empty one that stands for "no such ECG".
    ecg_of: int64 (B, K) which of `ecgs` each question asks about.
    text: int64 (B, L) token ids, padded on the right with 0.
    text_length: int64 (B,) tokens of each question.
    target: float32 (B, C) 1 for each right answer; all 0 stands for "none".
    candidates: bool (B, C) the answers that may be given.
    row: int64 (B,) row of each question in the data set's frame.
    """

    ecgs: Tensor
    ecgs_length: Tensor
    ecg_of: Tensor
    text: Tensor
    text_length: Tensor
    target: Tensor
    candidates: Tensor
    row: Tensor

    @property
    def ecg(self) -> Tensor:
        """The ECGs question by question, float32 (B, K, 12, T); makes a copy."""
        return self.ecgs[self.ecg_of]

    @property
    def ecg_length(self) -> Tensor:
        """Valid samples per lead, int64 (B, K); 0 where a question has no such ECG."""
        return self.ecgs_length[self.ecg_of]

    def __len__(self) -> int:
        return self.row.shape[0]
