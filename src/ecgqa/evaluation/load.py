"""Questions and predictions from wherever a user has them: a store, a released data set, Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ecgqa.errors import EcgqaError
from ecgqa.questions.subset import Subset
from ecgqa.records import PREDICTIONS, QUESTIONS, Split, Version
from ecgqa.tables import read_table, scan_table

ALL, ANSWERED = "all", "answered"


def load_questions(path: str | Path, split: str | None = None, version: str | None = None) -> pl.DataFrame:
    """The questions table at `path`: a store folder, a released data set (published layout), or a Parquet file.

    split: train, valid or test; version: template or paraphrased; all that are there when None. Raises EcgqaError if
    nothing of the kind is at `path`, or if it holds no question of that split and version.
    """
    path = Path(path)
    for name, value, kind in (("split", split, Split), ("version", version, Version)):
        known = [member.value for member in kind]
        if value is not None and value not in known:
            raise EcgqaError(f"no such {name}: {value!r}", expected=" or ".join(known))
    if path.is_file():
        lazy = scan_table(path, QUESTIONS)
        for name, value in (("split", split), ("version", version)):
            if value is not None:
                lazy = lazy.filter(pl.col(name).cast(pl.String) == value)
        try:
            frame = lazy.collect()
        except pl.exceptions.PolarsError as error:
            raise EcgqaError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    elif (path / "manifest.json").is_file() and (path / "questions.parquet").is_file():
        frame = load_questions(path / "questions.parquet", split, version)
    elif _is_released(path):
        from ecgqa.questions.released import read_questions

        frame = read_questions(path, splits=[split] if split else None, versions=[version] if version else None)
    elif (path / "manifest.json").is_file():
        from ecgqa.store import open_store

        frame = open_store(path).questions(split=split, version=version)
    else:
        raise EcgqaError(
            f"no questions at {path}",
            expected="a store folder, a folder with template/ or paraphrased/ and answers.csv, or a questions.parquet",
            found="no such file or folder" if not path.exists() else "a folder without them",
            fix="ecgqa store build, or ecgqa fetch questions",
        )
    if frame.is_empty():
        raise EcgqaError(f"{path} holds no question of split {split or 'any'}, version {version or 'any'}")
    return frame


def _is_released(path: Path) -> bool:
    return path.is_dir() and any((path / version.value).is_dir() for version in Version)


def load_predictions(paths: Sequence[str | Path], split: str | None = None, version: str | None = None) -> pl.DataFrame:
    """Prediction rows of all `paths`: Parquet files, or folders whose *.parquet files are predictions.

    split, version: keep only the rows of these.

    Raises EcgqaError if a file is no predictions table, or if two files hold the same run.
    """
    frames: list[pl.DataFrame] = []
    holder: dict[str, Path] = {}
    for given in paths:
        path = Path(given)
        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not files:
            raise EcgqaError(f"{path} holds no predictions", expected="*.parquet files", fix="ecgqa predict")
        for file in files:
            frame = read_table(file, PREDICTIONS).select(list(PREDICTIONS.columns))
            for run in frame["run"].unique(maintain_order=True):
                if run in holder:
                    raise EcgqaError(
                        f"run {run!r} occurs in two files",
                        found=f"{holder[run]} and {file}",
                        fix="name each run differently, or give only one of the files",
                    )
                holder[run] = file
            frames.append(frame)
    if not frames:
        raise EcgqaError("no predictions given", expected="one or more predictions.parquet files")
    found = pl.concat(frames)
    for name, value in (("split", split), ("version", version)):
        if value is not None:
            found = found.filter(pl.col(name).cast(pl.String) == value)
    if found.is_empty():
        raise EcgqaError(f"there are no predictions of split {split or 'any'}, version {version or 'any'}")
    return found


@dataclass(frozen=True)
class Selection:
    """The questions to score and the name of that selection, printed beside every number."""

    questions: pl.DataFrame
    predictions: pl.DataFrame
    subset: str


def select(questions: pl.DataFrame, predictions: pl.DataFrame, subset: str = ALL) -> Selection:
    """Keep the questions that were asked.

    Splits and versions that no prediction touches are left out. Of the rest, subset `all` keeps every question, those
    without a prediction counting as failed; `answered` only those that every run has a row for; anything else is the
    path of a subset (`ecgqa llm sample`) or of a text file with one sample id per line (as the published list of
    sampled questions), of which each must exist. Predictions outside a subset are dropped; predictions of unknown
    questions are left in, to be refused later.
    """
    pair = ["split", "version"]
    questions = questions.join(predictions.select(pair).unique(), on=pair, how="semi", maintain_order="left")
    if questions.is_empty():
        found = predictions.select(pl.col(pair).cast(pl.String)).unique().sort(pair).rows()
        raise EcgqaError(
            "the predictions answer none of these questions",
            found=", ".join("/".join(row) for row in found) + " predicted",
            fix="give the questions, split and version that the predictions were made for",
        )
    if subset == ALL:
        return Selection(questions, predictions, ALL)
    key = [*pair, "sample_id"]
    if subset == ANSWERED:
        n_runs = predictions["run"].n_unique()
        answered = predictions.group_by(key).agg(pl.col("run").n_unique()).filter(pl.col("run") == n_runs)
        kept = questions.join(answered, on=key, how="semi", maintain_order="left")
        name = f"answered by {'the run' if n_runs == 1 else f'all {n_runs} runs'}"
    elif Path(subset).suffix == ".json":
        chosen = Subset.read(subset)
        kept, name = chosen.select(questions), f"{chosen.name} ({chosen.digest[:8]})"
    else:
        ids = _sample_ids(Path(subset))
        kept = questions.filter(pl.col("sample_id").is_in(ids))
        missing = sorted(set(ids) - set(kept["sample_id"].to_list()))
        if missing:
            raise EcgqaError(
                f"{len(missing)} of {len(ids)} sample ids in {subset} are not among the questions",
                found=f"for example {missing[0]}",
                fix="give the complete split that the list was drawn from",
            )
        name = Path(subset).stem
    if kept.is_empty():
        raise EcgqaError(f"subset {subset!r} leaves no question")
    left_out = questions.join(kept.select(key), on=key, how="anti")
    return Selection(kept, predictions.join(left_out.select(key), on=key, how="anti", maintain_order="left"), name)


def _sample_ids(path: Path) -> list[int]:
    try:
        words = path.read_text(encoding="utf-8").split()
        return sorted({int(word) for word in words})
    except OSError:
        raise EcgqaError(
            f"no such subset: {path}", expected=f"{ALL}, {ANSWERED}, or a file with one sample id per line"
        ) from None
    except ValueError as error:
        raise EcgqaError(f"{path} is no list of sample ids: {error}", expected="one number per line") from None
