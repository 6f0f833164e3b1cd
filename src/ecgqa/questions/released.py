"""The published ECG-QA folder as the questions table, and back, byte by byte."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from ecgqa.artefacts import write_text
from ecgqa.errors import EcgqaError
from ecgqa.questions.answer_lists import (
    AnswerLists,
    asked_answer,
    candidates_of,
    read_answer_lists,
    read_split_ecgs,
    write_answer_lists,
    write_split_ecgs,
)
from ecgqa.questions.layout import (
    SHARD_SIZE,
    TEMPLATE_ANSWERS,
    ShardFile,
    dataset_root,
    name_width,
    shard_files,
    shard_name,
)
from ecgqa.questions.shards import KEYS, PATH_KEY, Problem, format_shard, parse_shard, read_bytes
from ecgqa.records import QUESTIONS, Split, Version
from ecgqa.tables import conform

__all__ = [
    "AnswerLists",
    "asked_answer",
    "candidates_of",
    "dataset_root",
    "read_answer_lists",
    "read_questions",
    "read_split_ecgs",
    "with_candidates",
    "write_answer_lists",
    "write_dataset",
    "write_split_ecgs",
]

_SEPARATOR = "\x1f"


def read_questions(
    root: str | Path, *, splits: Sequence[str] | None = None, versions: Sequence[str] | None = None
) -> pl.DataFrame:
    """The questions below `root` (published layout; any subset of the shards) as the questions table with candidates.

    Rows are ordered by version, split and position in the shards. Keys beyond the published ones (ecg_path of a mapped
    dataset) are left out. Raises EcgqaError naming file, sample and key for the first thing that does not fit; use
    `ecgqa questions check` to see all of them.
    """
    root = dataset_root(root)
    _known("split", splits, [split.value for split in Split])
    _known("version", versions, [version.value for version in Version])
    files = shard_files(root, splits=splits, versions=versions)
    for name, asked, present in (
        ("split", splits, {file.split for file in files}),
        ("version", versions, {file.version for file in files}),
    ):
        absent = [value for value in asked or [] if value not in present]
        if absent or not files:
            raise EcgqaError(
                f"{root} holds no questions" + (f" of {name} {absent[0]!r}" if absent else ""),
                expected="JSON files such as template/train/000000.json",
                found=", ".join(sorted(present)) or "none",
                fix="ecgqa fetch questions",
            )
    answers = read_answer_lists(root)
    frames = []
    for file in files:
        shard = parse_shard(read_bytes(file.path, file.where), file.where)
        shard.raise_first()
        frames.append(_as_questions(shard.frame, file))
    return with_candidates(pl.concat(frames, rechunk=False), answers.by_template).select(*QUESTIONS.columns)


def _known(name: str, values: Sequence[str] | None, known: list[str]) -> None:
    if isinstance(values, str):
        raise EcgqaError(f"{name}s must be a list", expected=f'["{values}"]', found=repr(values))
    for value in values or []:
        if value not in known:
            raise EcgqaError(f"no such {name}: {value!r}", expected=" or ".join(known))


def _as_questions(frame: pl.DataFrame, file: ShardFile) -> pl.DataFrame:
    """A shard's rows with the column types of the questions table; EcgqaError if a type name is unknown."""
    for key in ("question_type", "attribute_type"):
        dtype = QUESTIONS.columns[key].dtype
        assert isinstance(dtype, pl.Enum)
        unknown = frame.filter(~pl.col(key).is_in(list(dtype.categories)))
        if unknown.height:
            row = unknown.row(0, named=True)
            problem = Problem(
                file.where,
                f"sample_id {row['sample_id']}",
                key,
                f"is no known {key.replace('_', ' ')}",
                ", ".join(dtype.categories),
                repr(row[key]),
            )
            raise problem.error(unknown.height - 1)
        frame = frame.with_columns(pl.col(key).cast(dtype))
    return frame.with_columns(
        pl.lit(file.split).cast(QUESTIONS.columns["split"].dtype).alias("split"),
        pl.lit(file.version).cast(QUESTIONS.columns["version"].dtype).alias("version"),
    )


