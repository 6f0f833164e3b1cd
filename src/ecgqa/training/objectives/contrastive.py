"""CMSC, SimCLR and 3KG as objectives: one vector per segment, near those it belongs to and far from all others."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ecgqa.errors import EcgqaError
from ecgqa.signals.heart_vector import three_kg_view
from ecgqa.store.segments import SegmentBatch
from ecgqa.training import losses
from ecgqa.training.distributed import gathered
from ecgqa.training.objectives.self_supervised import SelfSupervised, SelfSupervisedConfig


@dataclass
class ContrastiveConfig(SelfSupervisedConfig):
    """A contrast among the vectors of a batch, of all processes together.

    Args:
        temperature: of the cosines.
    """

    temperature: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0:
            raise EcgqaError("objective.temperature is positive", found=str(self.temperature))


class Contrastive(SelfSupervised):
    """The part that the three have in common."""

    config = ContrastiveConfig

    def terms(self, model: nn.Module, batch: SegmentBatch, generator: torch.Generator) -> dict[str, Tensor]:
        batch = self.views(batch, generator, training=model.training)
        features = model(batch.ecg, batch.length)
        everywhere = gathered if self.repaired else lambda rows: rows
        with torch.autocast(features.device.type, enabled=False):
            unit = everywhere(losses.unit_length(features, through_norm=self.repaired))
            loss, found, asked = self.contrast(unit, everywhere(batch.patient), everywhere(batch.segment))
        n = torch.tensor(len(features), device=features.device)
        return {"loss": n * loss, "terms": n, "hits": found, "asked": asked}

    def values(self, summed: dict[str, float]) -> dict[str, float]:
        return {"loss": summed["loss"] / summed["terms"], "accuracy": summed["hits"] / max(summed["asked"], 1.0)}

    @abstractmethod
    def views(self, batch: SegmentBatch, generator: torch.Generator, *, training: bool) -> SegmentBatch:
        """The segments that the model is to see."""

    @abstractmethod
    def contrast(self, unit: Tensor, patient: Tensor, segment: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean loss of unit vectors (N, D), how many found one of their own nearest, and how many have such."""


class Cmsc(Contrastive):
    """Contrastive multi-segment coding (Kiyasseh et al. 2021): consecutive segments of an ECG belong together."""

    segments_per_ecg = 2

    def views(self, batch: SegmentBatch, generator: torch.Generator, *, training: bool) -> SegmentBatch:
        return replace(batch, ecg=self.changed(batch, generator)) if training else batch

    def contrast(self, unit: Tensor, patient: Tensor, segment: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cosine, positive = losses.segment_similarity(unit, patient, segment)
        found, asked = losses.nearest_is_positive(cosine, positive)
        found_back, asked_back = losses.nearest_is_positive(cosine.T, positive.T)
        loss = losses.cmsc(cosine, positive, self.settings.temperature)
        return loss, found + found_back, asked + asked_back


class _Views(Contrastive):
    """Two random views of each segment, which belong together."""

    def views(self, batch: SegmentBatch, generator: torch.Generator, *, training: bool) -> SegmentBatch:
        return doubled(batch, self.view(batch, generator), self.view(batch, generator))

    def contrast(self, unit: Tensor, patient: Tensor, segment: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        group = self.groups(patient)
        cosine = unit @ unit.T
        itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
        positive = (group[:, None] == group) & ~itself
        found, asked = losses.nearest_is_positive(cosine.masked_fill(itself, -torch.inf), positive)
        return losses.nt_xent(cosine, group, self.settings.temperature), found, asked

    @abstractmethod
    def view(self, batch: SegmentBatch, generator: torch.Generator) -> Tensor:
        """One random view (N, 12, T) of every segment."""

    @abstractmethod
    def groups(self, patient: Tensor) -> Tensor:
        """Int64 (N,): views that share a number belong together."""


class SimClr(_Views):
    """SimCLR (Chen et al. 2020): two views of a segment belong together; the views are the recipe's random changes."""

    def view(self, batch: SegmentBatch, generator: torch.Generator) -> Tensor:
        return self.changed(batch, generator)

    def groups(self, patient: Tensor) -> Tensor:
        return torch.arange(len(patient), device=patient.device) // 2


class ThreeKg(_Views):
    """3KG (Gopal et al. 2021): all views of a patient belong together; a view shows the heart turned and stretched."""

    def view(self, batch: SegmentBatch, generator: torch.Generator) -> Tensor:
        return three_kg_view(self.changed(batch, generator), batch.length, generator)

    def groups(self, patient: Tensor) -> Tensor:
        return patient


def doubled(batch: SegmentBatch, first: Tensor, second: Tensor) -> SegmentBatch:
    """Two views (N, 12, T) of a batch as one batch, the two of a segment beside each other."""
    ecg = torch.stack([first, second], 1).flatten(0, 1)
    twice = {name: getattr(batch, name).repeat_interleave(2) for name in ("length", "patient", "segment", "row")}
    return replace(batch, ecg=ecg, **twice)
