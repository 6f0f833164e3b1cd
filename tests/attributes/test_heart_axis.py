"""The heart axis: quadrants, the level that deflections are measured from, and what is not measurable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgqa.attributes.heart_axis import axis_of, consensus_axis, net_deflection_mv, released_axis
from ecgqa.attributes.vocabulary import AXES
from ecgqa.attributes.waveform import measure_records
from ecgqa.records import LEADS
from ecgqa.signals.delineation import NOT_MEASURABLE, POINTS, Delineation
from ecgqa.signals.delineation.single_lead import LeadDelineation, Outcome, not_delineable

NORMAL, LEFT, RIGHT, EXTREME = AXES
AT = {"qrs_onset": 10, "q_peak": 12, "r_peak": 15, "s_peak": 18, "qrs_offset": 20}


def lead(*missing: str, n_beats: int = 1) -> LeadDelineation:
    """Beats 30 samples apart with all QRS points but those named."""
    samples = np.full((len(POINTS), n_beats), NOT_MEASURABLE, np.int32)
    for name, at in AT.items():
        if name not in missing:
            samples[POINTS.index(name)] = at + 30 * np.arange(n_beats)
    return LeadDelineation(samples, 500.0)


def signal(onset: float, q: float, r: float, s: float, offset: float) -> np.ndarray:
    values = np.zeros(30)
    for name, value in zip(AT, (onset, q, r, s, offset), strict=True):
        values[AT[name]] = value
    return values


@pytest.mark.parametrize(
    ("net_mv", "name"),
    [
        ((1.0, 1.0, 1.0), NORMAL),
        ((1.0, 0.1, -0.4), NORMAL),
        ((1.0, -0.1, -0.6), LEFT),
        ((-0.5, 0.5, 1.0), RIGHT),
        ((-0.5, -1.0, -1.0), EXTREME),
        ((0.0, 0.0, 0.0), NORMAL),
        ((0.0, -1.0, -1.0), LEFT),
        ((-1.0, 0.0, 0.0), RIGHT),
    ],
)
def test_quadrants(net_mv: tuple[float, float, float], name: str) -> None:
    assert axis_of(*net_mv).name == name


@given(st.floats(-180, 180), st.floats(0.01, 5.0))
def test_degrees_of_a_dipole(degrees: float, size_mv: float) -> None:
    """Leads as projections of a frontal vector give its direction back; II is positive from -30 to 150 degrees."""
    towards = {"I": 0.0, "II": 60.0, "aVF": 90.0}
    gain = {"I": 1.0, "II": 1.0, "aVF": np.sqrt(3) / 2}
    nets = [size_mv * gain[name] * np.cos(np.radians(degrees - at)) for name, at in towards.items()]
    axis = axis_of(*nets)
    assert abs((axis.degrees - degrees + 180) % 360 - 180) < 1e-6
    for centre, half_width, name in ((30, 59, NORMAL), (-60, 29, LEFT), (135, 44, RIGHT), (-135, 44, EXTREME)):
        if abs((degrees - centre + 180) % 360 - 180) < half_width:
            assert axis.name == name


def test_q_and_r_count_from_the_onset_and_s_from_the_offset() -> None:
    values = signal(onset=0.1, q=-0.1, r=1.1, s=-0.3, offset=0.2)
    assert net_deflection_mv(values, lead()) == pytest.approx(-0.2 + 1.0 - 0.5)
    assert net_deflection_mv(values, lead("qrs_offset")) == pytest.approx(-0.2 + 1.0 - 0.4)


@pytest.mark.parametrize("missing", ["qrs_onset", "q_peak", "s_peak"])
def test_a_beat_without_a_peak_or_onset_does_not_count(missing: str) -> None:
    assert np.isnan(net_deflection_mv(np.ones(30), lead(missing)))


def test_mean_over_the_beats_that_have_it() -> None:
    values = np.concatenate([signal(0, 0, 1, 0, 0), signal(0, 0, 2, 0, 0), signal(0, 0, 9, 0, 0)])
    beats = lead(n_beats=3)
    beats.samples[POINTS.index("q_peak"), 2] = NOT_MEASURABLE
    assert net_deflection_mv(values, beats) == pytest.approx(1.5)


def test_an_axis_needs_all_three_leads() -> None:
    upright = signal(0, 0, 1, 0, 0)
    signals = {"I": upright, "II": upright, "aVF": -upright}
    leads = {"I": lead(), "II": lead(), "aVF": lead()}
    found = released_axis(signals, leads)
    assert found is not None and found.name == NORMAL and found.degrees == pytest.approx(-49.1, abs=0.1)
    for name in leads:
        without = leads | {name: not_delineable(Outcome.TOO_FEW_BEATS, 500.0)}
        assert released_axis(signals, without) is None


def test_consensus_axis_is_that_of_the_area() -> None:
    millivolts = np.zeros((12, 90))
    for beat in range(3):
        millivolts[LEADS.index("I"), 30 * beat + 12 : 30 * beat + 18] = 1.0
        millivolts[LEADS.index("aVF"), 30 * beat + 12 : 30 * beat + 18] = -np.sqrt(3) / 2
        millivolts[LEADS.index("II"), 30 * beat + 12 : 30 * beat + 18] = -0.37
    points = lead(n_beats=3).samples
    everywhere = np.repeat(points[:, None, :], len(LEADS), axis=1)
    axis = consensus_axis(millivolts, Delineation(500.0, 90, points, everywhere))
    assert axis is not None and axis.name == LEFT and axis.degrees == pytest.approx(-45.0)
    assert consensus_axis(millivolts * np.nan, Delineation(500.0, 90, points, everywhere)) is None
    assert consensus_axis(millivolts, Delineation(500.0, 90, points[:, :0], everywhere[..., :0])) is None


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("ecg_id", "name"),
    [
        (166, LEFT),  # -27 degrees by I and aVF: lead II decides …
        (2025, NORMAL),  # … and here at -38 degrees
        (1473, RIGHT),  # these two turn over when S is measured from the QRS onset
        (15522, NORMAL),
    ],
)
def test_released_axes_near_the_limits(real_data: Path, ecg_id: int, name: str) -> None:
    record = real_data / "ptbxl/records500" / f"{ecg_id // 1000 * 1000:05}" / f"{ecg_id:05}_hr"
    if not record.with_suffix(".dat").is_file():
        pytest.skip(f"no waveform of ECG {ecg_id}")
    rows = measure_records([(ecg_id, str(record))], "released").rows
    assert [row[2] for row in rows if row[1] == "heart_axis"] == [name]
