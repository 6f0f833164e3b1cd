"""`fetch`: brings a published data set, or the part of it that is needed, into a folder and proves every byte of it.

What is in the folder under its own name is whole and verified; the ledger remembers it, `manifest.json` is written
last and only when nothing that was asked for is missing. The same call again does what is left.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ecgqa import __version__
from ecgqa.artefacts import MANIFEST, digest_file, read_manifest, write_json, write_text
from ecgqa.errors import EcgqaError
from ecgqa.sources.catalogue import BLOCK_BYTES, Release, on_disk, release
from ecgqa.sources.checksums import read_checksums
from ecgqa.sources.fetch_report import FAILED, SPARE_BYTES, Report, readable
from ecgqa.sources.ledger import LEDGER, Ledger
from ecgqa.sources.partial import CannotWrite
from ecgqa.sources.selection import ids_in_file, ids_in_questions
from ecgqa.sources.transfers import Job, counted, disk_trouble, run_jobs
from ecgqa.sources.transport import CannotFetch, NotPublished, Patience, Transport

LOCK = ".ecgqa-fetch.lock"


def fetch(
    kind: str,
    dest: str | Path | None = None,
    *,
    version: str | None = None,
    what: str | None = None,
    ids: str | Path | None = None,
    questions: str | Path | None = None,
    mirrors: Sequence[str] = (),
    connections: int = 8,
    dry_run: bool = False,
    patience: Patience | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Download `kind` ("ptbxl", "mimic-iv-ecg" or "questions") into `dest`, default the cache folder of that kind.

    `what` is "metadata", "records500" (default; with the metadata), "records100" or "all"; for questions "all"
    (default), "ptbxl" or "mimic-iv-ecg". `ids` (a file) or `questions` (a question data set) restrict the records to
    those ECGs. `mirrors` replaces the catalogue's addresses. `say` receives lines meant for the user.

    Files already there are verified, not fetched again. Missing or broken files do not stop the rest: they are named
    in the report, which is then not `complete`. Raises EcgqaError where nothing can be done: no mirror answers, the
    disk is full, another run works on the folder, the folder is not ours.
    """
    chosen = release(kind, version, mirrors=mirrors)
    parts = _parts(chosen, what)
    if not 1 <= connections <= 256:
        raise EcgqaError(f"{connections} connections", expected="1 to 256")
    folder = _destination(chosen, dest)
    wanted_ids = _wanted_ids(chosen, ids, questions)
    say(chosen.notice())
    if dry_run:
        return _forecast(chosen, folder, parts, wanted_ids, patience)
    started = time.monotonic()
    report = Report(chosen, folder)
    with _claimed(folder, chosen) as ledger:
        if chosen.kind == "questions":
            from ecgqa.sources.fetch_questions import fetch_questions

            fetch_questions(chosen, folder, parts, ledger, report, patience or Patience())
        else:
            _fetch_records(chosen, parts, wanted_ids, ledger, report, connections, patience or Patience(), say)
        report.seconds = time.monotonic() - started
        _finish(report, ledger, wanted_ids)
    return report


def _parts(chosen: Release, what: str | None) -> list[str]:
    names = list(chosen.parts)
    default = "all" if chosen.kind == "questions" else "records500"
    what = what or default
    if what == "all":
        return names
    if what not in names:
        raise EcgqaError(f"{chosen.kind} has no part {what!r}", expected=f"one of: {', '.join(['all', *names])}")
    return [what] if chosen.kind == "questions" or what == "metadata" else ["metadata", what]


def _destination(chosen: Release, dest: str | Path | None) -> Path:
    if dest is None:
        from ecgqa.sources.cache import cache_folder

        folder = Path(cache_folder(chosen.kind))
    else:
        folder = Path(dest).expanduser()
    folder = folder.absolute()
    if folder == Path(folder.anchor) or folder == Path.home():
        raise EcgqaError(f"refusing to write into {folder} itself", fix="name a folder of its own with --dest")
    for part in [folder, *folder.parents]:
        if part.exists() and not part.is_dir():
            raise EcgqaError(f"{part} is a file", expected="a folder to download into", fix="another --dest")
    return folder


def _wanted_ids(chosen: Release, ids: str | Path | None, questions: str | Path | None) -> set[int] | None:
    if chosen.kind == "questions" and (ids is not None or questions is not None):
        raise EcgqaError("the questions come as one archive", fix="leave --ids and --questions away")
    wanted: set[int] | None = None
    if ids is not None:
        wanted = ids_in_file(ids)
    if questions is not None:
        found = ids_in_questions(questions, chosen.kind)
        wanted = found if wanted is None else wanted & found
        if not wanted:
            raise EcgqaError("no ECG is both in --ids and in --questions")
    return wanted


