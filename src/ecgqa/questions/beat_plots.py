"""Plots of the beats behind answers about numeric features and the heart axis that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgqa.attributes.drawn_beats import draw_beats, measured_in
from ecgqa.errors import EcgqaError
from ecgqa.questions.templates import TEMPLATES
from ecgqa.records import AttributeType

if TYPE_CHECKING:
    from ecgqa.questions.diff import Disagreement

MEASURED = (AttributeType.HEART_AXIS, AttributeType.NUMERIC_FEATURE)


def with_plots(
    disagreements: Sequence[Disagreement], paths: Mapping[int, Path], method: str, folder: Path
) -> tuple[list[Disagreement], list[str]]:
    """The disagreements with a plot of each ECG's beats where the waveform decided, and notes on what has none.

    paths: records (without extension) that are there, by ECG. method: how the attributes were measured. Each plot is a
    PNG in `folder`; its path joins the evidence of its ECG. Raises EcgqaError where matplotlib is not installed.
    """
    from ecgqa.progress import progress
    from ecgqa.signals.draw import save_drawing
    from ecgqa.signals.read import read_ecg

    out: list[Disagreement] = []
    n_absent = n_unreadable = 0
    folder.mkdir(parents=True, exist_ok=True)
    with progress("plots", len(disagreements), unit="disagreements") as advance:
        for one in disagreements:
            advance(1)
            kind = TEMPLATES[one.template_id].attribute_type
            if kind not in MEASURED:
                out.append(one)
                continue
            measured = measured_in(one.attributes, axis=kind is AttributeType.HEART_AXIS)
            evidence: list[dict[str, Any]] = []
            for entry in one.evidence:
                ecg_id = entry["ecg_id"]
                evidence.append(entry)
                if ecg_id not in paths:
                    n_absent += 1
                    continue
                try:
                    ecg = read_ecg(paths[ecg_id], allow_missing_leads=True)
                except EcgqaError:
                    n_unreadable += 1
                    continue
                answers = f"given {', '.join(one.given)}; ours {', '.join(one.ours)}"
                title = f"ECG {ecg_id}: {', '.join(measured)} ({method}); {answers}"
                name = f"{one.split}_t{one.template_id:02}_{one.sample_id}_ecg{ecg_id}.png"
                plot = save_drawing(draw_beats(ecg, measured, method, title), folder / name)
                evidence[-1] = entry | {"plot": str(plot)}
            out.append(replace(one, evidence=evidence))
    notes = [
        f"{n} plots could not be drawn: {why}"
        for n, why in ((n_absent, "the waveform is not there"), (n_unreadable, "the waveform could not be read"))
        if n
    ]
    return out, notes
