"""A random small cohort, and the answer to every question worked out row by row, without the package's arrays."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from ecgqa.attributes.vocabulary import FEATURES, SUPERCLASSES, ptbxl_vocabulary
from ecgqa.records import ATTRIBUTES, LEADS, NORMAL_RANGES_S, RECORDS

WORDS = ptbxl_vocabulary()
NOISES = WORDS.noises
KINDS = WORDS.extra_systoles
STAGES = (*WORDS.stages, "unknown stage of myocardial infarction", "none of myocardial infarction")


def cohort(n_ecgs: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Attribute and records tables of `n_ecgs` ECGs with about 1.7 per patient; some things unknown on some ECGs."""
    rng = random.Random(seed)
    rows: list[tuple[Any, ...]] = []
    records = []
    patient, moment = 100, datetime(1990, 1, 1)
    for ecg_id in range(1, n_ecgs + 1):
        if rng.random() < 0.6:
            patient += 1
        moment += timedelta(hours=rng.randint(1, 500))
        records.append(
            {"source": "random", "ecg_id": ecg_id, "patient_id": patient, "recorded_at": moment, "path": f"r/{ecg_id}"}
        )

        def add(
            kind: str,
            name: str,
            value: str = "yes",
            lead: str | None = None,
            number: float | None = None,
            ecg_id: int = ecg_id,
        ) -> None:
            rows.append((ecg_id, kind, name, lead, value, number, "s" if number else None, "metadata"))

        if rng.random() < 0.05:
            add("scp_code", "normal ecg", "unknown")
        else:
            shown = rng.sample(WORDS.symptoms, rng.choice([0, 1, 1, 2, 3, 5]))
            for name in shown:
                add("scp_code", name, rng.choice(["yes", "yes", "uncertain"]))
                if name in WORDS.forms_in_leads:
                    for lead in rng.choice([[], rng.sample(LEADS, 3), LEADS[:6], LEADS[6:]]):
                        add("scp_code", name, lead=lead)
            for name in rng.sample(SUPERCLASSES, rng.choice([0, 1, 2])):
                add("scp_code", name)
            add("scp_code", "normal ecg", rng.choice(["yes", "no", "uncertain"]))
            add("scp_code", "any kind of abnormal symptoms", rng.choice(["yes", "no"]))
        noisy = [
            (noise, rng.sample(LEADS, rng.randint(1, 12))) for noise in rng.sample(NOISES, rng.choice([0, 0, 1, 2]))
        ]
        for noise, leads in noisy:
            for lead in leads:
                add("noise", noise, lead=lead)
        add("noise", "any kind of noises", "yes" if noisy else "no")
        kinds = rng.sample(KINDS, rng.choice([0, 0, 1, 2]))
        for kind in kinds:
            add("extra_systole", kind)
        add("extra_systole", "any kind of extra systoles", rng.choice(["yes", "no"]))
        stage = rng.choice([*STAGES, "unplaced", None])
        if stage == "unplaced":
            add("stage_of_infarction", "old stage of myocardial infarction", "uncertain")
        elif stage:
            add("stage_of_infarction", stage)
        if rng.random() < 0.8:
            add("heart_axis", rng.choice(WORDS.axes))
        for feature in FEATURES:
            draw = rng.random()
            low, high = NORMAL_RANGES_S[feature]
            if draw < 0.1:
                continue
            if draw < 0.2:
                add("numeric_feature", feature, "unknown")
                continue
            number = rng.choice([0.5 * high, high, 1.2 * high, *([low, 0.9 * low] if low else [])])
            normal = (low is None or number >= low) and number <= high
            add("numeric_feature", feature, "yes" if normal else "no", number=number)
    return (
        pl.DataFrame(rows, schema=ATTRIBUTES.polars, orient="row"),
        pl.DataFrame(records).with_columns(
            pl.lit(None, dtype=column.dtype).alias(name)
            for name, column in RECORDS.columns.items()
            if name not in records[0]
        ),
    )


