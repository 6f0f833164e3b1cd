"""Which leads a report names for the form statements of its ECG."""

from __future__ import annotations


def leads_of_forms(report: str, codes: frozenset[str]) -> dict[str, frozenset[int]]:
    """Lead indices (canonical order) that `report` names for each form statement in `codes`."""
    return {}
