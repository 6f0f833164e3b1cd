"""Reading ECGs and writing each into its row of the signal array, so that a killed run goes on where it stopped."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ecgqa.artefacts import digest_of
from ecgqa.errors import EcgqaError
from ecgqa.executors import as_they_finish
from ecgqa.records import INVALID_SAMPLE
from ecgqa.store.layout import N_LEADS, SIGNALS, bytes_per_ecg, signals_header

JOURNAL = "packed.jsonl"
CHUNK = 64
SYNC_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Form:
    """What every ECG of a store shares: sampling rate in Hz and samples per lead of the array."""

    fs_hz: float
    n_samples: int
    pad_shorter: bool


@dataclass(frozen=True, slots=True)
class Packed:
    """What became of one ECG: its row and what its header says, or the problem that kept it out."""

    row: int
    n_samples: int = 0
    gain_per_mv: tuple[float, ...] = ()
    recorded_at: str | None = None
    flags: tuple[str, ...] = ()
    problem: str | None = None
    differs: bool = False
    """True when the ECG is sound but has another sampling rate or length than the store."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A task for one worker: read `paths` and write them to `rows` of the array in file `signals`."""

    signals: str
    first_byte: int
    form: Form
    rows: tuple[int, ...]
    paths: tuple[str, ...]


def pack_chunk(chunk: Chunk) -> list[Packed]:
    """Read the ECGs of `chunk` and write them into the array; runs in any thread, process or machine that sees it.

    Rows are written with `pwrite`, not through a memory map: a full disk must be an OSError, not a bus error.
    """
    import numpy as np

    from ecgqa.signals.read import read_ecg

    form, outcomes = chunk.form, []
    size = bytes_per_ecg(form.n_samples)
    target = os.open(chunk.signals, os.O_WRONLY)
    try:
        for row, path in zip(chunk.rows, chunk.paths, strict=True):
            try:
                ecg = read_ecg(path)
            except EcgqaError as error:
                found = f" (found {error.found})" if error.found else ""
                outcomes.append(Packed(row, problem=error.message + found))
                continue
            except OSError as error:
                outcomes.append(Packed(row, problem=f"{path}: {error.strerror or error}"))
                continue
            digital = ecg.digital
            length = digital.shape[1]
            if ecg.fs_hz != form.fs_hz or length > form.n_samples or (length < form.n_samples and not form.pad_shorter):
                outcomes.append(Packed(row, problem=f"{length} samples at {ecg.fs_hz:g} Hz", differs=True))
                continue
            if length < form.n_samples:
                padded = np.full((N_LEADS, form.n_samples), INVALID_SAMPLE, dtype="<i2")
                padded[:, :length] = digital
                digital = padded
            data = np.ascontiguousarray(digital, dtype="<i2")
            _write_all(target, data.data.cast("B"), chunk.first_byte + row * size)
            outcomes.append(
                Packed(
                    row,
                    n_samples=length,
                    gain_per_mv=tuple(float(gain) for gain in ecg.gain_per_mv),
                    recorded_at=ecg.recorded_at.isoformat() if ecg.recorded_at else None,
                    flags=tuple(ecg.flags),
                )
            )
    finally:
        os.close(target)
    return outcomes


