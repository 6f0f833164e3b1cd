"""The average beat of each lead, and the rhythm: found in the signal itself, on whatever device it is on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ecgqa.models.layers import positions_below

BEFORE_S, AFTER_S = 0.3, 0.53
"""Seconds around the R peak: from the onset of a P wave of a long PR interval to the end of a late T wave."""

RHYTHM = ("mean interval", "spread of intervals", "shortest", "longest", "successive difference", "beats per second")
"""Columns of `Beats.rhythm`; intervals in seconds, the fifth as root mean square."""


class Beats(NamedTuple):
    """What the beats of E ECGs look like.

    mean, spread: (E, 12, beat_samples(rate)) millivolts: average over the beats, and standard deviation about it.
    rhythm: (E, len(RHYTHM)); zeros for an ECG of less than three beats.
    """

    mean: Tensor
    spread: Tensor
    rhythm: Tensor


def beat_samples(rate_hz: float) -> int:
    """Samples of an average beat."""
    return round(BEFORE_S * rate_hz) + round(AFTER_S * rate_hz)


def average_beats(ecg: Tensor, length: Tensor, rate_hz: float) -> Beats:
    """Beats of ecg (E, 12, T) in mV at `rate_hz`, of which the first `length` (E,) samples are valid, others zero."""
    before, after = round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz)
    peaks = r_peaks(ecg, length, rate_hz)
    which, at = peaks.nonzero(as_tuple=True)
    around = at[:, None] + torch.arange(before + after, device=ecg.device)
    beats = F.pad(ecg, (before, after)).transpose(1, 2)[which[:, None], around]  # (beats, samples, 12)
    n_beats = peaks.sum(1).clamp_min(1)[:, None, None].to(ecg.dtype)
    empty = ecg.new_zeros(len(ecg), before + after, ecg.shape[1])
    mean = empty.index_add(0, which, beats) / n_beats
    variance = empty.index_add(0, which, (beats - mean[which]).square()) / n_beats
    return Beats(mean.transpose(1, 2), variance.sqrt().transpose(1, 2), _rhythm(peaks, rate_hz))


def r_peaks(ecg: Tensor, length: Tensor, rate_hz: float) -> Tensor:
    """Bool (E, T): the steepest place of each beat of ecg (E, 12, T), all leads together.

    A beat is the largest slope within a quarter of a second either way, and at least 0.4 of the median of what
    stretches of 1.6 s have as their largest.
    """
    valid = positions_below(length, ecg.shape[-1])
    slope = F.pad(ecg.diff(dim=-1), (1, 0)).masked_fill(~valid[:, None], 0.0).square()
    count = length.clamp_min(1)[:, None, None]
    slope = (slope / (slope.sum(-1, keepdim=True) / count + 1e-9)).sqrt().sum(1)  # no lead drowns the others
    reach, half_width = round(0.25 * rate_hz), round(0.025 * rate_hz)
    steepness = slope[:, None]
    for _ in range(2):  # one average alone has a flat top, and the peak would wander on it
        steepness = F.avg_pool1d(steepness, 2 * half_width + 1, 1, half_width).masked_fill(~valid[:, None], 0.0)
    steepness = steepness[:, 0]
    local = F.max_pool1d(steepness[:, None], 2 * reach + 1, 1, reach)[:, 0]
    stretch = round(1.6 * rate_hz)
    largest = F.max_pool1d(steepness[:, None], stretch, stretch, ceil_mode=True)[:, 0]
    level = largest.masked_fill(largest <= 0, torch.nan).nanmedian(1).values.nan_to_num(torch.inf)
    rising = steepness > F.pad(steepness, (1, 0))[:, :-1]  # of two equal neighbours the first
    return (steepness == local) & rising & (steepness > 0.4 * level[:, None]) & valid


def _rhythm(peaks: Tensor, rate_hz: float) -> Tensor:
    n_beats, width = peaks.sum(1), peaks.shape[1]
    most = max(3, int(n_beats.max()))
    place = torch.arange(width, device=peaks.device)
    times = torch.where(peaks, place, width + place).sort(1).values[:, :most] / rate_hz
    intervals = times.diff(dim=1)
    valid = positions_below(n_beats - 1, intervals.shape[1])
    count = valid.sum(1).clamp_min(1)
    mean = (intervals * valid).sum(1) / count
    variance = ((intervals - mean[:, None]).square() * valid).sum(1) / count
    shortest = intervals.masked_fill(~valid, torch.inf).amin(1)
    longest = intervals.masked_fill(~valid, 0.0).amax(1)
    changes = (intervals.diff(dim=1).square() * valid[:, 1:]).sum(1) / (count - 1).clamp_min(1)
    rhythm = torch.stack(
        [mean, variance.sqrt(), shortest, longest, changes.sqrt(), 1.0 / mean.clamp_min(1.0 / rate_hz)], 1
    )
    return rhythm.masked_fill((n_beats < 3)[:, None], 0.0)
