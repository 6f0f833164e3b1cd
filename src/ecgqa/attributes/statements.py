"""One machine statement in words to what it says: attributes, how certainly, in which leads, at which stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ecgqa.attributes import vocabulary as names
from ecgqa.attributes.statement_rules import COMMA, Meaning, Rules, statement_rules, tokens_of
from ecgqa.records import LEADS

NORMAL, ABNORMAL, BORDERLINE, UNREADABLE = "normal ecg", "abnormal ecg", "borderline ecg", "unreadable"
JUDGEMENTS: Final = (NORMAL, ABNORMAL, BORDERLINE, UNREADABLE)
BASELINE_WANDER: Final = "baseline wander"
_STAGES: Final = {"early": names.EARLY, "middle": names.MIDDLE, "old": names.OLD, "unknown": names.UNKNOWN_STAGE}
_CAUSES: Final = ("infarct", "infarct st elevation", "ischemia")
"""Findings that take the place of the change they explain: "inferior T wave changes may be due to ischemia"."""
_CHANGES: Final = (
    "t wave abnormality", "t wave change", "st change", "st-t change", "st depression", "st elevation",
    "repolarization abnormality", "inverted T-waves",
)  # fmt: skip
_T_WAVES: Final = ("inverted T-waves", "high amplitude T-waves")
_JOINED: Final = {
    ("anterior", "lateral"): "anterolateral",
    ("anterior", "septal"): "anteroseptal",
    ("inferior", "lateral"): "inferolateral",
    ("inferior", "septal"): "inferoseptal",
}
"""Regions that the released names join when a statement lists both, the first that fits first."""


@dataclass(frozen=True, slots=True)
class Said:
    """One thing a statement says. `lead` is None for the whole ECG."""

    attribute: str
    certain: bool
    lead: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a statement says, and whether it was understood.

    said: symptoms, superclass rows not among them.
    judgements: normal, abnormal, borderline ECG or unreadable, with certainty.
    stages: stages of infarction with certainty (an infarction without an age has the unknown stage).
    wander: leads with baseline wander; an empty tuple together with `has_wander` means no lead is named.
    unknown: words no rule knows. known: something was found; what deliberately has no attribute counts if every word of
    the statement is known.
    """

    said: tuple[Said, ...] = ()
    judgements: tuple[tuple[str, bool], ...] = ()
    stages: tuple[tuple[str, bool], ...] = ()
    wander: tuple[str, ...] = ()
    has_wander: bool = False
    unknown: tuple[str, ...] = ()
    known: bool = False


@dataclass(slots=True)
class _Found:
    finding: str
    clause: int
    doubtful: bool
    negated: bool
    regions: list[str] = field(default_factory=list)
    leads: list[str] = field(default_factory=list)
    modifiers: set[str] = field(default_factory=set)


def read_statement(statement: str) -> Reading:
    """Read one statement of an ECG machine.

    Doubt ("possible", "consider", "cannot rule out", "may be due to", "or") holds for what follows in the clause, a
    negation likewise. Words that no rule knows make all the statement says uncertain. Source of the names: SCP-ECG
    (EN 1064, ISO 11073-91064) as ECG-QA 1.0.2 spells them.
    """
    rules = statement_rules()
    tokens = tokens_of(statement, rules.same)
    unknown: list[str] = []
    found, stages, loose = _scan(list(_meanings(tokens, rules, unknown)))
    _inherit(found)
    named = [one for one in found if one.finding and not one.negated]
    said: dict[tuple[str, str | None], bool] = {}
    judgements: dict[str, bool] = {}
    wander: list[str] = []
    for one in named:
        certain = not one.doubtful and not unknown
        if one.finding in JUDGEMENTS:
            judgements[one.finding] = judgements.get(one.finding, False) or certain
        elif one.finding == BASELINE_WANDER:
            wander += one.leads or _leads_of(one.regions, rules)
        else:
            for attribute, sure, leads in _attributes(one, named, rules):
                for lead in (None, *leads):
                    said[attribute, lead] = said.get((attribute, lead), False) or (sure and certain)
    taken = {word for one in named for word in one.modifiers if (one.finding, word) in rules.variants}
    words = loose.union(*(one.modifiers for one in found if not one.negated)) - taken
    alone = [word for word in sorted(words) if ("", word) in rules.variants]
    said.update({(attribute, None): not unknown for word in alone for attribute in rules.variants["", word][0]})
    return Reading(
        tuple(Said(attribute, certain, lead) for (attribute, lead), certain in said.items()),
        tuple(judgements.items()),
        tuple(_stages_of(named, stages, bool(unknown))),
        tuple(sorted(set(wander), key=LEADS.index)),
        any(one.finding == BASELINE_WANDER for one in named),
        tuple(dict.fromkeys(unknown)),
        bool(named) or bool(alone) or (bool(found) and not unknown),
    )


