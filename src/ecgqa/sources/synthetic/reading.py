"""What the reader writes down: statement codes with likelihoods, an English report, the columns for stage and beats."""

from __future__ import annotations

from typing import Final

import numpy as np

from ecgqa.records import LEADS
from ecgqa.sources.synthetic.findings import Seen, high_voltage_groups, leads_showing, low_voltage_groups
from ecgqa.sources.synthetic.patients import Finding, RecordPlan

_RHYTHM_TEXT: Final = {
    "SR": "sinus rhythm", "SBRAD": "sinus bradycardia", "STACH": "sinus tachycardia", "SARRH": "sinus arrhythmia",
    "AFIB": "atrial fibrillation", "AFLT": "atrial flutter", "SVTAC": "supraventricular tachycardia",
    "PACE": "ventricular pacing", "BIGU": "sinus rhythm with bigeminy",
}  # fmt: skip
_DIAGNOSIS_TEXT: Final = {
    "CRBBB": "right bundle branch block", "IRBBB": "incomplete right bundle branch block",
    "CLBBB": "left bundle branch block", "ILBBB": "incomplete left bundle branch block",
    "IVCD": "wide qrs of unspecific form", "LAFB": "left anterior hemiblock", "LPFB": "left posterior hemiblock",
    "LVH": "left ventricular hypertrophy", "LAO/LAE": "left atrial enlargement", "RAO/RAE": "right atrial enlargement",
    "1AVB": "first degree block", "LPR": "long pr interval", "LNGQT": "long qt interval",
    "ABQRS": "splintered qrs complexes",
}  # fmt: skip
_PLACE_OF: Final = {
    "ASMI": "anteroseptal", "IMI": "inferior", "AMI": "anterior", "ALMI": "anterolateral", "LMI": "lateral",
    "ILMI": "inferolateral", "IPMI": "inferoposterior", "IPLMI": "inferoposterolateral", "PMI": "posterior",
    "ISC_": "diffuse", "ISCAL": "anterolateral", "ISCIN": "inferior", "ISCIL": "inferolateral",
    "ISCAS": "anteroseptal", "ISCLA": "lateral", "ISCAN": "anterior", "INJAS": "anteroseptal",
    "INJAL": "anterolateral", "INJIN": "inferior", "INJLA": "lateral", "INJIL": "inferolateral",
}  # fmt: skip
_LEAD_TEXT: Final = {
    "STD_": "st segments are depressed in {}",
    "STE_": "st segments are elevated in {}",
    "NST_": "slight st changes in {}",
    "DIG": "digitalis effect in {}",
    "INVT": "t waves are inverted in {}",
    "LOWT": "t waves are low in {}",
    "NDT": "t waves are abnormal in {}",
    "NT_": "unspecific t waves in {}",
    "TAB_": "t waves are biphasic in {}",
    "QWAVE": "q waves in {}",
}
"""Clauses in the order of the report; the subject and the list of leads follow the habits of PTB-XL's reports."""
_DOUBT: Final = {80.0: "probable ", 50.0: "possible ", 35.0: "questionable ", 15.0: "cannot exclude "}
_STAGE_TEXT: Final = {"early": "acute", "middle": "recent", "old": "old", "unknown": "undated"}
_STAGE_COLUMN: Final = {
    "early": ("Stadium I", "Stadium I", "Stadium I-II"),
    "middle": ("Stadium II", "Stadium II-III", "Stadium II-III"),
    "unknown": ("unknown",),
}


def statements(plan: RecordPlan, seen: Seen, rng: np.random.Generator) -> dict[str, float]:
    """Statement codes and likelihoods of a record, diagnostic ones first, as PTB-XL's scp_codes holds them.

    Beside the planned findings the reader notes part of what the planned ones bring along, if it shows in some lead:
    Q waves of an infarction, depressed ST and inverted T of ischaemia, voltage criteria of hypertrophy.
    """
    codes = {finding.code: finding.likelihood for finding in plan.findings if ":" not in finding.code}
    extra: dict[str, float] = {}
    for finding in plan.findings:
        for code, chance in _companions(finding):
            if code not in codes and rng.random() < chance and _shows(code, seen):
                extra[code] = 0.0
    if plan.is_normal:
        codes["NORM"] = float(rng.choice([100.0, 80.0, 50.0], p=[0.86, 0.10, 0.04]))
    if plan.n_pvc or plan.bigeminy == "PVC":
        extra["PVC"] = 100.0
    if plan.n_pac or plan.bigeminy == "PAC":
        extra["PAC"] = 100.0
    return codes | extra | {plan.rhythm: 0.0} | ({"SR": 0.0} if plan.rhythm == "BIGU" else {})


