"""Progress of long work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOG_EVERY_S = 30.0


@contextmanager
def progress(
    description: str, total: int | None, *, unit: str = "", log_every_s: float = LOG_EVERY_S
) -> Iterator[Callable[..., None]]:
    """Yield `advance(n=1, note="")`; shows done/total, rate and time left on standard error until the block ends."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(f"{unit} {{task.fields[note]}}"),
            TimeElapsedColumn(),
            Remaining(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(description, total=total, note="")
            yield lambda n=1, note="": bar.update(task, advance=n, note=note)
        return

    started = last = time.monotonic()
    done = 0

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += n
        now = time.monotonic()
        if now - last >= log_every_s:
            last = now
            rate = done / max(now - started, 1e-9)
            of = f"/{total}" if total else ""
            left = f", {max(total - done, 0) / max(rate, 1e-9):.0f} s left" if total else ""
            print(f"{description}: {done}{of} {unit} ({rate:.1f}/s{left}) {note}".rstrip(), file=sys.stderr, flush=True)

    yield advance
