"""The cohort on paper: who the patients are, what they have, and how it changes between their dated records."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from ecgqa.sources.synthetic.conditions import CONDITIONS
from ecgqa.sources.synthetic.noise import NoisePlan, plan_noise

_EPOCH: Final = datetime(1986, 1, 6, 8, 0, 0)
_DAYS: Final = 15 * 365

_RHYTHMS: Final[dict[str, float]] = {
    "AFIB": 4.5, "AFLT": 5.0, "SVTAC": 4.5, "PACE": 5.5, "BIGU": 4.5, "STACH": 5.0, "SBRAD": 5.0, "SARRH": 5.0,
    "PVC": 6.0, "PAC": 6.0,
}  # fmt: skip
_ECTOPY: Final = ("PVC", "PAC")

_NOT_WITH: Final[dict[str, frozenset[str]]] = {
    "PACE": frozenset(
        {"conduction", "fascicle", "voltage", "atrium", "pr", "infarction", "st", "t", "qt", "form", "PAC"}
    ),
    "AFIB": frozenset({"atrium", "pr", "PAC"}),
    "AFLT": frozenset({"atrium", "pr", "PVC", "PAC", "qt", "t"}),
    "SVTAC": frozenset({"atrium", "pr", "qt", "PVC", "PAC", "t"}),
    "STACH": frozenset({"pr", "qt"}),
    "BIGU": frozenset({"PVC", "PAC", "qt"}),
    "CLBBB": frozenset({"fascicle", "voltage", "infarction", "st", "t", "qt", "form"}),
    "ILBBB": frozenset({"fascicle", "st", "t", "form", "infarction"}),
    "CRBBB": frozenset({"st", "t", "form", "VCLVH", "LVH"}),
    "IVCD": frozenset({"form"}),
    "LVH": frozenset({"st", "t"}),
    "LVOLT": frozenset({"form"}),
    "axis:left": frozenset({"infarction"}),
    "axis:right": frozenset({"infarction"}),
    "axis:extreme": frozenset({"infarction"}),
    "TAB_": frozenset({"st"}),
}
"""What else a finding rules out: slots or single codes."""
_ST_RULES_OUT_T: Final = frozenset({"DIG"} | {code for code in CONDITIONS if code.startswith(("ISC", "INJ"))})

_UNCERTAIN: Final[dict[str, float]] = {
    "IMI": 0.32, "ASMI": 0.30, "AMI": 0.30, "LMI": 0.30, "ALMI": 0.35, "ILMI": 0.35, "IPLMI": 0.3, "IPMI": 0.25,
    "PMI": 0.35, "LVH": 0.40, "LAO/LAE": 0.30, "RAO/RAE": 0.20, "DIG": 0.30, "ISC_": 0.20, "ISCAL": 0.20, "ISCIN": 0.25,
    "ISCIL": 0.25, "ISCLA": 0.15, "ISCAS": 0.15, "ISCAN": 0.10, "INJAS": 0.10, "INJAL": 0.10, "INJIN": 0.10,
    "INJLA": 0.10, "INJIL": 0.05, "NST_": 0.12, "LNGQT": 0.08, "LAFB": 0.05, "IRBBB": 0.05, "1AVB": 0.02, "IVCD": 0.02,
    "NDT": 0.02, "CRBBB": 0.01, "CLBBB": 0.01, "ILBBB": 0.04, "LPFB": 0.02,
}  # fmt: skip
"""Share of the records whose reader is not sure, near PTB-XL's."""
_STRENGTH: Final[dict[float, float]] = {100.0: 1.0, 0.0: 1.0, 80.0: 0.75, 50.0: 0.55, 35.0: 0.42, 15.0: 0.30}
_ACUTE: Final = frozenset({"STE_", "STD_", "NST_"} | {code for code in CONDITIONS if code.startswith(("ISC", "INJ"))})
_LASTING: Final = frozenset({"conduction", "fascicle", "infarction", "voltage", "atrium", "pr"})


@dataclass(frozen=True)
class Finding:
    """One condition of a patient at the time of one record."""

    code: str
    likelihood: float
    """Percent as PTB-XL gives it: 0 for statements without one, 100 certain, between uncertain."""
    strength: float
    territory: str
    stage: str = ""
    """Infarction: early, middle, old or unknown."""


