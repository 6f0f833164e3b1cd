"""Learning rate as a pure function of the number of updates done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ecgqa.errors import EcgqaError


@dataclass
class ScheduleConfig:
    """How the learning rate moves over the run.

    Args:
        name: "tri_stage" (linear warm-up, hold, exponential decay; Park et al. 2019), "cosine" (linear warm-up, half
            a cosine), or "fixed" (linear warm-up, then constant).
        warmup: share of all updates spent warming up.
        hold: share of all updates at the peak (tri_stage).
        decay: share of all updates spent decaying (tri_stage).
        start_scale: rate before the first update, as a share of the peak (tri_stage).
        end_scale: rate after the last update, as a share of the peak (tri_stage, cosine).
    """

    name: Literal["tri_stage", "cosine", "fixed"] = "tri_stage"
    warmup: float = 0.1
    hold: float = 0.4
    decay: float = 0.5
    start_scale: float = 0.01
    end_scale: float = 0.05

    def __post_init__(self) -> None:
        shares = (self.warmup, self.hold, self.decay)
        if min(shares) < 0 or max(shares) > 1:
            raise EcgqaError("schedule.warmup, hold and decay are shares between 0 and 1", found=str(shares))
        if self.name == "tri_stage" and not 0 < self.end_scale <= 1:
            raise EcgqaError("schedule.end_scale of tri_stage lies in (0, 1]", found=str(self.end_scale))


def learning_rate(update: int, total: int, peak: float, config: ScheduleConfig) -> float:
    """Learning rate in force once `update` of `total` updates are done (0: for the first update)."""
    if config.name == "tri_stage":
        shares = (config.warmup, config.hold, config.decay)
        return tri_stage(update, total, peak, phases=shares, start_scale=config.start_scale, end_scale=config.end_scale)
    warmup = int(config.warmup * total)
    if config.name == "fixed":
        return fixed(update, peak, warmup)
    if update < warmup:
        return peak * (update + 1) / warmup
    done = min((update - warmup) / max(total - warmup, 1), 1.0)
    return peak * (config.end_scale + (1 - config.end_scale) * 0.5 * (1 + math.cos(math.pi * done)))


def tri_stage(
    update: int, total: int, peak: float, *, phases: tuple[float, float, float], start_scale: float, end_scale: float
) -> float:
    """Linear from peak * start_scale, constant, exponential to peak * end_scale; stages are whole updates."""
    warmup, hold, decay = (int(share * total) for share in phases)
    if update < warmup:
        start = start_scale * peak
        return start + (peak - start) / warmup * update
    update -= warmup
    if update < hold:
        return peak
    update -= hold
    if update <= decay:
        return peak * math.exp(math.log(end_scale) * update / decay) if decay else peak
    return peak * end_scale


def fixed(update: int, peak: float, warmup: int) -> float:
    """Linear warm-up over `warmup` updates, then constant."""
    return peak * (update + 1) / warmup if update < warmup else peak
