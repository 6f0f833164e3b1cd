"""What a store is made of: the questions, the ECGs they ask about, and where each of these lies."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from ecgqa.artefacts import digest_file, digest_of
from ecgqa.errors import EcgqaError
from ecgqa.questions.answer_lists import AnswerLists, read_answer_lists
from ecgqa.questions.layout import dataset_root, shard_files
from ecgqa.questions.released import read_questions
from ecgqa.records import QUESTIONS, RECORDS
from ecgqa.sources import Source

MAPPED = "mapped"
"""Source name of ECGs that are known by the paths in a mapped data set only."""

FIRST_MIMIC_STUDY = 40_000_000
"""MIMIC-IV-ECG study ids have eight digits and begin here; PTB-XL ids end at 21,837."""


@dataclass(frozen=True)
class Questions:
    """The questions table (table 3), its answer lists, and the digest of the files both were read from.

    A store of ECGs alone has a table without rows, and neither folder nor digest.
    """

    root: Path | None
    frame: pl.DataFrame
    answers: AnswerLists
    digest: str | None

    @property
    def ecgs(self) -> pl.Series:
        """The ECGs asked about, ascending."""
        return self.frame["ecg_id"].explode().drop_nulls().unique().sort()


@dataclass(frozen=True)
class Recordings:
    """One RECORDS row per wanted ECG that the source knows (sorted by ecg_id), and its path on this machine.

    extra: ids of the ECGs to pack whether or not a question asks about them, int64.
    """

    source: str
    frame: pl.DataFrame
    paths: list[str]
    digest: str
    extra: pl.Series
    folder: Source | None = None
    """The source itself, where the ECGs come from one and not from a mapped data set."""


def load_questions(root: Path | None, splits: Sequence[str] | None, versions: Sequence[str] | None) -> Questions:
    """Read the questions of the named splits and wordings (None: all there are), without repeated rows.

    Without a folder there are none. Raises EcgqaError if two different rows share a sample number.
    """
    if root is None:
        if splits is not None or versions is not None:
            raise EcgqaError(
                "--splits and --versions choose questions, and there are none",
                fix="name the folder of the questions before the destination",
            )
        return Questions(None, QUESTIONS.empty(), AnswerLists([], {}), None)
    frame = read_questions(root, splits=splits, versions=versions)
    answers = read_answer_lists(root)
    root = dataset_root(root)
    files = [file.path for file in shard_files(root, splits=splits, versions=versions)]
    digest = digest_of({path.relative_to(root).as_posix(): digest_file(path) for path in files} | vars(answers))
    key = ["version", "split", "sample_id"]
    repeated = frame.filter(pl.struct(key).is_duplicated())
    if repeated.height:
        if repeated.unique().height != repeated.select(key).unique().height:
            version, split, sample_id = repeated.select(key).row(0)
            raise EcgqaError(
                f"{root}: {version}/{split} holds different samples with the same number",
                expected="one sample per sample_id",
                found=f"sample_id {sample_id} more than once",
                fix=f"ecgqa questions check {root}",
            )
        frame = frame.unique(key, keep="first", maintain_order=True)
    return Questions(root, frame.sort(["version", "split"], maintain_order=True), answers, digest)


def find_recordings(
    questions: Questions, records_root: Path | None, rate: str, ecgs: Literal["all"] | Collection[int] | None = None
) -> Recordings:
    """Where the ECGs of `questions` lie: below `records_root`, else where a mapped data set says, else in the cache.

    ecgs: further ECGs to pack, whatever the questions ask about; None: no further ones, or all if there are no
        questions. Raises EcgqaError if one id stands for two recordings, or if there is no folder to look in.
    """
    from ecgqa.sources import open_source

    if questions.root is None and ecgs is None:
        ecgs = "all"
    if records_root is None:
        if ecgs is not None:
            raise EcgqaError(
                "no folder of ECGs is named",
                expected="questions, or ECGs to pack without them",
                fix="ecgqa store build QUESTIONS DEST, or for ECGs alone: ecgqa store build DEST --records FOLDER",
            )
        mapped = _mapped(questions)
        if mapped is not None:
            return mapped
        records_root = _cached(questions.ecgs)
    source = open_source(records_root)
    frame = source.records(rate).sort("ecg_id", maintain_order=True)
    extra = frame["ecg_id"].unique() if ecgs == "all" else pl.Series(sorted(ecgs or ()), dtype=pl.Int64())
    wanted = pl.concat([questions.ecgs, extra]).unique()
    frame = _one_path_each(frame.filter(pl.col("ecg_id").is_in(wanted.implode())), str(records_root))
    paths = [os.path.join(source.root, path) for path in frame["path"]]  # noqa: PTH118  (Path is slow for 10^6 of them)
    return Recordings(source.name, frame, paths, digest_of([source.name, source.digest(), rate]), extra, source)


def _cached(asked: pl.Series) -> Path:
    """The folder below the cache of `ecgqa fetch` in which the ECGs of such ids lie."""
    from ecgqa.sources.cache import resolve_root

    newest = asked.max()
    is_mimic = isinstance(newest, int) and newest >= FIRST_MIMIC_STUDY
    return resolve_root(None, "mimic-iv-ecg" if is_mimic else "ptbxl")


def _one_path_each(frame: pl.DataFrame, where: str) -> pl.DataFrame:
    """`frame` with one row per ECG; raises EcgqaError if an id has two different paths."""
    distinct = frame.unique(["ecg_id", "path"], keep="first", maintain_order=True)
    twice = distinct.filter(pl.col("ecg_id").is_duplicated())
    if twice.height:
        raise EcgqaError(
            f"{where}: ECG {twice['ecg_id'][0]} stands for more than one recording",
            expected="one recording per id",
            found=", ".join(twice["path"].head(2)),
        )
    return distinct


def _mapped(questions: Questions) -> Recordings | None:
    """The recordings named by the samples' own `ecg_path`; None if the data set is not a mapped one."""
    assert questions.root is not None
    versions, splits = questions.frame["version"].unique().to_list(), questions.frame["split"].unique().to_list()
    parts: list[pl.DataFrame] = []
    for file in shard_files(questions.root, splits=splits, versions=versions):
        text = file.path.read_text(encoding="utf-8")
        if '"ecg_path"' not in text:
            if parts:
                raise EcgqaError(f"{file.where} has no ecg_path, other shards have", fix="run ecgqa map again")
            return None
        pairs = dict.fromkeys(_pairs(json.loads(text), file.where))
        parts.append(
            pl.DataFrame(
                {"ecg_id": [ecg_id for ecg_id, _ in pairs], "path": [path for _, path in pairs]},
                schema={"ecg_id": pl.Int64(), "path": pl.String()},
            )
        )
    if not parts:
        return None
    frame = _one_path_each(pl.concat(parts), str(questions.root)).sort("ecg_id")
    absent = [name for name in RECORDS.columns if name not in ("ecg_id", "path")]
    frame = frame.with_columns(pl.lit(None, dtype=RECORDS.columns[name].dtype).alias(name) for name in absent)
    frame = frame.with_columns(pl.lit(MAPPED).alias("source")).select(*RECORDS.columns)
    # Relative paths were written relative to the folder that the mapping was run in, or to the data set itself.
    bases = (Path(), questions.root)
    first = frame["path"][0]
    base = next((base for base in bases if (base / f"{first}.hea").is_file()), bases[0])
    paths = [str(base / path) for path in frame["path"]]
    return Recordings(MAPPED, frame, paths, digest_of(frame["path"].to_list()), pl.Series([], dtype=pl.Int64()))


def _pairs(samples: list[dict[str, list[object]]], where: str) -> Iterable[tuple[object, object]]:
    for number, sample in enumerate(samples):
        ids, paths = sample["ecg_id"], sample.get("ecg_path")
        if not isinstance(paths, list) or len(paths) != len(ids) or not all(isinstance(path, str) for path in paths):
            raise EcgqaError(
                f"{where}: sample {number + 1} has no sound ecg_path",
                expected="one path for each ecg_id",
                found=repr(paths)[:200],
                fix="run ecgqa map again, or name the recordings with --records",
            )
        yield from zip(ids, paths, strict=True)
