"""Which leads a group named in a question or an attribute stands for ("inferior leads", "limb leads")."""

from __future__ import annotations

import re
from typing import Final

from ecgqa.records import ALL_LEADS, LEADS, lead_set

LEAD_GROUPS: Final = {
    "limb": lead_set(("I", "II", "III", "aVR", "aVL", "aVF")),
    "chest": lead_set(("V1", "V2", "V3", "V4", "V5", "V6")),
    "inferior": lead_set(("II", "III", "aVF")),
    "lateral": lead_set(("I", "aVL", "V5", "V6")),
    "septal": lead_set(("V1", "V2")),
    "anterior": lead_set(("V3", "V4")),
    "posterior": lead_set(("V1", "V2", "V3")),
}
"""Groups of the twelve leads that look at one part of the heart.

No standard lead faces the posterior wall: what happens there is seen in V1 to V3, as in a mirror (ST depression and a
tall R for ST elevation and Q; Thygesen et al., Fourth universal definition of myocardial infarction, Circulation 138,
2018). The original's composite groups (inferoposterior) say so, too.
"""

PUBLISHED_POSTERIOR: Final = lead_set(("V4", "V5", "V6"))
"""What the original takes for "posterior" alone: its table of groups defines the name twice, and the second wins."""

_PARTS: Final = (
    ("infero", "inferior"),
    ("inferior", "inferior"),
    ("antero", "anterior"),
    ("anterior", "anterior"),
    ("septo", "septal"),
    ("septal", "septal"),
    ("postero", "posterior"),
    ("posterior", "posterior"),
    ("lateral", "lateral"),
    ("limb", "limb"),
    ("frontal", "limb"),
    ("chest", "chest"),
    ("precordial", "chest"),
    ("horizontal", "chest"),
)
_PART = re.compile("|".join(part for part, _ in sorted(_PARTS, key=lambda part: -len(part[0]))))
_GROUP_OF: Final = dict(_PARTS)


def lead_group(name: str, *, published: bool = False) -> int | None:
    """The lead set of a group by name, None if it is not known: "inferior", "anterolateral", "frontal and horizontal".

    Names are put together from parts, and so are their leads. published: the original's leads for "posterior".
    """
    name = name.casefold().strip()
    if name.removeprefix("lead ").upper() in _LEAD_OF:
        return 1 << _LEAD_OF[name.removeprefix("lead ").upper()]
    if name in ("diffuse", "all"):
        return ALL_LEADS
    if published and name == "posterior":
        return PUBLISHED_POSTERIOR
    parts = _PART.findall(name)
    if not parts or re.sub(r"[\s-]|\band\b", "", name) != "".join(parts):
        return None
    found = 0
    for part in parts:
        found |= LEAD_GROUPS[_GROUP_OF[part]]
    return found


_LEAD_OF: Final = {lead.upper(): place for place, lead in enumerate(LEADS)}
