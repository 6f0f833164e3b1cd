"""Which frames are hidden and which they are compared with."""

from __future__ import annotations

import torch

from ecgqa.training.masking import draw_negatives, draw_spans, trim_to_poorest


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def runs(row: list[bool]) -> list[int]:
    """Lengths of the runs of True."""
    lengths, inside = [], 0
    for value in [*row, False]:
        if value:
            inside += 1
        elif inside:
            lengths.append(inside)
            inside = 0
    return lengths


def test_spans_lie_inside_the_valid_frames_and_cover_their_share() -> None:
    n_frames = torch.tensor([156, 100, 40, 11, 10, 4, 0]).repeat(200)
    mask = draw_spans(n_frames, 156, 0.65, 10, generator())
    assert not mask[torch.arange(156) >= n_frames[:, None]].any()
    for n, row in zip(n_frames.tolist(), mask.tolist(), strict=True):
        assert all(length >= min(10, n) for length in runs(row))
    share = mask.sum(1)[::7].float().mean() / 156
    # 10.14 spans with different beginnings among 147: a frame away from the ends escapes all of them with 0.5 or so.
    assert abs(float(share) - (1 - (1 - 10 / 147) ** 10.14)) < 0.03
    counts = mask.sum(1).view(-1, 7)
    assert counts[:, 3:].float().mean(0).tolist() == [11.0, 10.0, 4.0, 0.0]
    first, last = mask[::7, 0].float().mean(), mask[::7, 155].float().mean()
    assert 0.02 < first < 0.15 and 0.02 < last < 0.15  # spans may begin at the first frame and end at the last


def test_each_row_has_at_least_two_spans_with_different_beginnings() -> None:
    mask = draw_spans(torch.full((500,), 60), 60, 0.01, 5, generator())
    assert mask.sum(1).min() == 6 and mask.sum(1).max() == 10


def test_draws_follow_from_the_generator() -> None:
    n_frames = torch.tensor([50, 30])
    first, again, other = (draw_spans(n_frames, 50, 0.65, 5, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_trimming_leaves_every_row_as_poor_as_the_poorest() -> None:
    mask = draw_spans(torch.tensor([156, 60]), 156, 0.65, 10, generator())
    trimmed = trim_to_poorest(mask, generator())
    assert (trimmed.sum(1) == mask.sum(1).min()).all() and not (trimmed & ~mask).any()


def test_negatives_are_any_others_of_the_row() -> None:
    count = torch.tensor([5, 2, 1, 8])
    drawn = draw_negatives(count, 8, 4000, generator())
    assert drawn.shape == (4, 8, 4000)
    for row, n in enumerate(count.tolist()):
        for place in range(n if n > 1 else 0):
            share = torch.bincount(drawn[row, place], minlength=8).float() / 4000
            expected = torch.tensor([0.0 if k == place or k >= n else 1 / (n - 1) for k in range(8)])
            torch.testing.assert_close(share, expected, atol=0.04, rtol=0.0)
    assert drawn.min() >= 0 and (drawn < count.clamp_min(1)[:, None, None]).all()
