"""Twelve-lead consensus delineation: from millivolts to the fiducial points of every beat."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS
from ecgqa.signals.delineation.beats import NOT_MEASURABLE, POINTS, Delineation, no_beats
from ecgqa.signals.delineation.network_input import RATE_HZ, network_input, resampled, usable_leads
from ecgqa.signals.delineation.peaks import median_of_leads, qrs_peaks, wave_peaks
from ecgqa.signals.delineation.wave_network import Layer, shipped_layers, wave_probabilities
from ecgqa.signals.delineation.waves import WAVES, Waves, find_waves

SHORTEST_S: Final = 0.4
"""Less than this holds no beat whose waves could be told."""
_ROW: Final = {name: row for row, name in enumerate(POINTS)}
_ONSETS: Final = np.array([[_ROW[f"{wave}_onset"]] for wave in WAVES])
_OFFSETS: Final = np.array([[_ROW[f"{wave}_offset"]] for wave in WAVES])


def delineate_consensus(
    millivolts: npt.NDArray[Any],
    fs_hz: float,
    *,
    lead: str | None = None,
    edge_waves: bool = False,
    layers: dict[str, Layer] | None = None,
) -> Delineation:
    """Beats of (12, n_samples) millivolts at `fs_hz`; `lead` = look at this lead only. NaN = not recorded.

    `edge_waves`: keep the P and T waves of the first and last cycle (see `Delineation.without_edge_waves`).
    `layers`: parameters of the wave network other than those that come with the package.
    """
    n_samples = millivolts.shape[1]
    if lead is not None and lead not in LEADS:
        raise EcgqaError(f"unknown lead {lead!r}", expected=", ".join(LEADS), found=lead)
    with np.errstate(over="ignore", invalid="ignore"):
        millivolts = np.ascontiguousarray(millivolts, dtype=np.float32)
    signal = resampled(millivolts, fs_hz)
    rows = usable_leads(signal)
    if lead is not None:
        rows = rows[rows == LEADS.index(lead)]
    if not rows.size or signal.shape[1] < SHORTEST_S * RATE_HZ:
        return no_beats(fs_hz, n_samples)
    signal = signal[rows]
    if not np.isfinite(signal.sum()):
        signal = _filled(signal)
    waves = find_waves(wave_probabilities(network_input(signal), layers or shipped_layers()))
    if waves.n_beats == 0:
        return no_beats(fs_hz, n_samples)
    found = _assembled(waves, signal, millivolts, rows, fs_hz)
    return found if edge_waves else found.without_edge_waves()


def _filled(signal: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What was not recorded becomes the lead's median, so that no step is seen where it begins."""
    known = np.isfinite(signal)
    middle = np.array([np.median(row[there]) for row, there in zip(signal, known, strict=True)], dtype=np.float32)
    return np.where(known, signal, middle[:, None])


def _assembled(
    waves: Waves,
    signal: npt.NDArray[np.float32],
    millivolts: npt.NDArray[np.float32],
    rows: npt.NDArray[np.intp],
    fs_hz: float,
) -> Delineation:
    """Waves with their peaks, in samples of `millivolts`."""
    n_beats = waves.n_beats
    lines = np.concatenate(([0], rows + 1))
    everything = np.full((len(POINTS), 1 + len(LEADS), n_beats), np.nan)
    everything[_ONSETS, lines] = waves.onset
    everything[_OFFSETS, lines] = waves.offset
    both = (np.concatenate((bound[0], bound[2]), axis=1) for bound in (waves.onset[:, 1:], waves.offset[:, 1:]))
    peaks = wave_peaks(signal, *both)
    for wave, found in (("p", peaks[:, :n_beats]), ("t", peaks[:, n_beats:])):
        everything[_ROW[f"{wave}_peak"], rows + 1] = found
        everything[_ROW[f"{wave}_peak"], 0] = median_of_leads(found)
    # A sample of the network's rate is the mean over its span: its middle lies half a span after its first sample.
    factor = fs_hz / RATE_HZ
    everything += 0.5
    everything *= factor
    everything -= 0.5
    onset, offset = everything[_ROW["qrs_onset"], lines], everything[_ROW["qrs_offset"], lines]
    for name, values in qrs_peaks(millivolts, rows, onset, offset).items():
        everything[_ROW[name], lines] = values
    known = np.isfinite(everything)
    last = millivolts.shape[1] - 1
    samples = np.where(known, np.rint(everything).clip(0, last), NOT_MEASURABLE).astype(np.int32)
    return Delineation(fs_hz, last + 1, samples[:, 0], samples[:, 1:], waves.confidence.astype(np.float32))
