"""Where downloads live when no folder is named: one cache folder, one variable that moves it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ecgqa.artefacts import MANIFEST
from ecgqa.errors import EcgqaError

VARIABLE: Final = "ECGQA_CACHE"
_MARKS: Final = {
    "ptbxl": ("ptbxl_database.csv", "records500"),
    "mimic-iv-ecg": ("record_list.csv", "files"),
    "questions": ("ptbxl", "mimic-iv-ecg"),
}
"""What each kind of cache folder holds (of the questions: at least one of the two)."""


def cache_folder(kind: str) -> Path:
    """The cache folder of "ptbxl", "mimic-iv-ecg" or "questions"; it need not exist.

    ~/.cache/ecgqa/KIND, where the published scripts keep their records too, or $ECGQA_CACHE/KIND.
    """
    if kind not in _MARKS:
        raise EcgqaError(f"nothing of the kind {kind!r} is cached", expected=", ".join(_MARKS))
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser() / kind
    try:
        return Path.home() / ".cache" / "ecgqa" / kind
    except RuntimeError:
        raise EcgqaError("there is no home folder for the cache", fix=f"set {VARIABLE} to a folder") from None


def is_complete(kind: str) -> bool:
    """Whether the cache holds a finished download, or the data put there by hand (no download was ever begun)."""
    folder = cache_folder(kind)
    if (folder / MANIFEST).is_file():
        return True
    present = [(folder / mark).exists() for mark in _MARKS[kind]]
    return (any if kind == "questions" else all)(present) and not _begun(folder)


def resolve_root(given: str | os.PathLike[str] | None, kind: str) -> Path:
    """The folder to read `kind` from: the one `given` (which must exist), else the cache if it is complete.

    Raises EcgqaError whose fix is the command that fills the cache.
    """
    if given is not None:
        path = Path(given).expanduser()
        if not path.is_dir():
            found = "a file" if path.exists() else "nothing"
            raise EcgqaError(f"no such folder: {path}", expected=f"a folder with {kind}", found=found)
        return path
    folder = cache_folder(kind)
    if is_complete(kind):
        return folder
    if _begun(folder):
        state = "a download that is not finished"
    else:
        state = "nothing usable" if folder.exists() else "no such folder"
    raise EcgqaError(
        f"no folder is named, and {kind} is not in the cache",
        expected=f"{' and '.join(_MARKS[kind])} in {folder}" if kind != "questions" else f"the questions in {folder}",
        found=state,
        fix=f"ecgqa fetch {kind}   (or name the folder that holds them; {VARIABLE} moves the cache)",
    )


def _begun(folder: Path) -> bool:
    """Whether a download was begun here and not finished."""
    from ecgqa.sources.ledger import LEDGER

    return (folder / LEDGER).exists() and not (folder / MANIFEST).is_file()
