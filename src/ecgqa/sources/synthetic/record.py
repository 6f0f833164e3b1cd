"""One record of the cohort: plan to samples, metadata row, attribute rows and parameters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecgqa.records import LEADS, NORMAL_RANGES_S
from ecgqa.sources.synthetic import findings, noise, reading
from ecgqa.sources.synthetic.conditions import CONDITIONS
from ecgqa.sources.synthetic.dipole import Floats, rotate_frontal, twelve_leads
from ecgqa.sources.synthetic.ectopy import atrial_beat, paced_heart, ventricular_beat
from ecgqa.sources.synthetic.heart import Heart, sample_heart
from ecgqa.sources.synthetic.patients import RecordPlan
from ecgqa.sources.synthetic.render import DURATION_S, Fiducials, render
from ecgqa.sources.synthetic.rhythm import ATRIAL_ECTOPIC, VENTRICULAR_ECTOPIC, RhythmPlan, make_beats, plan_rhythm

GAIN_PER_MV: Final = 1000.0


@dataclass(frozen=True)
class MadeRecord:
    """A finished record."""

    digital: NDArray[np.int16]
    """(12, 5000) in canonical lead order, 1000 units per mV."""
    clean_mv: NDArray[np.float32]
    """(12, 5000) before noise."""
    metadata: dict[str, Any]
    """Columns of ptbxl_database.csv that depend on the signal; ids and file names come from the writer."""
    attributes: list[tuple[str, str, str, float | None, str]]
    """(attribute_type, attribute, value, number, unit)."""
    parameters: dict[str, Any]
    fiducials: Fiducials


def make_record(seed: int, plan: RecordPlan) -> MadeRecord:
    """Make the record of `plan`; the same seed and plan give the same bytes, whatever is made before or beside it."""
    heart = heart_of(seed, plan)
    rng = np.random.default_rng([seed, plan.patient_id, 4, plan.number])
    rhythm = plan_rhythm(plan.rhythm, rng, heart.sinus_rate)
    rhythm = RhythmPlan(**{**rhythm.__dict__, "n_pvc": plan.n_pvc, "n_pac": plan.n_pac, "bigeminy": plan.bigeminy})
    beats = make_beats(rhythm, rng, DURATION_S)
    paced = plan.rhythm == "PACE"
    if paced:
        heart = paced_heart(heart, rng)
    shapes = [heart, atrial_beat(heart, rng), ventricular_beat(heart, rng)]
    atrial_mv = {"AFIB": rng.uniform(0.05, 0.11), "AFLT": rng.uniform(0.16, 0.27)}.get(plan.rhythm, 0.0)
    clean, fiducials = render(shapes, beats, rhythm, rng, spikes=paced, atrial_mv=atrial_mv)

    electrodes = noise.noise_floor(rng)
    cells: dict[str, str | None] = dict.fromkeys(noise.KINDS)
    for one in plan.noises:
        added = noise.disturbance(one, rng)
        leads = noise.visible_leads(one.kind, twelve_leads(noise.electrodes_to_leads(added)))
        cells[one.kind] = noise.column_text(one.kind, leads, rng) if leads else None
        electrodes += added
    signal = clean + twelve_leads(noise.electrodes_to_leads(electrodes))
    digital = np.clip(np.rint(signal * np.float32(GAIN_PER_MV)), -32767, 32767).astype(np.int16)

    seen = findings.look(heart)
    axis, degrees = findings.heart_axis(seen)
    codes = reading.statements(plan, seen, rng)
    stage1, stage2 = reading.stage_columns(plan, rng)
    n_pvc = int((fiducials.shape == VENTRICULAR_ECTOPIC).sum())
    n_pac = int((fiducials.shape == ATRIAL_ECTOPIC).sum())
    features = measure(fiducials)
    metadata = {
        "report": reading.report(plan, codes, seen, axis),
        "scp_codes": str(codes),
        "heart_axis": findings.axis_code(degrees, rng),
        "infarction_stadium1": stage1,
        "infarction_stadium2": stage2,
        **cells,
        "extra_beats": reading.extra_beats_column(n_pvc, n_pac, rng),
        "pacemaker": "ja, pacemaker" if paced else None,
    }
    attributes: list[tuple[str, str, str, float | None, str]] = [("heart_axis", axis, "yes", degrees, "deg")]
    attributes += [("numeric_feature", name, _in_range(name, value), value, "s") for name, value in features.items()]
    parameters = _parameters(plan, rhythm, heart, fiducials, features, degrees)
    return MadeRecord(digital, clean, metadata, attributes, parameters, fiducials)


def heart_of(seed: int, plan: RecordPlan) -> Heart:
    """The patient's heart on the day of the record: his own anatomy, a little drift, then what he suffers from."""
    anatomy = np.random.default_rng([seed, plan.patient_id, 2])
    heart = sample_heart(anatomy, male=plan.male, age=plan.age)
    day = np.random.default_rng([seed, plan.patient_id, 5, plan.number])
    if plan.number:
        heart.qrs_vector = rotate_frontal(heart.qrs_vector, day.normal(0, 2.5))
        gain = np.concatenate(
            [np.ones(2), np.exp(day.normal(0, 0.06, 6))]
        )  # chest electrodes are never put back exactly
        heart.leads = heart.leads * gain[:, None]
        heart.t_mv = heart.t_mv * gain * day.lognormal(0, 0.07)
        heart.pr_s = float(np.clip(heart.pr_s + day.normal(0, 0.004), 0.122, 0.194))
        heart.qtc_s = float(np.clip(heart.qtc_s + day.normal(0, 0.005), 0.37, 0.438))
    known = list(CONDITIONS)
    for finding in sorted(plan.findings, key=lambda f: (CONDITIONS[f.code].order, f.code)):
        own = np.random.default_rng([seed, plan.patient_id, 3, known.index(finding.code)])
        where = f"{finding.territory}/{finding.stage}" if finding.stage else finding.territory
        CONDITIONS[finding.code].change(heart, finding.strength, own, where)
    return heart


