"""Plots of the page: inline SVG and HTML that scale with the window, take both colour schemes, and name every mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ecgqa.evaluation.wording import number, span

_LANE = 13
_PAD = 8


def dot_rows(
    rows: Sequence[tuple[str, str, Sequence[tuple[int, str, Mapping[str, Any]]]]],
    *,
    label: str,
    reference: float | None = None,
    reference_name: str = "",
) -> str:
    """Dots with intervals on a common scale from 0 to 100 %, one row of the page per group.

    rows: (name, note, marks); a mark is (series number, series name, score row with value, low, high, n_questions).
    reference: a dashed line, named in the legend below. Every mark has a title (seen on hover, read aloud).
    """
    body = "".join(_row(*row, reference, reference_name) for row in rows)
    ticks = "".join(f'<span style="left:{tick}%">{tick}</span>' for tick in (0, 25, 50, 75, 100))
    axis = f'<div class="row axis" aria-hidden="true"><div></div><div class="ticks">{ticks}</div><div></div></div>'
    return f'<div class="dots" role="group" aria-label="{escape(label)}">{axis}{body}</div>'


def _row(
    name: str,
    note: str,
    marks: Sequence[tuple[int, str, Mapping[str, Any]]],
    reference: float | None,
    reference_name: str,
) -> str:
    height = 2 * _PAD + _LANE * (max(len(marks), 1) - 1)
    lines = "".join(
        f'<line class="grid" x1="{tick}%" x2="{tick}%" y1="0" y2="{height}"/>' for tick in (0, 25, 50, 75, 100)
    )
    if reference is not None:
        lines += (
            f'<line class="reference" x1="{100 * reference:.2f}%" x2="{100 * reference:.2f}%" y1="0" y2="{height}">'
            f"<title>{escape(reference_name)}: {number(reference)} %</title></line>"
        )
    drawn, values = [], []
    for lane, (series, run, row) in enumerate(marks):
        drawn.append(_mark(series, run, name, row, _PAD + _LANE * lane))
        values.append(f'<span class="v s{series}">{number(row.get("value"))}</span>')
    said = "; ".join(f"{run} {number(row.get('value'))} percent" for _, run, row in marks)
    return (
        f'<div class="row"><div class="lab">{escape(name)}<small>{escape(note)}</small></div>'
        f'<svg height="{height}" width="100%" role="img" aria-label="{escape(f"{name}: {said}")}">{lines}'
        f'{"".join(drawn)}</svg><div class="val" aria-hidden="true">{"".join(values)}</div></div>'
    )


def _mark(series: int, run: str, group: str, row: Mapping[str, Any], y: int) -> str:
    value = row.get("value")
    if value is None:
        return ""
    said = f"{run}, {group}: {number(value)} %"
    said += f", interval {span(row)}" if span(row) else ""
    said += f", n = {row['n_questions']:,} questions about {row['n_ecgs']:,} ECGs"
    whisker = ""
    if row.get("low") is not None:
        ends = f'x1="{100 * row["low"]:.2f}%" x2="{100 * row["high"]:.2f}%" y1="{y}" y2="{y}"'
        whisker = f'<line class="whisker s{series}" {ends}/>'
    x = f"{100 * value:.2f}%"
    # a wide invisible line makes the small mark easy to hover and to touch
    shape = f'<circle class="dot s{series}" cx="{x}" cy="{y}" r="4.5"/>'
    return f'<g><title>{escape(said)}</title>{whisker}{shape}<circle cx="{x}" cy="{y}" r="9" fill="transparent"/></g>'


def legend(names: Sequence[tuple[int, str]], extra: str = "") -> str:
    """Names of the series beside their marks."""
    items = "".join(
        f'<li><svg width="26" height="12" aria-hidden="true"><line class="whisker s{series}" x1="1" x2="25" y1="6" '
        f'y2="6"/><circle class="dot s{series}" cx="13" cy="6" r="4.5"/></svg>{escape(name)}</li>'
        for series, name in names
    )
    if extra:
        items += (
            '<li><svg width="26" height="12" aria-hidden="true">'
            f'<line class="reference" x1="13" x2="13" y1="0" y2="12"/></svg>{escape(extra)}</li>'
        )
    return f'<ul class="legend">{items}</ul>'


def reliability(series: Sequence[tuple[int, str, Sequence[Mapping[str, Any]]]]) -> str:
    """Scores against how often they were right: points on the diagonal are calibrated.

    series: (series number, run, bins with mean_score, fraction_right, n_options).
    """
    size, left, top = 300, 44, 10

    def place(x: float, y: float) -> tuple[float, float]:
        return left + size * x, top + size * (1 - y)

    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = place(tick, tick)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{top + size}"/>')
        parts.append(f'<line class="grid" x1="{left}" x2="{left + size}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{x}" y="{top + size + 16}" text-anchor="middle">{100 * tick:g}</text>')
        parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{100 * tick:g}</text>')
    parts.append(
        f'<line class="reference" x1="{left}" y1="{top + size}" x2="{left + size}" y2="{top}"><title>calibrated</title>'
        "</line>"
    )
    for number_of, run, bins in series:
        points = [place(row["mean_score"], row["fraction_right"]) for row in bins]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="curve s{number_of}" points="{path}"/>')
        most = max((row["n_options"] for row in bins), default=1)
        for (x, y), row in zip(points, bins, strict=True):
            said = (
                f"{run}: options scored {number(row['mean_score'])} % on average were right in "
                f"{number(row['fraction_right'])} % (n = {row['n_options']:,})"
            )
            radius = 2.5 + 4.5 * (row["n_options"] / most) ** 0.5
            parts.append(
                f'<circle class="dot s{number_of}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
                f"<title>{escape(said)}</title></circle>"
            )
    said = "Reliability: mean score of options against the fraction that was right, for " + ", ".join(
        run for _, run, _ in series
    )
    middle = left + size / 2
    return (
        f'<svg class="square" viewBox="0 0 {left + size + 12} {top + size + 40}" role="img" '
        f'aria-label="{escape(said)}">{"".join(parts)}'
        f'<text x="{middle}" y="{top + size + 36}" text-anchor="middle">score given, %</text>'
        f'<text transform="translate(12 {top + size / 2}) rotate(-90)" text-anchor="middle">right, %</text></svg>'
    )


def share_bar(parts: Sequence[tuple[str, str, int]], label: str) -> str:
    """One stacked bar: (class, name, count) side by side, each with a title."""
    total = sum(count for _, _, count in parts) or 1
    at, drawn = 0.0, []
    for kind, name, count in parts:
        if not count:
            continue
        width = 100 * count / total
        drawn.append(
            f'<rect class="{escape(kind)}" x="{at:.3f}%" width="{width:.3f}%" height="14">'
            f"<title>{escape(name)}: {count:,} ({width:.1f} %)</title></rect>"
        )
        at += width
    return f'<svg class="bar" width="100%" height="14" role="img" aria-label="{escape(label)}">{"".join(drawn)}</svg>'


def bar_rows(rows: Sequence[tuple[str, str, Sequence[tuple[int, str, int]]]], label: str) -> str:
    """Stacked counts on a common scale, one row per group: (name, note, parts); a part is (series, name, count)."""
    most = max((sum(count for _, _, count in parts) for _, _, parts in rows), default=0) or 1
    body = []
    for name, note, parts in rows:
        at, drawn = 0.0, []
        for series, part, count in parts:
            width = 100 * count / most
            drawn.append(
                f'<rect class="s{series}" x="{at:.3f}%" width="{width:.3f}%" height="14">'
                f"<title>{escape(f'{name}, {part}: {count:,}')}</title></rect>"
            )
            at += width
        total = sum(count for _, _, count in parts)
        body.append(
            f'<div class="row"><div class="lab">{escape(name)}<small>{escape(note)}</small></div>'
            f'<svg height="14" width="100%" role="img" aria-label="{escape(f"{name}: {total:,}")}">{"".join(drawn)}'
            f'</svg><div class="val" aria-hidden="true">{total:,}</div></div>'
        )
    return f'<div class="dots" role="group" aria-label="{escape(label)}">{"".join(body)}</div>'
