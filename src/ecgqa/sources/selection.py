"""Which ECG ids a list, a split table or a question data set refers to."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ecgqa.errors import EcgqaError

_COLUMNS = ("ecg_id", "study_id", "id")


def ids_in_file(path: str | Path) -> set[int]:
    """ECG ids of a text file: one a line, or a published split list (running number, id), or a CSV with a header.

    A header must have a column ecg_id, study_id or id.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise EcgqaError(f"no such file: {path}", expected="a text file with one ECG id a line") from None
    except (UnicodeDecodeError, IsADirectoryError, PermissionError) as error:
        raise EcgqaError(f"{path} cannot be read as text: {error}") from None
    ids: set[int] = set()
    column: int | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        fields = [field.strip().strip('"') for field in re.split(r"[\t,; ]+", line.strip())]
        if column is None and not ids:
            named = [fields.index(name) for name in _COLUMNS if name in fields]
            if named:
                column = named[0]
                continue
        position = column if column is not None else min(len(fields), 2) - 1
        text = fields[position] if position < len(fields) else ""
        if not re.fullmatch(r"\d{1,16}(\.0)?", text):
            raise EcgqaError(
                f"{path}, line {number}: no ECG id",
                expected="one id a line, or 'number<tab>id', or a CSV with a column ecg_id or study_id",
                found=repr(line[:80]),
            )
        ids.add(int(text.removesuffix(".0")))
    if not ids:
        raise EcgqaError(f"{path} holds no ECG ids", expected="one id a line")
    return ids


def ids_in_questions(root: str | Path, kind: str) -> set[int]:
    """ECG ids that a question data set in the published layout refers to.

    The split lists (`*_ecgs.tsv`) tell them without reading the questions; a split that has shards but no list is read
    shard by shard. `root` may also be the folder above, which holds `ptbxl/` and `mimic-iv-ecg/`.
    """
    root = Path(root)
    if not root.is_dir():
        raise EcgqaError(
            f"no such folder: {root}", expected="a question data set (template/, paraphrased/, *_ecgs.tsv)"
        )
    if (root / kind).is_dir():
        root = root / kind
    ids: set[int] = set()
    listed = set()
    for table in sorted(root.glob("*_ecgs.tsv")):
        ids |= ids_in_file(table)
        listed.add(table.name.removesuffix("_ecgs.tsv"))
    for version in ("template", "paraphrased"):
        for folder in sorted(p for p in root.glob(f"{version}/*") if p.is_dir() and p.name not in listed):
            for shard in sorted(folder.glob("*.json")):
                ids |= _ids_in_shard(shard)
    if not ids:
        raise EcgqaError(
            f"{root} refers to no ECGs", expected="a question data set (template/, paraphrased/, *_ecgs.tsv)"
        )
    return ids


def _ids_in_shard(shard: Path) -> set[int]:
    try:
        return {int(ecg_id) for sample in json.loads(shard.read_bytes()) for ecg_id in sample["ecg_id"]}
    except (ValueError, KeyError, TypeError) as error:
        raise EcgqaError(
            f"{shard} is not a shard of questions: {type(error).__name__} {error}",
            fix="ecgqa questions check on the folder tells more",
        ) from None
