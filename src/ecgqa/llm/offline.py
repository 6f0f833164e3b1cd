"""Runs of readers that ask nobody (symbolic, oracle): the same run folder as a language model's, at no cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from ecgqa import run_folder
from ecgqa.errors import EcgqaError
from ecgqa.questions.asked import Asked, AskedReader
from ecgqa.records import NONE, PREDICTIONS, Status, options_of

if TYPE_CHECKING:
    import polars as pl

    from ecgqa.attributes.vocabulary import Vocabulary
    from ecgqa.questions.subset import Subset

READERS: Final = ("symbolic", "oracle")


@dataclass(frozen=True)
class Answers:
    """Answers to one question of the grid about many ECGs: the `words` whose score is above one half."""

    words: tuple[str, ...]
    scores: npt.NDArray[np.float32]
    """(n, words)."""
    known: npt.NDArray[np.bool_]
    """(n,) whether the reader could answer at all."""
    problem: str = ""
    """Why it could not, where it could not."""

    def of(self, row: int, candidates: Sequence[str]) -> tuple[list[str], list[float]]:
        """The answer about one ECG, and the score of each of options_of(candidates)."""
        score_of = dict(zip(self.words, self.scores[row].tolist(), strict=True))
        options = options_of(list(candidates))
        scores = [score_of.get(option, 0.0) for option in options]
        return [option for option, score in zip(options, scores, strict=True) if score > 0.5] or [NONE], scores


class OfflineReader(Protocol):
    """Answers a question of the grid about many ECGs at once."""

    @property
    def name(self) -> str: ...
    def answer(self, asked: Asked, ecg_ids: npt.NDArray[np.int64]) -> Answers:
        """ecg_ids: (n, 1), or (n, 2) for comparisons."""


def answer_all(
    questions: pl.DataFrame, reader: OfflineReader, vocabulary: Vocabulary, run: str | None = None
) -> tuple[pl.DataFrame, Counter[str]]:
    """Prediction rows for a QUESTIONS frame, and why questions failed: they have no row with an answer."""
    import polars as pl

    columns = questions.select("template_id", "question", "attribute", "ecg_id", "candidates").rows()
    found: list[tuple[list[str], list[float] | None, str]] = [([], None, Status.FAILED.value)] * len(columns)
    problems: Counter[str] = Counter()
    asked_reader = AskedReader(vocabulary)
    groups: dict[str, tuple[Asked, list[int]]] = {}
    for row, (template_id, text, attribute, ecg_ids, _) in enumerate(columns):
        asked = asked_reader.read(template_id, None if attribute is None else tuple(attribute), text)
        if asked is None:
            problems["questions that are none of the templates'"] += 1
        elif len(ecg_ids) != asked.question.template.question_type.n_ecgs:
            problems["questions with a wrong number of ECGs"] += 1
        else:
            groups.setdefault(asked.question.name, (asked, []))[1].append(row)
    for asked, rows in groups.values():
        answers = reader.answer(asked, np.array([columns[row][3] for row in rows], dtype=np.int64))
        for place, (row, known) in enumerate(zip(rows, answers.known.tolist(), strict=True)):
            if known:
                found[row] = (*answers.of(place, columns[row][4]), Status.OK.value)
            else:
                problems[f"questions about an ECG of which {answers.problem}"] += 1
    answer, scores, status = ([one[part] for one in found] for part in range(3))
    frame = questions.select(
        "sample_id",
        "split",
        "version",
        pl.lit(run or reader.name).alias("run"),
        pl.Series("answer", answer, dtype=pl.List(pl.String)),
        pl.Series("scores", scores, dtype=pl.List(pl.Float32)),
        pl.Series("status", status, dtype=PREDICTIONS.columns["status"].dtype),
        pl.lit(None, dtype=pl.String).alias("raw"),
    )
    return frame, problems


def vocabulary_of(candidates: Iterable[str]) -> Vocabulary:
    """The vocabulary that knows most of these answers."""
    from ecgqa.attributes.vocabulary import VOCABULARIES
    from ecgqa.questions.grid import answer_word, question_grid

    wanted = set(candidates)

    def known(vocabulary: Vocabulary) -> int:
        grid = question_grid(vocabulary)
        return len(wanted & {answer_word(name, one.template) for one in grid for name in one.options + one.asked})

    return max((make() for make in VOCABULARIES.values()), key=known)


def run_offline(
    model: str,
    questions: pl.DataFrame,
    subset: Subset,
    out: str | Path,
    *,
    findings: pl.DataFrame | None = None,
    attributes: pl.DataFrame | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Let `symbolic` (needs FINDINGS) or `oracle` (needs ATTRIBUTES) answer; returns the counts of the run.

    The folder `out` gets run.json, predictions.parquet and manifest.json. Raises EcgqaError without what is needed, and
    where no question could be answered.
    """
    from ecgqa.llm.results import PREDICTIONS_FILE
    from ecgqa.llm.views import digest_of_table
    from ecgqa.tables import write_table

    table = findings if model == "symbolic" else attributes
    if table is None:
        what = {"symbolic": ("findings", "ecgqa findings predict"), "oracle": ("attributes", "ecgqa attributes build")}
        option, command = what[model]
        raise EcgqaError(
            f"the {model} reader needs a table of {option}",
            fix=f"--{option} FILE.parquet ({command} makes one), or --model NAME to ask a language model",
        )
    vocabulary = vocabulary_of(questions["candidates"].explode().unique().drop_nulls())
    identity = {
        "settings": {"model": model, "subset": subset.name},
        "inputs": {
            "subset": subset.digest,
            ("findings" if model == "symbolic" else "attributes"): digest_of_table(table),
        },
    }
    folder = run_folder.absolute(out)
    with run_folder.claimed(folder):
        run_folder.begin(folder, {"name": name}, identity, overwrite=overwrite, kind=run_folder.ASKING)
        rows, problems = answer_all(questions, _reader(model, table, vocabulary), vocabulary, name)
        failed = int((rows["status"].cast(str) == Status.FAILED.value).sum())
        counts = {
            "questions": rows.height,
            "replies": rows.height - failed,
            "failed": failed,
            "problems": dict(problems.most_common(10)),
        }
        if failed == rows.height:
            raise EcgqaError(
                f"none of the {rows.height:,} questions could be answered",
                found="; ".join(f"{n:,} {problem}" for problem, n in problems.most_common(2)),
                fix="give findings or attributes of the ECGs that are asked about",
            )
        write_table(rows, folder / PREDICTIONS_FILE, PREDICTIONS)
        about = {"name": subset.name, "digest": subset.digest}
        run_folder.finish(folder, identity, run_folder.ASKING, counts=counts, cost={"dollars": 0.0}, subset=about)
    return counts


def _reader(model: str, table: pl.DataFrame, vocabulary: Vocabulary) -> OfflineReader:
    if model == "symbolic":
        from ecgqa.llm.symbolic import Findings, SymbolicReader

        return SymbolicReader(Findings(table))
    from ecgqa.llm.oracle import OracleReader

    return OracleReader(table, vocabulary)