def measure(fiducials: Fiducials) -> dict[str, float | None]:
    """The six numeric features in seconds, medians over the beats; None where no beat shows the wave.

    QRS runs from its onset to the J point and QT from QRS onset to the end of T. Both ends of a wave must lie inside
    the record. QTc is Bazett's, beat by beat, with the interval before the beat.
    """
    rr = np.diff(fiducials.r_peak_s)
    qt = fiducials.t_end_s - fiducials.qrs_onset_s
    whole_t = _inside(fiducials.qrs_onset_s, fiducials.t_end_s)
    p = _inside(fiducials.p_onset_s, fiducials.p_end_s)
    values = {
        "rr interval": rr[rr < 2.0],
        "p duration": (fiducials.p_end_s - fiducials.p_onset_s)[p],
        "pr interval": (fiducials.qrs_onset_s - fiducials.p_onset_s)[p],
        "qrs duration": (fiducials.qrs_end_s - fiducials.qrs_onset_s)[
            _inside(fiducials.qrs_onset_s, fiducials.qrs_end_s)
        ],
        "qt interval": qt[whole_t],
        "qt corrected": (qt[1:] / np.sqrt(np.maximum(rr, 0.1)))[whole_t[1:]],
    }
    return {name: float(np.median(value)) if value.size else None for name, value in values.items()}


def _inside(start_s: Floats, end_s: Floats) -> NDArray[np.bool_]:
    """Beats whose wave begins and ends within the record; False for absent (NaN) waves."""
    return np.asarray((start_s >= 0) & (end_s < DURATION_S))


def _in_range(feature: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    low, high = NORMAL_RANGES_S[feature]
    return "yes" if (low is None or value >= low) and value <= high else "no"


def _parameters(
    plan: RecordPlan,
    rhythm: RhythmPlan,
    heart: Heart,
    fiducials: Fiducials,
    features: dict[str, float | None],
    degrees: float,
) -> dict[str, Any]:
    """The truth of one record, one value or list per column."""
    per_lead = {"st_mv": heart.st_mv, "t_mv": heart.t_mv, "t_early_mv": heart.t_early_mv, "sag_mv": heart.sag_mv}
    return {
        "patient_id": plan.patient_id,
        "rhythm": plan.rhythm,
        "rate_per_min": rhythm.rate,
        "breathing_hz": rhythm.breathing_hz,
        "respiratory_depth": rhythm.respiratory_depth,
        "atrial_hz": rhythm.atrial_hz or None,
        "bigeminy": plan.bigeminy,
        "findings": json.dumps([finding.__dict__ for finding in plan.findings]),
        "noises": json.dumps([{**one.__dict__, "electrodes": list(one.electrodes)} for one in plan.noises]),
        "axis_deg": degrees,
        **{name.replace(" ", "_") + "_s": value for name, value in features.items()},
        "qtc_at_1_s": heart.qtc_s,
        "beat_shape": [("sinus", "atrial", "ventricular")[index] for index in fiducials.shape.tolist()],
        **{
            name: [None if np.isnan(time) else time for time in getattr(fiducials, name).tolist()]
            for name in ("p_onset_s", "p_end_s", "qrs_onset_s", "r_peak_s", "qrs_end_s", "t_end_s")
        },
        **{name: twelve_leads(value[:, None])[:, 0].astype(float).tolist() for name, value in per_lead.items()},
        "qrs_vector_mv": heart.qrs_vector.ravel().tolist(),
        "qrs_centre_s": heart.qrs_centre_s.tolist(),
        "qrs_width_s": heart.qrs_width_s.tolist(),
        "leads": list(LEADS),
    }
