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
        from ecgqa.evaluation.load import load_questions
        from ecgqa.records import ATTRIBUTES, FINDINGS
        from ecgqa.tables import read_table

        chosen = Subset.read(subset) if subset is not None else None
        split, version = (chosen.split, chosen.version) if chosen else (split, version)
        frame = _with_rows(load_questions(questions, split, version), questions, split, version)
        version = version or _only_version(frame)
        frame = chosen.select(frame) if chosen else frame
        chosen = chosen or Subset.of(f"{split} ({version})", frame, {"all": True})
        material = Material(
            store=_store_of(questions),
            findings=read_table(Path(findings), FINDINGS) if findings is not None else None,
            attributes=read_table(Path(attributes), ATTRIBUTES) if attributes is not None else None,
        )
        views = make_views(view, material)
        exemplars = _exemplars(questions, version, shots, seed) if shots else []
        prompter = Prompter(views, cast(Style, style), exemplars)
        asked = list(asked_questions(frame))
        settings = {"view": view, "prompt": style, "shots": shots, "seed": seed, "subset": chosen.name}
        inputs: dict[str, Any] = {"subset": chosen.digest}
        for one in views:
            inputs |= one.inputs
        if exemplars:
            inputs["exemplars"] = digest_of([one.key for one in exemplars])
        return cls(asked, prompter, chosen, settings, inputs)


def _store_of(questions: str | Path) -> Any:
    from ecgqa.store import open_store

    folder = Path(questions)
    return open_store(folder) if (folder / "signals.npy").is_file() else None


def _with_rows(frame: pl.DataFrame, questions: str | Path, split: str | None, version: str | None) -> pl.DataFrame:
    """The questions of a store with the rows of its signals."""
    store = _store_of(questions)
    return frame if store is None else store.questions(split, version)


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

    frame = _with_rows(load_questions(questions, "train", version), questions, "train", version)
    draw = random.Random(f"exemplars {seed}")
    by_type = [group.sort("sample_id") for group in frame.sort("question_type").partition_by("question_type")]
    chosen = []
    for place in range(shots):
        group = by_type[place % len(by_type)]
        chosen += list(asked_questions(group[draw.randrange(group.height)]))
    return chosen
