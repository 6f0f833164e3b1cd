"""What all objectives on ECGs alone share: short segments, changed at random."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from ecgqa.errors import EcgqaError
from ecgqa.store.segments import Pairs, SegmentBatch, SegmentLoader
from ecgqa.training.distributed import World
from ecgqa.training.objectives.pretraining import Pretraining, PretrainingConfig

if TYPE_CHECKING:
    from ecgqa.training.recipe import Recipe


@dataclass
class SelfSupervisedConfig(PretrainingConfig):
    """Which ECGs are learned from, in what pieces, and how often these are changed in which way.

    Args:
        seconds: length of the segments that the model sees.
        pairs: where an objective wants two segments: "consecutive" ones of the same ECG, as published, or those of two
            "records" of the same patient, where there are.
    """

    seconds: float = 5.0
    pairs: Pairs = "consecutive"


class SelfSupervised(Pretraining, ABC):
    """Learns segments of a store's ECGs and evaluates on those of other patients."""

    segments_per_ecg: ClassVar[int] = 1

    def __init__(self, recipe: Recipe, folder: Path | None = None) -> None:
        super().__init__(recipe, folder)
        made = self.loader("train", 1, World(0, 1, torch.device("cpu")))
        assert isinstance(made, SegmentLoader)
        self.train = made

    @property
    def n_train(self) -> int:
        return len(self.train.rows)

    @property
    def notes(self) -> list[str]:
        short = [f"{self.train.n_left_out:,} ECGs too short or without signal"] if self.train.n_left_out else []
        return [*self.rows.notes, *short]

    def build_model(self) -> nn.Module:
        model = super().build_model()
        n_frames = int(model.front_end.n_frames(torch.tensor(self.train.n_samples)))  # type: ignore[union-attr,operator]
        if n_frames < 2:
            raise EcgqaError(
                f"segments of {self.settings.seconds} s are too short for the convolutions",
                expected="segments of two frames or more",
                found=f"{self.train.n_samples} samples, {n_frames} frames",
                fix="--objective.seconds 5",
            )
        return model

    def make_loader(self, part: str, batch_size: int, **options: Any) -> SegmentLoader:
        return SegmentLoader(
            self.store,
            self.rows.train if part == "train" else self.rows.valid,
            batch_size,
            seconds=self.settings.seconds,
            n_segments=self.segments_per_ecg,
            pairs=self.settings.pairs,
            positives="patient" if self.repaired else "record",
            **options,
        )

    def n_items(self, batch: SegmentBatch) -> int:
        return len(batch) // self.segments_per_ecg
