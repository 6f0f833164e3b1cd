"""Draws by name: repeatable, even, independent of order; limits as they are written on the command line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgqa.errors import EcgqaError
from ecgqa.questions.answers import pack, relate, signature, unpack
from ecgqa.questions.sampling import Limits, draw, integers, keys_of, read_limits, seed_of, whole
from ecgqa.records import Split


def test_draws_are_the_same_on_every_machine() -> None:
    assert seed_of(0, "train", 26) == 7165371626557779303
    assert keys_of([0, 1, -1], 7).tolist() == [1346066267577507604, 7191089600892374487, 11777423816826542271]
    assert draw(np.arange(1000), 5, seed_of(0, "a")).tolist() == [530, 587, 841, 349, 46]


@given(st.sets(st.integers(0, 2**40), max_size=60), st.integers(0, 80), st.integers(0, 2**64 - 1))
def test_a_draw_is_a_subset_and_does_not_depend_on_order(numbers: set[int], count: int, seed: int) -> None:
    ascending = np.array(sorted(numbers), dtype=np.int64)
    drawn = draw(ascending, count, seed)
    assert len(drawn) == min(count, len(numbers)) == len(set(drawn.tolist()))
    assert set(drawn.tolist()) <= numbers
    assert drawn.tolist() == draw(ascending[::-1].copy(), count, seed).tolist()


def test_draws_are_even() -> None:
    counts = np.zeros(20)
    for seed in range(4000):
        counts[draw(np.arange(20), 3, seed_of(seed, "even"))] += 1
    assert abs(counts / 600 - 1).max() < 0.15
    assert abs(integers(100_000, 7, 3).mean() - 3) < 0.03


def test_a_fraction_of_a_sample_is_a_sample_now_and_then() -> None:
    n = sum(whole(0.2, seed_of(seed, "x")) for seed in range(5000))
    assert 900 < n < 1100
    assert {whole(2.5, seed) for seed in range(50)} == {2, 3}
    assert {whole(20.0, seed) for seed in range(50)} == {20}


def test_reading_limits() -> None:
    limits = read_limits("choose=5/1/1, no_per_yes=3")
    assert (limits.choose, limits.no_per_yes, limits.query) == ((5, 1, 1), 3, Limits().query)
    assert read_limits("") == Limits()
    assert Limits().of(Split.VALID).verify_no == 40
    assert Limits().scaled(0.5).of(Split.TRAIN).verify_yes == 50
    for wrong in ("chose=1/1/1", "choose=1/1", "choose=a/b/c", "no_per_yes=1/2/3", "choose", "choose=-1/1/1"):
        with pytest.raises(EcgqaError):
            read_limits(wrong)
    with pytest.raises(EcgqaError):
        Limits().scaled(0)


@given(st.integers(1, 150), st.integers(0, 2**32 - 1))
def test_sets_as_words(n_options: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.random((2, 6, n_options)) < 0.3
    words = pack(first), pack(second)
    for relation, expected in (("resolved", first & ~second), ("new", second & ~first), ("remaining", first & second)):
        related = relate(*words, relation)
        assert [unpack(row, n_options).tolist() for row in related] == expected.tolist()
        assert ((signature(related) == 0) == ~expected.any(axis=1)).all()
        same = [[a.tolist() == b.tolist() for a in expected] for b in expected]
        assert (signature(related)[:, None] == signature(related)[None, :]).tolist() == same
