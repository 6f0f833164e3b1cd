"""The replies of a run, one JSON line each, written the moment they arrive: what a killed run is finished from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from ecgqa.errors import EcgqaError

JOURNAL: Final = "replies.jsonl"
MAX_KEPT: Final = 200_000
"""Characters of a reply that are kept; longer ones lose their middle."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's reply to one question: what was sent, what came back, and what it took."""

    split: str
    version: str
    sample_id: int
    prompt_digest: str
    prompt: str
    reply: str
    stop_reason: str
    model: str
    """As the server names itself."""
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    seconds: float

    @property
    def key(self) -> tuple[str, str, int]:
        return self.split, self.version, self.sample_id


class Journal:
    """Appends replies to a run's file; only one process may write (the run folder is claimed)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self.replies = {reply.key: reply for reply in read_replies(folder)}
        self._end_cut_line()
        self._stream = self.path.open("a", encoding="utf-8")

    def add(self, reply: Reply) -> None:
        """Keep a reply; once this returns, a killed process no longer loses it."""
        self._stream.write(json.dumps(asdict(reply), ensure_ascii=False) + "\n")
        self._stream.flush()
        self.replies[reply.key] = reply

    def close(self) -> None:
        """Bring everything to the disk and close the file."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()

    def _end_cut_line(self) -> None:
        """A line that a kill cut short gets its end, so that the next reply does not continue it."""
        if not self.path.is_file() or self.path.stat().st_size == 0:
            return
        with self.path.open("rb+") as stream:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(b"\n")


def shortened(reply: str) -> str:
    """A reply as it is kept: whole, unless it is absurdly long."""
    if len(reply) <= MAX_KEPT:
        return reply
    cut = len(reply) - MAX_KEPT
    return f"{reply[: MAX_KEPT // 2]}\n[{cut} characters left out]\n{reply[-MAX_KEPT // 2 :]}"


def read_replies(folder: Path) -> Iterator[Reply]:
    """The replies of a run; a line cut short by a kill is left out. Raises EcgqaError for a file of another kind."""
    path = folder / JOURNAL
    if not path.is_file():
        return
    names = {field.name for field in fields(Reply)}
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            try:
                values: Any = json.loads(line)
            except ValueError:
                continue  # cut short
            if not isinstance(values, dict) or set(values) != names:
                raise EcgqaError(f"line {number} of {path} is no reply", fix="choose another --out folder")
            yield Reply(**values)
