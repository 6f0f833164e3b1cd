"""Drawings have true millimetres, all leads, and refuse what they cannot draw."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS
from ecgqa.signals.draw import LAYOUTS, draw_ecg, save_drawing

pytest.importorskip("matplotlib")


@pytest.fixture
def ecg() -> tuple[np.ndarray, float]:
    """A 1 mV square pulse from 1.0 to 1.2 s in every lead, each raised by its index times 10 microvolts."""
    signal = np.zeros((12, 5000), dtype=np.float32)
    signal[:, 500:600] = 1.0
    return signal + np.arange(12, dtype=np.float32)[:, None] * 0.01, 500.0


def curves(figure) -> list[np.ndarray]:
    return [line.get_xydata() for line in figure.axes[0].get_lines()]


@pytest.mark.parametrize("layout, n_strips", [("3x4+1", 13), ("3x4", 12), ("6x2", 12), ("12x1", 12)])
def test_every_layout_shows_every_lead(ecg, layout: str, n_strips: int) -> None:
    figure = draw_ecg(ecg, layout=layout)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert set(LEADS) <= set(texts)
    strips = [curve for curve in curves(figure) if len(curve) > 100]
    assert len(strips) == n_strips
    assert "Research use only, not for clinical use" in texts and any("25 mm/s" in text for text in texts)


def test_one_millivolt_is_ten_and_one_second_twenty_five_millimetres(ecg) -> None:
    figure = draw_ecg(ecg, layout="12x1")
    width_in, height_in = figure.get_size_inches()
    (x0, x1), (y0, y1) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
    assert (x1 - x0, y1 - y0) == pytest.approx((width_in * 25.4, height_in * 25.4))
    first = next(curve for curve in curves(figure) if len(curve) > 100)
    high = first[first[:, 1] > first[:, 1].min() + 5]
    assert np.ptp(first[:, 1]) == pytest.approx(10.0, abs=1e-3)
    assert high[-1, 0] - high[0, 0] == pytest.approx((99 / 500) * 25, abs=1e-6)
    assert first[-1, 0] - first[0, 0] == pytest.approx(250, abs=0.1)
    pulse = next(curve for curve in curves(figure) if len(curve) == 6)
    assert np.ptp(pulse[:, 1]) == pytest.approx(10) and pulse[3, 0] - pulse[1, 0] == pytest.approx(5)


def test_svg_and_png_keep_the_size(ecg, tmp_path: Path) -> None:
    figure = draw_ecg(ecg, ecg_id=7, age=61, sex="female")
    width_mm, height_mm = (inches * 25.4 for inches in figure.get_size_inches())
    svg = save_drawing(figure, tmp_path / "Größe 1.svg").read_text(encoding="utf-8")
    width_pt, height_pt = map(float, re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg).groups())
    assert (width_pt / 72 * 25.4, height_pt / 72 * 25.4) == pytest.approx((width_mm, height_mm), abs=0.01)
    assert "ECG 7" in svg and "61 years" in svg and "female" in svg
    assert (
        save_drawing(draw_ecg(ecg), tmp_path / "a.svg").read_bytes()
        == save_drawing(draw_ecg(ecg), tmp_path / "b.svg").read_bytes()
    )
    from matplotlib.image import imread

    pixels = imread(save_drawing(figure, tmp_path / "a.png", dpi=127))  # 5 pixels per millimetre
    assert pixels.shape[:2] == (round(height_mm * 5), round(width_mm * 5))


def test_the_rhythm_strip_and_columns_continue_in_time(ecg) -> None:
    signal = np.tile(np.arange(5000, dtype=np.float32) / 5000, (12, 1))
    strips = [curve for curve in curves(draw_ecg((signal, 500.0), rhythm_lead="V1")) if len(curve) > 100]
    zero = strips[0][0, 1]
    assert strips[0][-1, 1] - zero == pytest.approx(2.5, abs=0.01), "I ends a quarter of the way up"
    assert strips[3][0, 1] - zero == pytest.approx(2.5, abs=0.01), "aVR goes on from there"
    assert np.ptp(strips[12][:, 1]) == pytest.approx(10, abs=0.01)


def test_markers_stand_at_their_times(ecg) -> None:
    figure = draw_ecg(ecg, layout="12x1", markers={"R": [1.0, 99.0], "T end": [1.4]})
    segments = [c.get_segments() for c in figure.axes[0].collections if 0 < len(c.get_segments()) <= 24]
    assert sorted(len(lines) for lines in segments) == [12, 12]
    assert {round(float(line[0][0]), 6) for lines in segments for line in lines} == {15 + 25.0, 15 + 35.0}


def test_gaps_and_short_records_are_drawn_as_far_as_they_go(tmp_path: Path) -> None:
    signal = np.full((12, 900), 0.2, dtype=np.float32)
    signal[3, 100:300] = np.nan
    assert save_drawing(draw_ecg((signal, 250.0)), tmp_path / "short.png", dpi=50).stat().st_size > 1000


def test_pyplot_is_not_touched(ecg) -> None:
    import sys

    before = "matplotlib.pyplot" in sys.modules
    draw_ecg(ecg)
    assert ("matplotlib.pyplot" in sys.modules) == before


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"layout": "4x3"}, "no layout"),
        ({"rhythm_lead": "V9"}, "no lead"),
        ({"start_s": -1.0}, "cannot start"),
        ({"ecg": (np.zeros((8, 100)), 500.0)}, "twelve leads"),
        ({"ecg": (np.zeros((12, 100)), 0.0)}, "sampling rate"),
    ],
)
def test_what_cannot_be_drawn_is_refused(ecg, arguments: dict, message: str) -> None:
    with pytest.raises(EcgqaError, match=message):
        draw_ecg(**{"ecg": ecg, **arguments})


def test_only_known_file_kinds_are_written(ecg, tmp_path: Path) -> None:
    with pytest.raises(EcgqaError, match="cannot draw"):
        save_drawing(draw_ecg(ecg), tmp_path / "a.bmp")
    assert list(tmp_path.iterdir()) == []
    assert set(LAYOUTS) == {"3x4+1", "3x4", "6x2", "12x1"}


def test_chosen_leads_over_ten_seconds_with_marks_of_their_own(ecg) -> None:
    figure = draw_ecg(ecg, leads=("II", "aVF"), markers={"R": {"II": [1.0, 2.0], "aVF": [3.0]}, "all": [4.0]})
    strips = [curve for curve in curves(figure) if len(curve) > 100]
    assert len(strips) == 2 and all(np.ptp(strip[:, 0]) == pytest.approx(250, abs=0.1) for strip in strips)
    left = strips[0][0, 0]
    drawn = [
        sorted(round((path.vertices[0, 0] - left) / 25, 3) for path in lines.get_paths())
        for lines in figure.axes[0].collections[2:]
    ]
    assert drawn == [[1.0, 2.0, 3.0], [4.0, 4.0]]
    with pytest.raises(EcgqaError, match="V9"):
        draw_ecg(ecg, leads=("V9",))
