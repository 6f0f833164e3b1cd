"""The released questions: one archive of a pinned commit, unpacked to the published layout and nothing beside it."""

from __future__ import annotations

import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ecgqa.artefacts import MANIFEST, read_manifest
from ecgqa.errors import EcgqaError
from ecgqa.sources.catalogue import Release
from ecgqa.sources.checksums import safe_path
from ecgqa.sources.fetch_report import Report
from ecgqa.sources.ledger import Ledger
from ecgqa.sources.partial import partial_of
from ecgqa.sources.transfers import counted
from ecgqa.sources.transport import CannotFetch, NotPublished, Patience, Transport

PLACES = (
    (re.compile(r"ecgqa/((?:ptbxl|mimic-iv-ecg)/.+)"), r"\1"),
    (re.compile(r"llm_modeling/metadata/(.+\.csv)"), r"llm_metadata/\1"),
    (re.compile(r"llm_modeling/(examples/[^/]+\.txt)"), r"\1"),
    (re.compile(r"(LICENSE[^/]*)"), r"\1"),
)
"""Where a file of the repository goes; what is not named here (code, figures) is not unpacked."""
LARGEST_BYTES = 50_000_000_000
"""An archive that unpacks to more than this is not the data set (about 1.5 GB)."""
LFS_POINTER = b"version https://git-lfs"


class _Damaged(Exception):
    """The archive ends early or its own checksum is wrong."""


def fetch_questions(
    chosen: Release, folder: Path, parts: list[str], ledger: Ledger, report: Report, patience: Patience
) -> None:
    """Bring the parts ("ptbxl", "mimic-iv-ecg") of the questions into `folder`; fills `report` and `ledger`.

    GitHub publishes no checksums. The archive names the full commit it was made from, which must begin with the
    pinned one; files whose digest is known are compared with it; the digests of all are recorded in the ledger.
    """
    from ecgqa.sources.fetch import check_space

    if _finished(folder, chosen, parts, ledger, report):
        return
    check_space(folder, chosen.sizes["archive"] + sum(chosen.parts[name].bytes for name in parts))
    archive = folder / f".{chosen.slug}-{chosen.version.replace('/', '-')}.tar.gz"
    for attempt in range(2):
        if not archive.exists():
            _download(chosen, archive, report, patience)
        try:
            _unpack(chosen, archive, folder, parts, ledger, report)
        except _Damaged as error:
            archive.unlink()
            if attempt:
                raise EcgqaError(
                    f"the archive of the questions is damaged: {error}", fix="try again, or name another --mirror"
                ) from None
        except EcgqaError:
            archive.unlink(missing_ok=True)  # a wrong archive must not be taken up again by the next run
            raise
        else:
            archive.unlink()
            return


def _finished(folder: Path, chosen: Release, parts: list[str], ledger: Ledger, report: Report) -> bool:
    """Whether an earlier run finished these parts and every file of theirs is still as it was verified."""
    if not (folder / MANIFEST).is_file():
        return False
    manifest = read_manifest(folder, kind="download")
    if not all(name in manifest.get("parts", {}) for name in parts):
        return False
    paths = [path for path in ledger.entries if (part := chosen.part_of(path)) in parts or part == "metadata"]
    if not all(ledger.verified(path, None) for path in paths):
        return False
    report.files = report.kept = len(paths)
    report.commit = manifest.get("inputs", {}).get("commit") or ""
    return True


def _download(chosen: Release, archive: Path, report: Report, patience: Patience) -> None:
    with counted("downloading", chosen.sizes["archive"]) as on_bytes:
        transport = Transport(chosen.mirrors, patience=patience, on_bytes=on_bytes)
        try:
            fetched = transport.fetch("", archive)
        except (NotPublished, CannotFetch) as error:
            reason = "none of them has it" if isinstance(error, NotPublished) else str(error)
            raise EcgqaError(
                f"the questions ({chosen.slug} {chosen.version}) cannot be had",
                expected=" or ".join(mirror.url for mirror in chosen.mirrors),
                found=reason,
                fix="check the network, or give the address of a .tar.gz of the repository with --mirror",
            ) from None
    report.bytes_fetched += fetched.size
    report.retries += transport.retries


