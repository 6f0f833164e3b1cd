"""What a language model is asked: the questions, the subset of them, and the prompts made from the chosen views."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ecgqa.artefacts import digest_of
from ecgqa.errors import EcgqaError
from ecgqa.llm.asked import AskedQuestion, asked_questions
from ecgqa.llm.prompts import Prompter, Style
from ecgqa.llm.signals import StoreSignals
from ecgqa.llm.views import Material, make_views
from ecgqa.questions.subset import Subset

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Experiment:
    """Questions and prompts, ready to be asked; `settings` and `inputs` say what it is, whatever model answers."""

    asked: list[AskedQuestion]
    prompter: Prompter
    subset: Subset
    settings: dict[str, Any]
    inputs: dict[str, Any]

    @classmethod
    def make(
        cls,
        questions: str | Path,
        *,
        view: str = "none",
        style: str = "published",
        split: str = "test",
        version: str | None = None,
        findings: str | Path | None = None,
        attributes: str | Path | None = None,
        subset: str | Path | None = None,
        shots: int = 0,
        seed: int = 42,
    ) -> Experiment:
        """Read everything that the prompts need, and check that every prompt can be made.

        questions: a store folder, a data set in the published layout or a questions.parquet; views that look at the
        signal need a store. subset: a file made by `ecgqa llm sample`; else all questions of split and version.
        shots: exemplars from the train split, drawn by seed from each question type in turn.
        """
        frame, chosen = chosen_questions(questions, split, version, subset)
        store = _store_of(questions)
        if store is not None:
            frame = chosen.select(store.questions(chosen.split, chosen.version))
        tables = {"findings": read_findings(findings), "attributes": read_attributes(attributes)}
        material = Material(signals=StoreSignals(store) if store is not None else None, **tables)
        views = make_views(view, material)
        exemplars = _exemplars(questions, chosen.version, shots, seed) if shots else []
        prompter = Prompter(views, cast(Style, style), exemplars)
        asked = list(asked_questions(frame))
        settings = {"view": view, "prompt": style, "shots": shots, "seed": seed, "subset": chosen.name}
        inputs: dict[str, Any] = {"subset": chosen.digest}
        for one in views:
            inputs |= one.inputs
        if exemplars:
            inputs["exemplars"] = digest_of([one.key for one in exemplars])
        return cls(asked, prompter, chosen, settings, inputs)


def chosen_questions(
    questions: str | Path, split: str, version: str | None, subset: str | Path | None
) -> tuple[pl.DataFrame, Subset]:
    """The questions to ask and their name: those of a subset file, else all of split and version."""
    from ecgqa.evaluation.load import load_questions

    if subset is not None:
        chosen = Subset.read(subset)
        return chosen.select(load_questions(questions, chosen.split, chosen.version)), chosen
    frame = load_questions(questions, split, version)
    return frame, Subset.of(f"{split} ({_only_version(frame)})", frame, {"all": True})


def read_findings(path: str | Path | None) -> pl.DataFrame | None:
    """The FINDINGS table of one run at `path`."""
    from ecgqa.records import FINDINGS
    from ecgqa.tables import read_table

    if path is None:
        return None
    found = read_table(Path(path), FINDINGS)
    runs = found["run"].unique().sort().to_list()
    if len(runs) != 1:
        raise EcgqaError(f"{path} does not hold the findings of one run", found=", ".join(runs) or "no finding")
    return found


def read_attributes(path: str | Path | None) -> pl.DataFrame | None:
    """The ATTRIBUTES table at `path`: a file, or the folder that ecgqa attributes build made."""
    from ecgqa.records import ATTRIBUTES
    from ecgqa.tables import read_table

    if path is None:
        return None
    return read_table(Path(path) / "attributes.parquet" if Path(path).is_dir() else Path(path), ATTRIBUTES)


def _store_of(questions: str | Path) -> Any:
    from ecgqa.store import open_store

    folder = Path(questions)
    return open_store(folder) if (folder / "signals.npy").is_file() else None


def _only_version(frame: pl.DataFrame) -> str:
    versions = frame["version"].cast(str).unique().sort().to_list()
    if len(versions) != 1:
        raise EcgqaError(
            "these questions come in two wordings", found=", ".join(versions), fix="choose one with --version"
        )
    return str(versions[0])


def _exemplars(questions: str | Path, version: str, shots: int, seed: int) -> list[AskedQuestion]:
    """Train questions, one of each question type in turn."""
    from ecgqa.evaluation.load import load_questions

    store = _store_of(questions)
    frame = load_questions(questions, "train", version) if store is None else store.questions("train", version)
    if frame.is_empty():
        raise EcgqaError(f"{questions} holds no train questions ({version}) to take exemplars from", fix="--shots 0")
    draw = random.Random(f"exemplars {seed}")
    by_type = [group.sort("sample_id") for group in frame.sort("question_type").partition_by("question_type")]
    chosen = []
    for place in range(shots):
        group = by_type[place % len(by_type)]
        chosen += list(asked_questions(group[draw.randrange(group.height)]))
    return chosen
