"""Named sets of rules for building questions: every point that the release leaves open is an option with a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from ecgqa.errors import EcgqaError
from ecgqa.questions.sampling import Limits
from ecgqa.questions.templates import MIMIC, PTBXL


@dataclass(frozen=True)
class Rules:
    """How questions are answered and drawn. docs/construction.md says what is known of each and why it was chosen.

    Attributes:
        limits: samples per question and answer.
        test_share: share of the patients that go to test, where no split lists are given.
        valid_share: share of the remaining patients that go to valid.
        consecutive: pairs of one patient's ECGs: all in time order, or neighbours only.
        unmeasured_in_comparisons: a feature that could not be measured counts as abnormal, or the pair is left out.
        unmeasured_in_ranges: an ECG with such a feature is left out of questions on ranges, or lies in no range
            (answers "no" and "none").
        unplaced_stage: an ECG at stage III of which it is not known whether it is old is left out of "which stage", or
            answers "none of myocardial infarction".
        doubtful: "not sure" is drawn at most as often as "yes", or up to its own limit.
        noises_of_a_choice: a choice between two noises in a lead is answered only from ECGs with both noises somewhere,
            or from any ECG.
        answers_of_valid_only: answers that occur in valid only are dropped from list and samples, or kept.
        most_sets: attribute sets of which all pairs are compared for questions on unrelated ECGs; the commonest are
            kept, memory grows with the square.
    """

    limits: Limits = field(default_factory=Limits)
    test_share: float = 0.2
    valid_share: float = 0.1
    consecutive: Literal["all", "neighbours"] = "all"
    unmeasured_in_comparisons: Literal["abnormal", "left-out"] = "abnormal"
    unmeasured_in_ranges: Literal["left-out", "in-no-range"] = "left-out"
    unplaced_stage: Literal["left-out", "none"] = "left-out"
    doubtful: Literal["as-yes", "own-limit"] = "as-yes"
    noises_of_a_choice: Literal["both-somewhere", "any"] = "both-somewhere"
    answers_of_valid_only: Literal["dropped", "kept"] = "dropped"
    most_sets: int = 4096

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(Rules).items():
            value = getattr(self, name)
            if get_origin(hint) is Literal and value not in get_args(hint):
                raise EcgqaError(f"the rule {name} is {value!r}", expected=" or ".join(get_args(hint)))
        for name in ("test_share", "valid_share"):
            if not 0 < getattr(self, name) < 1:
                raise EcgqaError(f"the rule {name} is {getattr(self, name)}", expected="a share between 0 and 1")
        if not 1 <= self.most_sets <= 30_000:
            raise EcgqaError(f"the rule most_sets is {self.most_sets}", expected="1 to 30000")

    def as_config(self) -> dict[str, Any]:
        """Every option with its value, for a manifest."""
        return asdict(self)


@dataclass(frozen=True)
class Preset:
    """A named set of rules."""

    vocabulary: str
    """Vocabulary of the attributes it was made for."""
    rules: Rules
    meaning: str


PRESETS: Final[Mapping[str, Preset]] = {
    "released-ptbxl": Preset(PTBXL, Rules(), "as ECG-QA 1.0.2 was drawn from PTB-XL: 70 templates"),
    "released-mimic-iv-ecg": Preset(
        MIMIC,
        Rules(limits=Limits(consecutive_answers=(400, 200, 260))),
        "as ECG-QA 1.0.2 was drawn from MIMIC-IV-ECG: 60 templates, and a limit on the answers of consecutive pairs",
    ),
}


def preset_for(name: str | None, vocabulary: str) -> tuple[str, Preset]:
    """The preset called `name`, or the one made for `vocabulary` (PTB-XL's where there is none).

    Raises EcgqaError for an unknown name, and for the preset of one release with the attributes of the other.
    """
    if name is None:
        name = next((key for key, preset in PRESETS.items() if preset.vocabulary == vocabulary), "released-ptbxl")
    if name not in PRESETS:
        raise EcgqaError(f"no preset {name!r}", expected=" or ".join(PRESETS))
    preset = PRESETS[name]
    if vocabulary != preset.vocabulary and any(vocabulary == other.vocabulary for other in PRESETS.values()):
        fitting = next(key for key, other in PRESETS.items() if other.vocabulary == vocabulary)
        raise EcgqaError(
            f"the preset {name} does not fit attributes of {vocabulary}",
            expected=f"attributes of {preset.vocabulary}",
            fix=f"--preset {fitting}",
        )
    return name, preset


def read_rules(text: str, rules: Rules) -> Rules:
    """`rules` with the options of "consecutive=neighbours,test_share=0.3" put in (not the limits: see read_limits)."""
    hints = {name: hint for name, hint in get_type_hints(Rules).items() if name != "limits"}
    given: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        if name not in hints:
            raise EcgqaError(f"no rule {name!r}", expected=", ".join(sorted(hints)))
        kind = hints[name] if hints[name] in (int, float) else str
        try:
            given[name] = kind(value)
        except ValueError:
            raise EcgqaError(
                f"the rule {name} is {value!r}", expected=f"a number, e.g. {getattr(rules, name)}"
            ) from None
    return replace(rules, **given)


def rule_names() -> list[str]:
    """Names of all options but the limits."""
    return [option.name for option in fields(Rules) if option.name != "limits"]
