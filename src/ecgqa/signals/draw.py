"""Drawing a twelve-lead ECG on its paper: 25 mm/s, 10 mm/mV, true millimetres on screen, in SVG and in PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MM_PER_S: Final = 25.0
MM_PER_MV: Final = 10.0
LAYOUTS: Final = ("3x4+1", "3x4", "6x2", "12x1")

_PAPER_S: Final = 10.0
_MM_PER_INCH: Final = 25.4
_SIDE_MM, _TOP_MM, _BOTTOM_MM, _PULSE_MM = 5.0, 15.0, 10.0, 10.0
_ROW_MM: Final = {"3x4+1": 30.0, "3x4": 30.0, "6x2": 25.0, "12x1": 20.0}
_FINE, _COARSE, _INK = "#f6d5d0", "#e8a39b", "#101010"
_MARKER_COLOURS: Final = ("#1f6fb4", "#2e8b57", "#b4501f", "#7a4fb0", "#8a6d00", "#c2347f", "#2a8fa0")


Markers = Mapping[str, Sequence[float] | Mapping[str, Sequence[float]]]


class HasMillivolts(Protocol):
    """What an ecgqa.signals.read.Ecg offers and this module needs."""

    @property
    def fs_hz(self) -> float: ...
    def millivolts(self) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class _Strip:
    """One lead over one stretch of time at one place of the sheet (millimetres from its lower left corner)."""

    lead: int
    from_s: float
    to_s: float
    left_mm: float
    zero_mm: float


def draw_ecg(
    ecg: HasMillivolts | tuple[NDArray[Any], float],
    *,
    layout: str = "3x4+1",
    title: str | None = None,
    ecg_id: int | str | None = None,
    age: float | None = None,
    sex: str | None = None,
    rhythm_lead: str = "II",
    start_s: float = 0.0,
    leads: Sequence[str] = (),
    markers: Markers | None = None,
) -> Figure:
    """A matplotlib Figure of ten seconds of `ecg` as clinicians know it; use `save_drawing` to keep its millimetres.

    Args:
        ecg: an Ecg, or (millivolts (12, n_samples) in canonical lead order, sampling rate in Hz). NaN is left blank.
        layout: "3x4+1" (three rows of four leads and a rhythm strip), "3x4", "6x2" or "12x1".
        title: text of the title line instead of the one made from id, age and sex.
        ecg_id: shown in the title line.
        age: years.
        sex: "female" or "male".
        rhythm_lead: lead of the rhythm strip.
        start_s: time at the left edge, seconds from the start of the record.
        leads: draw only these, each over all ten seconds in a row of its own, instead of a layout.
        markers: vertical lines by name, seconds from the start of the record, e.g. {"R": [0.41, 1.22]}, or, where leads
            differ, {"R": {"I": [0.41, 1.22], "II": [0.42, 1.22]}}.

    Raises EcgqaError for an unknown layout or lead and for an array of another shape. No global state of matplotlib is
    touched, so drawings can be made in threads and servers.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    millivolts, fs_hz = _checked(ecg)
    strips, row_mm, width_mm, height_mm = _arrange(layout, rhythm_lead, start_s, leads)
    figure = Figure(figsize=(width_mm / _MM_PER_INCH, height_mm / _MM_PER_INCH), dpi=150, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, width_mm), ylim=(0, height_mm))
    axes.set_axis_off()

    left, right = _SIDE_MM, width_mm - _SIDE_MM
    low, high = _BOTTOM_MM, height_mm - _TOP_MM
    for every, colour, weight in ((1.0, _FINE, 0.35), (5.0, _COARSE, 0.55)):
        upright = [[(x, low), (x, high)] for x in np.arange(left, right + 0.01, every)]
        level = [[(left, y), (right, y)] for y in np.arange(low, high + 0.01, every)]
        axes.add_collection(LineCollection(upright + level, colors=colour, linewidths=weight, zorder=1))

    for strip in strips:
        first, last = (round(t * fs_hz) for t in (strip.from_s, strip.to_s))
        values = millivolts[strip.lead, first : last + 1]
        x = strip.left_mm + (np.arange(values.size) / fs_hz) * MM_PER_S
        (line,) = axes.plot(
            x, strip.zero_mm + values * MM_PER_MV, color=_INK, lw=0.7, zorder=3, solid_joinstyle="round"
        )
        line.set_clip_path(_rectangle(left, low, right - left, high - low, axes.transData))
        axes.text(
            strip.left_mm + 1.0,
            strip.zero_mm + row_mm * 0.40,
            LEADS[strip.lead],
            fontsize=8,
            fontweight="bold",
            va="center",
            color=_INK,
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.6, "pad": 0.6},
        )
    _calibration(axes, strips, left)
    if len({strip.left_mm for strip in strips}) > 1:
        _separators(axes, strips, row_mm)
    if markers:
        _mark(axes, strips, markers, row_mm, height_mm - _TOP_MM)
    axes.text(left, height_mm - 5.0, _shortened(title or _title(ecg_id, age, sex)), fontsize=9, va="center", color=_INK)
    axes.text(right, height_mm - 5.0, "25 mm/s   10 mm/mV", fontsize=9, va="center", ha="right", color=_INK)
    axes.text(
        right,
        _BOTTOM_MM / 2,
        "Research use only, not for clinical use",
        fontsize=6.5,
        va="center",
        ha="right",
        color="#666666",
    )
    return figure


