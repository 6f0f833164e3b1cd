"""wav2vec 2.0 as an objective: hidden frames are told from others of the same ECG; with CMSC, patients from others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from ecgqa.errors import EcgqaError
from ecgqa.models.wav2vec2 import Prediction
from ecgqa.store.segments import SegmentBatch
from ecgqa.training import losses
from ecgqa.training.distributed import gathered, unwrapped
from ecgqa.training.masking import draw_negatives, draw_spans, trim_to_poorest
from ecgqa.training.objectives.self_supervised import SelfSupervised, SelfSupervisedConfig

if TYPE_CHECKING:
    from pathlib import Path

    from ecgqa.training.recipe import Recipe


@dataclass
class Wav2Vec2ObjectiveConfig(SelfSupervisedConfig):
    """InfoNCE on hidden frames; the defaults are those of the published runs, cmsc_weight apart.

    Args:
        mask_share: frames begun by spans, times the length of a span, as a share of all frames; spans overlap.
        mask_span: frames of a span.
        n_negatives: other hidden frames of the same ECG that each is told from.
        temperature: of the cosines.
        diversity_weight: weight of the share of codes that is not in use.
        feature_weight: weight of the mean square of the convolved features.
        cmsc_weight: weight of contrastive multi-segment coding, for which two consecutive segments of each ECG are
            seen; 0 is wav2vec 2.0 alone, 1 the W2V+CMSC of the paper.
        cmsc_temperature: of the cosines of segments.
        gumbel_start: temperature of the Gumbel softmax in the first update.
        gumbel_end: least temperature.
        gumbel_decay: factor on the temperature with each update.
    """

    mask_share: float = 0.65
    mask_span: int = 10
    n_negatives: int = 100
    temperature: float = 0.1
    diversity_weight: float = 0.1
    feature_weight: float = 10.0
    cmsc_weight: float = 0.0
    cmsc_temperature: float = 0.1
    gumbel_start: float = 2.0
    gumbel_end: float = 0.5
    gumbel_decay: float = 0.999995

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("mask_share", "mask_span", "n_negatives", "temperature", "cmsc_temperature", "gumbel_end"):
            if getattr(self, name) <= 0:
                raise EcgqaError(f"objective.{name} is positive", found=str(getattr(self, name)))


class Wav2Vec2Objective(SelfSupervised):
    """Sources: Baevski et al. 2020 (wav2vec 2.0), Kiyasseh et al. 2021 (CMSC), Oh et al. 2022 (both, and RLM)."""

    config = Wav2Vec2ObjectiveConfig

    def __init__(self, recipe: Recipe, folder: Path | None = None) -> None:
        self.segments_per_ecg = 2 if recipe.objective.cmsc_weight else 1  # type: ignore[misc]
        self.gumbel_temperature = recipe.objective.gumbel_start
        super().__init__(recipe, folder)

    def begin_update(self, update: int) -> None:
        s = self.settings
        self.gumbel_temperature = gumbel_temperature(update, s.gumbel_start, s.gumbel_end, s.gumbel_decay)

    def terms(self, model: nn.Module, batch: SegmentBatch, generator: torch.Generator) -> dict[str, Tensor]:
        ecg = self.changed(batch, generator) if model.training else batch.ecg
        mask = self._mask(model, batch, generator)
        prediction: Prediction = model(ecg, batch.length, mask, temperature=self.gumbel_temperature)
        count, most = prediction.held.sum(1), prediction.held.shape[1]
        negatives = draw_negatives(count, most, self.settings.n_negatives, generator)
        with torch.autocast(ecg.device.type, enabled=False):
            return terms_of(prediction, negatives, batch.patient, batch.segment, self.settings, self.repaired).sums()

    def _mask(self, model: nn.Module, batch: SegmentBatch, generator: torch.Generator) -> Tensor:
        n_frames = unwrapped(model).n_frames
        width = int(n_frames(torch.tensor(batch.ecg.shape[-1])))
        share, span = self.settings.mask_share, self.settings.mask_span
        mask = draw_spans(n_frames(batch.length), width, share, span, generator)
        return mask if self.repaired else trim_to_poorest(mask, generator)

    def values(self, summed: dict[str, float]) -> dict[str, float]:
        n = summed["terms"]
        names = {"loss": "loss", "info_nce": "info_nce", "perplexity": "perplexity", "accuracy": "hits"}
        shown = {name: summed[key] / n for name, key in names.items()}
        if self.settings.cmsc_weight:
            shown["cmsc"] = summed["cmsc"] / n
            shown["segment_accuracy"] = summed["segments_found"] / max(summed["segments"], 1.0)
        return shown


class Terms(NamedTuple):
    """The loss of one batch in its parts, as sums over its `n` hidden frames; all scalars."""

    n: Tensor
    info_nce: Tensor
    diversity: Tensor
    penalty: Tensor
    cmsc: Tensor
    hits: Tensor
    perplexity: Tensor
    segments_found: Tensor
    segments: Tensor

    @property
    def loss(self) -> Tensor:
        return self.info_nce + self.diversity + self.penalty + self.cmsc

    def sums(self) -> dict[str, Tensor]:
        """Everything by name, as `SelfSupervised.terms` wants it; what only informs, without gradient."""
        informing = {name: value.detach() for name, value in self._asdict().items() if name != "n"}
        return informing | {"loss": self.loss, "terms": self.n}


def terms_of(
    prediction: Prediction,
    negatives: Tensor,
    patient: Tensor,
    segment: Tensor,
    settings: Wav2Vec2ObjectiveConfig,
    repaired: bool = True,
) -> Terms:
    """The weighted terms of the loss.

    negatives int64 (B, M, K) places among the hidden frames of the same row; patient, segment int64 (B,).
    repaired: codes, features and CMSC are those of all processes, so that these terms are the same however a batch is
    shared among processes, and CMSC's gradient also goes through the norm; otherwise as in the original.
    """
    everywhere = gathered if repaired else lambda rows: rows
    held, n = prediction.held, prediction.held.sum()
    logits = losses.frame_logits(
        prediction.predicted, prediction.targets, prediction.codes, negatives, settings.temperature
    )
    probabilities = everywhere(prediction.probabilities[held].sum(0, keepdim=True)).sum(0)
    used = losses.usage(probabilities, everywhere(n[None]).sum())
    cmsc, found, asked = torch.zeros(3, device=n.device)
    if settings.cmsc_weight:
        unit = everywhere(losses.unit_length(prediction.pooled, through_norm=repaired))
        cosine, positive = losses.segment_similarity(unit, everywhere(patient), everywhere(segment))
        cmsc = settings.cmsc_weight * losses.cmsc(cosine, positive, settings.cmsc_temperature)
        pairs = [losses.nearest_is_positive(cosine, positive), losses.nearest_is_positive(cosine.T, positive.T)]
        found, asked = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    return Terms(
        n=n,
        info_nce=losses.info_nce(logits, held),
        diversity=n * settings.diversity_weight * losses.diversity(used, prediction.probabilities[0, 0].numel()),
        penalty=n * settings.feature_weight * everywhere(prediction.energy).mean(),
        cmsc=n * cmsc,
        hits=losses.ranked_first(logits, held),
        perplexity=n * used,
        segments_found=found,
        segments=asked,
    )


def gumbel_temperature(update: int, start: float, end: float, decay: float) -> float:
    """Temperature of the Gumbel softmax in update number `update`: start * decay^update, but at least `end`."""
    return float(max(start * decay**update, end))
