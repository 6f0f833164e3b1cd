"""Released comparisons of numeric features follow from the attribute table, given the release's own fiducials."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecgqa.attributes.vocabulary import FEATURES, ptbxl_vocabulary
from ecgqa.questions.answers import pack, relate, unpack
from ecgqa.questions.facts import gather_facts
from ecgqa.questions.released import read_questions
from ecgqa.questions.templates import TEMPLATES
from ecgqa.records import ATTRIBUTES, NORMAL_RANGES_S
from ecgqa.sources import open_source

pytestmark = [pytest.mark.real_data, pytest.mark.parity]
FS_HZ = 500


def features_s(fiducials: dict[str, list[int | None]]) -> dict[str, float]:
    """Median over beats, in seconds, of the six features (their definitions in the release)."""
    names = ("P_Onsets", "P_Offsets", "R_Onsets", "R_Peaks", "Q_Peaks", "S_Peaks", "T_Offsets")
    p_on, p_off, qrs_on, r, q, s, t_off = (
        np.array([np.nan if x is None else x for x in fiducials[f"ECG_{name}"]], dtype=float) for name in names
    )
    rr = np.diff(r) / FS_HZ
    qt = (t_off - q + 1) / FS_HZ
    beats = {
        "rr interval": rr[rr < 2.0],
        "p duration": (p_off - p_on + 1) / FS_HZ,
        "pr interval": (qrs_on - p_on + 1) / FS_HZ,
        "qrs duration": (s - q + 1) / FS_HZ,
        "qt interval": qt,
        "qt corrected": qt[1:] / np.sqrt(rr),
    }
    return {
        name: float(np.median(values[~np.isnan(values)])) if (~np.isnan(values)).any() else np.nan
        for name, values in beats.items()
    }


def test_released_numeric_comparisons(real_data: Path, parity_cases: Path) -> None:
    fiducials = json.loads((parity_cases / "delineation" / "fiducials_lead_II.json").read_text())
    rows = []
    for ecg_id, found in fiducials.items():
        if "error" in found:
            continue
        for feature, seconds in features_s(found).items():
            low, high = NORMAL_RANGES_S[feature]
            value = "unknown" if np.isnan(seconds) else "yes" if (low or 0) <= seconds <= high else "no"
            number = None if np.isnan(seconds) else seconds
            rows.append((int(ecg_id), "numeric_feature", feature, None, value, number, "s", "waveform"))
    attributes = pl.DataFrame(rows, schema=ATTRIBUTES.polars, orient="row")
    records = open_source(real_data / "ptbxl").records()
    facts = gather_facts(attributes, records, ptbxl_vocabulary())
    view = facts.views["abnormal feature"]
    abnormal = pack(view.holds)

    shards = read_questions(real_data / "ecgqa" / "ptbxl", versions=["template"])
    asked = shards.filter(pl.col("template_id").is_in([68, 69, 70]))
    right = wrong = 0
    for template_id, ecgs, answer in asked.select("template_id", "ecg_id", "answer").iter_rows():
        first, second = np.searchsorted(facts.ecg_id, ecgs)
        if not (view.known[first].all() and view.known[second].all()):
            continue
        members = relate(abnormal[first], abnormal[second], TEMPLATES[template_id].relation or "")
        ours = {feature for feature, member in zip(FEATURES, unpack(members, 6), strict=True) if member}
        right, wrong = right + ((ours or {"none"}) == set(answer)), wrong + ((ours or {"none"}) != set(answer))
    assert (wrong, right >= 50) == (0, True), (right, wrong)
    print(f"{right} of {right + wrong} released samples")
