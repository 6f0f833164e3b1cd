"""A named selection of questions, with a digest by which two results can be told to be about the same ones."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ecgqa.artefacts import digest_of, write_json
from ecgqa.errors import EcgqaError
from ecgqa.questions.templates import read_template_ids
from ecgqa.records import QUESTIONS

KIND = "subset"
_STRATA = ("question_type", "attribute_type")


@dataclass(frozen=True)
class Subset:
    """Samples of one split and version. `how` says how they were chosen; `digest` also covers what they ask."""

    name: str
    split: str
    version: str
    sample_ids: tuple[int, ...]
    how: dict[str, Any]
    digest: str

    @classmethod
    def of(cls, name: str, questions: pl.DataFrame, how: Mapping[str, Any]) -> Subset:
        """The subset of all rows of `questions` (QUESTIONS of one split and version)."""
        questions = questions.sort("sample_id")
        split, version = _the_only(questions, "split"), _the_only(questions, "version")
        asked = questions.select("sample_id", "question", "answer", "ecg_id").rows()
        digest = digest_of([split, version, [[*row[:2], sorted(row[2]), row[3]] for row in asked]])
        return cls(name, split, version, tuple(questions["sample_id"].to_list()), dict(how), digest)

    def select(self, questions: pl.DataFrame) -> pl.DataFrame:
        """The rows of `questions` that belong to it; raises EcgqaError if some are missing or ask something else."""
        of_part = questions.filter(
            (pl.col("split").cast(pl.String) == self.split) & (pl.col("version").cast(pl.String) == self.version)
        )
        kept = of_part.filter(pl.col("sample_id").is_in(self.sample_ids))
        missing = len(self.sample_ids) - kept.height
        if missing:
            raise EcgqaError(
                f"{missing} of the {len(self.sample_ids)} questions of subset {self.name} are not here",
                expected=f"the {self.split} questions ({self.version}) that the subset was drawn from",
                fix="give the data set or store that ecgqa llm sample was given",
            )
        if Subset.of(self.name, kept, self.how).digest != self.digest:
            raise EcgqaError(
                f"the questions of subset {self.name} have changed since it was drawn",
                expected=f"digest {self.digest[:12]}",
                fix="draw it again, or give the release that it was drawn from",
            )
        return kept

    def write(self, path: str | Path) -> Path:
        """Write it as JSON."""
        values = {"kind": KIND, "name": self.name, "split": self.split, "version": self.version, "how": self.how}
        return write_json(path, {**values, "digest": self.digest, "sample_ids": list(self.sample_ids)})

    @classmethod
    def read(cls, path: str | Path) -> Subset:
        """Read what `write` wrote; raises EcgqaError for anything else."""
        path = Path(path)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["kind"] != KIND:
                raise ValueError(f"kind {values['kind']}")
            ids = tuple(int(number) for number in values["sample_ids"])
            name, split, version = (str(values[key]) for key in ("name", "split", "version"))
            return cls(name, split, version, ids, dict(values["how"]), str(values["digest"]))
        except FileNotFoundError:
            raise EcgqaError(f"no such subset: {path}", fix="ecgqa llm sample makes one") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EcgqaError(f"{path} is no subset: {error}", fix="ecgqa llm sample makes one") from None


def draw_subset(questions: pl.DataFrame, name: str, *, share: float = 0.1, seed: int = 42) -> Subset:
    """A share of each question type and attribute type, as the published LLM experiments drew theirs (a tenth, 42).

    Of n questions of a kind round(share * n) are drawn (halves to the even number, as in Python). The published list
    itself cannot be drawn again (its order of files is lost); `listed_subset` takes it as it is.
    """
    if not 0 < share <= 1:
        raise EcgqaError("a share lies above 0 and at most at 1", found=str(share))
    ordered = questions.sort(*(pl.col(column).to_physical() for column in _STRATA), "sample_id")
    draw = random.Random(seed)
    chosen: list[int] = []
    for group in ordered.partition_by(*_STRATA, maintain_order=True):
        ids = group["sample_id"].to_list()
        chosen += draw.sample(ids, round(len(ids) * share))
    if not chosen:
        raise EcgqaError(f"a share of {share} of {questions.height} questions is none", fix="raise the share")
    kept = questions.filter(pl.col("sample_id").is_in(chosen))
    return Subset.of(name, kept, {"share": share, "seed": seed, "by": list(_STRATA)})


def listed_subset(questions: pl.DataFrame, name: str, path: str | Path) -> Subset:
    """The samples whose ids a text file lists, one per line (as the published list of sampled questions)."""
    path = Path(path)
    try:
        ids = sorted({int(word) for word in path.read_text(encoding="utf-8").split()})
    except OSError as error:
        raise EcgqaError(f"no such list: {path} ({error.strerror})", expected="one sample id per line") from None
    except ValueError as error:
        raise EcgqaError(f"{path} is no list of sample ids: {error}", expected="one number per line") from None
    kept = questions.filter(pl.col("sample_id").is_in(ids))
    if kept.height != len(ids):
        missing = sorted(set(ids) - set(kept["sample_id"].to_list()))
        raise EcgqaError(
            f"{len(missing)} of the {len(ids)} sample ids in {path} are not among the questions",
            found=f"for example {missing[0]}" if missing else "sample ids that occur twice",
            fix="give the complete split that the list was drawn from, of one version (--version)",
        )
    return Subset.of(name, kept, {"listed": path.name})


def filtered(questions: pl.DataFrame, conditions: Sequence[str]) -> pl.DataFrame:
    """The questions that meet every condition: "question_type=single-verify|single-query", "template_id=1,5-9"."""
    for condition in conditions:
        column, equals, text = condition.partition("=")
        column = column.strip()
        if not equals or column not in QUESTIONS.columns:
            raise EcgqaError(
                f"{condition!r} is no condition",
                expected="column=value, or column=value|value; columns: " + ", ".join(QUESTIONS.columns),
            )
        if column == "template_id":
            wanted = pl.col(column).is_in(read_template_ids(text))
        else:
            values = [value.strip() for value in text.split("|")]
            if isinstance(QUESTIONS.columns[column].dtype, pl.List):
                wanted = pl.any_horizontal(pl.col(column).cast(pl.List(pl.String)).list.contains(one) for one in values)
            else:
                wanted = pl.col(column).cast(pl.String).is_in(values)
        questions = questions.filter(wanted.fill_null(False))
        if questions.is_empty():
            raise EcgqaError(f"no question has {condition!r}")
    return questions


def _the_only(questions: pl.DataFrame, column: str) -> str:
    values = questions[column].cast(pl.String).unique().sort().to_list()
    if len(values) != 1:
        raise EcgqaError(
            f"a subset holds questions of one {column}",
            found=", ".join(values) or "no question",
            fix=f"choose one with --{column}",
        )
    return str(values[0])
