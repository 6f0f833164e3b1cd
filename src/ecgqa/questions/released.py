"""The published ECG-QA folder: its shards, answer lists and split lists, to the questions table and back."""

from __future__ import annotations

import ast
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from ecgqa.artefacts import write_text
from ecgqa.errors import EcgqaError
from ecgqa.questions.shards import KEYS, PATH_KEY, Problem, format_shard, parse_shard, read_bytes
from ecgqa.records import NONE, QUESTIONS, Split, Version
from ecgqa.tables import conform

ANSWERS: Final = "answers.csv"
TEMPLATE_ANSWERS: Final = "answers_for_each_template.csv"
SHARD_SIZE: Final = 10_000
_LAYOUT: Final = "a folder with template/ and/or paraphrased/, answers.csv and answers_for_each_template.csv"
_SEPARATOR: Final = "\x1f"


@dataclass(frozen=True)
class AnswerLists:
    """The two answer lists of a dataset.

    classes: every answer, "none" included, in the order of answers.csv.
    by_template: the answers each template allows, in the order of answers_for_each_template.csv.
    """

    classes: list[str]
    by_template: dict[int, list[str]]


@dataclass(frozen=True)
class ShardFile:
    """Where one shard stands in a dataset."""

    path: Path
    version: str
    split: str

    @property
    def where(self) -> str:
        """Short name for messages, e.g. template/train/120000.json."""
        return f"{self.version}/{self.split}/{self.path.name}"


def dataset_root(root: str | Path) -> Path:
    """The folder that holds template/ and paraphrased/: `root`, or its parent when `root` is one of those two.

    Raises EcgqaError that says where to look instead if `root` is neither.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise EcgqaError(f"no such folder: {root}", expected=_LAYOUT, fix="ecgqa fetch questions")
    if _holds_versions(root):
        return root
    resolved = root.resolve()
    for inner, outer in ((resolved, resolved.parent), (resolved.parent, resolved.parent.parent)):
        if inner.name in tuple(Version) and (outer / ANSWERS).is_file():
            return outer if root.is_absolute() else _relative_parent(root, outer)
    below = sorted(child.name for child in root.iterdir() if child.is_dir() and _holds_versions(child))
    raise EcgqaError(
        f"{root} is no question dataset: it has neither template/ nor paraphrased/",
        expected=_LAYOUT,
        found=", ".join(sorted(child.name for child in root.iterdir())[:8]) or "an empty folder",
        fix=f"name {' or '.join(str(root / name) for name in below)}" if below else "ecgqa fetch questions",
    )


def _relative_parent(root: Path, outer: Path) -> Path:
    for candidate in (root.parent, root.parent.parent):
        if candidate.resolve() == outer:
            return candidate
    return outer


def _holds_versions(folder: Path) -> bool:
    return any((folder / version).is_dir() for version in Version)


def shard_files(
    root: Path, *, splits: Sequence[str] | None = None, versions: Sequence[str] | None = None
) -> list[ShardFile]:
    """The shards present below a dataset root: by version, split, and number of the first sample."""
    found = []
    for version in Version:
        for split in Split:
            folder = root / version / split
            if (versions is not None and version not in versions) or (splits is not None and split not in splits):
                continue
            if folder.is_dir():
                paths = [path for path in folder.glob("*.json") if not path.name.startswith(".") and path.is_file()]
                paths.sort(key=lambda path: (not path.stem.isdecimal(), len(path.stem.lstrip("0")), path.stem))
                found += [ShardFile(path, version.value, split.value) for path in paths]
    return found


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
        unknown = frame.filter(~pl.col(key).is_in(dtype.categories))
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


def candidates_of(listed: Sequence[str], asked: Sequence[str] | None) -> list[str]:
    """The template's list, or what of it remains when two attributes are `asked` (a choose question)."""
    if asked is None:
        return list(listed)
    chosen = {asked_answer(attribute, listed) for attribute in asked} | {NONE}
    return [answer for answer in listed if answer in chosen]


def asked_answer(attribute: str, listed: Sequence[str]) -> str:
    """The answer that names an asked attribute: "above the normal range of p duration" -> "above the normal range"."""
    return attribute if attribute in listed else attribute.split(" of ")[0]


