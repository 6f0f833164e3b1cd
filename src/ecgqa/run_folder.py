"""The folder of a long run (training, language models): what it is a run of, whether it is finished, who may write."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgqa.artefacts import MANIFEST, read_manifest, write_json
from ecgqa.errors import EcgqaError


@dataclass(frozen=True)
class Kind:
    """Kind of run: what its manifest says, the file that begins it, and what it is called in messages."""

    name: str
    file: str
    title: str


TRAINING = Kind("run", "recipe.json", "training run")
ASKING = Kind("llm-run", "run.json", "run of a language model")


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the folder against a second run at the same time; raises EcgqaError if one is on."""
    from filelock import FileLock, Timeout

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise EcgqaError(f"{folder.parent} is not a folder", expected="a folder to write into") from None
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise EcgqaError(
            f"another process is at work in {folder} right now", fix="wait for it, or choose another --out"
        ) from None
    try:
        yield
    finally:
        lock.release()


def begin(
    folder: Path, settings: Mapping[str, Any], identity: Mapping[str, Any], *, overwrite: bool, kind: Kind = TRAINING
) -> bool:
    """Make the folder ready for a run of this identity; True if an earlier start of the same run lies in it.

    Raises EcgqaError if the folder holds another run, or something that is no run.
    """
    if overwrite and (folder / kind.file).is_file():
        shutil.rmtree(folder)
    identity = json.loads(json.dumps(identity))
    if folder.exists():
        if not folder.is_dir():
            raise EcgqaError(f"{folder} is a file", expected="a folder for the run", fix="choose another --out")
        for leftover in folder.glob(".*.partial"):  # of a killed start; the claim on the folder is ours
            leftover.unlink()
        if any(folder.iterdir()):
            before = read_identity(folder, kind)
            if before != identity:
                raise EcgqaError(
                    f"{folder} holds another run",
                    found=difference(before, identity),
                    fix="choose another --out, or add --overwrite true to replace it",
                )
            return True
    folder.mkdir(exist_ok=True)
    write_json(folder / kind.file, {**settings, "inputs": identity["inputs"], "identity": identity["settings"]})
    return False


def finished(folder: Path, kind: Kind = TRAINING) -> dict[str, Any] | None:
    """The manifest of a finished run, or None."""
    return read_manifest(folder, kind=kind.name) if (folder / MANIFEST).is_file() else None


def finish(folder: Path, identity: Mapping[str, Any], kind: Kind = TRAINING, **facts: Any) -> None:
    """Write the manifest, last of all files."""
    from ecgqa import __version__

    files = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    manifest = {"kind": kind.name, "inputs": identity["inputs"], "config": identity["settings"]}
    write_json(folder / MANIFEST, manifest | {"ecgqa_version": __version__, **facts, "files": files})


def read_identity(folder: Path, kind: Kind = TRAINING) -> dict[str, Any]:
    """What the run in `folder` is a run of; raises EcgqaError if none is there."""
    try:
        values = json.loads((folder / kind.file).read_text(encoding="utf-8"))
        return {"inputs": values["inputs"], "settings": values["identity"]}
    except FileNotFoundError:
        raise EcgqaError(
            f"{folder} is no {kind.title} (it has no {kind.file})", fix="choose another folder; this one is left alone"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EcgqaError(f"{folder / kind.file} is damaged: {error}", fix="choose another --out") from None


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first settings in which two identities differ."""
    lines = []
    for part in ("settings", "inputs"):
        for key in sorted(before[part].keys() | now[part].keys()):
            old, new = before[part].get(key), now[part].get(key)
            if old != new:
                what = f"a {key} with other contents" if part == "inputs" else f"{key} {old!r}, now {new!r}"
                lines.append(what)
    shown = "; ".join(lines[:4])
    return shown + (f"; and {len(lines) - 4} more" if len(lines) > 4 else "")


def absolute(folder: str | Path) -> Path:
    """`folder` as an absolute path; raises EcgqaError for a file system's root."""
    path = Path(os.path.abspath(folder))
    if path == Path(path.anchor):
        raise EcgqaError(f"refusing to write to {path}", fix="name a folder")
    return path