def _forecast(
    chosen: Release, folder: Path, parts: list[str], ids: set[int] | None, patience: Patience | None
) -> Report:
    """What a run would do, without writing: exact where the list of files is at hand, else from the catalogue."""
    report = Report(chosen, folder, dry_run=True, free_bytes=_free(folder))
    listing = folder / chosen.checksums if chosen.checksums else None
    if listing is not None and listing.is_file():
        ledger = Ledger(folder, chosen.name)
        wanted, _ = _select(chosen, listing, parts, ids, report)
        missing = [path for path, digest in wanted if not ledger.verified(path, digest)]
        report.files, report.kept = len(wanted), len(wanted) - len(missing)
        report.bytes = sum(on_disk(chosen.size_of(path)) for path in missing)
    else:
        report.estimated = True
        for name in parts:
            part = chosen.parts[name]
            records = len(ids) if ids is not None and part.files_per_record else None
            report.files += part.files if records is None else records * part.files_per_record
            report.bytes += part.bytes if records is None else records * part.bytes_per_record
        report.bytes += report.files * BLOCK_BYTES // 2
        if chosen.kind == "questions":
            report.bytes += chosen.sizes["archive"]
    transport = Transport(chosen.mirrors, patience=patience)
    mirror = transport.first_answering(chosen.checksums or "")
    report.mirror = f"{mirror.name} ({mirror.url})" if mirror else ""
    return report


@contextmanager
def _claimed(folder: Path, chosen: Release) -> Iterator[Ledger]:
    """Make sure that the folder is ours to fill, that no other run is filling it, and open its ledger."""
    from filelock import FileLock, Timeout

    _check_ours(folder, chosen)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise EcgqaError(
            f"another run is downloading into {folder} right now", fix="wait for it to end, or choose another --dest"
        ) from None
    except OSError as error:
        raise disk_trouble(error, folder, 0) from None
    try:
        with Ledger(folder, chosen.name) as ledger:
            yield ledger
    except (CannotWrite, OSError) as error:
        raise disk_trouble(error.error if isinstance(error, CannotWrite) else error, folder, 0) from None
    finally:
        lock.release()


def _check_ours(folder: Path, chosen: Release) -> None:
    """Refuse a folder that holds something else; one that someone filled with the same data set is adopted."""
    if (folder / MANIFEST).is_file() and (found := read_manifest(folder).get("kind")) != "download":
        raise EcgqaError(f"{folder} holds a {found}, not a download: it is left alone", fix="choose another --dest")
    if (folder / LEDGER).is_file() or not folder.is_dir():
        return
    names = {path.name for path in folder.iterdir()} - {LOCK}
    if names and not names & set(chosen.marks):
        raise EcgqaError(
            f"{folder} is not empty and does not look like {chosen.kind}",
            expected=f"an empty or new folder, or one that holds {chosen.marks[0]}",
            fix="choose another --dest",
        )


def _fetch_records(
    chosen: Release,
    parts: list[str],
    ids: set[int] | None,
    ledger: Ledger,
    report: Report,
    connections: int,
    patience: Patience,
    say: Callable[[str], None],
) -> None:
    folder = report.dest
    transport = Transport(chosen.mirrors, patience=patience)
    listing = _fetch_listing(chosen, folder, ledger, patience)
    wanted, report.parts = _select(chosen, listing, parts, ids, report)
    pending = [Job(path, digest, chosen.size_of(path)) for path, digest in wanted if not ledger.verified(path, digest)]
    report.files, report.kept = len(wanted), len(wanted) - len(pending)
    report.bytes = sum(job.size for job in pending)
    new = [job for job in pending if not (folder / job.path).exists()]
    check_space(folder, sum(on_disk(job.size) for job in new))
    if any(job.path in ledger.entries for job in pending):
        (folder / MANIFEST).unlink(missing_ok=True)  # what it vouches for was damaged or lost since
    if pending:
        say(
            f"{len(pending):,} of {len(wanted):,} files to fetch or verify, about {readable(report.bytes)}, to {folder}"
        )
    # A metadata file that differs from the published one may be somebody's work; records are only ever replaced.
    run_jobs(pending, transport, ledger, report, connections, keep_aside=lambda p: chosen.part_of(p) == "metadata")


