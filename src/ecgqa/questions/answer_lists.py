"""The small files beside the shards: answer lists, answers of each template, ECGs of each split."""

from __future__ import annotations

import ast
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ecgqa.artefacts import write_text
from ecgqa.errors import EcgqaError
from ecgqa.questions.layout import ANSWERS, LAYOUT, TEMPLATE_ANSWERS, dataset_root
from ecgqa.records import NONE, Split


@dataclass(frozen=True)
class AnswerLists:
    """The two answer lists of a dataset.

    classes: every answer, "none" included, in the order of answers.csv.
    by_template: the answers each template allows, in the order of answers_for_each_template.csv.
    """

    classes: list[str]
    by_template: dict[int, list[str]]


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


def _csv_rows(path: Path, header: list[str]) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EcgqaError(f"no such file: {path}", expected=LAYOUT, fix="ecgqa fetch questions") from None
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


def candidates_of(listed: Sequence[str], asked: Sequence[str] | None) -> list[str]:
    """The template's list, or what of it remains when two attributes are `asked` (a choose question)."""
    if asked is None:
        return list(listed)
    chosen = {asked_answer(attribute, listed) for attribute in asked} | {NONE}
    return [answer for answer in listed if answer in chosen]


def asked_answer(attribute: str, listed: Sequence[str]) -> str:
    """The answer that names an asked attribute: "above the normal range of p duration" -> "above the normal range"."""
    return attribute if attribute in listed else attribute.split(" of ")[0]


def read_split_ecgs(root: str | Path) -> dict[str, list[int]]:
    """The ECGs each split may use, from the `*_ecgs.tsv` files present (index, ECG id), in file order.

    A folder that holds these lists and nothing else will do.
    """
    if not any((Path(root) / f"{split.value}_ecgs.tsv").is_file() for split in Split):
        root = dataset_root(root)
    root = Path(root)
    paths = {split.value: root / f"{split.value}_ecgs.tsv" for split in Split}
    return {split: read_split_list(path)["ecg_id"].to_list() for split, path in paths.items() if path.is_file()}


def read_split_list(path: Path) -> pl.DataFrame:
    """The columns index and ecg_id of one `<split>_ecgs.tsv` file; EcgqaError if it is damaged."""
    schema = {"index": pl.Int64(), "ecg_id": pl.Int64()}
    expected = "lines of: index, tab, ECG id"
    try:
        if not path.stat().st_size:
            return pl.DataFrame(schema=schema)
        frame = pl.read_csv(path, separator="\t", has_header=False, schema=schema, quote_char=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise EcgqaError(f"{path} cannot be read: {str(error).splitlines()[0]}", expected=expected) from None
    if frame["index"].null_count() or frame["ecg_id"].null_count():
        raise EcgqaError(f"{path} has an incomplete line", expected=expected)
    return frame


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
    unknown = [split for split in split_ecgs if split not in tuple(Split)]
    if unknown:
        raise EcgqaError(f"no such split: {unknown[0]!r}", expected=" or ".join(Split))
    for split, ids in split_ecgs.items():
        write_text(dest / f"{split}_ecgs.tsv", "".join(f"{index}\t{ecg_id}\n" for index, ecg_id in enumerate(ids)))
