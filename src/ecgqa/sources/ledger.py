"""The list, kept inside a download folder, of the files that were verified there.

One line per file, appended as soon as the file is in its place: size, modification time, digest, path. A file whose
size and time still agree needs no second reading; one that is missing from the list is read and compared, so a lost
line costs a moment, never a wrong file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from ecgqa.errors import EcgqaError

LEDGER = ".ecgqa-ledger.tsv"


class Ledger:
    """Verified files of one folder. Use as a context manager to append; `title` names the data set and version."""

    def __init__(self, folder: Path, title: str) -> None:
        self.path = folder / LEDGER
        self.folder, self.title = folder, title
        self.entries: dict[str, str] = {}
        self._stream: IO[str] | None = None
        self.existed = self._read()

    def _read(self) -> bool:
        try:
            text = self.path.read_bytes().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return False
        first, _, rest = text.partition("\n")
        if first != f"# {self.title}":
            raise EcgqaError(
                f"{self.folder} already holds another download",
                expected=self.title,
                found=first.removeprefix("# ")[:80] or "an unreadable list of files",
                fix="choose another folder with --dest",
            )
        for line in rest.splitlines():
            fields = line.split("\t", 3)
            if len(fields) == 4 and len(fields[2]) == 64 and fields[3]:  # the last line of a killed run may be torn
                self.entries[fields[3]] = "\t".join(fields[:3])
        return True

    def __enter__(self) -> Ledger:
        new = not self.path.exists()
        torn = not new and not self.path.read_bytes().endswith(b"\n")
        self._stream = self.path.open("a", encoding="utf-8", newline="\n")
        if new:
            self._stream.write(f"# {self.title}\n")
        elif torn:
            self._stream.write("\n")
        self._stream.flush()
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream:
            self._stream.close()

    def add(self, path: str, sha256: str) -> None:
        """Enter the file `path` (relative to the folder), which was just verified to have this digest."""
        entry = _entry((self.folder / path).stat(), sha256)
        self.entries[path] = entry
        if self._stream:
            self._stream.write(f"{entry}\t{path}\n")
            self._stream.flush()  # a killed process then loses nothing; a lost machine at most a few lines

    def verified(self, path: str, sha256: str | None) -> bool:
        """Whether the file is on the list with this digest (None: any) and was not touched since."""
        entry = self.entries.get(path)
        if entry is None or (sha256 is not None and not entry.endswith("\t" + sha256)):
            return False
        try:
            return _entry((self.folder / path).stat(), entry.rsplit("\t", 1)[1]) == entry
        except OSError:
            return False


def _entry(status: os.stat_result, sha256: str) -> str:
    return f"{status.st_size}\t{status.st_mtime_ns}\t{sha256}"
