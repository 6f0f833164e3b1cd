"""The command `ecgqa plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def plot(
    record: Path,
    *,
    out: Path | None = None,
    layout: Literal["3x4+1", "3x4", "6x2", "12x1"] = "3x4+1",
    marks: Literal["none", "beats", "waves"] = "none",
    leads: list[str] | None = None,
    rhythm_lead: str = "II",
    start_s: float = 0.0,
    title: str | None = None,
    dpi: int = 200,
) -> None:
    """Draw ten seconds of a record as clinicians know it: 25 mm/s, 10 mm/mV, on its grid, true to size when printed.

    Example: ecgqa plot records500/00000/00001_hr --out ecg.svg --marks waves

    Print the SVG or PDF at 100 %: one small square is 1 mm, 0.04 s and 0.1 mV. Research use only, not for clinical use.

    Args:
        record: WFDB record, with or without .hea or .dat.
        out: File to write: .svg, .pdf or .png (default: the record's name with .png, in this folder).
        layout: Three rows of four leads with a rhythm strip, without it, six rows of two, or twelve rows.
        marks: Mark the R peaks (beats), or onsets and offsets of P, QRS and T (waves), where all leads together say.
        leads: Draw only these leads, each over all ten seconds.
        rhythm_lead: Lead of the rhythm strip.
        start_s: Seconds into the record at which the drawing begins.
        title: Title line (default: the record's name).
        dpi: Dots per inch of a PNG.
    """
    from ecgqa.signals.draw import draw_ecg, save_drawing
    from ecgqa.signals.read import read_ecg

    stem = record.with_suffix("") if record.suffix in (".hea", ".dat") else record
    ecg = read_ecg(stem, allow_missing_leads=True)
    figure = draw_ecg(
        ecg,
        layout=layout,
        title=title or stem.name,
        rhythm_lead=rhythm_lead,
        start_s=start_s,
        leads=leads or (),
        markers=_markers(ecg, marks),
    )
    path = save_drawing(figure, out or Path(f"{stem.name}.png"), dpi=dpi)
    width, height = (inches * 25.4 for inches in figure.get_size_inches())
    print(f"{path}  ({width:.0f} x {height:.0f} mm)")


def _markers(ecg: object, marks: str) -> dict[str, list[float]] | None:
    """Seconds of the points to mark, by name."""
    from ecgqa.signals.delineation import NOT_MEASURABLE, delineate
    from ecgqa.signals.read import Ecg

    if marks == "none":
        return None
    assert isinstance(ecg, Ecg)
    found = delineate(ecg, edge_waves=True)
    points = (
        {"R": ("r_peak",)}
        if marks == "beats"
        else {wave: (f"{wave.lower()}_onset", f"{wave.lower()}_offset") for wave in ("P", "QRS", "T")}
    )
    times = {name: [found.point(point) for point in of_wave] for name, of_wave in points.items()}
    return {
        name: sorted(float(at) / found.fs_hz for array in arrays for at in array if at != NOT_MEASURABLE)
        for name, arrays in times.items()
    }
