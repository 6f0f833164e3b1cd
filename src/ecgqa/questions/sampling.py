"""Drawing samples by name: the same seed and names give the same draw on every machine and library version."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ecgqa.errors import EcgqaError
from ecgqa.records import Split

Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]


def seed_of(seed: int, *names: object) -> int:
    """64-bit child seed of `seed` for a thing of that name."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def keys_of(numbers: npt.ArrayLike, seed: int) -> Keys:
    """A pseudo-random 64-bit key for each integer, as a pure function of (integer, seed).

    The finaliser of SplitMix64 (Steele, Lea & Flood 2014). Unlike a generator's stream it does not depend on the
    order or number of draws, nor on how a library version turns random bits into a choice.
    """
    with np.errstate(over="ignore"):
        state = np.asarray(numbers).astype(np.int64).view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        state = state + np.uint64(seed)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return state ^ (state >> np.uint64(31))


def whole(limit: float, seed: int) -> int:
    """A whole number of samples whose expectation is `limit`: 0.2 is one sample in a fifth of all cases."""
    extra = float(keys_of(0, seed) >> np.uint64(11)) * 2.0**-53 < limit - int(limit)
    return int(limit) + extra


def draw(numbers: Ints, limit: float, seed: int) -> Ints:
    """At most `limit` (see `whole`) of the distinct `numbers`, in random order: those with the smallest keys."""
    count = whole(limit, seed)
    keys = keys_of(numbers, seed)
    if count < len(numbers) // 4:
        near = np.argpartition(keys, count)[:count]
        return numbers[near[np.argsort(keys[near], kind="stable")]]
    return numbers[np.argsort(keys, kind="stable")[:count]]


def draw_where(where: npt.NDArray[np.bool_], limit: float, seed: int) -> Ints:
    """Positions at which `where` is true, at most `limit` (see `whole`), in random order.

    Of a long array with many such positions only some are looked at: random ones, until enough are found.
    """
    count = whole(limit, seed)
    for tries in (4 * count + 64, 64 * count + 1024):
        if not 0 < 8 * tries < len(where):
            break
        tickets = integers(tries, len(where), seed_of(seed, "tickets", tries))
        found = tickets[where[tickets]]
        _, first_seen = np.unique(found, return_index=True)
        if len(first_seen) >= count:
            return found[np.sort(first_seen)[:count]]
    return draw(np.flatnonzero(where), limit, seed)


def integers(count: int, high: int, seed: int) -> Ints:
    """`count` integers below `high` (at most 2**52), near enough uniform."""
    fraction = (keys_of(np.arange(count, dtype=np.int64), seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.minimum((fraction * high).astype(np.int64), high - 1)


PerSplit = tuple[float, float, float]


@dataclass(frozen=True)
class Limits:
    """How many samples of a question are drawn, each as (train, valid, test).

    The defaults are those recovered from the release. Open there, and chosen so that the totals come out within 2 %:
    compare_yes and compare_no in train and valid, and compare_answers.

    Attributes:
        verify_yes: samples answered "yes", and as many "not sure", per single-verify question.
        verify_no: samples answered "no"; never more than `no_per_yes` times the positive ECGs drawn.
        no_per_yes: see verify_no.
        choose: samples per answer group (first, second, both, none) of a choose question.
        query: samples per distinct answer of a single-query question.
        query_none: samples answered "none" of a single-query question; never more than all others together.
        compare_yes: samples answered "yes" per comparison-verify question.
        compare_no: samples answered "no" per comparison-verify question.
        compare_query: samples per distinct answer of a comparison-query question.
        compare_none: samples answered "none" of a comparison-query question.
        compare_answers: distinct answers that a question on two unrelated ECGs is asked for.
        consecutive_answers: the same for a question on two ECGs of one patient.
    """

    verify_yes: PerSplit = (100, 20, 20)
    verify_no: PerSplit = (200, 40, 40)
    no_per_yes: int = 5
    choose: PerSplit = (10, 2, 2)
    query: PerSplit = (100, 50, 50)
    query_none: PerSplit = (200, 100, 100)
    compare_yes: PerSplit = (20, 10, 10)
    compare_no: PerSplit = (40, 20, 20)
    compare_query: PerSplit = (50, 25, 25)
    compare_none: PerSplit = (100, 50, 50)
    compare_answers: PerSplit = (400, 200, 260)
    consecutive_answers: PerSplit = (1_000_000, 1_000_000, 1_000_000)

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            numbers = value if isinstance(value, tuple) else (value,)
            if any(number < 0 for number in numbers) or len(numbers) not in (1, 3):
                raise EcgqaError(f"the limit {limit.name} is {value}", expected="numbers from 0 up: train, valid, test")

    def of(self, split: Split) -> SplitLimits:
        """The limits of one split."""
        column = list(Split).index(split)
        one = {
            limit.name: value[column] if isinstance(value := getattr(self, limit.name), tuple) else value
            for limit in fields(self)
        }
        return SplitLimits(**one)

    def scaled(self, scale: float) -> Limits:
        """Every per-split limit times `scale`; below one sample, a question is asked in that share of cases."""
        if not 0 < scale <= 1000:
            raise EcgqaError(f"the scale is {scale}", expected="a number above 0, e.g. 0.2")
        scaled: dict[str, Any] = {
            limit.name: tuple(number * scale for number in value)
            for limit in fields(self)
            if isinstance(value := getattr(self, limit.name), tuple)
        }
        return Limits(**scaled, no_per_yes=self.no_per_yes)


def read_limits(text: str, limits: Limits | None = None) -> Limits:
    """`limits` with those of "choose=5/1/1,compare_yes=50/25/25" (train/valid/test) put in."""
    named = {limit.name for limit in fields(Limits)}
    given: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        try:
            numbers = tuple(map(int, value.split("/")))
        except ValueError:
            numbers = ()
        if name not in named or len(numbers) != (1 if name == "no_per_yes" else 3):
            raise EcgqaError(
                f"{part!r} is no limit",
                expected=f"name=train/valid/test, with a name of {', '.join(sorted(named))}",
            )
        given[name] = numbers[0] if name == "no_per_yes" else numbers
    return replace(limits or Limits(), **given)


@dataclass(frozen=True)
class SplitLimits:
    """`Limits` of one split."""

    verify_yes: float
    verify_no: float
    no_per_yes: int
    choose: float
    query: float
    query_none: float
    compare_yes: float
    compare_no: float
    compare_query: float
    compare_none: float
    compare_answers: float
    consecutive_answers: float