def _write_all(target: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(target, data, offset)
        data, offset = data[written:], offset + written


def pack(
    paths: Sequence[str],
    folder: Path,
    form: Form,
    *,
    executor: Executor,
    n_parallel: int,
    advance: Callable[..., None] = lambda n=1: None,
) -> list[Packed]:
    """Write the ECGs at `paths` to rows 0, 1, 2, … of `folder`/signals.npy and return one outcome per row.

    Rows that an interrupted run finished (they are in the journal) are not read again. ECGs with a problem leave a
    gap, which `close_gaps` removes. Raises OSError if the disk is full.
    """
    signals, journal = folder / SIGNALS, folder / JOURNAL
    header = signals_header(len(paths), form.n_samples)
    total = len(header) + len(paths) * bytes_per_ecg(form.n_samples)
    work = {"form": asdict(form), "paths": digest_of(list(paths))}
    done = {packed.row: packed for packed in _read_journal(journal, work)} if _same_size(signals, total) else {}
    if not done:
        journal.write_text(json.dumps(work) + "\n", encoding="utf-8")
        _allocate(signals, header, total)
    advance(len(done))
    todo = [row for row in range(len(paths)) if row not in done]
    chunks = (
        Chunk(str(signals), len(header), form, tuple(rows), tuple(paths[row] for row in rows))
        for rows in (todo[start : start + CHUNK] for start in range(0, len(todo), CHUNK))
    )
    outcomes, fresh, last_sync = dict(done), [], time.monotonic()
    try:
        for packed in as_they_finish(executor, pack_chunk, chunks, ahead=2 * n_parallel):
            outcomes.update((one.row, one) for one in packed)
            fresh += [one for one in packed if one.problem is None]
            advance(len(packed))
            if time.monotonic() - last_sync > SYNC_EVERY_S:
                _record(signals, journal, fresh)
                fresh, last_sync = [], time.monotonic()
    finally:
        if fresh:
            _record(signals, journal, fresh)
    return [outcomes[row] for row in range(len(paths))]


def close_gaps(outcomes: list[Packed], folder: Path, form: Form) -> list[Packed]:
    """Move rows down over those that have a problem, shorten the array, and return the good outcomes renumbered."""
    good = [packed for packed in outcomes if packed.problem is None]
    if len(good) == len(outcomes):
        return good
    # Rows move onto rows that the journal still calls finished: without it, a kill from here on means a fresh start.
    (folder / JOURNAL).unlink(missing_ok=True)
    size, header = bytes_per_ecg(form.n_samples), signals_header(len(good), form.n_samples)
    with (folder / SIGNALS).open("rb+") as stream:
        target = stream.fileno()
        for row, packed in enumerate(good):
            if packed.row != row:
                data = os.pread(target, size, len(header) + packed.row * size)
                _write_all(target, memoryview(data), len(header) + row * size)
        _write_all(target, memoryview(header), 0)
        os.ftruncate(target, len(header) + len(good) * size)
        os.fsync(target)
    return [replace(packed, row=row) for row, packed in enumerate(good)]


def _allocate(signals: Path, header: bytes, total: int) -> None:
    """Reserve the whole file on disk at once, so that too little space shows before hours of work and not after."""
    with signals.open("wb") as stream:
        stream.write(header)
        stream.flush()
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(stream.fileno(), 0, total)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                    signals.unlink()  # or what could be reserved would keep the disk full
                    raise
        os.truncate(stream.fileno(), total)


def _same_size(signals: Path, total: int) -> bool:
    return signals.is_file() and signals.stat().st_size == total


def _record(signals: Path, journal: Path, fresh: list[Packed]) -> None:
    """Note `fresh` rows as finished, after their samples have reached the disk."""
    with signals.open("rb+") as stream:
        os.fdatasync(stream.fileno()) if hasattr(os, "fdatasync") else os.fsync(stream.fileno())
    with journal.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(_as_entry(packed)) + "\n" for packed in fresh)
        stream.flush()
        os.fsync(stream.fileno())


def _as_entry(packed: Packed) -> tuple[object, ...]:
    return packed.row, packed.n_samples, packed.gain_per_mv, packed.recorded_at, packed.flags


def _read_journal(journal: Path, work: Mapping[str, object]) -> Iterator[Packed]:
    """The finished rows of an interrupted run, if that run was packing the same files into the same rows."""
    try:
        lines = journal.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return
    if lines[0] != json.dumps(work):
        return
    if lines[-1]:  # a line without its newline was cut off by the kill: what is appended must not continue it
        with journal.open("a", encoding="utf-8") as stream:
            stream.write("\n")
    for line in lines[1:-1]:
        try:
            row, n_samples, gains, recorded_at, flags = json.loads(line)
        except (ValueError, TypeError):
            continue
        yield Packed(row, n_samples, tuple(gains), recorded_at, tuple(flags))