def _fetch_listing(chosen: Release, folder: Path, ledger: Ledger, patience: Patience) -> Path:
    assert chosen.checksums is not None
    listing = folder / chosen.checksums
    if ledger.verified(chosen.checksums, None):
        return listing
    try:
        with counted("list of files", chosen.size_of(chosen.checksums)) as on_bytes:
            transport = Transport(chosen.mirrors, patience=patience, on_bytes=on_bytes)
            fetched = transport.fetch(chosen.checksums, listing)
    except (NotPublished, CannotFetch) as error:
        reason = "none of them has it" if isinstance(error, NotPublished) else str(error)
        raise EcgqaError(
            f"the list of files of {chosen.kind} {chosen.version} ({chosen.checksums}) cannot be had",
            expected=" or ".join(mirror.url for mirror in chosen.mirrors),
            found=reason,
            fix="check the network, or give another address with --mirror; the same command again goes on from here",
        ) from None
    except CannotWrite as error:
        raise disk_trouble(error.error, folder, chosen.size_of(chosen.checksums)) from None
    try:
        for _ in read_checksums(listing):
            pass
    except EcgqaError:
        listing.unlink()
        raise
    ledger.add(chosen.checksums, fetched.sha256)
    return listing


def _select(
    chosen: Release, listing: Path, parts: list[str], ids: set[int] | None, report: Report
) -> tuple[list[tuple[str, str]], dict[str, dict[str, int]]]:
    """The (path, digest) pairs that are wanted, and how many files each part of the release has."""
    wanted: list[tuple[str, str]] = []
    totals = {name: {"of": 0} for name in chosen.parts}
    known: set[int] = set()
    for path, digest in read_checksums(listing):
        if path == chosen.checksums or path == MANIFEST:
            continue
        name = chosen.part_of(path)
        totals[name]["of"] += 1
        if name not in parts:
            continue
        ecg_id = chosen.parts[name].id_of(path) if ids is not None else None
        if ids is not None and name != "metadata":
            if ecg_id is None or ecg_id not in ids:
                continue
            known.add(ecg_id)
        wanted.append((path, digest))
    if ids is not None and parts != ["metadata"]:
        report.unknown_ids = sorted(ids - known)
        if not known:
            raise EcgqaError(
                f"none of the {len(ids):,} ids is in {chosen.kind} {chosen.version}",
                found=", ".join(map(str, sorted(ids)[:5])),
                fix="is this the right data set for these ids?",
            )
    return wanted, totals


def check_space(folder: Path, needed: int) -> None:
    """Raise EcgqaError when the disk that holds `folder` has no room for `needed` bytes and a little more."""
    free = _free(folder)
    if needed and free < needed + SPARE_BYTES:
        raise EcgqaError(
            f"not enough room on the disk of {folder}",
            expected=f"{readable(needed + SPARE_BYTES)} free",
            found=f"{readable(free)} free",
            fix="free some space, choose another disk with --dest, or fetch less (--what, --ids, --questions)",
        )


def _free(folder: Path) -> int:
    existing = next(path for path in [folder, *folder.parents] if path.exists())
    return shutil.disk_usage(existing).free


def _finish(report: Report, ledger: Ledger, ids: set[int] | None) -> None:
    """Write the manifest of a complete download, or the list of what is missing of an incomplete one."""
    folder, chosen = report.dest, report.release
    if not report.complete:
        rows = [f"{path}\tnot published by any mirror" for path in report.missing]
        rows += [f"{path}\t{reason}" for path, reason in report.failed.items()]
        if rows:
            write_text(folder / FAILED, "path\treason\n" + "\n".join(rows) + "\n")
        return
    (folder / FAILED).unlink(missing_ok=True)
    if report.fetched and hasattr(os, "sync"):
        os.sync()  # once for all: the manifest must not outlive a power cut that the files do not
    have = dict.fromkeys(chosen.parts, 0)
    total_bytes = 0
    for path, entry in ledger.entries.items():
        if path != chosen.checksums and (name := chosen.part_of(path)) in have:
            have[name] += 1
            total_bytes += int(entry.split("\t", 1)[0])
    parts = {name: {"files": count, **report.parts.get(name, {})} for name, count in have.items() if count}
    manifest: dict[str, Any] = {
        "kind": "download",
        "inputs": {
            "source": chosen.kind,
            "version": chosen.version,
            "checksums": digest_file(folder / chosen.checksums) if chosen.checksums else None,
        },
        "config": {"ids": len(ids) - len(report.unknown_ids) if ids is not None else None},
        "ecgqa_version": __version__,
        "counts": {"files": sum(have.values()), "bytes": total_bytes},
        "parts": parts,
        "licence": chosen.licence,
        "page": chosen.page,
    }
    if chosen.kind == "questions":
        manifest["inputs"]["commit"] = report.commit or None
    if report.unknown_ids:
        manifest["ids_not_in_release"] = report.unknown_ids
    write_json(folder / MANIFEST, manifest)