# -- words to findings -------------------------------------------------------------------------------------------


def _meanings(tokens: Sequence[str], rules: Rules, unknown: list[str]) -> Iterator[Meaning]:
    """Meanings of the longest phrases from left to right; a phrase may run over a COMMA, but not start with one."""
    at = 0
    while at < len(tokens):
        if tokens[at] == COMMA:
            yield Meaning("separator")
            at += 1
            continue
        best, size = None, 1
        phrase: list[str] = []
        for end in range(at, min(len(tokens), at + rules.longest + 2)):
            if tokens[end] == COMMA:
                continue
            phrase.append(tokens[end])
            meaning = rules.phrases.get(tuple(phrase))
            if meaning is not None:
                best, size = meaning, end + 1 - at
        if best is not None:
            yield best
        elif not tokens[at].isdecimal():
            unknown.append(tokens[at])
        at += size


def _scan(meanings: list[Meaning]) -> tuple[list[_Found], list[tuple[str, bool]], set[str]]:
    """Findings with doubt, negation, places and modifiers; stages with their certainty; modifiers of nothing."""
    found: list[_Found] = []
    stages: list[tuple[str, bool]] = []
    clause, doubtful, negated, alternative = 0, False, False, False
    regions: list[str] = []
    leads: list[str] = []
    modifiers: set[str] = set()
    backward = False
    last_of_clause: _Found | None = None

    def attach(to: _Found | None) -> None:
        nonlocal regions, leads, modifiers
        if to is not None:
            to.regions += regions
            to.leads += leads
            to.modifiers |= modifiers
            regions, leads, modifiers = [], [], set()

    for number, meaning in enumerate([*meanings, Meaning("separator")]):
        match meaning.role:
            case "separator":
                if last_of_clause is not None:
                    attach(last_of_clause)
                elif found and (regions or leads or modifiers):
                    # A clause without a finding of its own is about all that came before: ", lateral leads".
                    for one in found:
                        one.regions += regions
                        one.leads += leads
                        one.modifiers |= modifiers
                    regions, leads, modifiers = [], [], set()
                clause, doubtful, negated, alternative, backward = clause + 1, False, False, False, False
                last_of_clause = None
            case "uncertain":
                doubtful = True
            case "uncertain before":
                for one in found:
                    one.doubtful = one.doubtful or one.clause == clause
            case "negation":
                negated = True
            case "or":
                before, after = meanings[number - 1 : number], meanings[number + 1 : number + 2]
                places = ("lead", "region")
                if any(near.role in places for near in (*before[number == 0 :], *after)):
                    continue  # "in V1 or V2" names two places, not two findings
                alternative = True
                if last_of_clause is not None:
                    last_of_clause.doubtful = True
            case "in":
                backward = last_of_clause is not None
            case "filler" if meaning.value == "leads":
                backward = False  # "in inferior and lateral leads" is over
            case "region" if backward and last_of_clause is not None:
                last_of_clause.regions += _split_region(meaning.value)
            case "region":
                regions += _split_region(meaning.value)
            case "lead":
                # Leads follow what they show ("Tall R V1/V2 probably reflect ..."); of regions only those after "in".
                (leads if last_of_clause is None else last_of_clause.leads).append(meaning.value)
                backward = False
            case "modifier":
                modifiers.add(meaning.value)
            case "stage":
                stages.append((meaning.value, not doubtful))
            case "finding":
                backward = False
                name, more = _with_region(meaning.value)
                one = _Found(name, clause, doubtful or alternative, negated)
                one.regions += more
                found.append(one)
                attach(one)
                last_of_clause, alternative = one, False
    return found, stages, modifiers


def _split_region(value: str) -> list[str]:
    """A region word as regions; names of two words stay together."""
    rules = statement_rules()
    return [value] if value in rules.region_leads else value.split()


def _with_region(finding: str) -> tuple[str, list[str]]:
    """A finding whose name ends with its region: "low QRS voltage limb"."""
    words = finding.split()
    regions = [word for word in words if word in ("limb", "precordial", "inferior", "posterior")]
    name = " ".join(word for word in words if word not in regions)
    if regions and name in ("low QRS voltage", "high QRS voltage", "high P-voltages", "infarct"):
        return name, regions
    return finding, []


