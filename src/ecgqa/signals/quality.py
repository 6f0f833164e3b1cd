"""How good the recording of each lead is: drift, steady noise, bursts of noise, and electrodes that lost contact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS
from ecgqa.signals.delineation.network_input import RATE_HZ, resampled

Floats = npt.NDArray[np.float64]

DRIFT_MV: Final = 0.5
"""A baseline that moves this far (5th to 95th percentile of what stays below about 0.6 Hz) drifts."""
NOISE_MV: Final = 0.007
"""A steady noise of this size (root mean square of what is faster than about 25 Hz, between the beats) is noise."""
BURST_MV: Final = 0.05
"""Noise that for a moment rises this far above the usual, and by more than the steady noise itself, is a burst."""
STEP_MV: Final = 2.0
"""A baseline that jumps this far within a fifth of a second and stays there: an electrode moved."""
FLAT_SHARE: Final = 0.1
"""A lead that stands still for this share of the time is not connected."""
FLAT_MS: Final = 1200.0
"""Shorter stretches occur between the beats of a clean, slow rhythm."""
_PIECE_MS: Final = 50.0
_AROUND_MS: Final = 500.0
_BEAT_SHARE: Final = 0.25
"""Where most leads at once move by this share of what they move in their QRS complexes, a beat passes."""
_BEATS_TAKE: Final = 0.93
"""Quantile of a lead's movement that lies in its QRS complexes."""
_DRIFT_WINDOW_MS: Final = 800.0

