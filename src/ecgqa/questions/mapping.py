"""The published mapping step: every sample gets `ecg_path`, the paths of its ECG records."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any, Literal

from ecgqa.artefacts import artefact_folder, digest_file, read_manifest
from ecgqa.errors import EcgqaError
from ecgqa.progress import progress
from ecgqa.questions.answer_lists import read_answer_lists, read_split_ecgs
from ecgqa.questions.layout import ANSWERS, TEMPLATE_ANSWERS, dataset_root, shard_files
from ecgqa.questions.record_paths import (
    KINDS,
    RecordPaths,
    kind_of_ids,
    kind_of_records,
    open_record_paths,
)
from ecgqa.questions.shards import PATH_KEY, check_samples, load_samples, read_bytes, released_samples
from ecgqa.records import Split

KIND = "mapped questions"


@dataclass(frozen=True)
class Mapped:
    """What a mapping run did: numbers of files, samples (both versions together) and distinct ECGs."""

    dest: Path
    kind: str
    n_files: int
    n_samples: int
    n_skipped: int
    n_ecgs: int
    n_missing: int
    first_missing: list[int]
    already_complete: bool


def map_dataset(
    root: str | Path,
    *,
    records: str | Path | None = None,
    dest: str | Path | None = None,
    kind: str | None = None,
    records100: bool = False,
    missing: Literal["error", "skip"] = "error",
    relative: bool = False,
    overwrite: bool = False,
) -> Mapped:
    """Copy the questions below `root` to `dest` with `ecg_path` added to each sample, both versions in one go.

    Paths are `<records>/records500/12000/12662_hr` for PTB-XL (records100/…_lr with `records100`) and
    `<records>/<path of record_list.csv>` for MIMIC-IV-ECG, with `records` made absolute, or without that prefix if
    `relative`. Apart from that the files are those of `json.dump(samples, indent=4)`, under the same names; the answer
    and split lists are copied. With `missing="skip"` samples of which an ECG (.hea or .dat) is missing are left out.

    Raises EcgqaError, and leaves nothing behind, if an ECG is missing with `missing="error"` or anything is malformed.
    """
    if missing not in ("error", "skip"):
        raise EcgqaError(f"missing cannot be {missing!r}", expected="error or skip")
    root = dataset_root(root)
    files = shard_files(root)
    if not files:
        raise EcgqaError(f"{root} holds no questions", expected="JSON files such as template/train/000000.json")
    read_answer_lists(root)  # a damaged list is found before anything is written
    small = [ANSWERS, TEMPLATE_ANSWERS, *(f"{split.value}_ecgs.tsv" for split in Split)]
    small = [name for name in small if (root / name).is_file()]
    records_root, kind = _records_root(records, kind, root)
    paths = open_record_paths(records_root, kind, records100=records100)
    dest = Path(dest) if dest is not None else Path("output") / kind
    names = [*small, *(file.where for file in files)]
    inputs = {name: digest_file(root / name) for name in names} | {"records": str(paths.root)}
    config = {"kind": kind, "records100": records100, "missing": missing, "relative": relative}
    n_samples = n_skipped = 0
    with artefact_folder(dest, kind=KIND, inputs=inputs, config=config, overwrite=overwrite) as draft:
        if draft.complete:
            counts = read_manifest(dest, kind=KIND)["counts"]
            return Mapped(dest, kind, already_complete=True, **counts)
        mapper = _Mapper(paths, prefix="" if relative else f"{paths.root.as_posix().rstrip('/')}/")
        with progress("mapping", len(files), unit="files") as advance:
            for file in files:
                text, n, skipped = mapper.map_shard(read_bytes(file.path, file.where), file.where)
                n_samples, n_skipped = n_samples + n, n_skipped + skipped
                if not paths.missing or missing == "skip":
                    _write(draft.path / file.version / file.split / file.path.name, text, dest)
                advance()
        if paths.missing and (missing == "error" or n_samples == 0):
            raise _missing_error(paths, n_samples + n_skipped)
        for name in small:
            shutil.copyfile(root / name, draft.path / name)
        draft.counts = {
            "n_files": len(files),
            "n_samples": n_samples,
            "n_skipped": n_skipped,
            "n_ecgs": paths.n_asked - len(paths.missing),
            "n_missing": len(paths.missing),
            "first_missing": list(paths.missing)[:5],
        }
    return Mapped(dest, kind, already_complete=False, **draft.counts)


def _write(path: Path, data: bytes, dest: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise EcgqaError(
            f"{dest} cannot be written: {error.strerror or error}",
            fix="make room, or choose another place with --dest; nothing half-written is left",
        ) from None


def _records_root(records: str | Path | None, kind: str | None, root: Path) -> tuple[Path, str]:
    """The folder of records and its kind: as named, else as found in the folder, else by the questions' ECG ids."""
    if kind is not None and kind not in KINDS:
        raise EcgqaError(f"no such kind of records: {kind!r}", expected=" or ".join(KINDS))
    if records is not None:
        folder = Path(records).expanduser()
        if not folder.is_dir():
            raise EcgqaError(
                f"no such folder: {records}",
                expected="the folder holding records500/ (PTB-XL), or files/ and record_list.csv (MIMIC-IV-ECG)",
                fix=f"ecgqa fetch {kind or _kind_of_questions(root)}",
            )
        asked = _kind_of_questions(root)
        found = kind_of_records(folder)
        if kind is None and found is not None and found != asked:
            raise EcgqaError(
                f"the questions are about {asked} ECGs, the records are those of {found}",
                expected=f"a folder of {asked} records for {root}",
                found=str(folder),
                fix="name the other folder with --records; --kind overrides this check",
            )
        return folder, kind or asked
    kind = kind or _kind_of_questions(root)
    from ecgqa.sources.cache import resolve_root

    return Path(resolve_root(None, kind)), kind


