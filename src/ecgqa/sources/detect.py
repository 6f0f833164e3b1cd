"""Which kind of source a folder is, and what it may have been meant to be when it is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ecgqa.errors import EcgqaError
from ecgqa.sources.base import Source

_MARKS: Final = {"ptbxl": "ptbxl_database.csv", "mimic-iv-ecg": "record_list.csv"}
KINDS: Final = (*_MARKS, "wfdb")
_DEPTH: Final = 3
"""Folders below (and above) the given one in which a data set unpacked one level off is looked for."""
_FOLDERS_LOOKED_AT: Final = 2000


def open_source(root: str | os.PathLike[str], kind: str | None = None) -> Source:
    """The ECGs below `root`: "ptbxl" (ptbxl_database.csv), "mimic-iv-ecg" (record_list.csv) or "wfdb" (any *.hea).

    Without `kind` it is told from the files there. Raises EcgqaError, which says what was looked for and which other
    folder was perhaps meant, if there is none of them.
    """
    path = Path(root).expanduser()
    if kind is not None and kind not in KINDS:
        raise EcgqaError(f"no source of the kind {kind!r}", expected=", ".join(KINDS))
    if not path.is_dir():
        what = "a file" if path.exists() else "nothing"
        raise EcgqaError(f"no such folder: {path}", expected="a folder of ECG records", found=what)
    try:
        names = set(os.listdir(path))
    except PermissionError:
        raise EcgqaError(f"no permission to read the folder {path}", fix=f"chmod u+rx '{path}'") from None
    if kind in _MARKS and _MARKS[kind] not in names:
        raise _nothing(path, [_MARKS[kind]])
    found = kind or next((candidate for candidate, mark in _MARKS.items() if mark in names), None)
    if found is None:
        near = _nearby(path)
        if near:
            raise _nothing(path, list(_MARKS.values()), near)
        if not any(_headers(path)):
            raise _nothing(path, [*_MARKS.values(), "*.hea in any subfolder"])
        found = "wfdb"
    return _make(found, path)


def _make(kind: str, path: Path) -> Source:
    if kind == "ptbxl":
        from ecgqa.sources.ptbxl import Ptbxl

        return Ptbxl(path)
    if kind == "mimic-iv-ecg":
        from ecgqa.sources.mimic_iv_ecg import MimicIvEcg

        return MimicIvEcg(path)
    from ecgqa.sources.folder import WfdbFolder

    return WfdbFolder(path)


def _nothing(path: Path, looked_for: list[str], near: list[Path] | None = None) -> EcgqaError:
    near = _nearby(path) if near is None else near
    try:
        names = sorted(os.listdir(path))
    except OSError:
        names = []
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return EcgqaError(
        f"no ECG source in {path}",
        expected=" or ".join(looked_for),
        found=shown or "an empty folder",
        fix=f"did you mean {' or '.join(map(str, near[:3]))} ?"
        if near
        else "name the folder that holds them, or: ecgqa fetch --help",
    )


def _nearby(path: Path) -> list[Path]:
    """Folders of data sets a few levels below `path`, else above it: those of the nearest level that has any."""
    marks = tuple(_MARKS.values())
    level, looked_at = [path], 0
    for _ in range(_DEPTH):
        below: list[Path] = []
        for folder in level:
            looked_at += 1
            if looked_at > _FOLDERS_LOOKED_AT:
                break
            try:
                with os.scandir(folder) as entries:
                    below += sorted(Path(entry.path) for entry in entries if entry.is_dir())
            except OSError:
                continue
        found = [folder for folder in below if _holds_any(folder, marks)]
        if found:
            return found
        level = below
    return [folder for folder in list(path.resolve().parents)[:_DEPTH] if _holds_any(folder, marks)]


def _holds_any(folder: Path, names: tuple[str, ...]) -> bool:
    try:
        return any((folder / name).is_file() for name in names)
    except OSError:
        return False


def _headers(path: Path) -> Iterator[str]:
    from ecgqa.sources.folder import header_paths

    return header_paths(path)