def _companions(finding: Finding) -> list[tuple[str, float]]:
    if finding.stage == "early":
        return [("STE_", 0.4), ("QWAVE", 0.2)]
    if finding.stage and finding.strength >= 0.7:
        return [("QWAVE", 0.55), *([("INVT", 0.35)] if finding.stage == "middle" else [])]
    if finding.code.startswith("ISC") and finding.strength >= 0.7:
        return [("STD_", 0.35), ("INVT", 0.4)]
    if finding.code.startswith("INJ"):
        return [("STD_", 0.4)]
    if finding.code == "LVH" and finding.strength >= 0.7:
        return [("VCLVH", 0.35), ("STD_", 0.3), ("INVT", 0.2)]
    return []


def _shows(code: str, seen: Seen) -> bool:
    return bool(high_voltage_groups(seen)) if code == "VCLVH" else bool(leads_showing(code, seen))


def report(plan: RecordPlan, codes: dict[str, float], seen: Seen, axis: str) -> str:
    """Lower-case English report; each form finding has a sentence with its leads."""
    sentences = [_RHYTHM_TEXT[plan.rhythm]]
    if "PVC" in codes:
        sentences.append("ventricular ectopic beats")
    if "PAC" in codes:
        sentences.append("atrial ectopic beats")
    if axis != "normal heart axis":
        sentences.append(axis)
    stages = {finding.code: finding.stage for finding in plan.findings if finding.stage}
    for code, likelihood in codes.items():
        doubt = _DOUBT.get(likelihood, "")
        if code in _DIAGNOSIS_TEXT:
            sentences.append(doubt + _DIAGNOSIS_TEXT[code])
        elif code in stages:
            sentences.append(f"{doubt}{_STAGE_TEXT[stages[code]]} {_PLACE_OF[code]} infarct")
        elif code.startswith("ISC"):
            sentences.append(f"{doubt}{_PLACE_OF[code]} ischaemia")
        elif code.startswith("INJ"):
            sentences.append(f"{doubt}subendocardial injury, {_PLACE_OF[code]}")
    for code in ("VCLVH", "HVOLT"):
        groups = high_voltage_groups(seen) if code in codes else ()
        sentences += [f"voltages are high in {group} leads" for group in groups]
    if "LVOLT" in codes:
        sentences += [f"low {group} lead voltage" for group in low_voltage_groups(seen)]
    for code, clause in _LEAD_TEXT.items():
        leads = leads_showing(code, seen) if code in codes else ()
        if leads:
            sentences.append(clause.format(lead_list(leads)))
    if plan.is_normal:
        sentences.append("normal ecg" if codes["NORM"] == 100.0 else "probably within normal limits")
    return ". ".join(dict.fromkeys(sentences)) + "."


def lead_list(leads: tuple[str, ...]) -> str:
    """Leads as reports list them: ("I", "aVL", "V5", "V6") gives "i, avl, v5,6"."""
    words: list[str] = []
    chest = [lead[1] for lead in LEADS[6:] if lead in leads]
    words += [lead.lower() for lead in LEADS[:6] if lead in leads]
    if chest:
        words.append("v" + ",".join(chest))
    return ", ".join(words)


def stage_columns(plan: RecordPlan, rng: np.random.Generator) -> tuple[str | None, str | None]:
    """infarction_stadium1 and infarction_stadium2. An old infarct stands in the second column, rarely in the first one
    alone, where PTB-XL's readers leave open whether it is old."""
    stage = next((finding.stage for finding in plan.findings if finding.stage), None)
    if stage is None:
        return None, None
    if stage == "old":
        return (
            ("Stadium III", None)
            if rng.random() < 0.12
            else (str(rng.choice(["unknown", "Stadium II-III"])), "Stadium III")
        )
    return str(rng.choice(_STAGE_COLUMN[stage])), None


def extra_beats_column(n_pvc: int, n_pac: int, rng: np.random.Generator) -> str | None:
    """PTB-XL's extra_beats cell for the ectopic beats inside the record: "2VES,alles", "SVES1", at times "3ES"."""
    if not (n_pvc or n_pac):
        return None
    if rng.random() < 0.22:
        text = f"{n_pvc + n_pac}ES"
    else:
        kinds = [(n_pvc, "VES"), (n_pac, "SVES")]
        text = ",".join(f"{kind}{n}" if rng.random() < 0.5 else f"{n}{kind}" for n, kind in kinds if n)
    return f"{text},alles" if rng.random() < 0.5 else text
