"""Where the waves of each beat begin, peak and end: `delineate`, by one of two methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ecgqa.errors import EcgqaError
from ecgqa.signals.delineation.beats import CONSENSUS, NOT_MEASURABLE, POINTS, Delineation, no_beats

if TYPE_CHECKING:
    import numpy.typing as npt

    from ecgqa.signals.read import Ecg

METHODS = ("ecgqa", "released")

__all__ = ["CONSENSUS", "METHODS", "NOT_MEASURABLE", "POINTS", "Delineation", "delineate", "no_beats"]


def delineate(
    ecg: Ecg | npt.NDArray[Any],
    fs_hz: float | None = None,
    method: str = "ecgqa",
    lead: str | None = None,
    *,
    edge_waves: bool = False,
) -> Delineation:
    """Find the P, QRS and T waves of every beat.

    `ecg`: an `Ecg`, or millivolts of shape (12, n_samples) in canonical lead order with its `fs_hz`; NaN = not
    recorded. `method`: "ecgqa", the consensus of twelve leads (`consensus.py`), or "released", the single-lead wavelet
    method behind the released questions (`released.py`). `lead`: look at this lead only ("released": II unless said).
    `edge_waves`: "ecgqa" reports P and T only where a whole cycle lies on either side of their own; True also reports
    those of the first and last cycle, on less evidence. QRS complexes are reported wherever they are whole.

    Raises EcgqaError for another shape, a missing or impossible `fs_hz`, an unknown method or lead; never for what the
    signal holds: a flat, noisy or empty one has no beats, or beats without measurable waves.
    """
    millivolts, rate = _millivolts(ecg, fs_hz)
    if method == "ecgqa":
        from ecgqa.signals.delineation.consensus import delineate_consensus

        return delineate_consensus(millivolts, rate, lead=lead, edge_waves=edge_waves)
    if method == "released":
        from ecgqa.signals.delineation.released import delineate_released, exact_millivolts

        exact = millivolts if isinstance(ecg, np.ndarray) else exact_millivolts(ecg)
        return delineate_released(exact, rate, lead=lead)
    raise EcgqaError(f"unknown delineation method {method!r}", expected=" or ".join(METHODS), found=method)


def _millivolts(ecg: Ecg | npt.NDArray[Any], fs_hz: float | None) -> tuple[npt.NDArray[Any], float]:
    """(12, n_samples) millivolts and their rate."""
    if not isinstance(ecg, np.ndarray):
        return ecg.millivolts(), float(ecg.fs_hz)
    if ecg.ndim != 2 or ecg.shape[0] != 12:
        raise EcgqaError("an ECG is an array of twelve leads", expected="shape (12, n_samples)", found=str(ecg.shape))
    if fs_hz is None or not np.isfinite(fs_hz) or fs_hz <= 0:
        raise EcgqaError("an array needs its sampling rate", expected="fs_hz > 0", found=str(fs_hz))
    return ecg, float(fs_hz)
