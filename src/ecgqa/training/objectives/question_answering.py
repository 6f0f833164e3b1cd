"""Question answering as an objective: a likelihood of the right answers, exact match on candidates."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ecgqa.artefacts import digest_of, write_json
from ecgqa.errors import EcgqaError
from ecgqa.models.answer_sets import AnswerSets
from ecgqa.models.registry import Task, build_model, takes_sets
from ecgqa.records import LEADS
from ecgqa.store import Store, open_store
from ecgqa.store.batches import Batch, BatchLoader, QuestionDataset
from ecgqa.training.distributed import World
from ecgqa.training.model_file import write_model_file
from ecgqa.training.objectives.base import Objective
from ecgqa.training.text import OWN, TOKENIZER, choose_tokenizer, start_words

if TYPE_CHECKING:
    from ecgqa.training.recipe import Recipe

ANSWERS = "answers.json"


@dataclass
class QuestionAnsweringConfig:
    """Binary cross-entropy on answer classes, or the likelihood of the right set of answers.

    Args:
        loss: "all" takes every answer class, as published; "candidates" only those that may answer the question;
            "questions" also lets every question count the same, however many candidates it has; "sets" is minus the
            log-probability of the right set of answers, for models that give one (ecgqa).
    """

    loss: Literal["all", "candidates", "questions", "sets"] = "all"


class QuestionAnswering(Objective):
    """Learns a store's train split and evaluates on its valid split."""

    config = QuestionAnsweringConfig
    task = Task.QUESTION_ANSWERING
    unit = "questions"
    monitor = "em_candidates"

    def __init__(self, recipe: Recipe, folder: Path | None = None) -> None:
        if not recipe.data.store:
            raise EcgqaError("the recipe names no store", fix="--data.store FOLDER (ecgqa store build makes one)")
        self.recipe = recipe
        self.by_sets = recipe.objective.loss == "sets"
        if self.by_sets and not takes_sets(recipe.model_name):
            raise EcgqaError(
                f"{recipe.model_name} gives no probabilities of sets of answers",
                expected="objective.loss all, candidates or questions",
                found="sets",
                fix="--objective.loss questions, or --model.name ecgqa",
            )
        self.store = open_store(recipe.data.store)
        self.folder = folder
        self.tokenizer = choose_tokenizer(recipe, self._texts, folder).limited(
            getattr(recipe.model, "max_text_tokens", None)
        )
        self._words: str | None = None
        self.train = self._dataset(recipe.data.train_split, recipe.data.max_train_questions)
        self.valid = self._dataset(recipe.data.valid_split, recipe.data.max_valid_questions)
        self._loader: tuple[tuple[int, World], BatchLoader] | None = None

    def _texts(self) -> list[str]:
        data = self.recipe.data
        return self.store.questions(data.train_split, data.version)["question"].unique().to_list()

    def _dataset(self, split: str, at_most: int | None) -> QuestionDataset:
        version = self.recipe.data.version
        dataset = QuestionDataset(self.store, split=split, version=version, encode=self.tokenizer.encode)
        if len(dataset) == 0:
            raise EcgqaError(f"{self.store.folder} holds no {split} questions")
        if at_most is None or at_most >= len(dataset):
            return dataset
        generator = np.random.default_rng([self.recipe.run.seed, *f"{split} questions".encode()])
        rows = np.sort(generator.choice(len(dataset), at_most, replace=False))
        return cast(QuestionDataset, Subset(dataset, rows))

    @property
    def inputs(self) -> dict[str, Any]:
        # The digest stands for data.tokenizer, so that a run can go on where that folder is not.
        pieces = {} if self.recipe.data.tokenizer == OWN else {"tokenizer": digest_of(self.tokenizer.to_json())}
        return {"store": store_digest(self.store), "answers": digest_of(self.store.answers), **pieces}

    @property
    def n_train(self) -> int:
        return len(self.train)

    @property
    def notes(self) -> list[str]:
        return [self._words] if self._words else []

    @property
    def sizes(self) -> dict[str, Any]:
        """What the data decides of a model."""
        answers = list(self.store.answers)
        return {
            "n_answers": len(answers),
            "vocab_size": self.tokenizer.vocab_size,
            "answer_tokens": self.tokenizer.words(answers),
            "lead_tokens": self.tokenizer.words([f"lead {lead}" for lead in LEADS]),
            "sampling_rate_hz": self.store.fs_hz,
            "separator_id": self.tokenizer.separator_id,
        }

    def build_model(self) -> nn.Module:
        model = build_model(self.recipe.model_name, self.recipe.model, **self.sizes)
        self._words = start_words(model, self.recipe.data, self.folder)
        return model

    def write_files(self, folder: Path) -> None:
        self.tokenizer.save(folder / TOKENIZER)
        write_json(folder / ANSWERS, self.store.answers)
        write_model_file(folder, self.recipe.model_name, self.recipe.model, self.sizes)

    def _train_loader(self, batch_size: int, world: World) -> BatchLoader:
        # Kept between epochs: a resident store is copied to the device once.
        if self._loader is None or self._loader[0] != (batch_size, world):
            loader = self._make_loader(self.train, batch_size, world, shuffle=True)
            self._loader = ((batch_size, world), loader)
        return self._loader[1]

    def _make_loader(self, dataset: QuestionDataset, batch_size: int, world: World, *, shuffle: bool) -> BatchLoader:
        return BatchLoader(
            dataset,
            batch_size,
            shuffle=shuffle,
            seed=self.recipe.run.seed,
            rank=world.rank,
            world_size=world.size,
            device=None if world.device.type == "cpu" else world.device,
            resident=self.recipe.data.resident,
            questions_per_ecg=self.recipe.data.questions_per_ecg,
        )

    def n_batches(self, batch_size: int, world: World) -> int:
        return len(self._train_loader(batch_size, world))

    def batches(self, epoch: int, skip: int, batch_size: int, world: World) -> Generator[Batch]:
        loader = self._train_loader(batch_size, world)
        loader.set_epoch(epoch)
        loader.skip(skip)
        yield from loader

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, int]:
        terms, weights, _ = self._loss(model, batch)
        return terms.sum(), weights.sum(), len(batch)

    def _loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor | AnswerSets]:
        """Loss (B,) and number of loss terms (B,) of each question, and what the model said."""
        if self.by_sets:
            sets: AnswerSets = model(batch, sets=True)
            return sets.loss(batch.target), torch.ones_like(batch.target[:, 0]), sets
        logits = model(batch).float()
        terms, weights = answer_losses(logits, batch, self.recipe.objective.loss)
        return terms.sum(1), weights, logits

    def name_batch(self, batch: Batch) -> str:
        rows = batch.row.tolist()
        samples = self.train.frame["sample_id"][rows[:5]].to_list()
        more = ", ..." if len(rows) > 5 else ""
        return f"{len(rows)} questions, sample_id {', '.join(map(str, samples))}{more}"

    def evaluate(
        self, model: nn.Module, batch_size: int, world: World, *, tick: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        # Rows that fill the last batches of several processes come twice: each row has its own place and is averaged.
        seen = torch.zeros((self.valid.frame.height, 4), dtype=torch.float64)
        with torch.inference_mode():
            for batch in self._make_loader(self.valid, batch_size, world, shuffle=False):
                tick()
                terms, weights, said = self._loss(model, batch)
                logits = said if isinstance(said, Tensor) else said.log_odds()
                columns = [terms, weights, exact_match(logits, batch), torch.ones(len(batch))]
                values = torch.stack([column.double().cpu() for column in columns], 1)
                seen.index_put_((batch.row.cpu(),), values, accumulate=True)
        seen = world.add_up(seen.to(world.device)).cpu()
        rows = seen[:, 3] > 0
        loss, weight, hits = (seen[rows, :3] / seen[rows, 3:]).sum(0).tolist()
        return {"loss": loss / weight, self.monitor: hits / int(rows.sum())}


def answer_losses(logits: Tensor, batch: Batch, which: str) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy (B, C) of every answer class, and the terms per question (B,).

    which: "all" (the published loss: all B * C terms), "candidates" (other terms are zero and not counted) or
    "questions" (the mean over the candidates of each question, so that one with sixty does not drown thirty with two).
    """
    terms = F.binary_cross_entropy_with_logits(logits.float(), batch.target, reduction="none")
    if which == "all":
        return terms, torch.full((len(terms),), terms.shape[1], device=terms.device)
    terms, n_candidates = terms * batch.candidates, batch.candidates.sum(1)
    if which == "candidates":
        return terms, n_candidates
    return terms / n_candidates.clamp_min(1)[:, None], n_candidates.clamp_max(1)


def exact_match(logits: Tensor, batch: Batch) -> Tensor:
    """Bool (B,): every candidate is on the right side of probability 0.5 (exactly 0.5 counts as no)."""
    given = torch.sigmoid(logits) > 0.5
    return ((given == (batch.target > 0.5)) | ~batch.candidates).all(1)


def store_digest(store: Store) -> str:
    """What a store holds, whatever folder it lies in."""
    return digest_of({key: store.manifest.get(key) for key in ("inputs", "config", "counts", "parts")})


class Subset:
    """Some rows of a QuestionDataset, with what BatchLoader asks of one; `Batch.row` stays that of the whole frame."""

    def __init__(self, dataset: QuestionDataset, rows: NDArray[np.int64]) -> None:
        self.dataset, self.rows = dataset, rows
        self.frame, self.decoder = dataset.frame, dataset.decoder
        self.n_ecgs: NDArray[np.int64] = dataset.n_ecgs[rows]
        self.text_length: NDArray[np.int64] = dataset.text_length[rows]
        self.ecg_rows: NDArray[np.int64] = dataset.ecg_rows[rows]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: NDArray[np.int64], **options: Any) -> Batch:
        return self.dataset.batch(self.rows[rows], **options)
