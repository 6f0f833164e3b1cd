"""ECGs that a visitor uploads: parsed as untrusted, in a folder of their own, and kept in memory for a while."""

from __future__ import annotations

import asyncio
import re
import secrets
import tempfile
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Final

from ecgqa.errors import EcgqaError
from ecgqa.signals.read import Ecg, read_ecg
from ecgqa.signals.read_csv import read_csv_ecg
from ecgqa.signals.wfdb_header import Header, parse_header

MAX_BODY_BYTES: Final = 24 << 20
"""All files of one upload together, with what the browser puts around them."""
MAX_HEADER_BYTES: Final = 64 << 10
MAX_VALUES: Final = 12 << 20
"""Samples of all channels together that a header may claim: an hour of twelve leads at 290 Hz."""
MAX_AT_ONCE: Final = 4
"""Uploads that are received at the same time; the next ones wait."""
MAX_KEPT: Final = 12
"""Uploads in memory; the one looked at longest ago goes first."""
_PLAIN_FORMATS: Final = (16, 61, 80, 160, 212, 310, 311, 24, 32)
"""Formats whose size in memory follows from the size of the file: none that is compressed."""
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_KEY: Final = re.compile(r"[0-9a-f]{32}")


class Uploads:
    """The uploaded ECGs, by unguessable keys."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[str, Ecg]] = OrderedDict()
        self._lock = Lock()
        self.slots = asyncio.Semaphore(MAX_AT_ONCE)

    def add(self, files: dict[str, bytes], fs_hz: float | None = None) -> str:
        """Parse an upload and return its key; raises EcgqaError for whatever is wrong with it.

        files: name and content of a .hea and the .dat it names, or of one .csv.
        """
        name, ecg = parse_upload(files, fs_hz)
        key = secrets.token_hex(16)
        with self._lock:
            self._kept[key] = (name, ecg)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return key

    def get(self, key: str) -> tuple[str, Ecg]:
        """Name and ECG of an upload; raises EcgqaError if it is not kept (any more)."""
        with self._lock:
            if key not in self._kept:
                raise EcgqaError("this upload is no longer kept", fix="upload the record again")
            self._kept.move_to_end(key)
            return self._kept[key]


def is_key(text: str) -> bool:
    """Whether `text` is the key of an upload rather than the row of an ECG."""
    return _KEY.fullmatch(text) is not None


def parse_upload(files: dict[str, bytes], fs_hz: float | None = None) -> tuple[str, Ecg]:
    """Name and ECG of the uploaded files. Nothing but these files is ever read, whatever a header names."""
    for name, data in files.items():
        if _FILE_NAME.fullmatch(name) is None:
            raise EcgqaError(
                "a file has a name that cannot be used", expected="letters, digits, _ . -", found=f"{name[:60]!r}"
            )
        if not data:
            raise EcgqaError(f"{name} is empty")
    tables = [name for name in files if name.lower().endswith((".csv", ".txt", ".tsv"))]
    headers = [name for name in files if name.lower().endswith(".hea")]
    if len(files) == 1 and tables:
        return tables[0], read_csv_ecg(files[tables[0]], fs_hz=fs_hz)
    if len(headers) != 1 or len(files) != 2:
        raise EcgqaError(
            "these files are no ECG record",
            expected="two files of a WFDB record (.hea and .dat), or one .csv",
            found=", ".join(files)[:200] or "no file",
        )
    ecg = _wfdb(headers[0], files)
    if not 10 <= ecg.fs_hz <= 100_000:
        raise EcgqaError(f"a sampling rate of {ecg.fs_hz:g} Hz cannot be meant", expected="10 to 100,000 Hz")
    return headers[0], ecg


def _wfdb(header_name: str, files: dict[str, bytes]) -> Ecg:
    if len(files[header_name]) > MAX_HEADER_BYTES:
        raise EcgqaError(f"{header_name} is too large to be a header", expected=f"at most {MAX_HEADER_BYTES:,} bytes")
    (signal_name,) = (name for name in files if name != header_name)
    header = parse_header(files[header_name].decode("utf-8-sig", errors="replace"))
    _check(header, signal_name)
    with tempfile.TemporaryDirectory(prefix="ecgqa-upload-") as folder:
        # The header lies under a name of our own; the signal file under its own, which _check found to be the only one.
        (Path(folder) / "upload.hea").write_bytes(files[header_name])
        (Path(folder) / signal_name).write_bytes(files[signal_name])
        try:
            return read_ecg(Path(folder) / "upload", allow_missing_leads=True)
        except EcgqaError as error:
            message = _without(folder, error.message) or ""
            expected, found, fix = (_without(folder, text) for text in (error.expected, error.found, error.fix))
            raise EcgqaError(message, expected=expected, found=found, fix=fix) from None


def _check(header: Header, signal_name: str) -> None:
    if header.segments:
        raise EcgqaError("a record in segments cannot be uploaded", expected="one .hea and one .dat")
    named = {line.file_name for line in header.signals}
    if named != {signal_name}:
        raise EcgqaError(
            "the header names other files than the one uploaded",
            expected=signal_name,
            found=", ".join(sorted(named))[:200],
            fix="upload the .hea and the .dat it names, under their own names",
        )
    formats = {line.format for line in header.signals} - set(_PLAIN_FORMATS)
    if formats:
        raise EcgqaError(
            "this storage format cannot be uploaded",
            expected="format " + ", ".join(map(str, _PLAIN_FORMATS)),
            found=", ".join(map(str, sorted(formats))),
        )
    claimed = (header.n_samples or 0) * sum(line.samples_per_frame for line in header.signals)
    if claimed > MAX_VALUES or any(line.skew > 100_000 or line.samples_per_frame > 64 for line in header.signals):
        raise EcgqaError(
            "the header claims more than an upload may hold",
            expected=f"at most {MAX_VALUES:,} values",
            found=f"{claimed:,}",
        )


def _without(folder: str, text: str | None) -> str | None:
    """The text without the name of the temporary folder, which means nothing to the reader."""
    return None if text is None else text.replace(folder + "/upload", "record").replace(folder + "/", "")