def save_drawing(figure: Figure, path: str | Path, *, dpi: int = 200) -> Path:
    """Write a drawing as .svg, .pdf or .png in its true size, whole or not at all; returns the path."""
    from ecgqa.artefacts import atomic_path

    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("svg", "png", "pdf"):
        raise EcgqaError(f"cannot draw to {path.name}", expected="a file name ending in .svg, .png or .pdf")
    from matplotlib import rc_context

    with atomic_path(path) as temporary, rc_context({"svg.hashsalt": "ecgqa", "svg.fonttype": "none"}):
        dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
        figure.savefig(temporary, format=kind, dpi=dpi, bbox_inches=None, metadata=dated)
    return path


def _checked(ecg: HasMillivolts | tuple[NDArray[Any], float]) -> tuple[NDArray[np.float32], float]:
    if isinstance(ecg, tuple):
        millivolts, fs_hz = np.asarray(ecg[0], dtype=np.float32), float(ecg[1])
    else:
        millivolts, fs_hz = ecg.millivolts(), float(ecg.fs_hz)
    if millivolts.ndim != 2 or millivolts.shape[0] != len(LEADS):
        raise EcgqaError(
            "an ECG to draw needs twelve leads", expected="an array (12, n_samples)", found=f"shape {millivolts.shape}"
        )
    if not fs_hz > 0 or not np.isfinite(fs_hz):
        raise EcgqaError(f"a sampling rate of {fs_hz} Hz cannot be drawn", expected="a positive number of hertz")
    return millivolts, fs_hz


def _arrange(
    layout: str, rhythm_lead: str, start_s: float, leads: Sequence[str]
) -> tuple[list[_Strip], float, float, float]:
    """Strips of a layout, height of a row, width and height of the sheet; all in millimetres."""
    if layout not in LAYOUTS:
        raise EcgqaError(f"no layout {layout!r}", expected=", ".join(LAYOUTS))
    if start_s < 0:
        raise EcgqaError(f"a drawing cannot start at {start_s} s", expected="0 or later")
    for lead in (rhythm_lead, *leads):
        if lead not in LEADS:
            raise EcgqaError(f"no lead {lead!r}", expected=", ".join(LEADS))
    grid, _, rhythm = layout.partition("+")
    n_rows, n_columns = (len(leads), 1) if leads else (int(part) for part in grid.split("x"))
    below = [rhythm_lead] if rhythm and not leads else []
    row_mm, span_s = _ROW_MM["3x4" if leads else layout], _PAPER_S / n_columns
    height_mm = _TOP_MM + _BOTTOM_MM + row_mm * (n_rows + len(below))
    x0 = _SIDE_MM + _PULSE_MM
    top = height_mm - _TOP_MM
    shown = [LEADS.index(lead) for lead in leads] or list(range(len(LEADS)))
    strips = []
    for column in range(n_columns):
        for row in range(n_rows):
            from_s = start_s + column * span_s
            zero = top - (row + 0.5) * row_mm
            left = x0 + column * span_s * MM_PER_S
            strips.append(_Strip(shown[column * n_rows + row], from_s, from_s + span_s, left, zero))
    for lead in below:
        strips.append(_Strip(LEADS.index(lead), start_s, start_s + _PAPER_S, x0, top - (n_rows + 0.5) * row_mm))
    return strips, row_mm, 2 * _SIDE_MM + _PULSE_MM + _PAPER_S * MM_PER_S, height_mm


def _rectangle(x: float, y: float, width: float, height: float, transform: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, transform=transform)


def _calibration(axes: Any, strips: list[_Strip], left: float) -> None:
    """The 1 mV, 0.2 s pulse at the start of every row."""
    for zero in sorted({strip.zero_mm for strip in strips}):
        x = left + np.array([1.5, 2.5, 2.5, 7.5, 7.5, 8.5])
        y = zero + MM_PER_MV * np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
        axes.plot(x, y, color=_INK, lw=0.7, zorder=3)


def _separators(axes: Any, strips: list[_Strip], row_mm: float) -> None:
    """A small tick where one lead ends and the next begins."""
    first = min(strip.left_mm for strip in strips)
    for strip in strips:
        if strip.left_mm > first:
            low, high = strip.zero_mm - 0.10 * row_mm, strip.zero_mm + 0.10 * row_mm
            axes.plot([strip.left_mm] * 2, [low, high], color=_INK, lw=0.8, zorder=2)


def _mark(axes: Any, strips: list[_Strip], markers: Markers, row_mm: float, top_mm: float) -> None:
    """Vertical lines at the marked times in every strip that shows them, and a legend above the grid."""
    from matplotlib.collections import LineCollection

    for index, (name, times) in enumerate(markers.items()):
        colour = _MARKER_COLOURS[index % len(_MARKER_COLOURS)]
        lines = [
            [(x, strip.zero_mm - 0.45 * row_mm), (x, strip.zero_mm + 0.45 * row_mm)]
            for strip in strips
            for time in (times.get(LEADS[strip.lead], ()) if isinstance(times, Mapping) else times)
            if strip.from_s <= time < strip.to_s
            for x in [strip.left_mm + (time - strip.from_s) * MM_PER_S]
        ]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=0.6, alpha=0.8, zorder=2))
        axes.text(
            _SIDE_MM + _PULSE_MM + 25.0 * index, top_mm + 2.5, f"| {name}", color=colour, fontsize=7.5, va="center"
        )


def _shortened(title: str) -> str:
    """One line that leaves room for speed and gain."""
    words = " ".join(title.split())
    return words if len(words) <= 105 else words[:104].rstrip() + "…"


def _title(ecg_id: int | str | None, age: float | None, sex: str | None) -> str:
    parts = [f"ECG {ecg_id}"] if ecg_id is not None else []
    if age is not None:
        parts.append(f"{age:.0f} years")
    if sex:
        parts.append(sex)
    return "   ".join(parts) or "12-lead ECG"