@dataclass(frozen=True)
class RecordPlan:
    """Everything about one record but the numbers that are drawn while it is made."""

    patient_id: int
    number: int
    """Running number of the record within the patient, from 0."""
    recorded_at: datetime
    age: float
    male: bool
    height_cm: int | None
    weight_kg: int | None
    rhythm: str
    n_pvc: int
    n_pac: int
    bigeminy: str | None
    findings: tuple[Finding, ...]
    noises: tuple[NoisePlan, ...]
    strat_fold: int

    @property
    def is_normal(self) -> bool:
        """No finding but a sinus rhythm, whatever its rate."""
        sinus = self.rhythm in ("SR", "SBRAD", "STACH", "SARRH")
        return sinus and not self.findings and not (self.n_pvc or self.n_pac)


@dataclass
class _State:
    """What a patient has at one time."""

    rhythm: str = "SR"
    bigeminy: str | None = None
    ectopy: set[str] = field(default_factory=set)
    findings: dict[str, Finding] = field(default_factory=dict)

    def codes(self) -> list[str]:
        return [*([] if self.rhythm == "SR" else [self.rhythm]), *sorted(self.ectopy), *self.findings]


def plan_patient(seed: int, patient_id: int) -> list[RecordPlan]:
    """The records of patient `patient_id` (1, 2, …) of the cohort `seed`, by date."""
    rng = np.random.default_rng([seed, patient_id, 1])
    male = bool(rng.random() < 0.52)
    age = float(np.clip(rng.normal(60, 17), 18, 92))
    height = int(np.clip(rng.normal(175 if male else 163, 7), 145, 200)) if rng.random() < 0.45 else None
    weight = int(np.clip(rng.normal(80 if male else 68, 12), 42, 130)) if rng.random() < 0.55 else None
    n_records = int(rng.choice([1, 2, 3, 4, 5], p=[0.66, 0.19, 0.09, 0.04, 0.02]))
    moment = _EPOCH + timedelta(days=float(rng.uniform(0, _DAYS)))
    fold = int(rng.integers(1, 11))
    state = _State()
    turn = _turn(seed, patient_id)
    if turn < _NORMAL_SHARE:
        state.rhythm = str(rng.choice(["SR", "SBRAD", "STACH", "SARRH"], p=[0.86, 0.05, 0.04, 0.05]))
    else:
        _take(state, _code_at((turn - _NORMAL_SHARE) / (1 - _NORMAL_SHARE)), rng)
        for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.34, 0.38, 0.20, 0.08]))):
            _add_finding(state, rng)
        if not any(":" not in code for code in state.codes()):  # a turned axis alone has no statement of its own
            _add_finding(state, rng)
    records: list[RecordPlan] = []
    for number in range(n_records):
        if number:
            gap = float(rng.choice([rng.uniform(0.3, 12), rng.uniform(12, 200), rng.uniform(200, 1200)]))
            moment += timedelta(days=gap)
            age = min(age + gap / 365.25, 95.0)
            _evolve(state, rng, gap)
        of_day = timedelta(seconds=int(rng.integers(7 * 3600, 19 * 3600)))
        at = moment.replace(hour=0, minute=0, second=0, microsecond=0) + of_day
        if records and at <= records[-1].recorded_at:
            at = records[-1].recorded_at + timedelta(hours=2)
        records.append(
            RecordPlan(
                patient_id, number, at, age, male, height, weight, state.rhythm,
                int(rng.integers(1, 5)) if "PVC" in state.ectopy else 0,
                int(rng.integers(1, 4)) if "PAC" in state.ectopy else 0,
                state.bigeminy, tuple(state.findings.values()), plan_noise(rng), fold,
            )
        )  # fmt: skip
    return records


_CHOICES: Final = [*_RHYTHMS, *CONDITIONS]
_PROBABILITY: Final = np.array([*_RHYTHMS.values(), *(c.weight for c in CONDITIONS.values())])
_CUMULATIVE: Final = np.cumsum(_PROBABILITY / _PROBABILITY.sum())
_NORMAL_SHARE: Final = 0.36
"""Patients who start without any finding."""


def _turn(seed: int, patient_id: int) -> float:
    """A number in [0, 1) that decides the main finding. Golden-ratio steps spread it evenly over the patients, so that
    even a small cohort has its share of every rare finding (Weyl's equidistributed sequence)."""
    start = np.random.default_rng([seed, 0, 7]).random()
    return float((start + patient_id * 0.6180339887498949) % 1.0)