KINDS: Final = ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems")
"""The kinds of bad recording, named as PTB-XL's columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """Measures of each lead, (12,) in canonical order; NaN where a lead was not recorded."""

    drift_mv: Floats
    noise_mv: Floats
    mains_mv: Floats
    """Amplitude at 50 or 60 Hz, whichever is greater: the part of the steady noise that comes from the mains."""
    burst_mv: Floats
    """How far the noise in its worst moment between the beats rises above the usual."""
    step_mv: Floats
    """The greatest jump of the baseline."""
    flat_share: Floats
    """Share of the time in which the lead stands still; 1 if it was not recorded."""

    def found(self) -> dict[str, tuple[str, ...]]:
        """Leads that are bad by the thresholds of this module, for each of `KINDS`."""
        with np.errstate(invalid="ignore"):
            bad = {
                "baseline_drift": self.drift_mv > DRIFT_MV,
                "static_noise": self.noise_mv > NOISE_MV,
                "burst_noise": (self.burst_mv > BURST_MV) & (self.burst_mv > self.noise_mv),
                "electrodes_problems": (self.step_mv > STEP_MV) | (self.flat_share > FLAT_SHARE),
            }
        return {
            kind: tuple(lead for lead, is_bad in zip(LEADS, rows, strict=True) if is_bad) for kind, rows in bad.items()
        }


def signal_quality(ecg: Any, fs_hz: float | None = None) -> Quality:
    """Quality of an `Ecg`, or of (12, n_samples) millivolts at `fs_hz`; NaN = not recorded.

    Raises EcgqaError for another shape or a missing rate; never for what the signal holds. Measures that a signal is
    too short or sampled too slowly for are 0 (noise above 25 Hz needs more than 60 Hz).
    """
    if isinstance(ecg, np.ndarray):
        if ecg.ndim != 2 or ecg.shape[0] != len(LEADS):
            raise EcgqaError("an ECG is an array of twelve leads", expected="(12, n_samples)", found=str(ecg.shape))
        if fs_hz is None or not np.isfinite(fs_hz) or fs_hz <= 0:
            raise EcgqaError("an array needs its sampling rate", expected="fs_hz > 0", found=str(fs_hz))
        signal = np.asarray(ecg, dtype=np.float32)
    else:
        signal, fs_hz = ecg.millivolts(), float(ecg.fs_hz)
    known = np.isfinite(signal) & (np.abs(signal) < 1e6)
    recorded = known.mean(axis=1) > 0.5 if signal.shape[1] else np.zeros(len(LEADS), dtype=bool)
    still = _flat_share(signal, known, fs_hz)
    filled = signal if known.all() else np.where(known, signal, _middle(signal, known)).astype(np.float32)
    drift, step = _drift_and_step(resampled(filled, fs_hz))
    noise, mains, burst = _noise(filled, recorded, fs_hz)
    measures = np.where(recorded, np.stack((drift, noise, mains, burst, step)), np.nan)
    return Quality(
        drift_mv=measures[0],
        noise_mv=measures[1],
        mains_mv=measures[2],
        burst_mv=measures[3],
        step_mv=measures[4],
        flat_share=np.where(recorded, still, 1.0),
    )


def _middle(signal: npt.NDArray[np.float32], known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    return np.array([[np.median(row[there]) if there.any() else 0.0] for row, there in zip(signal, known, strict=True)])


def _flat_share(signal: npt.NDArray[np.float32], known: npt.NDArray[np.bool_], fs_hz: float) -> Floats:
    """Share of samples in stretches of at least `FLAT_MS` in which nothing changes (or nothing was recorded)."""
    n = signal.shape[1]
    run = max(2, round(FLAT_MS / 1000 * fs_hz))
    share = np.zeros(len(signal))
    if n < run:
        return share
    for row in range(len(signal)):
        unchanged = signal[row, 1:] == signal[row, :-1]
        same = np.concatenate(([False], unchanged | ~known[row, 1:], [False]))
        edges = np.flatnonzero(np.diff(same.view(np.int8)))
        lengths = edges[1::2] - edges[::2]
        share[row] = lengths[lengths >= run - 1].sum() / n
    return share


def _drift_and_step(slow: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """From (12, T) at `RATE_HZ`."""
    from scipy.ndimage import uniform_filter1d

    window = round(_DRIFT_WINDOW_MS / 1000 * RATE_HZ)
    if slow.shape[1] < window:
        return np.zeros(len(slow)), np.zeros(len(slow))
    baseline = uniform_filter1d(slow, window, axis=1, mode="nearest")
    baseline = uniform_filter1d(baseline, window, axis=1, mode="nearest")
    low, high = np.percentile(baseline, (5, 95), axis=1)
    # Medians of the half seconds before and after a moment, a fifth of a second apart: a beat does not move them.
    half, gap = round(0.5 * RATE_HZ), round(0.2 * RATE_HZ)
    stride = round(0.1 * RATE_HZ)
    starts = np.arange(0, slow.shape[1] - half + 1, stride)
    pieces = np.median(slow[:, starts[:, None] + np.arange(half)], axis=2)
    apart = (half + gap) // stride
    jump = np.abs(pieces[:, apart:] - pieces[:, :-apart]).max(axis=1, initial=0.0)
    return (high - low).astype(np.float64), jump.astype(np.float64)


def _noise(
    signal: npt.NDArray[np.float32], recorded: npt.NDArray[np.bool_], fs_hz: float
) -> tuple[Floats, Floats, Floats]:
    """Steady noise, its mains part, and what the worst moment adds to it."""
    n_leads, n = signal.shape
    nothing = np.zeros(n_leads)
    piece = round(_PIECE_MS / 1000 * fs_hz)
    n_pieces = n // piece if piece else 0
    around = round(_AROUND_MS / _PIECE_MS)
    if fs_hz < 60 or n_pieces < around:
        return nothing, nothing, nothing
    fast = _without_slow(signal, 0.018, fs_hz)
    size = _size_of_pieces(fast, piece)
    # A QRS complex fills at most a third of any half second; the lower third of its pieces is noise alone.
    windows = np.lib.stride_tricks.sliding_window_view(size, around, axis=1)
    steady = np.median(np.partition(windows, around // 3, axis=2)[:, :, around // 3], axis=1)
    between = size[:, ~_beats(_size_of_pieces(_without_slow(signal, 0.082, fs_hz), piece), recorded)]
    burst = between.max(axis=1) - np.median(between, axis=1) if between.size else nothing
    return steady, _mains(fast, fs_hz), burst


def _without_slow(signal: npt.NDArray[np.float32], window_s: float, fs_hz: float) -> npt.NDArray[np.float32]:
    """What a moving average, applied twice, leaves: above about 25 Hz with 18 ms, above about 5 Hz with 82 ms."""
    from scipy.ndimage import uniform_filter1d

    width = max(3, round(window_s * fs_hz) | 1)
    slow = uniform_filter1d(uniform_filter1d(signal, width, axis=1, mode="nearest"), width, axis=1, mode="nearest")
    left: npt.NDArray[np.float32] = signal - slow
    return left


def _size_of_pieces(signal: npt.NDArray[np.float32], piece: int) -> Floats:
    """(n_leads, n_pieces): root mean square of each piece."""
    n_leads, n = signal.shape
    pieces = np.square(signal[:, : n // piece * piece], dtype=np.float64).reshape(n_leads, -1, piece)
    size: Floats = np.sqrt(pieces.mean(axis=2))
    return size


def _beats(size: Floats, recorded: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(n_pieces,): whether a QRS complex passes: limb and chest leads move together, unlike noise of an electrode."""
    from scipy.ndimage import maximum_filter1d

    share = size / np.maximum(np.quantile(size, _BEATS_TAKE, axis=1), 0.02)[:, None]
    groups = [share[rows][recorded[rows]] for rows in (slice(0, 6), slice(6, 12))]
    together = [np.median(group, axis=0) for group in groups if len(group)]
    if not together:
        return np.zeros(size.shape[1], dtype=np.bool_)
    passing: npt.NDArray[np.bool_] = maximum_filter1d(np.min(together, axis=0), 3) >= _BEAT_SHARE
    return passing


def _mains(fast: npt.NDArray[np.float32], fs_hz: float) -> Floats:
    """The greater amplitude of the two mains frequencies, as the median over pieces of a fifth of a second."""
    piece = round(0.2 * fs_hz)
    n_pieces = fast.shape[1] // piece
    if fs_hz <= 130 or not n_pieces:
        return np.zeros(len(fast))
    pieces = fast[:, : n_pieces * piece].reshape(len(fast), n_pieces, piece)
    t = np.arange(piece) / fs_hz
    waves = np.exp(-2j * np.pi * np.outer(t, (50.0, 60.0)))
    amplitude = 2.0 / piece * np.abs(pieces @ waves)
    out: Floats = np.median(amplitude, axis=1).max(axis=1)
    return out
