"""The page's own files: a fixed list read once, so that no request ever names a path on the disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True)
class StaticFile:
    """Content, media type and entity tag of a file."""

    content: bytes
    media_type: str
    tag: str


def load_static() -> dict[str, StaticFile]:
    """Every file of the page by its name."""
    found = {}
    for entry in files("ecgqa.explorer").joinpath("static").iterdir():
        kind = TYPES.get(entry.name.rpartition(".")[2])
        if kind and entry.is_file():
            content = entry.read_bytes()
            found[entry.name] = StaticFile(content, kind, f'"{hashlib.sha256(content).hexdigest()[:20]}"')
    return found
