"""The delineation behind the released questions: one lead by itself, cleaned, R peaks, wavelet details."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS
from ecgqa.signals.delineation.beats import NOT_MEASURABLE, POINTS, Delineation, no_beats
from ecgqa.signals.delineation.cleaning import clean, shortest_signal
from ecgqa.signals.delineation.qs_peaks import find_q_and_s
from ecgqa.signals.delineation.r_peaks import find_r_peaks
from ecgqa.signals.delineation.single_lead import LeadDelineation, Outcome, not_delineable
from ecgqa.signals.delineation.wavelet import ANALYSIS_HZ, WaveletScales, to_analysis_rate
from ecgqa.signals.delineation.wavelet_points import (
    BOUNDARY_S,
    BOUNDARY_SHARE,
    NOWHERE,
    P_SCALE,
    T_ONSET_S,
    T_ONSET_SHARE,
    T_SCALE,
    Details,
    Tempo,
    find_boundaries,
    find_p_peaks,
    find_qrs_boundaries,
    find_t_peaks,
)

if TYPE_CHECKING:
    from ecgqa.signals.read import Ecg

LEAD: Final = "II"
FEWEST_BEATS: Final = 4
LOWEST_FS_HZ: Final = 25.0
"""Below it the filters of the method have less than one sample to average."""


def delineate_released(millivolts: npt.NDArray[Any], fs_hz: float, *, lead: str | None = None) -> Delineation:
    """`delineate_lead` of one lead (default II) of (12, n_samples) millivolts, as the package's common result.

    The other leads stay NOT_MEASURABLE: this method looks at each lead by itself, so their beats would be others.
    """
    lead = lead or LEAD
    if lead not in LEADS:
        raise EcgqaError(f"no lead {lead!r}", expected=", ".join(LEADS))
    row = LEADS.index(lead)
    found = delineate_lead(millivolts[row], fs_hz)
    result = no_beats(fs_hz, millivolts.shape[1])
    by_lead = np.full((len(POINTS), len(LEADS), found.n_beats), NOT_MEASURABLE, np.int32)
    by_lead[:, row] = found.samples
    return Delineation(fs_hz, result.n_samples, found.samples, by_lead)


def delineate_lead(signal: npt.NDArray[Any], fs_hz: float) -> LeadDelineation:
    """Delineate one lead, (n_samples,) millivolts at `fs_hz`, unfiltered.

    Gives what NeuroKit2 0.2.3 gives with ecg_clean, ecg_peaks (defaults) and ecg_delineate(method="dwt"), point for
    point; where that fails, the outcome says why. Never raises for what the signal holds; raises EcgqaError for another
    shape and for a rate below 25 Hz.

    Sources: Makowski et al. 2021, Behav Res Methods 53:1689; Martínez et al. 2004, IEEE TBME 51:570.
    """
    signal = np.asarray(signal, np.float64)
    if signal.ndim != 1:
        raise EcgqaError("one lead at a time is delineated", expected="shape (n_samples,)", found=str(signal.shape))
    if not LOWEST_FS_HZ <= fs_hz < np.inf:
        raise EcgqaError(f"{fs_hz:g} Hz is no rate to delineate at", expected=f"{LOWEST_FS_HZ:g} Hz or more")
    with np.errstate(all="ignore"):  # a signal of 1e300 mV overflows in the filters, and then has no R peaks
        return _delineate(signal, float(fs_hz))


def _delineate(signal: npt.NDArray[np.float64], fs_hz: float) -> LeadDelineation:
    if not np.isfinite(signal).all():
        return not_delineable(Outcome.NOT_FINITE, fs_hz)
    if signal.size < shortest_signal(fs_hz):
        return not_delineable(Outcome.TOO_SHORT, fs_hz)
    cleaned = clean(signal, fs_hz)
    r_peaks = find_r_peaks(cleaned, fs_hz)
    if r_peaks.size < FEWEST_BEATS:
        return not_delineable(Outcome.TOO_FEW_BEATS, fs_hz)
    q_peaks, s_peaks = find_q_and_s(cleaned, r_peaks, fs_hz)
    r_fine = (r_peaks * ANALYSIS_HZ / fs_hz).astype(np.intp)
    tempo = Tempo.of(r_fine)
    if tempo.is_too_slow:
        return not_delineable(Outcome.TOO_SLOW, fs_hz)

    resampled = to_analysis_rate(cleaned, fs_hz)
    scales = WaveletScales(resampled)
    details = Details(scales[tempo.scale(P_SCALE)])
    p_peaks = find_p_peaks(details, resampled, r_fine, tempo)
    t_peaks = find_t_peaks(Details(scales[tempo.scale(T_SCALE)]), resampled, r_fine, tempo)
    p_onsets, p_offsets = find_boundaries(details, p_peaks, tempo, BOUNDARY_S, BOUNDARY_SHARE)
    t_onsets, t_offsets = find_boundaries(details, t_peaks, tempo, T_ONSET_S, T_ONSET_SHARE)
    qrs_onsets, qrs_offsets = find_qrs_boundaries(details, p_peaks, r_fine, t_peaks)

    def back(positions: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        return np.where(positions == NOWHERE, np.nan, np.trunc(positions * fs_hz / ANALYSIS_HZ))

    rows = {
        "p_onset": back(p_onsets),
        "p_peak": back(p_peaks),
        "p_offset": back(p_offsets),
        "qrs_onset": back(qrs_onsets),
        "q_peak": q_peaks,
        "r_peak": r_peaks,
        "s_peak": s_peaks,
        "qrs_offset": back(qrs_offsets),
        "t_onset": back(t_onsets),
        "t_peak": back(t_peaks),
        "t_offset": back(t_offsets),
    }
    found = np.stack([rows[name] for name in POINTS])
    if (found >= signal.size).any():
        return not_delineable(Outcome.POINT_BEYOND_END, fs_hz)
    return LeadDelineation(np.where(found >= 0, found, NOT_MEASURABLE).astype(np.int32), fs_hz)


def exact_millivolts(ecg: Ecg) -> npt.NDArray[np.float64]:
    """(12, n_samples) millivolts in double precision, NaN where nothing was recorded, for `delineate_lead`."""
    from ecgqa.records import INVALID_SAMPLE

    return np.where(ecg.digital == INVALID_SAMPLE, np.nan, ecg.digital / ecg.gain_per_mv[:, None])
