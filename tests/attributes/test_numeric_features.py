"""The six numeric features: definitions, edges of the ranges, and the released answers they must give again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgqa.attributes.numeric_features import consensus_features, range_of, released_features, value_of
from ecgqa.attributes.vocabulary import FEATURES, RANGES
from ecgqa.records import LEADS, NORMAL_RANGES_S
from ecgqa.signals.delineation import NOT_MEASURABLE, POINTS, Delineation
from ecgqa.signals.delineation.released import delineate_lead, exact_millivolts
from ecgqa.signals.delineation.single_lead import LeadDelineation, Outcome, not_delineable
from ecgqa.signals.read import read_ecg

BELOW, WITHIN, ABOVE = RANGES
BEAT = {
    "p_onset": -90,
    "p_peak": -70,
    "p_offset": -45,
    "qrs_onset": -25,
    "q_peak": -18,
    "r_peak": 0,
    "s_peak": 22,
    "qrs_offset": 30,
    "t_onset": 90,
    "t_peak": 130,
    "t_offset": 170,
}
"""Samples from R at 500 Hz."""


def lead(r_peaks: list[int], **changes: list[int | None]) -> LeadDelineation:
    """Beats at these R peaks; `changes` give a point of each beat relative to R (None: not measurable)."""
    rows = []
    for name in POINTS:
        relative = changes.get(name) or [BEAT[name]] * len(r_peaks)
        rows.append([NOT_MEASURABLE if at is None else r + at for r, at in zip(r_peaks, relative, strict=True)])
    return LeadDelineation(np.array(rows, np.int32), 500.0)


def test_definitions() -> None:
    features = released_features(lead([500, 900, 1300, 1700]))
    assert list(features) == list(FEATURES)
    assert features["rr interval"] == 400 / 500
    assert features["p duration"] == (45 + 1) / 500  # both end samples count …
    assert features["pr interval"] == (65 + 1) / 500
    assert features["qrs duration"] == (40 + 1) / 500  # … from peak to peak
    assert features["qt interval"] == (188 + 1) / 500
    assert features["qt corrected"] == pytest.approx(189 / 500 / np.sqrt(0.8))


def test_median_is_taken_after_dividing() -> None:
    features = released_features(lead([500, 900], t_offset=[143 - 18 - 1, 187 - 18 - 1]))
    assert features["qt interval"] == (0.286 + 0.374) / 2 < 0.33
    assert range_of("qt interval", features["qt interval"]) == BELOW


def test_a_gap_of_two_seconds_is_no_rr_interval_but_corrects_qt() -> None:
    r_peaks = [500, 900, 1900, 2200]
    features = released_features(lead(r_peaks))
    assert features["rr interval"] == (0.8 + 0.6) / 2
    qt = 189 / 500
    assert features["qt corrected"] == pytest.approx(np.median(qt / np.sqrt(np.array([0.8, 2.0, 0.6]))))
    assert np.isnan(released_features(lead([500, 1600, 2700]))["rr interval"])


def test_qt_is_corrected_by_the_interval_before_the_beat() -> None:
    late = [None, 170, None]
    features = released_features(lead([500, 900, 1500], t_offset=late))
    assert features["qt corrected"] == pytest.approx(189 / 500 / np.sqrt(0.8))
    assert np.isnan(released_features(lead([500, 900, 1500], t_offset=[170, None, None]))["qt corrected"])


def test_beats_without_the_wave_do_not_count() -> None:
    features = released_features(lead([500, 900, 1300], p_onset=[None, -100, -60], qrs_onset=[-25, None, -25]))
    assert features["p duration"] == (56 / 500 + 16 / 500) / 2
    assert features["pr interval"] == 36 / 500


def test_a_lead_without_beats_has_no_number() -> None:
    features = released_features(not_delineable(Outcome.TOO_FEW_BEATS, 500.0))
    assert all(np.isnan(seconds) for seconds in features.values())
    assert {value_of(name, seconds).value for name, seconds in features.items()} == {"unknown"}


@pytest.mark.parametrize("feature", FEATURES)
def test_limits_are_normal_and_a_sample_beyond_is_not(feature: str) -> None:
    low, high = NORMAL_RANGES_S[feature]
    assert range_of(feature, high) == WITHIN and range_of(feature, high + 0.002) == ABOVE
    if low is None:
        assert range_of(feature, 0.0) == WITHIN
    else:
        assert range_of(feature, low) == WITHIN and range_of(feature, low - 0.002) == BELOW
    assert range_of(feature, float("nan")) is None


@given(st.sampled_from(FEATURES), st.floats())
def test_every_number_has_one_value(feature: str, seconds: float) -> None:
    range_, value = range_of(feature, seconds), value_of(feature, seconds).value
    assert value == {None: "unknown", BELOW: "no", WITHIN: "yes", ABOVE: "no"}[range_]


def test_consensus_features_run_from_onset_to_offset() -> None:
    points = lead([500, 900, 1300, 1700]).samples
    everywhere = np.repeat(points[:, None, :], len(LEADS), axis=1)
    features = consensus_features(Delineation(500.0, 5000, points, everywhere))
    expected = {"rr interval": 0.8, "p duration": 0.09, "pr interval": 0.13, "qrs duration": 0.11, "qt interval": 0.39}
    assert {name: features[name] for name in expected} == pytest.approx(expected)
    assert features["qt corrected"] == pytest.approx(0.39 / np.sqrt(0.8))


@pytest.mark.real_data
def test_released_answers_come_out_again(real_data: Path) -> None:
    """Templates 68 to 70: features that became normal, became abnormal, or stayed abnormal from one ECG to another."""
    shard = real_data / "ecgqa/ptbxl/template/valid/60000.json"
    if not shard.is_file():
        pytest.skip(f"no {shard}")
    samples = [sample for sample in json.loads(shard.read_text()) if sample["template_id"] in (68, 69, 70)]
    normal: dict[int, set[str] | None] = {}
    for ecg_id in {ecg_id for sample in samples for ecg_id in sample["ecg_id"]}:
        record = real_data / "ptbxl/records500" / f"{ecg_id // 1000 * 1000:05}" / f"{ecg_id:05}_hr"
        there = record.with_suffix(".dat").is_file()
        normal[ecg_id] = _normal_features(record) if there else None
    wrong, n_checked = [], 0
    for sample in samples:
        first, second = (normal[ecg_id] for ecg_id in sample["ecg_id"])
        if first is None or second is None:
            continue
        n_checked += 1
        everything = set(FEATURES)
        answer = {68: second - first, 69: first - second, 70: everything - first - second}[sample["template_id"]]
        if (answer or {"none"}) != set(sample["answer"]):
            wrong.append((sample["sample_id"], answer, sample["answer"]))
    if not n_checked:
        pytest.skip("no pair of waveforms is there")
    assert not wrong, f"{len(wrong)} of {n_checked}"


def _normal_features(record: Path) -> set[str]:
    ecg = read_ecg(record)
    measured = released_features(delineate_lead(exact_millivolts(ecg)[LEADS.index("II")], ecg.fs_hz))
    return {name for name, seconds in measured.items() if range_of(name, seconds) == WITHIN}