def with_candidates(frame: pl.DataFrame, by_template: Mapping[int, Sequence[str]]) -> pl.DataFrame:
    """`frame` with the column `candidates`: the answers that may be given to each question.

    Choose questions offer the two attributes asked (numeric ranges cut at " of ") and "none", all others the whole
    list of their template, always in the order of that list. Raises EcgqaError for a template without a list.
    Source: the published preprocessing (`valid_classes`).
    """
    missing = sorted(set(frame["template_id"].unique().to_list()) - by_template.keys())
    if missing:
        first = frame.filter(pl.col("template_id") == missing[0]).row(0, named=True)
        where = "/".join(str(first[key]) for key in ("version", "split") if key in first)
        raise EcgqaError(
            f"template id {missing[0]} is unknown: it has no row in {TEMPLATE_ANSWERS}",
            expected=f"one of {_ranges(by_template)}",
            found=f"template {missing[0]} in {where} sample {first.get('sample_id')}",
            fix="use the answer lists that belong to these questions",
        )
    key = pl.when(pl.col("question_type").cast(pl.String).str.ends_with("choose") & pl.col("attribute").is_not_null())
    keyed = frame.drop("candidates", strict=False).with_columns(
        key.then(pl.col("attribute").list.join(_SEPARATOR)).otherwise(pl.lit("")).alias("_asked")
    )
    distinct = keyed.select("template_id", "_asked").unique(maintain_order=True)
    table = distinct.with_columns(
        pl.Series(
            "candidates",
            [
                candidates_of(by_template[template_id], asked.split(_SEPARATOR) if asked else None)
                for template_id, asked in distinct.iter_rows()
            ],
            dtype=pl.List(pl.String()),
        )
    )
    return keyed.join(table, on=["template_id", "_asked"], how="left", maintain_order="left").drop("_asked")


def write_dataset(
    questions: pl.DataFrame,
    dest: Path,
    *,
    answers: AnswerLists,
    split_ecgs: Mapping[str, Sequence[int]],
    shard_size: int = SHARD_SIZE,
    name_widths: Mapping[str, int] | None = None,
) -> None:
    """Write `questions` in the published layout below `dest`; a released shard comes out byte by byte as it was.

    questions: questions table (`candidates` is not needed); a column `ecg_path` (list of strings), if there is one, is
        appended to each sample as the published mapping step does.
    split_ecgs: ECG ids per split, in order, for the `*_ecgs.tsv` files.
    name_widths: digits of the shard names per split; without it those of the split's last shard (see `name_width`).

    Raises EcgqaError if `dest` holds other shards already, or if sample ids repeat within a split.
    """
    # Not written, and by far the largest column: nothing below copies it.
    questions = questions.with_columns(pl.lit([], dtype=pl.List(pl.String())).alias("candidates"))
    questions = conform(questions, QUESTIONS, where="questions")
    columns = [*KEYS, PATH_KEY] if PATH_KEY in questions.columns else list(KEYS)
    planned: list[tuple[Path, pl.DataFrame]] = []
    for version, split in ((version.value, split.value) for version in Version for split in Split):
        part = questions.filter(pl.col("version") == version, pl.col("split") == split)
        if part.is_empty():
            continue
        ids = part["sample_id"]
        if ids.n_unique() != part.height:
            repeated = ids.filter(ids.is_duplicated())[0]
            raise EcgqaError(
                f"sample id {repeated} occurs more than once in {version}/{split}", expected="one row each"
            )
        last = int(ids.max())  # type: ignore[arg-type]
        width = (name_widths or {}).get(split) or name_width(last, shard_size)
        part = part.sort("sample_id").with_columns((pl.col("sample_id") // shard_size * shard_size).alias("_first"))
        for (first,), rows in part.partition_by("_first", as_dict=True, maintain_order=True).items():
            planned.append((dest / version / split / shard_name(int(str(first)), width), rows.select(columns)))
    _refuse_other_shards(dest, {path for path, _ in planned})
    for path, rows in planned:
        write_text(path, format_shard(rows.iter_rows(), with_paths=PATH_KEY in columns))
    write_answer_lists(answers, dest)
    write_split_ecgs(split_ecgs, dest)


def _refuse_other_shards(dest: Path, planned: set[Path]) -> None:
    if not dest.is_dir():
        return
    strays = [file.path for file in shard_files(dest) if file.path not in planned]
    if strays:
        raise EcgqaError(f"{dest} already holds other questions", found=str(strays[0]), fix="choose an empty folder")


def _ranges(numbers: Iterable[int]) -> str:
    """1, 2, 3, 5 -> "1-3, 5"."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts) or "none"
