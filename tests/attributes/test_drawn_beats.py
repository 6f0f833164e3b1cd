"""Plots of the beats behind a measured attribute: right leads, right points, any signal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgqa.attributes.drawn_beats import AXIS, draw_beats, measured_in
from ecgqa.attributes.vocabulary import FEATURES
from ecgqa.records import INVALID_SAMPLE
from ecgqa.signals.read import Ecg

pytest.importorskip("matplotlib")

R_S = np.arange(0.6, 9.6, 0.8)


def ecg_of(millivolts: npt.NDArray[np.float64], fs_hz: float = 500.0) -> Ecg:
    digital = np.where(np.isfinite(millivolts), np.round(millivolts * 1000), INVALID_SAMPLE).astype(np.int16)
    return Ecg(digital, np.full(12, 1000.0), fs_hz, None, (), ("invalid:I",))


def beats(seconds: float = 10.0, r_s: npt.NDArray[np.float64] = R_S) -> npt.NDArray[np.float64]:
    time_s = np.arange(round(seconds * 500)) / 500
    one = np.zeros_like(time_s)
    for at in r_s:
        for after_s, width_s, mv in ((-0.16, 0.025, 0.15), (-0.03, 0.008, -0.1), (0, 0.011, 1.2), (0.03, 0.009, -0.2)):
            one += mv * np.exp(-0.5 * ((time_s - at - after_s) / width_s) ** 2)
        one += 0.3 * np.exp(-0.5 * ((time_s - at - 0.28) / 0.045) ** 2)
    return np.tile(one, (12, 1))


@pytest.mark.parametrize("method", ["released", "ecgqa"])
def test_the_points_of_the_feature_in_its_lead(method: str) -> None:
    axes = draw_beats(ecg_of(beats()), ("rr interval",), method, "title").axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert "II" in texts and "I" not in texts and "| r peak" in texts and "title" in texts
    (marks,) = axes.collections[2:]
    left = next(line.get_xdata()[0] for line in axes.get_lines() if len(line.get_xdata()) > 100)
    at_s = sorted((path.vertices[0, 0] - left) / 25 for path in marks.get_paths())
    assert at_s == pytest.approx(R_S, abs=0.01)
    texts = [text.get_text() for text in draw_beats(ecg_of(beats()), (AXIS,), method, "").axes[0].texts]
    assert {"I", "II", "aVF", "| qrs onset"} <= set(texts)


def test_what_a_question_is_about() -> None:
    assert measured_in(["above the normal range of qt corrected", "p duration"], axis=False) == (
        "p duration",
        "qt corrected",
    )
    assert measured_in([], axis=False) == FEATURES
    assert measured_in(["left axis deviation"], axis=True) == (AXIS,)


@settings(max_examples=10, deadline=None)
@given(
    kind=st.sampled_from(["flat", "absent", "two beats", "a minute", "noise", "nothing", "with a hole"]),
    method=st.sampled_from(["released", "ecgqa"]),
)
def test_any_signal_gives_a_drawing(kind: str, method: str) -> None:
    signal = {
        "flat": np.zeros((12, 5000)),
        "absent": np.full((12, 5000), np.nan),
        "two beats": beats(2.0, R_S[:2]),
        "a minute": beats(60.0, np.arange(0.6, 59.6, 0.8)),
        "noise": np.random.default_rng(0).normal(0, 0.3, (12, 5000)),
        "nothing": np.zeros((12, 0)),
        "with a hole": np.where(np.arange(5000) < 4000, beats(), np.nan),
    }[kind]
    figure = draw_beats(ecg_of(signal), (*FEATURES, AXIS), method, kind)
    assert {"I", "II", "aVF"} <= {text.get_text() for text in figure.axes[0].texts}
