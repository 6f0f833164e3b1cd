"""What a download did, and how it is told to the user."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from ecgqa.sources.catalogue import Release

FAILED = "fetch-failed.tsv"
"""Left in the folder of an incomplete download: what is missing, and why."""
SPARE_BYTES = 64 << 20
"""Room left free beyond what the files need."""


@dataclass
class Report:
    """What a call of `fetch` did. `files` is what was asked for; `kept` of them were there already."""

    release: Release
    dest: Path
    files: int = 0
    bytes: int = 0
    kept: int = 0
    fetched: int = 0
    bytes_fetched: int = 0
    seconds: float = 0.0
    retries: int = 0
    missing: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unknown_ids: list[int] = field(default_factory=list)
    parts: dict[str, dict[str, int]] = field(default_factory=dict)
    gave_up: str = ""
    dry_run: bool = False
    free_bytes: int = 0
    mirror: str = ""
    commit: str = ""
    estimated: bool = False

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is there and verified."""
        return not (self.missing or self.failed or self.gave_up or self.dry_run)


def readable(size: float) -> str:
    """A number of bytes in decimal units, as disks are sold."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit in ("bytes", "kB") else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def summary(report: Report) -> str:
    """What a call of `fetch` did, in a few lines, ending with the next command."""
    title = report.release.name
    if report.dry_run:
        about = "about " if report.estimated else ""
        enough = report.free_bytes >= report.bytes + SPARE_BYTES
        return "\n".join(
            [
                f"{title}: {about}{report.files:,} files, {report.kept:,} of them there already",
                f"  to download: about {readable(report.bytes)} of disk",
                f"  to:          {report.dest}",
                f"  free there:  {readable(report.free_bytes)}{'' if enough else '  NOT ENOUGH'}",
                f"  from:        {report.mirror or 'no mirror answers right now'}",
                "nothing was written (dry run)",
            ]
        )
    rate = report.bytes_fetched / max(report.seconds, 1e-9)
    lines = [
        f"{title} in {report.dest}",
        f"  {report.files:,} files asked for: {report.kept:,} were there and verified, {report.fetched:,} fetched "
        f"({readable(report.bytes_fetched)} in {report.seconds:.0f} s, {readable(rate)}/s, {report.retries:,} retries)",
    ]
    if report.unknown_ids:
        shown = ", ".join(map(str, report.unknown_ids[:10]))
        lines.append(f"  {len(report.unknown_ids):,} ids are not in this version: {shown}")
    for label, paths in (("not published by any mirror", report.missing), ("could not be had", list(report.failed))):
        if paths:
            lines.append(f"  {len(paths):,} files {label}:")
            lines += [f"    {path}  {report.failed.get(path, '')}".rstrip() for path in paths[:10]]
            if len(paths) > 10:
                lines.append(f"    and {len(paths) - 10:,} more, see {report.dest / FAILED}")
    if report.gave_up:
        lines.append(f"  {report.gave_up}")
    if not report.complete:
        lines.append("not complete: the same command again tries just what is missing")
    elif report.release.kind == "questions":
        lines.append(f"next: ecgqa fetch ptbxl --questions {_quoted(report.dest)}")
    else:
        lines.append(f"next: ecgqa map QUESTIONS --records {_quoted(report.dest)}   (or: ecgqa fetch questions)")
    return "\n".join(lines)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
