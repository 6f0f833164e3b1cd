"""Writes WFDB records for tests: through `wfdb` (an independent writer), or by hand where `wfdb` would refuse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import wfdb

from ecgqa.records import LEADS

MIMIC_ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


def signal(n_samples: int = 300, seed: int = 0, reach: int = 900, n_channels: int = 12) -> np.ndarray:
    """(n_samples, n_channels) int64, every channel different, none flat."""
    values = np.random.default_rng(seed).integers(-reach, reach, (n_samples, n_channels))
    return values + 0


def write(
    folder: Path,
    digital: np.ndarray,
    *,
    name: str = "rec",
    names: Sequence[str] = LEADS,
    fmt: str = "16",
    gain: float | Sequence[float] = 1000.0,
    baseline: int | Sequence[int] = 0,
    units: str = "mV",
    fs: float = 500,
    comments: Sequence[str] = (),
) -> Path:
    """Write through wfdb.wrsamp; `digital` is (n_samples, n_channels). Returns the path without extension."""
    n = digital.shape[1]
    wfdb.wrsamp(
        name,
        fs=fs,
        units=[units] * n,
        sig_name=list(names),
        d_signal=np.asarray(digital, dtype=np.int64),
        fmt=[fmt] * n,
        adc_gain=[gain] * n if np.isscalar(gain) else list(gain),
        baseline=[baseline] * n if np.isscalar(baseline) else list(baseline),
        comments=list(comments) or None,
        write_dir=str(folder),
    )
    return folder / name


def write_by_hand(
    folder: Path,
    digital: np.ndarray,
    *,
    name: str = "rec",
    names: Sequence[str] = LEADS,
    record_line: str | None = None,
    field: str = "16 1000(0)/mV",
    file_name: str | None = None,
    n_lines: int | None = None,
    first: int | None = None,
    tail: str = "",
) -> Path:
    """Write header text and a format 16 data file; every part of the header can be made to lie."""
    folder.mkdir(parents=True, exist_ok=True)
    n_samples, n_channels = digital.shape
    data = digital.astype("<i2")
    lines = [record_line if record_line is not None else f"{name} {n_channels} 500 {n_samples}"]
    for channel in range(n_channels if n_lines is None else n_lines):
        checksum = int(data[:, channel].sum(dtype=np.int64)) % 65536 if n_samples else 0
        initial = first if first is not None else int(data[0, channel]) if n_samples else 0
        lines.append(f"{file_name or name + '.dat'} {field} 16 0 {initial} {checksum} 0 {names[channel]}")
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n" + tail, encoding="utf-8")
    (folder / f"{name}.dat").write_bytes(data.tobytes())
    return folder / name


def canonical(path: Path, order: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """What `wfdb` reads, its channels put into the order of `order` (names as written): digital and physical."""
    digital = wfdb.rdrecord(str(path), physical=False, smooth_frames=True)
    physical = wfdb.rdrecord(str(path), physical=True, smooth_frames=True)
    rows = [list(digital.sig_name).index(lead) for lead in order]
    return digital.d_signal.T[rows] - np.array(digital.baseline)[rows, None], physical.p_signal.T[rows]
