"""A trained run's answers to the questions of a store, as prediction rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgqa.errors import EcgqaError
from ecgqa.records import NONE, PREDICTIONS, Status, options_of

if TYPE_CHECKING:
    import polars as pl

    from ecgqa.models.tokenizer import Tokenizer
    from ecgqa.signals.read import Ecg
    from ecgqa.store import Store

QUESTIONS_PER_ECG = 8
"""Questions about an ECG that share one look at it: most of the gain, and still batches of like text length."""


def predict(
    run: str | Path,
    store: Store | str | Path,
    *,
    split: str = "test",
    version: str | None = None,
    name: str | None = None,
    batch_size: int = 64,
    device: str = "auto",
    checkpoint: str = "best",
    precision: str = "fp32",
) -> pl.DataFrame:
    """Answers of the run in folder `run` to the questions of one split, as a PREDICTIONS frame in the store's order.

    scores are sigmoid probabilities of options_of(candidates); an answer holds the options above 0.5, or ["none"].
    `name` names the run in the rows (default: its folder's name). `version` None takes every wording of the split.
    Raises EcgqaError if `run` holds no trained model, or if the store asks for answers that the model does not know.
    """
    import polars as pl
    import torch

    from ecgqa.progress import progress
    from ecgqa.store import open_store
    from ecgqa.store.batches import BatchLoader, QuestionDataset
    from ecgqa.training.distributed import choose_device
    from ecgqa.training.run import _memory_told

    folder = Path(run)
    target = choose_device(device)
    model, tokenizer, answers, _ = load_run(folder, checkpoint)
    model.to(target).eval()
    opened = open_store(store) if isinstance(store, str | Path) else store
    dataset = QuestionDataset(opened, split=split, version=version, encode=tokenizer.encode)
    frame = dataset.frame
    options = [options_of(candidates) for candidates in frame["candidates"].to_list()]
    _check_answers(answers, options, folder)
    column = {answer: place for place, answer in enumerate(answers)}
    scores: list[list[float]] = [[] for _ in options]
    where = None if target.type == "cpu" else target
    loader = BatchLoader(dataset, batch_size, shuffle=False, seed=0, device=where, questions_per_ecg=QUESTIONS_PER_ECG)
    autocast = torch.autocast(target.type, dtype=torch.bfloat16, enabled=precision == "bf16")
    with _memory_told(), torch.inference_mode(), autocast, progress("predicting", len(options), unit="q") as advance:
        for batch in loader:
            probabilities = torch.sigmoid(model(batch).float()).cpu().numpy()
            for row, values in zip(batch.row.tolist(), probabilities, strict=True):
                scores[row] = values[[column[option] for option in options[row]]].tolist()
            advance(len(batch))
    given = [
        [option for option, score in zip(names, row, strict=True) if score > 0.5] or [NONE]
        for names, row in zip(options, scores, strict=True)
    ]
    from ecgqa.tables import conform

    return conform(
        pl.DataFrame(
            {
                "sample_id": frame["sample_id"],
                "split": frame["split"],
                "version": frame["version"],
                "run": pl.repeat(name or folder.resolve().name, frame.height, dtype=pl.String(), eager=True),
                "answer": pl.Series(given, dtype=pl.List(pl.String())),
                "scores": pl.Series(scores, dtype=pl.List(pl.Float32())),
                "status": pl.repeat(Status.OK.value, frame.height, dtype=pl.String(), eager=True),
                "raw": pl.Series([None] * frame.height, dtype=pl.String()),
            }
        ),
        PREDICTIONS,
    )


class Answerer:
    """A trained run that answers single questions about ECGs in memory, on the CPU."""

    def __init__(self, folder: str | Path, checkpoint: str = "best") -> None:
        self._model, self._tokenizer, self.answers, _ = load_run(folder, checkpoint)
        self._model.eval()
        self.name = Path(folder).resolve().name
        self._fs_hz = _trained_at(Path(folder))

    def probabilities(self, question: str, ecgs: Sequence[Ecg], options: Sequence[str]) -> dict[str, float]:
        """Probability of each of the options that the model knows, for a question about these ECGs (one or two).

        Raises EcgqaError for an ECG of another sampling rate than the run's, as far as that is known, and if the model
        knows none of the options.
        """
        import torch

        from ecgqa.store.batch import Batch
        from ecgqa.training.looks import InMemory

        for ecg in ecgs:
            if self._fs_hz is not None and abs(ecg.fs_hz - self._fs_hz) > 1e-6:
                raise EcgqaError(
                    "the model was trained on ECGs of another sampling rate",
                    expected=f"{self._fs_hz:g} Hz",
                    found=f"{ecg.fs_hz:g} Hz",
                    fix="give the record at that rate (PTB-XL has records500 and records100)",
                )
        known = [option for option in options if option in self.answers]
        if not known:
            raise EcgqaError(
                f"{self.name} was trained on none of the answers to this question",
                expected=f"some of its {len(self.answers)} answer classes",
                found=", ".join(options),
            )
        columns = [self.answers.index(option) for option in known]
        candidates = torch.zeros(1, len(self.answers), dtype=torch.bool)
        candidates[0, columns] = True
        given = InMemory([ecg.millivolts() for ecg in ecgs])
        (tokens,) = self._tokenizer.encode([question])
        batch = Batch(
            ecgs=given.signals,
            ecgs_length=given.length,
            ecg_of=torch.arange(len(ecgs)).unsqueeze(0),
            text=torch.tensor([tokens]),
            text_length=torch.tensor([len(tokens)]),
            target=torch.zeros(1, len(self.answers)),
            candidates=candidates,
            row=torch.zeros(1, dtype=torch.int64),
        )
        with torch.inference_mode():
            values = torch.sigmoid(self._model(batch).float())[0, columns].tolist()
        return dict(zip(known, values, strict=True))


def _trained_at(folder: Path) -> float | None:
    """Sampling rate of the store that a run was trained on, None if that store is no longer where it was."""
    from ecgqa.store import open_store

    try:
        recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
        return open_store(recipe["data"]["store"]).fs_hz
    except (OSError, ValueError, KeyError, TypeError, EcgqaError):
        return None


def load_run(folder: str | Path, checkpoint: str = "best") -> tuple[Any, Tokenizer, list[str], dict[str, Any]]:
    """Model (on the CPU), tokenizer, answer classes, and facts of the checkpoint ("best" or "last") of a run folder.

    The folder needs model.json, tokenizer.json, answers.json and the checkpoint: an unfinished run will do.
    """
    from ecgqa.models.registry import Task
    from ecgqa.models.tokenizer import Tokenizer
    from ecgqa.training.checkpoint import load_best
    from ecgqa.training.model_file import read_model_file
    from ecgqa.training.objectives.question_answering import ANSWERS
    from ecgqa.training.text import TOKENIZER

    folder = Path(folder)
    described = read_model_file(folder)
    if described.task is not Task.QUESTION_ANSWERING:
        raise EcgqaError(f"{folder} holds no model that answers questions", found=f"a model for {described.task}")
    model = described.build()
    facts = load_best(folder, model, checkpoint)
    try:
        answers = json.loads((folder / ANSWERS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EcgqaError(f"{folder / ANSWERS} is damaged or missing: {error}") from None
    tokenizer = Tokenizer.load(folder / TOKENIZER, described.config.get("max_text_tokens"))
    return model, tokenizer, answers, facts


def _check_answers(answers: list[str], options: list[list[str]], folder: Path) -> None:
    unknown = sorted({option for names in options for option in names} - set(answers))
    if unknown:
        raise EcgqaError(
            f"the store asks for answers that the model in {folder} was not trained on",
            expected=f"the model's {len(answers)} answer classes",
            found=f"{len(unknown)} others, e.g. {', '.join(map(repr, unknown[:3]))}",
            fix="predict on a store built from the same data set, or train on this one",
        )
