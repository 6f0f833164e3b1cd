"""The published list of files: reading a SHA256SUMS.txt, and refusing names that would leave the folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ecgqa.errors import EcgqaError

_LINE = re.compile(r"([0-9a-fA-F]{64})[ \t]+\*?(\S.*)")
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def safe_path(path: str) -> bool:
    """Whether `path` is a plain relative path with forward slashes that stays below the folder it is joined to."""
    if not path or len(path) > 1000 or "\\" in path or ":" in path or any(ord(letter) < 32 for letter in path):
        return False
    return all(
        part not in ("", ".", "..") and len(part) <= 240 and not _DEVICES.fullmatch(part) for part in path.split("/")
    )


def read_checksums(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (relative path, SHA-256) of every line; raises EcgqaError for a list that is malformed or malicious."""
    seen: set[str] = set()
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            text = line.rstrip("\r\n")
            if not text.strip():
                continue
            match = _LINE.fullmatch(text)
            if match is None:
                raise EcgqaError(
                    f"{path.name} is not a list of checksums (line {number})",
                    expected="64 hexadecimal digits, a blank, a path",
                    found=repr(text[:80]),
                    fix="another address with --mirror, or wait until the server is well again",
                )
            name = match[2].removeprefix("./")
            if not safe_path(name):
                raise EcgqaError(
                    f"{path.name} names a file outside the data set (line {number}): nothing of it is used",
                    expected="relative paths that stay in the folder",
                    found=repr(name[:120]),
                    fix="use another mirror",
                )
            if name in seen:
                continue
            seen.add(name)
            yield name, match[1].lower()
    if not seen:
        raise EcgqaError(f"{path.name} is empty", fix="another address with --mirror")
