"""Which lead a channel name means, by one table of the spellings in use."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from ecgqa.errors import EcgqaError
from ecgqa.records import LEADS

_SPELLINGS: Final[dict[str, tuple[str, ...]]] = {
    "I": ("i", "di", "mdc_ecg_lead_i"),
    "II": ("ii", "dii", "mdc_ecg_lead_ii"),
    "III": ("iii", "diii", "mdc_ecg_lead_iii"),
    "aVR": ("avr", "mdc_ecg_lead_avr"),
    "aVL": ("avl", "mdc_ecg_lead_avl"),
    "aVF": ("avf", "mdc_ecg_lead_avf"),
    "V1": ("v1", "c1", "mdc_ecg_lead_v1"),
    "V2": ("v2", "c2", "mdc_ecg_lead_v2"),
    "V3": ("v3", "c3", "mdc_ecg_lead_v3"),
    "V4": ("v4", "c4", "mdc_ecg_lead_v4"),
    "V5": ("v5", "c5", "mdc_ecg_lead_v5"),
    "V6": ("v6", "c6", "mdc_ecg_lead_v6"),
}
"""Spellings of each lead, lower-cased: the plain name (PTB-XL "AVR", LUDB "v1"), the D prefix of Romance-language
devices, the C (chest) names of IEC 60601-2-25, and the ISO/IEEE 11073 names. "MLII" is deliberately no spelling of II:
the modified limb leads are recorded from other places. "-aVR" (Cabrera) is inverted and no aVR either."""

_PREFIXES: Final = ("lead ", "lead_", "ecg ", "ecg_", "ecg lead ")
_LEAD_OF: Final = {
    spelling: lead
    for lead, plain in _SPELLINGS.items()
    for name in plain
    for spelling in (name, *(prefix + name for prefix in _PREFIXES))
}
_EXAMPLE: Final = ", ".join(LEADS)


def canonical_lead(name: str) -> str | None:
    """The lead that a channel name means, whatever its case ("AVR", "lead II", "v1"), or None."""
    return _LEAD_OF.get(name.strip().lower())


class LeadOrder(NamedTuple):
    """Channels of a record that are the twelve leads."""

    channels: tuple[int | None, ...]
    """Channel of each canonical lead; None where the record does not have it."""
    missing: tuple[str, ...]
    """Leads the record lacks, in canonical order."""
    extra: tuple[str, ...]
    """Names of further channels (Frank leads, respiration …), in the record's order."""


@lru_cache(maxsize=1024)
def lead_order(names: tuple[str, ...], allow_missing_leads: bool = False) -> LeadOrder:
    """Channels of the twelve leads among a record's channel names.

    Further channels are no problem as long as all twelve leads are there. Raises EcgqaError when a lead is missing
    (naming what was found) unless `allow_missing_leads`, when no channel is a lead at all, or when two channels are.
    """
    found: dict[str, int] = {}
    extra: list[str] = []
    for channel, name in enumerate(names):
        lead = canonical_lead(name)
        if lead is None:
            extra.append(name.strip() or f"channel {channel + 1}")
        elif lead in found:
            raise EcgqaError(
                f"lead {lead} is there twice: channels {found[lead] + 1} and {channel + 1}",
                expected="each lead once",
                found=_listed(names),
            )
        else:
            found[lead] = channel
    missing = tuple(lead for lead in LEADS if lead not in found)
    if missing and (not allow_missing_leads or not found):
        unknown = f"; unknown: {_listed(extra)}" if extra else ""
        raise EcgqaError(
            f"{'leads' if len(missing) > 1 else 'lead'} {', '.join(missing)} not in the record",
            expected=_EXAMPLE,
            found=_listed(names) + unknown,
        )
    return LeadOrder(tuple(found.get(lead) for lead in LEADS), missing, tuple(extra))


def _listed(names: Sequence[str], at_most: int = 24) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:at_most])
    return (shown + (f" and {len(names) - at_most} more" if len(names) > at_most else "")) or "no channels"
