"""The unfinished bytes of a file, and the note that tells a later run what they belong to."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any


class CannotWrite(Exception):
    """The disk refuses; no other file will fare better."""

    def __init__(self, error: OSError) -> None:
        self.error = error
        super().__init__(str(error))


def partial_of(target: Path) -> Path:
    """Where the unfinished bytes of `target` are kept."""
    return target.with_name(f".{target.name}.partial")


class writing:  # a context manager in the manner of contextlib.suppress
    """Turns an OSError of the block into CannotWrite: a full disk must not be taken for a broken connection."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise CannotWrite(error) from error


def forget(partial: Path, note: Path) -> None:
    with writing():
        partial.unlink(missing_ok=True)
        note.unlink(missing_ok=True)


def tidy(target: Path) -> None:
    """Remove the partial bytes of a file too small to be resumed."""
    partial = partial_of(target)
    with suppress(OSError):
        if not note_of(partial).exists():
            partial.unlink(missing_ok=True)


def note_of(partial: Path) -> Path:
    """What is known of the partial bytes, for the run that goes on with them."""
    return partial.with_name(partial.name + ".json")


def write_note(note: Path, url: str, sha256: str | None, headers: Any) -> None:
    """Remember what the partial bytes belong to. A weak ETag may not guard a range (RFC 9110, section 13.1.5)."""
    text = json.dumps({"url": url, "sha256": sha256, "validator": validator(headers)})
    note.write_text(text, encoding="utf-8")


def validator(headers: Any) -> str | None:
    etag: str = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified")


def read_note(note: Path) -> dict[str, Any]:
    try:
        value = json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
