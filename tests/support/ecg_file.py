"""A WFDB record of known samples, written by hand in format 16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ecgqa.records import LEADS


def write_signal(folder: Path, ecg_id: int, signal: Any, *, fs_hz: int = 500, gain: int = 1000) -> None:
    """Write int16 (12, T) in canonical order as a WFDB record with its leads in reverse order."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{ecg_id} 12 {fs_hz} {signal.shape[1]}"]
    for lead in reversed(range(12)):
        checksum = int(np.array(signal[lead].sum(dtype=np.int64)).astype(np.int16))
        lines.append(f"{ecg_id}.dat 16 {gain}/mV 16 0 {signal[lead][0]} {checksum} 0 {LEADS[lead]}")
    (folder / f"{ecg_id}.hea").write_text("\n".join(lines) + "\n")
    (folder / f"{ecg_id}.dat").write_bytes(np.ascontiguousarray(signal[::-1].T).tobytes())
