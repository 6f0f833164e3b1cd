"""What can be downloaded, in which versions, from which mirrors and under which licence.

The facts stand in `catalogue.json` beside this file: a database that moves is one edit there. Record counts and sizes
serve estimates only (free space, time left); what is correct is decided by the published checksums.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args
from urllib.parse import quote, urlsplit

from ecgqa.errors import EcgqaError

Kind = Literal["ptbxl", "mimic-iv-ecg", "questions"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BLOCK_BYTES = 4096
"""Small files occupy whole blocks: 20,000 headers of 600 bytes need 80 MB of disk, not 12."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """One place that serves a release: `url` is a folder (ending in /) for records, a whole file for an archive."""

    name: str
    url: str

    def url_of(self, path: str) -> str:
        """The address of the published file `path`; the address itself when `path` is empty."""
        return self.url + quote(path)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a release that can be asked for by itself, such as the 500 Hz records."""

    name: str
    prefix: str | None
    id_pattern: re.Pattern[str] | None
    files: int
    bytes: int
    files_per_record: int
    bytes_per_record: int

    def holds(self, path: str) -> bool:
        """Whether the published file `path` is of this part (of a part that is a folder)."""
        return self.prefix is not None and path.startswith(self.prefix)

    def id_of(self, path: str) -> int | None:
        """The ECG id that the file name of `path` tells, None for a file that belongs to no record."""
        match = self.id_pattern.fullmatch(path.rsplit("/", 1)[-1]) if self.id_pattern else None
        return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class Release:
    """One version of one data set."""

    kind: Kind
    version: str
    slug: str
    title: str
    access: str
    licence: str
    licence_url: str
    citations: tuple[str, ...]
    page: str
    checksums: str | None
    mirrors: tuple[Mirror, ...]
    parts: Mapping[str, Part]
    sizes: Mapping[str, int]
    marks: tuple[str, ...]
    records: int
    sha256: Mapping[str, str]

    @property
    def name(self) -> str:
        """The data set and its version, as in "ptbxl 1.0.3"."""
        return f"{self.kind} {self.version}"

    def part_of(self, path: str) -> str:
        """The name of the part that the published file `path` belongs to."""
        return next((name for name, part in self.parts.items() if part.holds(path)), "metadata")

    def size_of(self, path: str) -> int:
        """About how many bytes the published file `path` has (exact for the waveforms)."""
        return next((size for ending, size in self.sizes.items() if path.endswith(ending)), 4096)

    def notice(self) -> str:
        """Licence and citation, to be shown before anything is downloaded."""
        return "\n".join(
            [
                f"{self.title}, version {self.version}",
                f"  page:     {self.page}",
                f"  access:   {self.access}",
                f"  licence:  {self.licence}",
                f"            {self.licence_url}",
                *(f"  cite:     {text}" for text in self.citations),
            ]
        )


def on_disk(size: int) -> int:
    """Bytes of disk that a file of `size` bytes occupies."""
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


@cache
def _catalogue() -> dict[str, Any]:
    text = files("ecgqa.sources").joinpath("catalogue.json").read_text(encoding="utf-8")
    catalogue: dict[str, Any] = json.loads(text)
    return catalogue


def versions(kind: Kind) -> list[str]:
    """The versions of a data set that the catalogue knows, oldest first."""
    return list(_catalogue()[kind]["releases"])


def release(kind: str, version: str | None = None, *, mirrors: Sequence[str] = ()) -> Release:
    """The catalogue's entry for `kind` and `version` (None: the recommended one).

    `mirrors` replaces the catalogue's addresses: for records a base URL that stands in the place of
    https://physionet.org/files/ptb-xl/1.0.3/, for questions the URL of the .tar.gz archive itself. The questions may
    also be asked for by any other commit, tag or branch; their files are then not compared with known digests.
    """
    if kind not in KINDS:
        raise EcgqaError(f"no data set {kind!r}", expected=f"one of: {', '.join(KINDS)}")
    entry = _catalogue()[kind]
    version = version or str(entry["default"])
    details = entry["releases"].get(version)
    if details is None and kind == "questions" and re.fullmatch(r"[\w.][\w./-]{0,99}", version):
        details = {"doi": "", "records": 0}
    if details is None:
        raise EcgqaError(f"{kind} has no version {version!r}", expected=f"one of: {', '.join(versions(kind))}")

    def fill(text: str) -> str:
        return text.replace("{version}", version).replace("{doi}", details["doi"])

    records = int(details["records"])
    parts = {}
    for name, part in entry["parts"].items():
        per_record = part["files_per_record"]
        parts[name] = Part(
            name=name,
            prefix=part["prefix"],
            id_pattern=re.compile(part["id_pattern"]) if part["id_pattern"] else None,
            files=part.get("files", records * per_record),
            bytes=part.get("bytes", records * part["bytes_per_record"]),
            files_per_record=per_record,
            bytes_per_record=part["bytes_per_record"],
        )
    given = tuple(_given(text, kind) for text in mirrors)
    return Release(
        kind=kind,  # type: ignore[arg-type]
        version=version,
        slug=entry["slug"],
        title=entry["title"],
        access=entry["access"],
        licence=entry["licence"],
        licence_url=entry["licence_url"],
        citations=tuple(map(fill, entry["citations"])),
        page=fill(entry["page"]),
        checksums=entry["checksums"],
        mirrors=given or tuple(Mirror(m["name"], fill(m["url"])) for m in entry["mirrors"]),
        parts=parts,
        sizes=entry["sizes"],
        marks=tuple(entry["marks"]),
        records=records,
        sha256=details.get("sha256", {}),
    )


def _given(text: str, kind: str) -> Mirror:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EcgqaError(f"{text!r} is not a mirror", expected="an address that begins with http:// or https://")
    return Mirror(parts.netloc, text if kind == "questions" or text.endswith("/") else text + "/")
