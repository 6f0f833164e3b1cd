"""Many files at once: the threads of a download, its progress line, and when to give up."""

from __future__ import annotations

import errno
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ecgqa.artefacts import digest_file
from ecgqa.errors import EcgqaError
from ecgqa.progress import progress
from ecgqa.sources.fetch_report import Report
from ecgqa.sources.ledger import Ledger
from ecgqa.sources.partial import CannotWrite
from ecgqa.sources.transport import CannotFetch, NotPublished, Stopped, Transport

MAX_FAILED_IN_A_ROW = 20
MAX_MISSING_IN_A_ROW = 200
JOIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Job:
    """One published file to be had: path in the release, SHA-256, about how many bytes."""

    path: str
    sha256: str
    size: int


@dataclass(slots=True)
class _Done:
    job: Job
    sha256: str = ""
    size: int = 0
    fetched: bool = False
    error: BaseException | None = None


def run_jobs(
    jobs: Sequence[Job],
    transport: Transport,
    ledger: Ledger,
    report: Report,
    connections: int,
    *,
    keep_aside: Callable[[str], bool],
) -> None:
    """Verify or fetch every job with `connections` threads; the outcome goes into `ledger` and `report`.

    Raises EcgqaError when the disk refuses. Ctrl-C ends it within about a second.
    """
    if not jobs:
        return
    todo = iter(jobs)
    lock = threading.Lock()
    done: queue.SimpleQueue[_Done] = queue.SimpleQueue()

    def work() -> None:
        while not transport.stop.is_set():
            with lock:
                job = next(todo, None)
            if job is None:
                return
            outcome = _Done(job)
            try:
                _run(job, report.dest, transport, outcome, keep_aside)
            except BaseException as error:
                outcome.error = error
            done.put(outcome)

    # Daemon threads: one that hangs in a read must not keep the process alive after Ctrl-C.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(connections, len(jobs)))]
    for thread in threads:
        thread.start()
    try:
        _collect(len(jobs), done, ledger, report, transport)
    finally:
        transport.stop.set()
        until = time.monotonic() + JOIN_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        report.retries += transport.retries


def _run(job: Job, folder: Path, transport: Transport, outcome: _Done, keep_aside: Callable[[str], bool]) -> None:
    target = folder / job.path
    if target.exists():
        try:
            if digest_file(target) == job.sha256:
                outcome.sha256, outcome.size = job.sha256, target.stat().st_size
                return
            if keep_aside(job.path):
                target.replace(_free_name(target))
        except OSError as error:
            raise CannotWrite(error) from error
    fetched = transport.fetch(job.path, target, job.sha256)
    outcome.sha256, outcome.size, outcome.fetched = fetched.sha256, fetched.size, True


def _free_name(target: Path) -> Path:
    candidate, number = target.with_name(target.name + ".before-fetch"), 1
    while candidate.exists():
        number += 1
        candidate = target.with_name(f"{target.name}.before-fetch-{number}")
    return candidate


def _collect(total: int, done: queue.SimpleQueue[_Done], ledger: Ledger, report: Report, transport: Transport) -> None:
    failed_in_a_row = missing_in_a_row = finished = shown = reached = 0
    started = time.monotonic()
    with progress("downloading", max(1, report.bytes // 1_000_000), unit="MB", log_every_s=10.0) as advance:
        while finished < total:
            try:
                outcome = done.get(timeout=0.2)
            except queue.Empty:
                continue
            finished += 1
            error = outcome.error
            if error is None:
                ledger.add(outcome.job.path, outcome.sha256)
                failed_in_a_row = missing_in_a_row = 0
                if outcome.fetched:
                    report.fetched += 1
                    report.bytes_fetched += outcome.size
                else:
                    report.kept += 1
            elif isinstance(error, NotPublished):
                report.missing.append(outcome.job.path)
                missing_in_a_row += 1
            elif isinstance(error, CannotFetch):
                report.failed[outcome.job.path] = str(error)
                failed_in_a_row += 1
            elif isinstance(error, CannotWrite):
                raise disk_trouble(error.error, report.dest, report.bytes - reached)
            elif not isinstance(error, Stopped):
                raise error
            reached += outcome.job.size
            megabytes = reached // 1_000_000
            rate = report.bytes_fetched / max(time.monotonic() - started, 1e-9) / 1e6
            trouble = len(report.missing) + len(report.failed)
            note = f"{rate:.1f} MB/s, {finished:,} of {total:,} files" + (f", {trouble:,} failed" if trouble else "")
            advance(megabytes - shown, note)
            shown = megabytes
            if failed_in_a_row >= MAX_FAILED_IN_A_ROW or missing_in_a_row >= MAX_MISSING_IN_A_ROW:
                report.gave_up = (
                    f"gave up: {max(failed_in_a_row, missing_in_a_row)} files in a row could not be had "
                    f"({total - finished:,} were not tried)"
                )
                return


@contextmanager
def counted(description: str, expected: int) -> Iterator[Callable[[int], None]]:
    """Progress of one large file of about `expected` bytes: yields what a Transport takes as `on_bytes`."""
    received = shown = 0
    with progress(description, max(1, expected // 1_000_000), unit="MB", log_every_s=10.0) as advance:

        def on_bytes(n: int) -> None:
            nonlocal received, shown
            received += n
            if received // 1_000_000 != shown:
                advance(received // 1_000_000 - shown)
                shown = received // 1_000_000

        yield on_bytes


def disk_trouble(error: OSError, folder: Path, left: int) -> EcgqaError:
    """What to tell when the disk refuses to take a file."""
    again = "the same command again goes on from here"
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        size = f" about {left / 1e9:.1f} GB" if left > 1e8 else " some space"
        return EcgqaError(f"the disk is full: {folder}", fix=f"free{size}, or choose another --dest; {again}")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return EcgqaError(f"no permission to write: {error.filename or folder}", fix="choose another --dest")
    return EcgqaError(f"cannot write to {folder}: {error.strerror or error}", fix=again)
