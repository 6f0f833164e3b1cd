"""The waves are where the parameters say, and every condition leaves its mark in its own leads."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgqa.records import LEADS
from ecgqa.sources.synthetic import findings, noise
from ecgqa.sources.synthetic.conditions import CONDITIONS
from ecgqa.sources.synthetic.dipole import Waves, add_waves, rotate_frontal, twelve_leads
from ecgqa.sources.synthetic.heart import qrs_axis_degrees
from ecgqa.sources.synthetic.patients import Finding, RecordPlan, plan_patient
from ecgqa.sources.synthetic.record import MadeRecord, heart_of, make_record
from ecgqa.sources.synthetic.rhythm import VENTRICULAR_ECTOPIC, make_beats, plan_rhythm

INDEX = {lead: index for index, lead in enumerate(LEADS)}


def plan_of(*codes: str, patient: int = 1, stage: str = "old", territory: str = "", strength: float = 1.0, **more):
    chosen = tuple(
        Finding(
            code,
            100.0,
            strength,
            CONDITIONS[code].territory or territory or (CONDITIONS[code].choices or ("",))[0],
            stage if CONDITIONS[code].slot == "infarction" else "",
        )
        for code in codes
    )
    values = {
        "patient_id": patient, "number": 0, "recorded_at": datetime(1990, 1, 1), "age": 55.0, "male": True,
        "height_cm": None, "weight_kg": None, "rhythm": "SR", "n_pvc": 0, "n_pac": 0, "bigeminy": None,
        "findings": chosen, "noises": (), "strat_fold": 1,
    }  # fmt: skip
    return RecordPlan(**{**values, **more})


def made(*codes: str, **more) -> MadeRecord:
    return make_record(0, plan_of(*codes, **more))


def beats_mv(record: MadeRecord, lead: str, after_s: float, until_s: float, anchor: str = "qrs_end_s") -> np.ndarray:
    """Mean over beats of a stretch of the clean signal after a fiducial, in mV over the PQ level."""
    stretches = []
    onsets, anchors = record.fiducials.qrs_onset_s, getattr(record.fiducials, anchor)
    for onset, time in zip(onsets, anchors, strict=True):
        first, last = round((time + after_s) * 500), round((time + until_s) * 500)
        base = round(onset * 500) - 8
        if base > 0 and last < 5000:
            stretches.append(record.clean_mv[INDEX[lead], first:last] - record.clean_mv[INDEX[lead], base])
    length = min(map(len, stretches))
    return np.mean([s[:length] for s in stretches], axis=0)


def st_level(record: MadeRecord, lead: str) -> float:
    return float(beats_mv(record, lead, 0.055, 0.065).mean())


# --- projection ---------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-5, 5), min_size=8, max_size=8))
def test_limb_leads_obey_einthoven_and_goldberger(values: list[float]) -> None:
    leads = dict(zip(LEADS, twelve_leads(np.array(values)[:, None])[:, 0].astype(float), strict=True))
    assert leads["I"] + leads["III"] == pytest.approx(leads["II"], abs=1e-5)
    assert leads["aVR"] + leads["aVL"] + leads["aVF"] == pytest.approx(0, abs=1e-5)
    assert leads["aVL"] == pytest.approx((leads["I"] - leads["III"]) / 2, abs=1e-5)
    assert leads["aVF"] == pytest.approx((leads["II"] + leads["III"]) / 2, abs=1e-5)
    assert leads["V4"] == pytest.approx(values[5], abs=1e-5)


@pytest.mark.parametrize("kind", noise.KINDS)
def test_noisy_records_keep_the_identities_within_rounding(kind: str) -> None:
    digital = made(noises=(noise.NoisePlan(kind, ("RA", "V2"), 2.0),)).digital.astype(int)
    one, two, three, avr, avl, avf = digital[:6]
    assert np.abs(one + three - two).max() <= 2
    assert np.abs(avr + avl + avf).max() <= 2


def test_add_waves_equals_the_formula_and_clips_at_the_edges() -> None:
    waves = Waves(
        np.array([0.01, 1.003, 3.99]), np.array([0.05, 0.01, 0.03]), np.array([0.05, 0.02, 0.03]), np.eye(3, 8)
    )
    signal = np.zeros((8, 2000), dtype=np.float32)
    add_waves(signal, waves, 500.0)
    time = np.arange(2000) / 500
    for row in range(3):
        away = time - waves.centre_s[row]
        width = np.where(away < 0, waves.rise_s[row], waves.fall_s[row])
        np.testing.assert_allclose(signal[row], np.exp(-0.5 * (away / width) ** 2), atol=5e-4)


def test_frontal_turn_moves_the_axis_clockwise() -> None:
    turned = rotate_frontal(np.array([1.0, 0.0, 0.3]), 90)
    np.testing.assert_allclose(turned, [0, 1, 0.3], atol=1e-12)


# --- fiducials and features ---------------------------------------------------------------------------------------


def detect_r(clean_mv: np.ndarray) -> np.ndarray:
    """R peaks by slope energy over the chest leads: knows nothing of the model."""
    from scipy.ndimage import uniform_filter1d
    from scipy.signal import find_peaks

    energy = uniform_filter1d(np.square(np.diff(clean_mv[[1, 7, 9, 10]], axis=1)).sum(axis=0), 40)
    peaks, _ = find_peaks(energy, distance=110, height=0.15 * np.percentile(energy, 99))
    return peaks / 500


@pytest.mark.parametrize("rhythm", ["SR", "SBRAD", "STACH", "SARRH", "AFIB", "AFLT", "SVTAC"])
@pytest.mark.parametrize("patient", [3, 4])
def test_detected_beats_are_the_planned_ones(rhythm: str, patient: int) -> None:
    record = made(rhythm=rhythm, patient=patient)
    found, true = detect_r(record.clean_mv), record.fiducials.r_peak_s
    inside = true[(true > 0.15) & (true < 9.85)]
    found = found[(found > 0.15) & (found < 9.85)]
    assert len(found) == len(inside)
    assert np.abs(np.diff(found) - np.diff(inside)).max() < 0.02


@pytest.mark.parametrize("patient", range(20, 32))
def test_intervals_measured_in_the_signal_are_the_stated_ones(patient: int) -> None:
    """Onsets and ends found by the tangent method on lead II (or the chest lead with the largest T)."""
    record = made(patient=patient)
    stated = {name: number for kind, name, _, number, _ in record.attributes if kind == "numeric_feature"}
    two = record.clean_mv[1].astype(float)
    p_on, p_end, qrs_on, t_end = [], [], [], []
    tall_t = INDEX["V3"]
    for k, onset in enumerate(record.fiducials.qrs_onset_s):
        start = record.fiducials.p_onset_s[k]
        if start < 0.1 or record.fiducials.t_end_s[k] > 9.7:
            continue
        p = slice(round((start - 0.06) * 500), round((onset - 0.012) * 500))
        first, last = tangents(two[p])
        p_on.append((p.start + first) / 500)
        p_end.append((p.start + last) / 500)
        qrs_on.append(onset)
        t = slice(
            round((record.fiducials.qrs_end_s[k] + 0.06) * 500), round((record.fiducials.t_end_s[k] + 0.06) * 500)
        )
        t_end.append((t.start + tangents(record.clean_mv[tall_t, t].astype(float))[1]) / 500)
    assert np.median(np.subtract(qrs_on, p_on)) == pytest.approx(stated["pr interval"], abs=0.016)
    assert np.median(np.subtract(p_end, p_on)) == pytest.approx(stated["p duration"], abs=0.022)
    assert np.median(np.subtract(t_end, qrs_on)) == pytest.approx(stated["qt interval"], abs=0.016)


def tangents(wave: np.ndarray) -> tuple[float, float]:
    """Where the steepest tangents of a positive wave meet the level of its lowest end."""
    top = int(wave.argmax())
    slope = np.gradient(wave)
    up, down = int(slope[:top].argmax()), top + int(slope[top:].argmin())
    return up - (wave[up] - wave[0]) / slope[up], down - (wave[down] - wave[-1]) / slope[down]


@pytest.mark.parametrize("code, low, high", [((), 0.07, 0.105), (("CRBBB",), 0.118, 0.16), (("CLBBB",), 0.125, 0.175)])
def test_qrs_duration_covers_the_visible_complex(code: tuple[str, ...], low: float, high: float) -> None:
    for patient in range(5):
        heart = heart_of(0, plan_of(*code, patient=patient))
        time = np.arange(-0.05, 0.3, 0.001)
        visible = time[np.abs(heart.qrs_curve(time)).max(axis=0) > 0.06]
        assert low < heart.qrs_duration_s < high
        assert heart.qrs_duration_s == pytest.approx(visible[-1], abs=0.022)
        assert visible[0] == pytest.approx(0.0, abs=0.014)


@pytest.mark.parametrize("patient", range(40, 60))
def test_stated_axis_is_the_axis_of_the_signal(patient: int) -> None:
    plans = plan_patient(5, patient)
    record = make_record(5, plans[0])
    name, degrees = next((a[1], a[3]) for a in record.attributes if a[0] == "heart_axis")
    sinus = record.fiducials.shape != VENTRICULAR_ECTOPIC
    nets = {}
    for lead in ("I", "II", "aVF"):
        values = []
        for onset, end in zip(record.fiducials.qrs_onset_s[sinus], record.fiducials.qrs_end_s[sinus], strict=True):
            first, last = round((onset - 0.004) * 500), round((end + 0.004) * 500)
            if first > 0 and last < 5000:
                stretch = record.clean_mv[INDEX[lead], first:last].astype(float)
                stretch = stretch - stretch[0]
                values.append(max(stretch.max(), 0) + min(stretch.min(), 0))
        nets[lead] = float(np.mean(values))
    measured = np.degrees(np.arctan2(2 / np.sqrt(3) * nets["aVF"], nets["I"]))
    if plans[0].rhythm in ("PACE", "AFLT", "AFIB"):  # spikes and atrial waves disturb this simple measurement
        return
    size = np.hypot(nets["aVF"], nets["I"])
    if size > 0.3:
        assert abs((measured - degrees + 180) % 360 - 180) < 35
    expected = (
        ("normal heart axis" if nets["aVF"] >= 0 or nets["II"] >= 0 else "left axis deviation")
        if nets["I"] >= 0
        else ("right axis deviation" if nets["aVF"] >= 0 else "extreme axis deviation")
    )
    if min(abs(value) for value in nets.values()) > 0.2:
        assert name == expected


def test_absent_p_waves_are_unknown_not_abnormal() -> None:
    for rhythm in ("AFIB", "AFLT", "SVTAC", "PACE"):
        values = {name: (value, number) for _, name, value, number, _ in made(rhythm=rhythm).attributes}
        assert values["p duration"] == ("unknown", None)
        assert values["pr interval"] == ("unknown", None)
        assert values["qt interval"][1] is not None


def test_qt_follows_the_rate_and_long_qt_is_long() -> None:
    def feature(name: str, *codes: str, **more) -> float:
        return next(a[3] for a in made(*codes, **more).attributes if a[1] == name)

    assert feature("qt interval", rhythm="SBRAD") > feature("qt interval") > feature("qt interval", rhythm="STACH")
    assert feature("qt corrected", "LNGQT") > 0.46 > feature("qt corrected")
    assert 0.2 < feature("pr interval", "LPR") < 0.235 < feature("pr interval", "1AVB")


# --- rhythm -------------------------------------------------------------------------------------------------------


def test_pvc_pause_is_compensatory_and_pac_pause_is_not() -> None:
    pvc, pac = made(n_pvc=1, patient=6).fiducials, made(n_pac=1, patient=6).fiducials
    for fiducials, full in ((pvc, True), (pac, False)):
        k = int(np.flatnonzero(fiducials.shape)[0])
        typical = np.median(np.diff(fiducials.qrs_onset_s))
        around = fiducials.qrs_onset_s[k + 1] - fiducials.qrs_onset_s[k - 1]
        assert fiducials.qrs_onset_s[k] - fiducials.qrs_onset_s[k - 1] < 0.85 * typical
        assert bool(around > 1.9 * typical) is full
    record = made(n_pvc=2, patient=6)
    assert "PVC" in record.metadata["scp_codes"]
    assert np.isnan(record.fiducials.p_onset_s[record.fiducials.shape == VENTRICULAR_ECTOPIC]).all()


def test_rhythms_differ_as_they_should() -> None:
    def spread(code: str) -> tuple[float, float]:
        rng = np.random.default_rng(1)
        rr = np.concatenate([np.diff(make_beats(plan_rhythm(code, rng, 70), rng, 10.0).onset_s)[3:] for _ in range(20)])
        return float(rr.mean()), float(np.abs(np.diff(rr)).mean() / rr.mean())

    assert spread("SBRAD")[0] > 1.0 > spread("SR")[0] > 0.6 > spread("STACH")[0] > 0.42 > spread("SVTAC")[0]
    assert spread("AFIB")[1] > 0.17 > spread("SARRH")[1] > 0.06 > spread("SR")[1] > spread("PACE")[1]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000), st.sampled_from(["SR", "SBRAD", "STACH", "SARRH", "AFIB", "AFLT", "SVTAC", "PACE", "BIGU"])
)
def test_beats_are_ordered_and_cover_the_record(seed: int, code: str) -> None:
    rng = np.random.default_rng(seed)
    plan = plan_rhythm(code, rng, 70)
    beats = make_beats(plan, rng, 10.0)
    assert (np.diff(beats.onset_s) > 0.2).all()
    assert beats.onset_s[0] < 0.3 and beats.onset_s[-1] > 9.5


def test_fibrillation_waves_lie_in_their_band_and_are_largest_in_v1() -> None:
    from ecgqa.sources.synthetic.render import atrial_waves

    rng = np.random.default_rng(3)
    plan = plan_rhythm("AFIB", rng, 80)
    waves = atrial_waves(plan, 0.1, make_beats(plan, rng, 10.0), rng)
    power = np.square(np.abs(np.fft.rfft(waves[2])))
    peak_hz = np.fft.rfftfreq(5000, 1 / 500)[power.argmax()]
    assert 4 <= peak_hz <= 10
    assert waves.std(axis=1).argmax() == 2


# --- conditions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patient", [1, 2, 5])
def test_st_elevation_stands_in_its_territory_and_mirrors_opposite(patient: int) -> None:
    normal = made(patient=patient)
    inferior = made("IMI", stage="early", patient=patient)
    for lead in ("II", "III", "aVF"):
        assert st_level(inferior, lead) - st_level(normal, lead) > 0.1
    assert st_level(inferior, "aVL") - st_level(normal, "aVL") < -0.05
    anterior = made("ASMI", stage="early", patient=patient)
    for lead in ("V1", "V2", "V3"):
        assert st_level(anterior, lead) - st_level(normal, lead) > 0.08
    assert abs(st_level(anterior, "V6") - st_level(normal, "V6")) < 0.08


@pytest.mark.parametrize("patient", [1, 2, 5])
def test_injury_and_depression_lower_st_where_the_report_says(patient: int) -> None:
    normal = made(patient=patient)
    injury = made("INJAL", patient=patient)
    for lead in ("I", "V4", "V5", "V6"):
        assert st_level(injury, lead) - st_level(normal, lead) < -0.10
    record = made("STD_", territory="lateral", patient=patient)
    seen = findings.look(heart_of(0, plan_of("STD_", territory="lateral", patient=patient)))
    named = findings.leads_showing("STD_", seen)
    assert {"V5", "V6"} <= set(named)
    assert all(st_level(record, lead) < 0 for lead in named)


def test_middle_infarct_inverts_t_and_old_infarct_leaves_q() -> None:
    for patient in (1, 2, 5):
        middle = heart_of(0, plan_of("ALMI", stage="middle", patient=patient))
        assert (middle.t_mv[[5, 6, 7]] < -0.1).all()
        old = findings.look(heart_of(0, plan_of("IMI", stage="old", patient=patient)))
        assert {"II", "aVF"} & set(findings.leads_showing("QWAVE", old))
        septal = findings.look(heart_of(0, plan_of("ASMI", stage="old", patient=patient)))
        before = findings.look(heart_of(0, plan_of(patient=patient)))
        assert (septal.r_mv[6:9] < before.r_mv[6:9]).all()


def test_bundle_branch_blocks_have_their_shapes() -> None:
    for patient in range(1, 9):
        time = np.arange(0.0, 0.2, 0.002)
        right = twelve_leads(heart_of(0, plan_of("CRBBB", patient=patient)).qrs_curve(time))
        late = time > 0.075
        assert right[INDEX["V1"], late].max() > 0.25, "R' in V1"
        assert right[INDEX["V6"], late].min() < -0.05 and right[INDEX["I"], late].min() < -0.05, "broad S in I and V6"
        left_heart = heart_of(0, plan_of("CLBBB", patient=patient))
        left = twelve_leads(left_heart.qrs_curve(time))
        assert left[INDEX["V1"]].min() < -0.5 and left[INDEX["V6"]].max() > 0.4
        assert left[INDEX["V6"]].min() > -0.15 and left[INDEX["I"]].min() > -0.15, "no q, no S on the left"
        assert left_heart.t_mv[7] < 0 < left_heart.t_mv[2], "T against QRS"


def test_fascicular_blocks_and_axes_turn_the_heart() -> None:
    for patient in range(1, 9):
        assert -90 < qrs_axis_degrees(heart_of(0, plan_of("LAFB", patient=patient))) < -40
        assert 95 < qrs_axis_degrees(heart_of(0, plan_of("LPFB", patient=patient))) < 135
        for code, name in (("axis:left", "left"), ("axis:right", "right"), ("axis:extreme", "extreme")):
            seen = findings.look(heart_of(0, plan_of(code, patient=patient)))
            assert findings.heart_axis(seen)[0] == f"{name} axis deviation"
        assert findings.heart_axis(findings.look(heart_of(0, plan_of(patient=patient))))[0] == "normal heart axis"


def test_voltage_and_atria() -> None:
    for patient in range(1, 9):
        large = findings.look(heart_of(0, plan_of("LVH", patient=patient)))
        assert -large.s_mv[6] + max(large.r_mv[10], large.r_mv[11]) > 3.5
        assert large.st_mv[INDEX["V6"]] < -0.05
        small = findings.look(heart_of(0, plan_of("LVOLT", patient=patient)))
        assert "limb" in findings.low_voltage_groups(small)
        assert findings.high_voltage_groups(findings.look(heart_of(0, plan_of("HVOLT", patient=patient))))
        healthy = heart_of(0, plan_of(patient=patient))
        assert heart_of(0, plan_of("LAO/LAE", patient=patient)).p_duration_s > 0.12 > healthy.p_duration_s
        tall = heart_of(0, plan_of("RAO/RAE", patient=patient))
        assert (tall.p_vector @ tall.atrial_leads.T)[:, 1].max() > 0.18


@pytest.mark.parametrize("code", sorted(CONDITIONS))
def test_every_condition_changes_the_signal_and_a_weaker_one_changes_no_more(code: str) -> None:
    normal = made(patient=7).clean_mv
    changed = made(code, patient=7, stage="middle").clean_mv
    assert np.abs(changed - normal).max() > 0.03
    assert np.isfinite(changed).all() and np.abs(changed).max() < 9


@pytest.mark.parametrize("code", ["ASMI", "ISCAL", "INJAS", "LAO/LAE"])
def test_doubtful_findings_are_weaker(code: str) -> None:
    def size(strength: float) -> float:
        normal = made(patient=7).clean_mv
        return float(np.abs(made(code, patient=7, stage="middle", strength=strength).clean_mv - normal).max())

    assert size(0.3) < size(1.0)


# --- noise --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", noise.KINDS)
@pytest.mark.parametrize("electrode, strong, weak", [("RA", {"I", "II", "aVR"}, {"III"}), ("V3", {"V3"}, {"V4", "I"})])
def test_noise_reaches_the_leads_of_its_electrode(kind: str, electrode: str, strong: set[str], weak: set[str]) -> None:
    for seed in range(5):
        plan = noise.NoisePlan(kind, (electrode,), 1.6)
        added = noise.disturbance(plan, np.random.default_rng(seed))
        named = set(noise.visible_leads(kind, twelve_leads(noise.electrodes_to_leads(added))))
        assert strong <= named
        assert not (weak & named)


def test_the_noise_floor_is_never_visible() -> None:
    for seed in range(40):
        quiet = twelve_leads(noise.electrodes_to_leads(noise.noise_floor(np.random.default_rng(seed))))
        for kind in ("baseline_drift", "burst_noise", "electrodes_problems"):
            assert noise.visible_leads(kind, quiet) == ()
        windows = quiet.reshape(12, -1, 25)  # static noise is what is left without the slow drift
        assert (
            noise.visible_leads("static_noise", (windows - windows.mean(axis=2, keepdims=True)).reshape(12, -1)) == ()
        )
