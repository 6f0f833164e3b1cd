"""One ECG in the form in which it travels to the page: int16 samples as bytes, what they mean, and its beats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgqa.records import INVALID_SAMPLE, LEADS
from ecgqa.signals.delineation import NOT_MEASURABLE, POINTS, delineate
from ecgqa.signals.read import Ecg


def as_bytes(ecg: Ecg) -> bytes:
    """The samples lead after lead, int16, little-endian."""
    return np.ascontiguousarray(ecg.digital, dtype="<i2").tobytes()


def about(ecg: Ecg) -> dict[str, Any]:
    """What a reader of the bytes must know."""
    return {
        "fs_hz": ecg.fs_hz,
        "n_samples": ecg.n_samples,
        "gain_per_mv": ecg.gain_per_mv.tolist(),
        "invalid": INVALID_SAMPLE,
    }


def beats(ecg: Ecg) -> dict[str, Any]:
    """Fiducial points of every beat in seconds, of all leads together and the peaks by lead; null = not measurable."""
    found = delineate(ecg)

    def seconds(samples: NDArray[np.int32]) -> list[float | None]:
        times = np.round(samples / ecg.fs_hz, 4).tolist()
        return [time if there else None for time, there in zip(times, samples != NOT_MEASURABLE, strict=True)]

    return {
        "n_beats": found.n_beats,
        "consensus": {name: seconds(found.point(name)) for name in POINTS},
        "by_lead": {
            name: {lead: seconds(found.point(name, lead)) for lead in LEADS} for name in ("p_peak", "r_peak", "t_peak")
        },
    }
