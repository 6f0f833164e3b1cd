"""Attributes of a whole collection from its waveforms: rows, counts of what failed, the same rows from any workers."""

from __future__ import annotations

import csv
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecgqa.attributes.build import read_attributes
from ecgqa.attributes.vocabulary import AXES, FEATURES
from ecgqa.attributes.waveform import waveform_attributes
from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.records import ATTRIBUTES, LEADS
from ecgqa.sources import open_source
from ecgqa.sources.synthetic.writer import write_wfdb

GOOD, FLAT, DAMAGED, ABSENT, INVALID = range(1, 6)


def digital(lead_gain: dict[str, float]) -> np.ndarray:
    """(12, 5000) at 1000 units per mV: a P, QRS and T every 0.8 s, scaled by lead."""
    time_s = np.arange(5000) / 500
    one = np.zeros(5000)
    for r_s in np.arange(0.6, 9.6, 0.8):
        for at_s, width_s, mv in ((-0.16, 0.025, 0.15), (-0.03, 0.008, -0.1), (0, 0.011, 1.2), (0.03, 0.009, -0.2)):
            one += mv * np.exp(-0.5 * ((time_s - r_s - at_s) / width_s) ** 2)
        one += 0.3 * np.exp(-0.5 * ((time_s - r_s - 0.28) / 0.045) ** 2)
    return np.stack([np.round(1000 * lead_gain.get(lead, 1.0) * one) for lead in LEADS]).astype(np.int16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "cohört"
    records = root / "records500/00000"
    records.mkdir(parents=True)
    for ecg_id in (GOOD, FLAT, DAMAGED, INVALID):
        samples = digital({"II": 0.0} if ecg_id == FLAT else {"aVF": 0.5})
        if ecg_id == INVALID:
            samples[LEADS.index("aVF"), 100] = -32768
        write_wfdb(records / f"{ecg_id:05}_hr", samples, 500)
    (records / f"{DAMAGED:05}_hr.dat").write_bytes(b"cut short")
    columns = ["ecg_id", "patient_id", "scp_codes", "report", "validated_by_human", "filename_hr", "recording_date"]
    with (root / "ptbxl_database.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        for ecg_id in (GOOD, FLAT, DAMAGED, ABSENT, INVALID):
            writer.writerow(
                {
                    "ecg_id": ecg_id,
                    "patient_id": ecg_id,
                    "scp_codes": "{'NORM': 100.0, 'SR': 0.0}",
                    "report": "sinus rhythm",
                    "validated_by_human": "True",
                    "filename_hr": f"records500/00000/{ecg_id:05}_hr",
                    "recording_date": "2001-02-03 04:05:06",
                }
            )
    return root


def test_rows_and_counts(folder: Path) -> None:
    source, notes = open_source(folder), Counter[str]()
    frame = waveform_attributes(source, source.records(), notes=notes)
    assert dict(frame.schema) == dict(ATTRIBUTES.polars)
    assert set(frame["origin"]) == {"waveform"} and frame["lead"].null_count() == frame.height
    good = frame.filter(pl.col("ecg_id") == GOOD)
    assert good["attribute"].to_list() == [*FEATURES, AXES[0]]
    assert good["unit"].to_list() == ["s"] * 6 + ["deg"]
    rr, axis = good.row(0, named=True), good.row(6, named=True)
    assert rr["number"] == pytest.approx(0.8, abs=0.003) and rr["value"] == "yes"
    assert axis["value"] == "yes" and axis["number"] == pytest.approx(30, abs=1)
    assert set(frame["ecg_id"]) == {GOOD, INVALID}
    assert frame.filter(ecg_id=INVALID)["attribute"].to_list() == list(FEATURES)  # aVF has a hole, lead II has none
    assert +notes == {
        "waveform not there": 1,
        "waveform could not be read": 1,
        "no numeric features: lead II fewer than four R peaks": 1,
        "heart axis not measurable": 2,
    }


def test_the_same_rows_from_an_executor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(folder)
    alone = waveform_attributes(source, source.records())
    monkeypatch.setattr("ecgqa.attributes.waveform.CHUNK", 1)
    with ThreadPoolExecutor(3) as executor:
        assert waveform_attributes(source, source.records(), executor=executor).equals(alone)
    assert waveform_attributes(source, source.records(), workers=2).equals(alone)  # spawned processes


def test_an_unknown_method_is_refused(folder: Path) -> None:
    source = open_source(folder)
    with pytest.raises(EcgqaError, match="guess"):
        waveform_attributes(source, source.records(), "guess")


def test_the_command_measures_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert main(["attributes", "build", str(folder), str(out)]) == 0
    frame, _, manifest = read_attributes(out)
    assert frame.filter(pl.col("attribute_type") != "noise", origin="waveform").height == 13
    assert manifest["config"]["waveforms"] == "released" and manifest["notes"]["waveform could not be read"] == 1
    assert frame["ecg_id"].is_sorted()

    def measured_again(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("ecgqa.attributes.waveform.waveform_attributes", measured_again)
    assert main(["attributes", "build", str(folder), str(out)]) == 0
    assert main(["attributes", "build", str(folder), str(tmp_path / "none"), "--waveforms", "none"]) == 0
    assert read_attributes(tmp_path / "none")[0].filter(origin="waveform").is_empty()
    assert main(["attributes", "build", str(folder), str(out), "--waveforms", "none"]) == 1  # other settings


def test_own_attributes_stay_unless_measuring_is_asked_for(folder: Path, tmp_path: Path) -> None:
    from ecgqa.tables import write_table

    own = pl.DataFrame(
        [(e, "numeric_feature", "rr interval", None, "no", 2.5, "s", "parameters") for e in (GOOD, FLAT)],
        schema=ATTRIBUTES.polars,
        orient="row",
    )
    write_table(own, folder / "attributes.parquet", ATTRIBUTES)
    assert main(["attributes", "build", str(folder), str(tmp_path / "own")]) == 0
    kept, _, manifest = read_attributes(tmp_path / "own")
    assert set(kept.filter(attribute_type="numeric_feature")["number"]) == {2.5}
    assert manifest["config"]["waveforms"] == "none"
    assert main(["attributes", "build", str(folder), str(tmp_path / "new"), "--waveforms", "released"]) == 0
    measured = read_attributes(tmp_path / "new")[0].filter(attribute_type="numeric_feature")
    assert set(measured["origin"]) == {"waveform"} and set(measured["ecg_id"]) == {GOOD, INVALID}
    assert json.dumps(measured["number"].to_list())  # plain numbers, no NaN objects
