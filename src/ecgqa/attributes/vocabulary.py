"""The attribute names that questions can ask about, in the order in which a source's question grid counts them."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Final

NORMAL_ECG: Final = "normal ecg"
ANY_ABNORMAL: Final = "any kind of abnormal symptoms"
ANY_DIAGNOSTIC: Final = "any diagnostic symptoms"
ANY_FORM: Final = "any form-related symptoms"
ANY_RHYTHM: Final = "any rhythm-related symptoms"
ANY_NOISE: Final = "any kind of noises"
ANY_EXTRA_SYSTOLE: Final = "any kind of extra systoles"
"""Names of the summary rows; the first two, ANY_NOISE and ANY_EXTRA_SYSTOLE also mark the ECG as looked at."""

SUPERCLASSES: Final = ("myocardial infarction", "st/t change", "conduction disturbance", "hypertrophy")
AXES: Final = ("normal heart axis", "left axis deviation", "right axis deviation", "extreme axis deviation")
EARLY, MIDDLE, OLD, UNKNOWN_STAGE, NO_STAGE = (
    "early stage of myocardial infarction",
    "middle stage of myocardial infarction",
    "old stage of myocardial infarction",
    "unknown stage of myocardial infarction",
    "none of myocardial infarction",
)
STAGES: Final = (EARLY, MIDDLE, OLD)
NOISES: Final = ("baseline drift", "static noise", "burst noise", "electrodes problems")
EXTRA_SYSTOLES: Final = ("extrasystoles", "ventricular extrasystoles", "supraventricular extrasystoles")
FEATURES: Final = ("rr interval", "p duration", "pr interval", "qrs duration", "qt interval", "qt corrected")
RANGES: Final = ("below the normal range", "within the normal range", "above the normal range")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What can be asked of one source. Order matters: it numbers the question grid."""

    name: str
    diagnostic: tuple[str, ...]
    form: tuple[str, ...]
    rhythm: tuple[str, ...]
    symptoms: tuple[str, ...]
    """Union of the three kinds, in the grid's order."""
    forms_in_leads: tuple[str, ...]
    """Form statements asked lead by lead (templates 17 to 19)."""
    forms_in_groups: tuple[str, ...]
    """Those of them that template 17 asks of the limb or the chest leads as a group."""
    superclasses: tuple[str, ...] = SUPERCLASSES
    axes: tuple[str, ...] = AXES
    stages: tuple[str, ...] = STAGES
    noises: tuple[str, ...] = NOISES
    extra_systoles: tuple[str, ...] = EXTRA_SYSTOLES
    features: tuple[str, ...] = FEATURES

    def only(self, attributes: Collection[str]) -> Vocabulary:
        """The part that can be asked of ECGs of which only `attributes` are ever stated; features stay."""

        def kept(pool: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(name for name in pool if name in attributes)

        symptoms = kept(self.symptoms)
        counted = {**{s.attribute: s.superclass for s in ptbxl_statements().values()}, **mimic_superclasses()}
        shown = {counted.get(name) for name in symptoms}
        return replace(
            self,
            diagnostic=kept(self.diagnostic),
            form=kept(self.form),
            rhythm=kept(self.rhythm),
            symptoms=symptoms,
            forms_in_leads=kept(self.forms_in_leads),
            forms_in_groups=kept(self.forms_in_groups),
            superclasses=tuple(name for name in self.superclasses if name in shown),
            stages=kept(self.stages),
            noises=kept(self.noises),
            extra_systoles=kept(self.extra_systoles),
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """One SCP-ECG statement as PTB-XL uses it."""

    code: str
    attribute: str
    kinds: tuple[str, ...]
    superclass: str | None
    """Superclass it counts for; None also where the release does not count it (underscore subclasses)."""
    kept: bool
    """False for the eleven statements that the released questions never mention, and for NORM."""


@cache
def ptbxl_statements() -> dict[str, Statement]:
    """The 71 statements of PTB-XL by code, in the order of its scp_statements.csv, with the released names.

    Source: PTB-XL 1.0.3 (scp_statements.csv) and the released answer lists of ECG-QA 1.0.2.
    """
    with files("ecgqa.attributes").joinpath("ptbxl_statements.csv").open(encoding="utf-8") as stream:
        return {
            row["code"]: Statement(
                row["code"],
                row["attribute"],
                tuple(row["kinds"].split()),
                row["superclass"] or None,
                row["use"] == "kept",
            )
            for row in csv.DictReader(stream)
        }


@cache
def ptbxl_vocabulary() -> Vocabulary:
    """59 symptoms (36 diagnostic, 18 form, 9 rhythm, four of them both diagnostic and form)."""
    kept = [statement for statement in ptbxl_statements().values() if statement.kept]
    attribute = {statement.code: statement.attribute for statement in kept}

    def of_kind(kind: str) -> tuple[str, ...]:
        return tuple(statement.attribute for statement in kept if kind in statement.kinds)

    # Abnormal QRS, extra beats and the two interval statements say nothing about a single lead.
    whole_ecg = {attribute[code] for code in ("ABQRS", "PVC", "PAC", "LPR", "LNGQT")}
    return Vocabulary(
        name="ptbxl",
        diagnostic=of_kind("diagnostic"),
        form=of_kind("form"),
        rhythm=of_kind("rhythm"),
        symptoms=tuple(attribute.values()),
        forms_in_leads=tuple(name for name in of_kind("form") if name not in whole_ecg),
        forms_in_groups=tuple(attribute[code] for code in ("VCLVH", "LVOLT", "HVOLT")),
    )


@cache
def _mimic_rows() -> tuple[dict[str, str], ...]:
    with files("ecgqa.attributes").joinpath("mimic_vocabulary.csv").open(encoding="utf-8") as stream:
        return tuple(csv.DictReader(stream))


@cache
def mimic_forms_seen_in_leads() -> frozenset[str]:
    """Form statements that the released lists name for single leads (template 18)."""
    return frozenset(row["attribute"] for row in _mimic_rows() if row["leads"] == "asked")


@cache
def mimic_superclasses() -> dict[str, str]:
    """Superclass of each attribute that counts for one."""
    return {row["attribute"]: row["superclass"] for row in _mimic_rows() if row["superclass"]}


@cache
def mimic_vocabulary() -> Vocabulary:
    """153 symptoms with a known name, of the 155 that the release speaks of, and two places kept for the others.

    Names, kinds and leads are those of the released answer lists of ECG-QA 1.0.2 (most conduction statements belong
    to none of the three kinds there). The question ids at the end of the released grid (template 68 is 5341) come out
    with 155 symptoms and 26 forms asked lead by lead, of which the released lists name 17. docs/own-dataset.md lists
    what is open.
    """
    rows = _mimic_rows()

    def of_kind(kind: str) -> tuple[str, ...]:
        return tuple(row["attribute"] for row in rows if kind in row["kinds"].split())

    return Vocabulary(
        name="mimic-iv-ecg",
        diagnostic=of_kind("diagnostic"),
        form=of_kind("form"),
        rhythm=of_kind("rhythm"),
        symptoms=(*(row["attribute"] for row in rows), *MIMIC_UNNAMED),
        forms_in_leads=tuple(row["attribute"] for row in rows if row["leads"]),
        forms_in_groups=(),
        noises=("baseline wander",),
        extra_systoles=(),
    )


MIMIC_UNNAMED: Final = ("(symptom 154)", "(symptom 155)")
"""Symptoms of the release whose names are not known; no ECG has them, so no question is asked of them."""

VOCABULARIES: Final = {"ptbxl": ptbxl_vocabulary, "mimic-iv-ecg": mimic_vocabulary}
"""Vocabulary by name, as an attribute folder's manifest records it."""
