"""How numbers and names are written for people: the same in terminal, Markdown and HTML."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ecgqa.evaluation.metrics import METRICS

DISCLAIMER = "Research use only, not for clinical use."

GROUP_NAMES = {
    "all": "all questions",
    "single-verify": "Single verify",
    "single-choose": "Single choose",
    "single-query": "Single query",
    "comparison_consecutive-verify": "Consecutive verify",
    "comparison_consecutive-query": "Consecutive query",
    "comparison_irrelevant-verify": "Two patients verify",
    "comparison_irrelevant-query": "Two patients query",
    "single": "One ECG",
    "comparison_consecutive": "Two ECGs of one patient",
    "comparison_irrelevant": "Two ECGs of two patients",
    "scp_code": "SCP statement",
    "noise": "noise",
    "stage_of_infarction": "stage of infarction",
    "extra_systole": "extra systole",
    "heart_axis": "heart axis",
    "numeric_feature": "numeric feature",
}


def group_name(group: str) -> str:
    """A group's name for people; unknown names stay as they are."""
    if group.startswith("macro_"):
        return (
            "mean of the one type" if group == "macro_1" else f"mean of {group.removeprefix('macro_')} question types"
        )
    return " / ".join(GROUP_NAMES.get(part, part) for part in group.split(" / "))


def metric_title(metric: str) -> str:
    return METRICS[metric].title if metric in METRICS else metric


def number(value: float | None, *, percent: bool = True, digits: int = 1) -> str:
    """73.2 for 0.732 (in percent), or a dash where undefined."""
    if value is None:
        return "–"
    return f"{100 * value:.{digits}f}" if percent else f"{value:.{digits}f}"


def span(row: Mapping[str, Any]) -> str:
    """ "71.0 to 75.4", or nothing where there is no interval."""
    if row.get("low") is None or row.get("high") is None:
        return ""
    return f"{number(row['low'])} to {number(row['high'])}"


def with_span(row: Mapping[str, Any]) -> str:
    return f"{number(row.get('value'))} ({span(row)})" if span(row) else number(row.get("value"))


def signed(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def p_value(p: float | None) -> str:
    """Three digits, and no more certainty than permutations can give."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def command(*words: object) -> str:
    """`ecgqa ...` as one would type it, quoted where needed."""
    return shlex.join(["ecgqa", *map(str, words)])
