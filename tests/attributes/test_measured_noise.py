"""Noise by lead from the waveform: where the source states none, beside what it states, or in its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgqa.attributes.build import BuiltAttributes, read_attributes, vocabulary_of
from ecgqa.attributes.measured_noise import noise_rows, noises_to_measure
from ecgqa.attributes.vocabulary import ANY_NOISE, NOISES
from ecgqa.attributes.waveform import with_waveforms
from ecgqa.cli.main import main
from ecgqa.errors import EcgqaError
from ecgqa.records import ATTRIBUTES, INVALID_SAMPLE, LEADS
from ecgqa.signals.read import Ecg
from ecgqa.sources import open_source
from ecgqa.sources.synthetic.writer import write_wfdb

TIME_S = np.arange(5000) / 500


def beats(noisy: dict[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.int16]:
    """(12, 5000) at 1000 units per mV: complexes every 0.8 s and, in some leads, noise (millivolts)."""
    one = sum(np.exp(-0.5 * ((TIME_S - at) / 0.012) ** 2) for at in np.arange(0.6, 9.6, 0.8))  # and flat between
    return np.stack([np.round(1000 * (one + noisy.get(lead, 0.0))) for lead in LEADS]).astype(np.int16)


MAINS = {"V3": 0.05 * np.sin(2 * np.pi * 50 * TIME_S)}
DRIFT = {"aVL": 0.8 * np.sin(2 * np.pi * 0.25 * TIME_S)}


def wfdb_folder(root: Path) -> Path:
    root.mkdir()
    for number, noisy in enumerate(({}, MAINS, DRIFT), 1):
        write_wfdb(root / str(number), beats(noisy), 500)
    (root / "records.csv").write_text("path,scp_codes\n" + "".join(f"{n},{{'NORM': 100.0}}\n" for n in (1, 2, 3)))
    return root


def noise_of(table: pl.DataFrame, ecg_id: int) -> list[tuple[str, str | None, str]]:
    rows = table.filter(pl.col("attribute_type") == "noise", ecg_id=ecg_id)
    return rows.select("attribute", "lead", "value").rows()


def test_a_plain_folder_gets_noise_from_its_waveforms(tmp_path: Path) -> None:
    root = wfdb_folder(tmp_path / "rëcords")
    assert main(["attributes", "build", str(root), str(tmp_path / "made")]) == 0
    table, _, manifest = read_attributes(tmp_path / "made")
    assert noise_of(table, 1) == [(ANY_NOISE, None, "no")]
    assert noise_of(table, 2) == [("static noise", "V3", "yes"), (ANY_NOISE, None, "yes")]
    assert noise_of(table, 3) == [("baseline drift", "aVL", "yes"), (ANY_NOISE, None, "yes")]
    (drift,) = table.filter(attribute="baseline drift")["number"]
    assert 1.0 < drift < 1.6
    assert set(table.filter(pl.col("attribute_type") == "noise")["origin"]) == {"waveform"}
    assert vocabulary_of(manifest).noises == NOISES
    assert main(["attributes", "build", str(root), str(tmp_path / "stated"), "--noise", "stated"]) == 0
    table, _, manifest = read_attributes(tmp_path / "stated")
    assert noise_of(table, 2) == [] and vocabulary_of(manifest).noises == ()
    refused = ["attributes", "build", str(root), str(tmp_path / "x"), "--waveforms", "none", "--noise", "waveform"]
    assert main(refused) == 1


def built_of(rows: list[tuple[int, str, str | None, str]], vocabulary: str, origin: str) -> BuiltAttributes:
    table = [(ecg_id, "noise", name, lead, value, None, None, origin) for ecg_id, name, lead, value in rows]
    frame = pl.DataFrame(table, schema=ATTRIBUTES.polars, orient="row")
    return BuiltAttributes(frame, frozenset({1, 2, 3}), vocabulary)


def test_what_the_metadata_state_stays_unless_measuring_is_asked_for(tmp_path: Path) -> None:
    source = open_source(wfdb_folder(tmp_path / "records"))
    cells = [*((n, ANY_NOISE, None, "yes") for n in (1, 2, 3)), (1, "static noise", "I", "yes")]
    stated = built_of(cells, "ptbxl", "metadata")
    kept = with_waveforms(stated, source, source.records(), "released")
    assert noise_of(kept.attributes, 1) == [(ANY_NOISE, None, "yes"), ("static noise", "I", "yes")]
    measured = with_waveforms(stated, source, source.records(), "released", noise="waveform")
    assert noise_of(measured.attributes, 1) == [(ANY_NOISE, None, "no")]
    assert noise_of(measured.attributes, 2) == [("static noise", "V3", "yes"), (ANY_NOISE, None, "yes")]


def test_machine_statements_keep_their_baseline_wander(tmp_path: Path) -> None:
    source = open_source(wfdb_folder(tmp_path / "records"))
    stated = built_of([(2, ANY_NOISE, None, "no"), (3, ANY_NOISE, None, "no")], "mimic-iv-ecg", "report")
    assert noises_to_measure(stated, "auto") == NOISES[1:]
    found = with_waveforms(stated, source, source.records(), "released").attributes
    assert noise_of(found, 1) == []  # nothing is stated of it, so its baseline wander stays unknown
    assert noise_of(found, 2) == [(ANY_NOISE, None, "yes"), ("static noise", "V3", "yes")]
    assert noise_of(found, 3) == [(ANY_NOISE, None, "no")]
    origins = found.filter(pl.col("attribute_type") == "noise").select("ecg_id", "origin").rows()
    assert origins == [(2, "waveform"), (2, "waveform"), (3, "report")]


def test_a_lead_without_contact_and_one_that_the_file_lacks() -> None:
    digital = beats({})
    digital[[7, 9]] = INVALID_SAMPLE  # V2, V4
    ecg = Ecg(digital, np.full(12, 1000.0), 500.0, None, (), ("missing:V4", "invalid:V2"))
    rows = noise_rows(1, ecg, NOISES)
    assert [(row[2], row[3]) for row in rows] == [("electrodes problems", "V2"), (ANY_NOISE, None)]
    assert [row[2:5] for row in noise_rows(1, ecg, NOISES[:2])] == [(ANY_NOISE, None, "no")]


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(EcgqaError, match="guess"):
        noises_to_measure(built_of([], "ptbxl", "metadata"), "guess")


@settings(max_examples=40, deadline=None)
@given(
    n=st.sampled_from([0, 1, 40, 900, 30_000]),
    fs_hz=st.sampled_from([10.0, 59.0, 100.0, 257.3, 500.0]),
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([0, 1, 3000, 30_000]),
)
def test_any_ecg_gives_rows(n: int, fs_hz: float, seed: int, scale: int) -> None:
    rng = np.random.default_rng(seed)
    digital = (rng.integers(-scale, scale + 1, (12, n)) * rng.integers(0, 2, (12, 1))).astype(np.int16)
    digital[rng.integers(12), rng.integers(n + 1) :] = INVALID_SAMPLE
    rows = noise_rows(5, Ecg(digital, np.full(12, 200.0), fs_hz, None, (), ()), NOISES)
    frame = pl.DataFrame(rows, schema=ATTRIBUTES.polars, orient="row")
    assert frame["attribute"].to_list().count(ANY_NOISE) == 1
    assert frame["number"].drop_nulls().is_finite().all()