def _kind_of_questions(root: Path) -> str:
    for ids in read_split_ecgs(root).values():
        if ids:
            return kind_of_ids(ids)
    for file in shard_files(root):
        for sample in load_samples(read_bytes(file.path, file.where), file.where)[:1]:
            return kind_of_ids(sample["ecg_id"])
    return "ptbxl"


class _Mapper:
    """Adds the paths to the text of one shard after another; each pair of ids is turned into text once."""

    def __init__(self, paths: RecordPaths, prefix: str) -> None:
        self._paths = paths
        self._prefix = prefix
        self._texts: dict[bytes, bytes | None] = {}

    def map_shard(self, data: bytes, where: str) -> tuple[bytes, int, int]:
        """The mapped text, the number of its samples, and the number of samples left out."""
        matches = released_samples(data)
        if matches is None:
            return self._parse_and_dump(data, where)
        # The paths are spliced into the text: what parse and dump would write, as the formatting was recognised.
        texts, start, n_kept = self._texts, len(b"[\n"), 0
        parts: list[bytes] = []
        mapped_before = PATH_KEY.encode() in data
        for match in matches:
            ids, end = match[1], match.end()
            text = texts[ids] if ids in texts else self._text_of(ids)
            if text is not None:
                cut = match.start(2) if mapped_before and match[2] else end - len(b"\n    },\n")
                parts += (data[start:cut], text)
                n_kept += 1
            start = end
        if not parts:
            return b"[]", 0, len(matches)
        parts[-1] = parts[-1].removesuffix(b",\n")
        return b"".join((b"[\n", *parts, b"\n]")), n_kept, len(matches) - n_kept

    def _text_of(self, ids: bytes) -> bytes | None:
        found = self._find([int(ecg_id) for ecg_id in ids.split(b",\n            ")])
        text = None
        if found is not None:
            quoted = ",\n            ".join(encode_basestring_ascii(path) for path in found)
            text = f',\n        "{PATH_KEY}": [\n            {quoted}\n        ]\n    }},\n'.encode()
        self._texts[ids] = text
        return text

    def _find(self, ecg_ids: Sequence[int]) -> list[str] | None:
        found = [self._paths.find(ecg_id) for ecg_id in ecg_ids]
        return None if None in found else [f"{self._prefix}{path}" for path in found]

    def _parse_and_dump(self, data: bytes, where: str) -> tuple[bytes, int, int]:
        samples = load_samples(data, where)
        problems = check_samples(samples, where)
        if problems:
            raise problems[0].error(len(problems) - 1)
        kept: list[dict[str, Any]] = []
        for sample in samples:
            found = self._find(sample["ecg_id"])
            if found is not None:
                sample[PATH_KEY] = found
                kept.append(sample)
        return json.dumps(kept, indent=4).encode(), len(kept), len(samples) - len(kept)


def _missing_error(paths: RecordPaths, n_samples: int) -> EcgqaError:
    n_missing, n_asked = len(paths.missing), paths.n_asked
    first = ", ".join(str(ecg_id) for ecg_id in list(paths.missing)[:5])
    fetch = f"ecgqa fetch {paths.kind} --dest {shlex.quote(str(paths.root))}"
    if n_missing == n_asked:
        return EcgqaError(
            f"none of the {n_asked:,} ECGs of the {n_samples:,} samples is below {paths.root}",
            expected="their .hea and .dat files",
            found=f"none; the first missing: {first}",
            fix=f"{fetch}, or name another folder with --records",
        )
    return EcgqaError(
        f"{n_missing:,} of the {n_asked:,} ECGs of the questions are missing below {paths.root}; nothing was written",
        expected="a .hea and a .dat file of each",
        found=f"the first missing: {first}",
        fix=f"{fetch}, or add --missing skip to leave out the samples that need them",
    )
