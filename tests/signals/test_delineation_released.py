"""The released delineation: equal to its golden cases, sane on made-up beats, and never an exception."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS
from ecgqa.signals.delineation import NOT_MEASURABLE, POINTS, delineate
from ecgqa.signals.delineation.cleaning import clean
from ecgqa.signals.delineation.extrema import local_extrema, window
from ecgqa.signals.delineation.qs_peaks import monotone_cubic
from ecgqa.signals.delineation.released import delineate_lead, exact_millivolts
from ecgqa.signals.delineation.single_lead import LeadDelineation, Outcome
from ecgqa.signals.delineation.wavelet import ANALYSIS_HZ, WaveletScales, to_analysis_rate
from ecgqa.signals.read import read_ecg

FS_HZ = 500.0
GOLDEN = {
    "p_onset": "ECG_P_Onsets",
    "p_peak": "ECG_P_Peaks",
    "p_offset": "ECG_P_Offsets",
    "qrs_onset": "ECG_R_Onsets",
    "q_peak": "ECG_Q_Peaks",
    "r_peak": "ECG_R_Peaks",
    "s_peak": "ECG_S_Peaks",
    "qrs_offset": "ECG_R_Offsets",
    "t_onset": "ECG_T_Onsets",
    "t_peak": "ECG_T_Peaks",
    "t_offset": "ECG_T_Offsets",
}
WAVES = ((-0.16, 0.025, 0.15), (-0.03, 0.008, -0.12), (0.0, 0.011, 1.2), (0.03, 0.009, -0.25), (0.28, 0.045, 0.3))
"""Centre (s from R), width (s) and height (mV) of P, Q, R, S and T of the made-up beat."""


def beats(r_times_s: np.ndarray, duration_s: float, fs_hz: float = FS_HZ) -> np.ndarray:
    """One lead (n_samples,) in millivolts with a beat at each of the times."""
    time_s = np.arange(round(duration_s * fs_hz)) / fs_hz
    signal = np.zeros_like(time_s)
    for r_s in r_times_s:
        for centre_s, width_s, height_mv in WAVES:
            signal += height_mv * np.exp(-0.5 * ((time_s - r_s - centre_s) / width_s) ** 2)
    return signal


def golden_cases(parity_cases: Path, real_data: Path, every: int) -> list[tuple[Path, str, dict[str, Any]]]:
    """Record path, lead and expected points of every n-th case whose waveform is there."""
    cases = []
    for lead in ("I", "II", "aVF"):
        path = parity_cases / "delineation" / f"fiducials_lead_{lead}.json"
        if not path.is_file():
            pytest.skip(f"no golden cases {path}")
        expected = json.loads(path.read_text())
        failing = [ecg_id for ecg_id, points in expected.items() if "error" in points]
        for ecg_id in dict.fromkeys([*list(expected)[::every], *failing]):
            number = int(ecg_id)
            record = real_data / "ptbxl/records500" / f"{number // 1000 * 1000:05}" / f"{number:05}_hr"
            if record.with_suffix(".dat").is_file():
                cases.append((record, lead, expected[ecg_id]))
    if not cases:
        pytest.skip("no waveform of a golden case is there")
    return cases


def differences(record: Path, lead: str, expected: dict[str, Any]) -> list[str]:
    """What differs from a golden case, a line each."""
    found = delineate_lead(exact_millivolts(read_ecg(record))[LEADS.index(lead)], FS_HZ)
    where = f"{record.name} {lead}"
    if "error" in expected:
        return [f"{where}: delineated"] if found.outcome is Outcome.DELINEATED else []
    if found.outcome is not Outcome.DELINEATED:
        return [f"{where}: {found.outcome}"]
    lines = []
    for name, golden in GOLDEN.items():
        wanted = [NOT_MEASURABLE if at is None else at for at in expected[golden]]
        if found.samples[POINTS.index(name)].tolist() != wanted:
            lines.append(f"{where} {name}: {found.samples[POINTS.index(name)].tolist()} instead of {wanted}")
    return lines


@pytest.mark.parity
@pytest.mark.real_data
def test_golden_cases_sample(parity_cases: Path, real_data: Path) -> None:
    assert not [line for case in golden_cases(parity_cases, real_data, 40) for line in differences(*case)]


@pytest.mark.slow
@pytest.mark.parity
@pytest.mark.real_data
def test_golden_cases_all(parity_cases: Path, real_data: Path) -> None:
    assert not [line for case in golden_cases(parity_cases, real_data, 1) for line in differences(*case)]


def test_made_up_beats_are_found_where_they_are() -> None:
    r_times_s = np.arange(0.7, 9.5, 0.83)
    found = delineate_lead(beats(r_times_s, 10.0), FS_HZ)
    assert found.outcome is Outcome.DELINEATED and found.n_beats == r_times_s.size
    assert np.abs(found.point("r_peak") / FS_HZ - r_times_s).max() <= 0.004
    for name, wave in (("p_peak", 0), ("q_peak", 1), ("s_peak", 3), ("t_peak", 4)):
        assert np.abs(found.point(name)[1:-1] / FS_HZ - r_times_s[1:-1] - WAVES[wave][0]).max() <= 0.012, name
    inner = found.samples[:, 1:-1]
    order = [POINTS.index(name) for name in ("p_onset", "p_peak", "p_offset", "q_peak", "r_peak", "s_peak")]
    assert (np.diff(inner[order], axis=0) > 0).all()
    order = [POINTS.index(name) for name in ("r_peak", "qrs_offset", "t_onset", "t_peak", "t_offset")]
    assert (np.diff(inner[order], axis=0) > 0).all()


def test_a_lead_turned_upside_down_is_another_lead() -> None:
    upright, turned = (delineate_lead(sign * beats(np.arange(0.7, 9.5, 0.83), 10.0), FS_HZ) for sign in (1, -1))
    assert not np.array_equal(upright.samples, turned.samples)


@pytest.mark.parametrize(
    ("signal", "outcome"),
    [
        (np.zeros(5000), Outcome.TOO_FEW_BEATS),
        (np.full(5000, 3.25), Outcome.TOO_FEW_BEATS),
        (beats(np.array([2.0, 5.0]), 10.0), Outcome.TOO_FEW_BEATS),
        (beats(np.array([2.0, 5.0, 8.0]), 10.0), Outcome.TOO_FEW_BEATS),
        (np.where(np.arange(5000) == 17, np.nan, beats(np.arange(0.7, 9.5, 0.8), 10.0)), Outcome.NOT_FINITE),
        (np.full(5000, np.inf), Outcome.NOT_FINITE),
        (np.zeros(10), Outcome.TOO_SHORT),
        (np.zeros(0), Outcome.TOO_SHORT),
        (beats(np.arange(5.0, 120.0, 14.0), 120.0), Outcome.TOO_SLOW),
    ],
)
def test_leads_that_cannot_be_delineated_say_why(signal: np.ndarray, outcome: Outcome) -> None:
    found = delineate_lead(signal, FS_HZ)
    assert found.outcome is outcome and found.samples.shape == (len(POINTS), 0)


def check(found: LeadDelineation, n_samples: int) -> None:
    """What holds for every result."""
    assert found.samples.dtype == np.int32 and found.samples.shape[0] == len(POINTS)
    assert ((found.samples == NOT_MEASURABLE) | ((found.samples >= 0) & (found.samples < n_samples))).all()
    r_peaks = found.samples[POINTS.index("r_peak")]
    assert (np.diff(r_peaks) > 0.3 * found.fs_hz - 1).all() and (r_peaks != NOT_MEASURABLE).all()
    assert (found.n_beats > 0) == (found.outcome is Outcome.DELINEATED)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["noise", "walk", "steps", "beats", "huge", "tiny", "spikes", "nan"]),
    n_samples=st.integers(0, 6000),
    fs_hz=st.sampled_from([100.0, 250.0, 333.0, 500.0, 1000.0]),
)
def test_any_signal_gives_a_typed_result(seed: int, kind: str, n_samples: int, fs_hz: float) -> None:
    draw = np.random.default_rng(seed)
    signal = draw.normal(size=n_samples)
    if kind == "walk":
        signal = np.cumsum(signal)
    elif kind == "steps":
        signal = np.round(np.cumsum(signal) / 20)
    elif kind == "beats":
        signal = beats(np.cumsum(draw.uniform(0.3, 3.0, 12)), n_samples / fs_hz, fs_hz) + 0.02 * signal[:n_samples]
    elif kind in ("huge", "tiny"):
        signal = signal * (1e306 if kind == "huge" else 1e-306)
    elif kind == "spikes":
        signal = np.where(draw.random(n_samples) < 0.003, 100.0, 0.0)
    elif kind == "nan" and n_samples:
        signal[draw.integers(n_samples)] = np.nan
    check(delineate_lead(signal, fs_hz), n_samples)


def test_a_minute_of_signal() -> None:
    signal = beats(np.arange(0.7, 59.5, 0.9), 60.0)
    found = delineate_lead(signal, FS_HZ)
    check(found, signal.size)
    assert found.n_beats == len(np.arange(0.7, 59.5, 0.9))


def test_the_common_result_holds_the_one_lead() -> None:
    ecg = np.zeros((12, 5000))
    ecg[LEADS.index("V2")] = beats(np.arange(0.7, 9.5, 0.83), 10.0)
    assert delineate(ecg, FS_HZ, method="released").n_beats == 0  # lead II is flat
    found = delineate(ecg, FS_HZ, method="released", lead="V2")
    frame = found.to_frame().drop_nulls("r_peak")
    assert set(frame["lead"]) == {"all", "V2"} and frame.height == 2 * found.n_beats
    with pytest.raises(EcgqaError, match="no lead 'V9'"):
        delineate(ecg, FS_HZ, method="released", lead="V9")


@pytest.mark.parametrize(
    ("signal", "fs_hz"), [(np.zeros((2, 5000)), 500.0), (np.zeros(5000), 1.0), (np.zeros(50), np.nan)]
)
def test_wrong_shape_or_rate_is_refused(signal: np.ndarray, fs_hz: float) -> None:
    with pytest.raises(EcgqaError):
        delineate_lead(signal, fs_hz)


def test_cleaning_equals_scipys_zero_phase_filters() -> None:
    from scipy.signal import butter, filtfilt, sosfiltfilt

    signal = np.random.default_rng(3).normal(size=4000).cumsum()
    high_passed = sosfiltfilt(butter(5, 0.5, btype="highpass", output="sos", fs=FS_HZ), signal)
    np.testing.assert_allclose(clean(signal, FS_HZ), filtfilt(np.ones(10), [10.0], high_passed), rtol=0, atol=1e-12)


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_extrema_equal_scipys_in_every_window(values: list[int], start: int, length: int) -> None:
    from scipy.signal import find_peaks

    signal = np.array(values, float)
    maxima, minima = local_extrema(signal)
    piece = signal[start : start + length]
    start = min(start, signal.size)
    for found, looked_at in ((maxima, signal), (minima, -signal)):
        low, high = found.within(np.array([start]), np.array([start + piece.size]))
        inside = found.at[int(low[0]) : max(int(high[0]), int(low[0]))] - start
        assert inside.tolist() == find_peaks(looked_at[start : start + piece.size])[0].tolist()


@given(st.integers(-60, 60), st.integers(-60, 60), st.integers(0, 40))
def test_windows_are_pythons_slices(start: int, stop: int, n: int) -> None:
    first, end = window(np.array([start]), np.array([stop]), n)
    assert list(range(int(first[0]), int(end[0]))) == list(range(n))[start:stop]


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(-4, 4)), min_size=4, max_size=12), st.floats(0.1, 3.0))
def test_monotone_cubic_equals_scipys(points: list[tuple[int, int]], scale: float) -> None:
    from scipy.interpolate import PchipInterpolator

    at, values = np.cumsum([step for step, _ in points]), scale * np.array([value for _, value in points], float)
    expected = PchipInterpolator(at, values)(np.arange(at[0], at[-1] + 1))
    np.testing.assert_allclose(monotone_cubic(at, values), expected, rtol=1e-12, atol=1e-12)


def test_the_spline_passes_through_the_ends_and_scales_follow_the_filter_bank() -> None:
    signal = np.random.default_rng(5).normal(size=700)
    fine = to_analysis_rate(signal, FS_HZ)
    assert fine.size == 2800 and fine[0] == pytest.approx(signal[0]) and fine[-1] == pytest.approx(signal[-1])
    assert to_analysis_rate(signal, float(ANALYSIS_HZ)) is signal

    impulse = np.zeros(400)
    impulse[200] = 1.0
    scales = WaveletScales(impulse)
    np.testing.assert_allclose(scales[0][199:201], [2.0, -2.0])
    np.testing.assert_allclose(scales[1][197:203], [0.25, 0.75, 0.5, -0.5, -0.75, -0.25])
    for index in range(4):  # antisymmetric about the impulse: no shift of zero crossings, no answer to a constant
        detail = scales[index]
        assert detail.sum() == pytest.approx(0.0, abs=1e-12)
        np.testing.assert_allclose(detail[: 2 * 200], -detail[: 2 * 200][::-1], atol=1e-15)