def _unpack(chosen: Release, archive: Path, folder: Path, parts: list[str], ledger: Ledger, report: Report) -> None:
    from ecgqa.sources.fetch import check_space

    report.files = report.kept = report.fetched = 0
    sizes = _inspect(chosen, archive, parts, report)
    check_space(folder, sum(size for path, size in sizes.items() if not ledger.verified(path, None)))
    with _members(archive, parts) as members:
        for tar, member, path in members:
            stream = tar.extractfile(member)
            assert stream is not None
            digest, written = _put(stream, folder / path, path, ledger, chosen.sha256.get(path))
            report.files += 1
            report.fetched += written
            report.kept += not written
            if written:
                ledger.add(path, digest)


def _inspect(chosen: Release, archive: Path, parts: list[str], report: Report) -> dict[str, int]:
    """Read the archive to its end and check all that can be checked before anything is written: sizes by path."""
    sizes: dict[str, int] = {}
    commit = ""
    with _members(archive, parts) as members:
        for tar, member, path in members:
            commit = tar.pax_headers.get("comment", "")  # git writes the full commit id into the global header
            sizes[path] = member.size
    report.commit = commit
    if commit and re.fullmatch(r"[0-9a-f]{7,40}", chosen.version) and not commit.startswith(chosen.version):
        raise EcgqaError(
            "the archive was made from another commit",
            expected=chosen.version,
            found=commit,
            fix="use another --mirror",
        )
    if sum(sizes.values()) > LARGEST_BYTES:
        raise EcgqaError("the archive unpacks to more than the questions can be: it is not used")
    lacking = [name for name in parts if not any(path.startswith(name + "/") for path in sizes)]
    if lacking:
        raise EcgqaError(
            f"the archive holds no questions for {', '.join(lacking)}",
            expected="the folders ecgqa/ptbxl and ecgqa/mimic-iv-ecg of the ECG-QA repository",
            fix="another --mirror or --version",
        )
    gone = [path for path in chosen.sha256 if chosen.part_of(path) in parts and path not in sizes]
    if gone:
        raise EcgqaError(
            f"the archive lacks {len(gone)} files of the release", found=", ".join(gone[:5]), fix="another --mirror"
        )
    return sizes


@contextmanager
def _members(archive: Path, parts: list[str]) -> Iterator[Iterator[tuple[tarfile.TarFile, tarfile.TarInfo, str]]]:
    """The wanted members of the archive, in order; on leaving, its checksum was verified. _Damaged if it is broken."""
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            yield ((tar, member, path) for member, path in _wanted_members(tar, parts))
            while stream.read(1 << 20):  # gzip compares its checksum when it reaches the end
                pass
    except (EOFError, zlib.error, tarfile.TarError, gzip.BadGzipFile) as error:
        raise _Damaged(str(error) or type(error).__name__) from None


def _wanted_members(tar: tarfile.TarFile, parts: list[str]) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Yield the members to unpack and where each goes; EcgqaError for an archive with names or links that lie."""
    for member in tar:
        name = member.name.rstrip("/")
        if not safe_path(name):
            raise EcgqaError(
                "the archive names a file outside its folder: it is not used",
                found=repr(name[:120]),
                fix="use another --mirror",
            )
        path = _place(name.partition("/")[2])
        if (
            path is None
            or member.isdir()
            or (path.split("/")[0] in ("ptbxl", "mimic-iv-ecg") and path.split("/")[0] not in parts)
        ):
            continue
        if not member.isreg():
            raise EcgqaError(
                "the archive holds a link or device in the place of a file: it is not used",
                found=repr(name[:120]),
                fix="use another --mirror",
            )
        yield member, path


def _place(inside: str) -> str | None:
    for pattern, place in PLACES:
        if match := pattern.fullmatch(inside):
            return match.expand(place)
    return None


def _put(stream: IO[bytes], target: Path, path: str, ledger: Ledger, pinned: str | None) -> tuple[str, bool]:
    """Write one file, whole or not at all; returns its SHA-256 and False where the same bytes were there already."""
    digest = hashlib.sha256()
    partial = partial_of(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as out:
            while block := stream.read(1 << 20):
                if not out.tell() and block.startswith(LFS_POINTER):
                    raise EcgqaError(
                        f"{path} is only a Git LFS pointer in this archive", fix="name another --mirror or --version"
                    )
                out.write(block)
                digest.update(block)
        if pinned is not None and pinned != digest.hexdigest():
            raise EcgqaError(
                f"{path} in the archive is not the released file",
                expected=f"SHA-256 {pinned}",
                found=f"SHA-256 {digest.hexdigest()}",
                fix="another --mirror; or --version with the commit you want, whose files are only recorded",
            )
        if ledger.verified(path, digest.hexdigest()):
            return digest.hexdigest(), False
        partial.replace(target)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return digest.hexdigest(), True
