"""ECGs from CSV: leads by name, units, rates, samples that are not there."""

from __future__ import annotations

import numpy as np
import pytest

from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS
from ecgqa.signals.read_csv import read_csv_ecg

WAVE = np.round(np.sin(np.arange(400) / 20)[:, None] * np.linspace(0.2, 2, 12), 3)


def table(names: list[str], values: np.ndarray, separator: str = ",") -> bytes:
    lines = [separator.join(names), *(separator.join(f"{value:.6g}" for value in row) for row in values)]
    return "\r\n".join(lines).encode()


def test_leads_are_found_by_name_in_any_order_and_unit(tmp_path) -> None:
    order = [11, 3, 0, 1, 2, 4, 5, 6, 7, 8, 9, 10]
    names = [f"Lead {LEADS[place].upper()}" if place else "I (uV)" for place in order]
    values = WAVE[:, order].copy()
    values[:, order.index(0)] *= 1000
    expected = WAVE.T.astype(np.float32)
    extra = np.column_stack([np.arange(400), values])
    ecg = read_csv_ecg(table(["number", *names], extra, ";"), fs_hz=400)
    assert np.allclose(ecg.millivolts(), expected, atol=6e-4)
    path = tmp_path / "one.csv"
    path.write_bytes(table(["time (ms)", *names], np.column_stack([np.arange(400) * 4, values]), "\t"))
    assert read_csv_ecg(path).fs_hz == 250
    assert np.array_equal(read_csv_ecg(path).digital, ecg.digital)


def test_samples_that_are_not_there() -> None:
    lines = table(list(LEADS), WAVE).decode().split("\r\n")
    lines[5] = "," + lines[5].partition(",")[2]
    lines[6] = "NaN," + lines[6].partition(",")[2]
    ecg = read_csv_ecg("\n".join(lines).encode(), fs_hz=100)
    assert np.isnan(ecg.millivolts()[0, 4:6]).all() and np.isfinite(ecg.millivolts()[1:]).all()
    assert "invalid:I" in ecg.flags


def test_great_voltages_are_kept_more_coarsely() -> None:
    ecg = read_csv_ecg(table(list(LEADS), WAVE * 100), fs_hz=100)
    assert np.allclose(ecg.millivolts(), WAVE.T * 100, rtol=1e-3, atol=0.01)
    assert "coarser:V6" in ecg.flags and "coarser:I" not in ecg.flags


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (table(list(LEADS[:11]), WAVE[:, :11]), "no lead V6"),
        (table([*LEADS, "v1"], np.column_stack([WAVE, WAVE[:, 0]])), "twice"),
        (table([*LEADS[:11], "V6 (Pa)"], WAVE), "not a unit of voltage"),
        (table(list(LEADS), WAVE), "rate is not known"),
        (table(["time", *LEADS], np.column_stack([np.r_[0:200, 300:500], WAVE])), "not evenly spaced"),
        (table(list(LEADS), WAVE[:0]), "no samples"),
        (table(list(LEADS), WAVE).replace(b"0.", b"zero.", 1), "cannot be read"),
        (table([*LEADS, "x"], WAVE), "do not fit"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, told: str) -> None:
    with pytest.raises(EcgqaError, match=told):
        read_csv_ecg(data)