def _inherit(found: list[_Found]) -> None:
    """A cause has the place of the change it explains; borderline without a variant of its own is doubt."""
    variants = statement_rules().variants
    changes = [one for one in found if one.finding in _CHANGES]
    for one in found:
        if one.finding in _CAUSES and not one.regions and not one.leads:
            for change in changes:
                one.regions += [region for region in change.regions if region not in one.regions]
                one.leads += [lead for lead in change.leads if lead not in one.leads]
        if "borderline" in one.modifiers and (one.finding, "borderline") not in variants:
            one.doubtful = True


# -- findings to attributes --------------------------------------------------------------------------------------


def _attributes(one: _Found, named: list[_Found], rules: Rules) -> Iterator[tuple[str, bool, tuple[str, ...]]]:
    """Attributes of a finding: name, whether it is certain as far as the finding is, leads that show it."""
    leads = tuple(one.leads) or _leads_of(one.regions, rules)
    match one.finding:
        case "infarct" | "infarct st elevation":
            yield from ((name, True, ()) for name in _placed("Myocardial infarction", one.regions, rules))
            if one.finding == "infarct st elevation":
                yield "ST Elevation", True, ()
        case "ischemia":
            # Of a long QT interval it is a cause, not a change of ST or T.
            if any(other.finding in (*_CHANGES, *_T_WAVES) for other in named) or len(named) == 1:
                yield from ((name, True, ()) for name in _placed("ischemic ST-T changes", one.regions, rules))
        case "ventricular hypertrophy":
            # Named as a cause; a hypertrophy of no side has no name of its own. "LVH with repolarization abnormality"
            # gives those two: the release never has this attribute without doubt (templates 4 and 5).
            if any(change.finding in _CHANGES for change in named):
                yield "ST-T change due to ventricular hypertrophy", True, ()
        case "tall R":
            if {"V1", "V2"} & set(leads):
                yield "tall R wave in V1 or V2", True, ()
            if {"V5", "V6"} & set(leads):
                yield "tall R wave in V5 or V6", True, ()
        case "broad R":
            if {"I", "aVL", "V5", "V6"} & set(leads):
                yield "Broad R wave in lateral leads", True, ()
        case "low R":
            yield "low R", True, leads
        case "QRS change":
            if {"V1", "V2", "V3", "V4"} & set(leads) or any("septal" in o.regions + one.regions for o in named):
                yield "QRS changes in anteroseptal leads", True, ()
        case "borderline QT":
            yield "long QT interval", False, ()
        case finding:
            for attribute in _varied(finding, one.modifiers, rules):
                yield attribute, True, leads if attribute in _asked_in_leads() else ()


def _varied(finding: str, modifiers: set[str], rules: Rules) -> list[str]:
    plain = rules.variants.get((finding, ""), ((finding,), False))[0]
    special = [rules.variants[finding, word] for word in sorted(modifiers) if (finding, word) in rules.variants]
    given = [name for attributes, _ in special for name in attributes]
    return list(dict.fromkeys([*(plain if all(beside for _, beside in special) else ()), *given]))


def _regions(regions: Iterable[str], rules: Rules) -> list[str]:
    """Regions as the released names have them: composite ones split up, pairs joined, in table order."""
    plain = {part for region in regions for part in rules.parts.get(region, (region,))}
    for pair, joined in _JOINED.items():
        if plain >= set(pair):
            plain = plain - set(pair) | {joined}
    return [region for region in rules.region_leads if region in plain]


def _placed(name: str, regions: Iterable[str], rules: Rules) -> list[str]:
    """ "Myocardial infarction in inferior leads"; without a region that the released names know, the plain name."""
    known = names.VOCABULARIES["mimic-iv-ecg"]().symptoms
    placed = [f"{name} in {region} leads" for region in _regions(regions, rules)]
    return [full for full in placed if full in known] or [name]


def _leads_of(regions: Iterable[str], rules: Rules) -> tuple[str, ...]:
    leads = {lead for region in regions for lead in rules.region_leads.get(region, ())}
    return tuple(lead for lead in LEADS if lead in leads)


def _asked_in_leads() -> frozenset[str]:
    return names.mimic_forms_seen_in_leads()


def _stages_of(named: list[_Found], stages: list[tuple[str, bool]], unsure: bool) -> Iterator[tuple[str, bool]]:
    infarcts = [one for one in named if one.finding.startswith("infarct")]
    if not infarcts:
        return
    certain = not unsure and not all(one.doubtful for one in infarcts)
    aged = [(name, sure) for name, sure in stages if name != "unknown"]
    if not aged:
        # That the age is not known is certain even of an infarction that is only possible.
        yield names.UNKNOWN_STAGE, True
    for name, sure in aged:
        yield _STAGES[name], sure and certain