def _code_at(position: float) -> str:
    return _CHOICES[min(int(np.searchsorted(_CUMULATIVE, position, side="right")), len(_CHOICES) - 1)]


def _slot(code: str) -> str:
    return CONDITIONS[code].slot if code in CONDITIONS else code if code in _ECTOPY else "rhythm"


def _compatible(code: str, present: list[str]) -> bool:
    """Whether `code` may join what is there: another slot, and neither rules the other out."""
    for other in present:
        if _slot(other) == _slot(code):
            return False
        for one, two in ((code, other), (other, code)):
            ruled_out = _NOT_WITH.get(one, frozenset())
            if two in ruled_out or _slot(two) in ruled_out:
                return False
            if one in _ST_RULES_OUT_T and _slot(two) == "t":
                return False
            if _slot(one) == "infarction" and _slot(two) in ("form", "st", "t"):
                return False
    return True


def _add_finding(state: _State, rng: np.random.Generator) -> None:
    for _ in range(25):
        code = _code_at(rng.random())
        if _compatible(code, state.codes()):
            _take(state, code, rng)
            return


def _take(state: _State, code: str, rng: np.random.Generator) -> None:
    if code in _ECTOPY:
        state.ectopy.add(code)
    elif code in _RHYTHMS:
        state.rhythm = code
        state.bigeminy = str(rng.choice(["PVC", "PVC", "PAC"])) if code == "BIGU" else None
    else:
        state.findings[code] = _new_finding(code, rng)


def _new_finding(code: str, rng: np.random.Generator) -> Finding:
    condition = CONDITIONS[code]
    territory = condition.territory
    if condition.choices:
        territory = condition.choices[int(rng.integers(len(condition.choices)))]
    likelihood = _likelihood(code, rng)
    stage = ""
    if condition.slot == "infarction":
        # An infarction that is only suspected is an old one as a rule: nobody doubts raised ST segments.
        weights = [0.30, 0.27, 0.25, 0.18] if likelihood in (0.0, 100.0) else [0.04, 0.16, 0.35, 0.45]
        stage = str(rng.choice(["early", "middle", "old", "unknown"], p=weights))
    return Finding(code, likelihood, _STRENGTH[likelihood], territory, stage)


def _likelihood(code: str, rng: np.random.Generator) -> float:
    from ecgqa.sources.synthetic.statements import STATEMENTS

    if code not in STATEMENTS or not STATEMENTS[code].diagnostic:
        return 0.0
    if rng.random() < _UNCERTAIN.get(code, 0.02):
        return float(rng.choice([80.0, 50.0, 35.0, 15.0], p=[0.25, 0.38, 0.15, 0.22]))
    return 0.0 if code in ("NST_", "DIG", "NDT") and rng.random() < 0.15 else 100.0


def _evolve(state: _State, rng: np.random.Generator, gap_days: float) -> None:
    """What happens to a patient between two records."""
    for code, finding in list(state.findings.items()):
        lasting = CONDITIONS[code].slot in _LASTING
        if finding.stage:
            state.findings[code] = _later_stage(finding, gap_days)
        elif rng.random() > (0.93 if lasting else 0.5 if code in _ACUTE else 0.7):
            del state.findings[code]
    if state.rhythm in ("AFIB", "AFLT", "SVTAC", "STACH", "SBRAD", "SARRH", "BIGU"):
        back = {"AFIB": 0.25, "AFLT": 0.5, "SVTAC": 0.85}.get(state.rhythm, 0.45)
        if rng.random() < back:
            state.rhythm, state.bigeminy = "SR", None
    state.ectopy = {kind for kind in sorted(state.ectopy) if rng.random() < 0.55}
    if state.rhythm == "SR" and rng.random() < 0.10 and _compatible("AFIB", state.codes()):
        state.rhythm = "AFIB"
    if rng.random() < (0.35 if state.codes() else 0.18):
        _add_finding(state, rng)


def _later_stage(finding: Finding, gap_days: float) -> Finding:
    """Early for days, middle for weeks to months, then old."""
    order = ["early", "middle", "old"]
    if finding.stage not in order:
        return finding
    limits = {"early": 4.0, "middle": 60.0}
    stage = finding.stage
    while stage in limits and gap_days > limits[stage]:
        gap_days -= limits[stage]
        stage = order[order.index(stage) + 1]
    return Finding(finding.code, finding.likelihood, finding.strength, finding.territory, stage)
