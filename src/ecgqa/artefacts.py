"""Files and folders that appear whole or not at all, and the manifest that says what is in them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecgqa.errors import EcgqaError

MANIFEST = "manifest.json"


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed and renamed to `path`, on failure removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> Path:
    """Write a UTF-8 text file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def write_json(path: str | Path, value: Any) -> Path:
    """Write `value` as indented JSON, whole or not at all."""
    return write_text(path, json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False) + "\n")


def digest_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON-serialisable value (keys sorted), as hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def read_manifest(folder: str | Path, *, kind: str | None = None) -> dict[str, Any]:
    """The manifest of a finished artefact folder; raises EcgqaError if it is unfinished or of another kind."""
    path = Path(folder) / MANIFEST
    if not Path(folder).is_dir():
        raise EcgqaError(f"no such folder: {folder}", expected=f"a folder holding a finished {kind or 'artefact'}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EcgqaError(
            f"{folder} has no {MANIFEST}: it is unfinished, or not made by ecgqa",
            expected=f"a finished {kind or 'artefact'} folder",
            fix="run the command that makes it again; it completes what is missing",
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise EcgqaError(f"{path} cannot be read: {error}") from None
    if not isinstance(manifest, dict):
        raise EcgqaError(f"{path} is not a manifest", expected="a JSON object")
    if kind is not None and manifest.get("kind") != kind:
        raise EcgqaError(f"{folder} is not a {kind}", expected=f"kind {kind!r}", found=f"kind {manifest.get('kind')!r}")
    return manifest


@dataclass
class Draft:
    """A folder under construction. Write below `path`; set `counts`; the manifest is added when the block ends."""

    path: Path
    complete: bool
    """True when the finished folder was there already, made from the same inputs: leave the block at once."""
    resumed: bool = False
    """True when `path` holds what an interrupted run with the same inputs left behind."""
    counts: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@contextmanager
def artefact_folder(
    dest: str | Path,
    *,
    kind: str,
    inputs: Mapping[str, Any],
    config: Mapping[str, Any],
    overwrite: bool = False,
    resume: bool = False,
) -> Iterator[Draft]:
    """Build a folder beside `dest` and rename it to `dest` when it is whole.

    `inputs` (digests or names) and `config` identify the result: with a finished folder of the same identity the draft
    is `complete`, with another one an EcgqaError asks for `overwrite`. A folder that we did not make is never touched.
    With `resume`, what an interrupted run of the same identity wrote is kept for the next one; otherwise a failed run
    leaves nothing behind. Two runs on the same `dest` at once: the second gets an EcgqaError.
    """
    from filelock import FileLock, Timeout

    from ecgqa import __version__

    dest = Path(os.path.abspath(dest))
    if dest == Path(dest.anchor):
        raise EcgqaError(f"refusing to write to {dest}", fix="name a folder")
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise EcgqaError(f"{dest.parent} is not a folder", expected="a folder to write into") from None
    identity = json.loads(json.dumps({"kind": kind, "inputs": dict(inputs), "config": dict(config)}, default=str))
    lock = FileLock(dest.parent / f".{dest.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise EcgqaError(
            f"another run is writing {dest} right now", fix="wait for it to end, or choose another destination"
        ) from None
    partial, old = dest.parent / f".{dest.name}.partial", dest.parent / f".{dest.name}.old"
    try:
        _finish_interrupted_swap(dest, partial, old)
        if dest.exists():
            finished = _identity_of(dest, kind)
            if finished == identity and not overwrite:
                yield Draft(dest, complete=True)
                return
            if finished is not None and not overwrite:
                raise EcgqaError(
                    f"{dest} already holds a {kind} made from other inputs or settings",
                    found=_difference(finished, identity),
                    fix="add --overwrite true to replace it, or choose another destination",
                )
        resumed = resume and _read_identity(partial / "draft.json") == identity
        if partial.exists() and not resumed:
            shutil.rmtree(partial)
        partial.mkdir(exist_ok=True)
        write_json(partial / "draft.json", identity)
        draft = Draft(partial, complete=False, resumed=resumed)
        yield draft
        (partial / "draft.json").unlink()
        files = {
            path.relative_to(partial).as_posix(): path.stat().st_size
            for path in sorted(partial.rglob("*"))
            if path.is_file()
        }
        manifest = identity | {"ecgqa_version": __version__, "counts": draft.counts, **draft.extra}
        if len(files) <= 1000:
            manifest["files"] = files
        write_json(partial / MANIFEST, manifest)
        if dest.exists():
            os.replace(dest, old)
        os.replace(partial, dest)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        if not resume:
            shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        lock.release()


def _finish_interrupted_swap(dest: Path, partial: Path, old: Path) -> None:
    """A run killed between the two renames left no `dest`: take the finished draft, else put the old folder back."""
    if not dest.exists() and (partial / MANIFEST).is_file():
        os.replace(partial, dest)
    if not dest.exists() and old.exists():
        os.replace(old, dest)
    shutil.rmtree(old, ignore_errors=True)


def _identity_of(dest: Path, kind: str) -> Any:
    """Kind, inputs and config of the finished folder at `dest`; None if it is empty; an error if it is not ours."""
    if not dest.is_dir():
        raise EcgqaError(f"{dest} is a file", expected="a folder that does not exist yet")
    if not any(dest.iterdir()):
        return None
    if not (dest / MANIFEST).is_file():
        raise EcgqaError(
            f"{dest} is not empty and was not made by ecgqa (it has no {MANIFEST})",
            fix="choose another destination, or move that folder away",
        )
    manifest = read_manifest(dest)
    if manifest.get("kind") != kind:
        raise EcgqaError(
            f"{dest} holds a {manifest.get('kind')}, not a {kind}: it is left alone", fix="choose another destination"
        )
    return {key: manifest.get(key) for key in ("kind", "inputs", "config")}


def _read_identity(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _difference(old: Any, new: Mapping[str, Any]) -> str:
    for part in ("kind", "config", "inputs"):
        before, after = (old or {}).get(part), new.get(part)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            for key in sorted(before.keys() | after.keys()):
                if before.get(key) != after.get(key):
                    return f"{part}.{key} was {before.get(key)!r}, now {after.get(key)!r}"
        return f"{part} was {before!r}, now {after!r}"
    return "different contents"
