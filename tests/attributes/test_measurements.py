"""What is measured on one ECG agrees with the parameters it was made from; bad signals give typed results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecgqa.attributes.measurements import measure_ecg
from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS
from ecgqa.signals.read import Ecg, read_ecg
from ecgqa.sources.synthetic.writer import write_cohort

FEATURES = ("rr interval", "p duration", "pr interval", "qrs duration", "qt interval", "qt corrected")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("measured") / "cohort", n_patients=25, workers=1)


def ecg_of(cohort: Path, ecg_id: int) -> Ecg:
    return read_ecg(cohort / f"records500/{ecg_id // 1000 * 1000:05d}/{ecg_id:05d}_hr")


def test_measurements_are_those_of_the_model(cohort: Path) -> None:
    truth = pl.read_parquet(cohort / "parameters.parquet").filter(pl.col("rhythm").is_in(["SR", "STACH", "SBRAD"]))
    off: dict[str, list[float]] = {name: [] for name in (*FEATURES, "axis", "rate", "beats", "st")}
    for row in truth.iter_rows(named=True):
        found = measure_ecg(ecg_of(cohort, row["ecg_id"]).millivolts(), 500.0)
        for name in FEATURES:
            true = row[name.replace(" ", "_") + "_s"]
            if true is not None and np.isfinite(found.intervals_ms[name]):
                off[name].append(abs(found.intervals_ms[name] - 1000 * true))
        assert found.axis is not None
        off["axis"].append(abs((found.axis.degrees - row["axis_deg"] + 180) % 360 - 180))
        inside = [time for time in row["r_peak_s"] if 0.1 < time < 9.9]
        off["beats"].append(abs(found.n_beats - len(inside)))
        off["rate"].append(abs(found.rate_bpm - 60_000 / found.intervals_ms["rr interval"]))
        off["st"].append(abs(found.leads[LEADS.index("V2")].st_mv - row["st_mv"][LEADS.index("V2")]))
    assert len(off["axis"]) >= 12
    median = {name: float(np.median(values)) for name, values in off.items()}
    limits = {"rr interval": 2, "p duration": 15, "pr interval": 12, "qrs duration": 10, "qt interval": 20,
              "qt corrected": 25, "axis": 12, "rate": 3, "beats": 1, "st": 0.1}  # fmt: skip
    assert all(median[name] <= limit for name, limit in limits.items()), median


def test_wave_heights_are_read_from_the_signal() -> None:
    """A made-up beat: P 0.1, R 1.0, S -0.3, T 0.3 mV above a level of 0.2 mV."""
    time_s = np.arange(5000) / 500.0
    signal = np.full((12, 5000), 0.2)
    for beat in np.arange(0.5, 10, 0.8):
        for height, centre, width in ((0.1, -0.16, 0.02), (1.0, 0.0, 0.010), (-0.3, 0.03, 0.010), (0.3, 0.28, 0.04)):
            signal += height * np.exp(-0.5 * ((time_s - beat - centre) / width) ** 2)
    lead = measure_ecg(signal, 500.0).leads[1]
    assert lead.lead == "II"
    assert lead.r_mv == pytest.approx(1.0, abs=0.08) and lead.s_mv == pytest.approx(-0.3, abs=0.08)
    assert lead.t_mv == pytest.approx(0.3, abs=0.05) and lead.p_mv == pytest.approx(0.1, abs=0.04)
    assert lead.st_mv == pytest.approx(0.0, abs=0.05)
    assert "lead II: P +0.1" in "\n".join(measure_ecg(signal, 500.0).lead_lines())


@pytest.mark.parametrize("kind", ["flat", "nan", "noise", "short", "one sample", "half"])
def test_bad_signals_give_typed_results(kind: str, cohort: Path) -> None:
    good = ecg_of(cohort, 1).millivolts()
    signal = {
        "flat": np.zeros((12, 5000)),
        "nan": np.full((12, 5000), np.nan),
        "noise": np.random.default_rng(0).standard_normal((12, 5000)),
        "short": good[:, :200],
        "one sample": good[:, :1],
        "half": np.where(np.arange(12)[:, None] < 6, good, np.nan),
    }[kind]
    found = measure_ecg(signal, 500.0)
    lines = [*found.lines(), *found.lead_lines()]
    assert len(found.leads) == 12 and set(found.intervals_ms) == set(FEATURES)
    assert "nan" not in "\n".join(lines).lower()
    if kind in ("flat", "nan", "one sample"):
        assert found.n_beats == 0 and "heart axis: unknown" in lines and "pr interval: not measurable" in lines
    if kind == "half":
        assert found.n_beats > 4 and "lead V1: no measurable beat" in lines


def test_another_shape_is_refused() -> None:
    for signal, fs_hz in ((np.zeros((11, 5000)), 500.0), (np.zeros(5000), 500.0), (np.zeros((12, 5000)), 0.0)):
        with pytest.raises(EcgqaError):
            measure_ecg(signal, fs_hz)