class Oracle:
    """Answers from the rows of an attribute table."""

    def __init__(self, attributes: pl.DataFrame) -> None:
        self.rows: dict[int, list[tuple[str, str, str | None, str, float | None]]] = {}
        for ecg_id, kind, name, lead, value, number in attributes.select(
            "ecg_id", "attribute_type", "attribute", "lead", "value", "number"
        ).iter_rows():
            self.rows.setdefault(ecg_id, []).append((kind, name, lead, value, number))

    def value(self, ecg_id: int, kind: str, name: str) -> str | None:
        found = [row[3] for row in self.rows[ecg_id] if row[0] == kind and row[1] == name and row[2] is None]
        return found[0] if found else None

    def leads(self, ecg_id: int, kind: str, name: str) -> set[str]:
        return {str(lead) for k, n, lead, *_ in self.rows[ecg_id] if k == kind and n == name and lead is not None}

    def symptoms(self, ecg_id: int, *, certain: bool = False) -> set[str]:
        values = ("yes",) if certain else ("yes", "uncertain")
        names = (*WORDS.symptoms, *SUPERCLASSES)
        return {name for name in names if self.value(ecg_id, "scp_code", name) in values}

    def noises(self, ecg_id: int, lead: str | None = None) -> set[str]:
        named = {noise: self.leads(ecg_id, "noise", noise) for noise in NOISES}
        return {noise for noise, leads in named.items() if (lead in leads if lead else leads)}

    def forms(self, ecg_id: int, lead: str) -> set[str]:
        return {form for form in WORDS.forms_in_leads if lead in self.leads(ecg_id, "scp_code", form)}

    def range_of(self, ecg_id: int, feature: str) -> str | None:
        number = [row[4] for row in self.rows[ecg_id] if row[0] == "numeric_feature" and row[1] == feature]
        if not number or number[0] is None:
            return None
        low, high = NORMAL_RANGES_S[feature]
        where = "below" if low is not None and number[0] < low else "above" if number[0] > high else "within"
        return f"{where} the normal range"

    def abnormal(self, ecg_id: int) -> set[str]:
        rows = [(row[1], row[3]) for row in self.rows[ecg_id] if row[0] == "numeric_feature"]
        return {feature for feature, value in rows if value != "yes"}

    def among(self, ecg_id: int, kind: str, names: tuple[str, ...]) -> set[str]:
        return {name for name in names if self.value(ecg_id, kind, name) in ("yes", "uncertain")}

    def answer(self, template_id: int, asked: list[str], lead: str | None, ecgs: list[int]) -> set[str]:
        """The right answer as a set of words ("none" for nothing)."""
        if template_id >= 43:
            return self._compared(template_id, asked, ecgs)
        ecg = ecgs[0]

        def yes(holds: object) -> set[str]:
            return {"yes" if holds else "no"}

        def some(found: set[str], of: object = None) -> set[str]:
            return (found if of is None else found & set(of)) or {"none"}  # type: ignore[call-overload]

        certain, shown = self.symptoms(ecg, certain=True), self.symptoms(ecg)
        name = asked[0] if asked else ""
        match template_id:
            case 1:
                return {"not sure"} if name in shown - certain else yes(name in shown)
            case 2:
                return yes(self.value(ecg, "scp_code", "normal ecg") != "no")
            case 3 | 4 | 6 | 7:
                return some(shown, asked)
            case 5:
                return some(certain, asked)
            case 8:
                return some(shown, WORDS.diagnostic)
            case 9:
                return some(certain, WORDS.diagnostic)
            case 10:
                return some(shown, WORDS.rhythm)
            case 11:
                return some(shown, WORDS.form)
            case 12:
                return yes(self.value(ecg, "scp_code", "any kind of abnormal symptoms") == "yes")
            case 13:
                return yes(shown & set(WORDS.diagnostic))
            case 14:
                return yes(certain & set(WORDS.diagnostic))
            case 15:
                return yes(shown & set(WORDS.form))
            case 16:
                return yes(shown & set(WORDS.rhythm))
            case 17:
                group = {"limb leads": LEADS[:6], "chest leads": LEADS[6:]}.get(lead or "", (str(lead)[5:],))
                return yes(set(group) <= self.leads(ecg, "scp_code", name))
            case 18:
                return some(self.forms(ecg, str(lead)[5:]))
            case 19:
                return some({f"lead {one}" for one in self.leads(ecg, "scp_code", name)})
            case 20:
                return yes(self.value(ecg, "heart_axis", name) == "yes")
            case 21 | 22:
                return some(self.among(ecg, "heart_axis", WORDS.axes), asked)
            case 23:
                return yes(self.value(ecg, "stage_of_infarction", name) == "yes")
            case 24 | 25:
                return some({one for one in STAGES if self.value(ecg, "stage_of_infarction", one) == "yes"}, asked)
            case 26:
                return yes(name in self.noises(ecg, str(lead)[5:]))
            case 27:
                return yes(name in self.noises(ecg))
            case 28:
                return yes(self.noises(ecg, str(lead)[5:]))
            case 29:
                return yes(self.noises(ecg))
            case 30 | 32:
                return some(self.noises(ecg), asked)
            case 31 | 33:
                return some(self.noises(ecg, str(lead)[5:]), asked)
            case 34:
                return some({f"lead {one}" for one in self.leads(ecg, "noise", name)})
            case 35:
                return yes(self.value(ecg, "extra_systole", "any kind of extra systoles") == "yes")
            case 36:
                return yes(name in self.among(ecg, "extra_systole", KINDS))
            case 37 | 38:
                return some(self.among(ecg, "extra_systole", KINDS), asked)
            case 39 | 40 | 41 | 42:
                pairs = [one.split(" of ") for one in asked]
                held = [(range_, feature) for range_, feature in pairs if self.range_of(ecg, feature) == range_]
                if template_id == 39:
                    return yes(held)
                return some({feature if template_id == 42 else range_ for range_, feature in held})
        raise AssertionError(template_id)

    def _compared(self, template_id: int, asked: list[str], ecgs: list[int]) -> set[str]:
        place = (template_id - 43) % 14
        numeric = place >= 7
        relation = place % 7
        first, second = (self.abnormal(ecg) if numeric else self.symptoms(ecg) for ecg in ecgs)
        if relation < 4:
            name = asked[0]
            wanted = [(True, False), (False, True), (True, True), (False, False)][relation]
            return {"yes" if (name in first, name in second) == wanted else "no"}
        found = [first - second, second - first, first & second][relation - 4]
        return found - set(SUPERCLASSES) or {"none"}