def read_answer_lists(root: str | Path) -> AnswerLists:
    """answers.csv and answers_for_each_template.csv of a dataset; EcgqaError naming file and line if they are wrong."""
    root = dataset_root(root)
    classes: list[str] = []
    for line, row in _csv_rows(root / ANSWERS, ["index", "class"]):
        if row[0] != str(len(classes)):
            raise EcgqaError(
                f"{root / ANSWERS}, line {line}: index is out of order", expected=str(len(classes)), found=row[0]
            )
        classes.append(row[1])
    by_template: dict[int, list[str]] = {}
    for line, row in _csv_rows(root / TEMPLATE_ANSWERS, ["template_id", "classes"]):
        where = f"{root / TEMPLATE_ANSWERS}, line {line}"
        if not row[0].isascii() or not row[0].isdigit() or len(row[0]) > 4 or int(row[0]) in by_template:
            raise EcgqaError(f"{where}: not a new template id", expected="a number that occurs once", found=row[0])
        by_template[int(row[0])] = _string_list(row[1], where)
    return AnswerLists(classes, by_template)


def _csv_rows(path: Path, header: list[str]) -> Iterable[tuple[int, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EcgqaError(f"no such file: {path}", expected=_LAYOUT, fix="ecgqa fetch questions") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EcgqaError(f"{path} cannot be read: {error}") from None
    try:
        rows = list(enumerate(csv.reader(io.StringIO(text), strict=True), 1))
    except csv.Error as error:
        raise EcgqaError(
            f"{path} is damaged: {error}", expected=f"a CSV file with columns {','.join(header)}"
        ) from None
    if not rows or rows[0][1] != header:
        found = ",".join(rows[0][1]) if rows else "an empty file"
        raise EcgqaError(f"{path} has the wrong columns", expected=",".join(header), found=found[:200])
    for line, row in rows[1:]:
        if len(row) != 2:
            raise EcgqaError(f"{path}, line {line}: wrong number of columns", expected="2", found=str(len(row)))
    return rows[1:]


def _string_list(text: str, where: str) -> list[str]:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        value = None
    if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
        raise EcgqaError(f"{where}: not a list of answers", expected="['no', 'yes']", found=text[:80])
    return value


def read_split_ecgs(root: str | Path) -> dict[str, list[int]]:
    """The ECGs each split may use, from the `*_ecgs.tsv` files present (index, ECG id), in file order."""
    root = dataset_root(root)
    lists: dict[str, list[int]] = {}
    for split in Split:
        path = root / f"{split.value}_ecgs.tsv"
        if not path.is_file():
            continue
        schema = {"index": pl.Int64(), "ecg_id": pl.Int64()}
        try:
            frame = pl.read_csv(path, separator="\t", has_header=False, schema=schema) if path.stat().st_size else None
        except (pl.exceptions.PolarsError, OSError) as error:
            raise EcgqaError(
                f"{path} cannot be read: {str(error).splitlines()[0]}", expected="lines of: index, tab, ECG id"
            ) from None
        if frame is not None and (frame["index"].null_count() or frame["ecg_id"].null_count()):
            raise EcgqaError(f"{path} has an incomplete line", expected="lines of: index, tab, ECG id")
        lists[split.value] = frame["ecg_id"].to_list() if frame is not None else []
    return lists


def shard_name(first_sample: int, width: int) -> str:
    """File name of the shard whose first sample is `first_sample`."""
    return f"{first_sample:0{width}d}.json"


def name_width(last_sample: int, shard_size: int = SHARD_SIZE) -> int:
    """Digits of the shard names of a split: those of its last shard, at least five.

    As in the release: six for PTB-XL train (last 260000), five for its valid and test, six for MIMIC-IV-ECG.
    """
    return max(5, len(str(last_sample // shard_size * shard_size)))


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
    if "candidates" not in questions.columns:
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


def write_answer_lists(answers: AnswerLists, dest: Path) -> None:
    """Write answers.csv and answers_for_each_template.csv in the formatting of the release."""
    listed = [[str(template_id), repr(list(classes))] for template_id, classes in answers.by_template.items()]
    numbered = [[str(index), name] for index, name in enumerate(answers.classes)]
    for name, rows in (
        (ANSWERS, [["index", "class"], *numbered]),
        (TEMPLATE_ANSWERS, [["template_id", "classes"], *listed]),
    ):
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows(rows)
        write_text(dest / name, stream.getvalue())


def write_split_ecgs(split_ecgs: Mapping[str, Sequence[int]], dest: Path) -> None:
    """Write `<split>_ecgs.tsv` (running index, tab, ECG id; no header) for each split given."""
    _known("split", list(split_ecgs), [split.value for split in Split])
    for split, ids in split_ecgs.items():
        write_text(dest / f"{split}_ecgs.tsv", "".join(f"{index}\t{ecg_id}\n" for index, ecg_id in enumerate(ids)))


def _ranges(numbers: Iterable[int]) -> str:
    """1, 2, 3, 5 -> "1-3, 5"."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts) or "none"
