"""The stored samples of one single-segment WFDB record: its common form read here, every other form through `wfdb`.

The common form (PTB-XL, MIMIC-IV-ECG, LUDB) is storage format 16 (or 61, its big-endian twin), one data file, one
sample per frame, no skew and no offset. Whatever a header claims, nothing is allocated before the size of the data
files bears it out.
"""

# ruff: noqa: PTH112, PTH116, PTH118, PTH119, PTH120
# os.path and os.read: a Path object costs more here than parsing the header.
from __future__ import annotations

import math
import os
import stat
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ecgqa.errors import EcgqaError
from ecgqa.signals.wfdb_header import Header, SignalLine

_BITS: Final = {8: 8, 16: 16, 24: 24, 32: 32, 61: 16, 80: 8, 160: 16, 212: 12, 310: 10, 311: 10}
"""Significant bits per sample of the plain storage formats, signal(5) of the WFDB Applications Guide."""
_COMPRESSED_BITS: Final = {508: 8, 516: 16, 524: 24}
_GROUPED: Final = {212: (2, 3), 310: (3, 4), 311: (3, 4)}
"""Formats that pack (samples) into (bytes)."""
_COMMON: Final = {16: "<i2", 61: ">i2"}
MAX_DECODED_SAMPLES: Final = 1 << 28
"""Samples of one record that the general reader will decode at once (2 GiB as 64-bit integers)."""
_READ_AT_ONCE: Final = 1 << 30


class Samples(NamedTuple):
    """Samples as stored, before any baseline is removed."""

    raw: npt.NDArray[np.integer[Any]]
    """(12 or fewer wanted channels, n_samples), C order."""
    invalid: tuple[int | None, ...]
    """The value that marks "no sample" in each channel's format."""
    fs_hz: float
    """Rate of these samples: the header's, times the samples per frame."""


def read_samples(stem: str, header: Header, channels: list[int]) -> Samples:
    """The wanted `channels` (indices, in the wanted order) of the record at `stem` (its path without extension)."""
    if is_common_form(header):
        return _read_common(stem, header, channels)
    return _read_through_wfdb(stem, header, channels)


def is_common_form(header: Header) -> bool:
    """Whether the fast reader can read this record."""
    storage_format, file_name = header.signals[0].format, header.signals[0].file_name
    if storage_format not in _COMMON:
        return False
    for line in header.signals:
        if line.format != storage_format or line.file_name != file_name or line.samples_per_frame != 1:
            return False
        if line.skew or line.byte_offset:
            return False
    return True


def _read_common(stem: str, header: Header, channels: list[int]) -> Samples:
    path = os.path.join(os.path.dirname(stem), header.signals[0].file_name)
    n_channels = header.n_channels
    data = read_regular_file(path, "the record's data file")
    frame = 2 * n_channels
    n_samples = header.n_samples if header.n_samples is not None else len(data) // frame
    _check_size(path, len(data), n_samples * frame, f"{n_samples} samples of {n_channels} channels, 2 bytes each")
    interleaved = np.frombuffer(data, dtype=_COMMON[header.signals[0].format]).reshape(n_samples, n_channels)
    if n_channels == len(channels) and channels == list(range(n_channels)):
        raw = np.ascontiguousarray(interleaved.T, dtype=np.int16)
    else:
        raw = interleaved.T[channels].astype(np.int16, copy=False)
    return Samples(raw, (-32768,) * len(channels), header.fs_hz)


def _read_through_wfdb(stem: str, header: Header, channels: list[int]) -> Samples:
    folder = os.path.dirname(stem)
    per_frame = {header.signals[channel].samples_per_frame for channel in channels}
    if len(per_frame) > 1:
        raise EcgqaError(
            "the leads are sampled at different rates",
            expected="the same number of samples per frame in every lead",
            found=", ".join(map(str, sorted(per_frame))),
        )
    for lines in _by_file(header):
        _check_data_file(os.path.join(folder, lines[0].file_name), lines, header)
    claimed = sum(line.samples_per_frame for line in header.signals) * (header.n_samples or 0)
    if claimed > MAX_DECODED_SAMPLES:
        raise EcgqaError(
            f"the record is too long to decode at once: {claimed} samples",
            expected=f"at most {MAX_DECODED_SAMPLES}",
            fix="cut it into shorter records, or store it in format 16",
        )
    import wfdb

    try:
        record = wfdb.rdrecord(stem, channels=channels, physical=False, smooth_frames=False, return_res=64)
        signals = record.e_d_signal
        raw = np.ascontiguousarray(np.stack([np.asarray(signal, dtype=np.int64) for signal in signals]))
    except MemoryError:
        raise
    except Exception as error:
        raise EcgqaError(
            f"wfdb cannot read this record: {type(error).__name__}: {str(error)[:200]}",
            expected="signals in one of the WFDB storage formats",
            found="format " + ", ".join(sorted({str(line.format) for line in header.signals})),
        ) from None
    return Samples(
        raw,
        tuple(_invalid_value(header.signals[channel].format) for channel in channels),
        header.fs_hz * per_frame.pop(),
    )


def _invalid_value(storage_format: int) -> int | None:
    """The marker of "no sample": the lowest value of the format; format 8 (differences) has none."""
    bits = _BITS.get(storage_format) or _COMPRESSED_BITS[storage_format]
    return None if storage_format == 8 else -(1 << (bits - 1))


def _by_file(header: Header) -> list[list[SignalLine]]:
    """Channels grouped by data file; the format wants a file's channels on neighbouring lines."""
    groups: list[list[SignalLine]] = []
    for line in header.signals:
        if groups and groups[-1][0].file_name == line.file_name:
            groups[-1].append(line)
        else:
            groups.append([line])
    names = [group[0].file_name for group in groups]
    if len(set(names)) != len(names):
        raise EcgqaError(
            "the channels of one data file are not on neighbouring lines of the header", found=", ".join(names)[:200]
        )
    for group in groups:
        if len({line.format for line in group}) > 1:
            raise EcgqaError(f"the header gives {group[0].file_name} more than one storage format")
    return groups


def _check_data_file(path: str, lines: list[SignalLine], header: Header) -> None:
    storage_format = lines[0].format
    if storage_format not in _BITS and storage_format not in _COMPRESSED_BITS:
        raise EcgqaError(
            f"unknown storage format {storage_format}",
            expected="one of " + ", ".join(map(str, sorted(_BITS | _COMPRESSED_BITS))),
        )
    size = _regular_size(path, "the record's data file")
    if storage_format in _COMPRESSED_BITS or header.n_samples is None:
        return  # the length shows only on decoding
    per_frame = sum(line.samples_per_frame for line in lines)
    n_stored = header.n_samples * per_frame
    samples, bytes_ = _GROUPED.get(storage_format, (8, _BITS[storage_format]))
    needed = lines[0].byte_offset + -(-n_stored * bytes_ // samples)
    # Writers fill the last group up; skewed channels keep samples beyond the common end.
    spare = bytes_ if storage_format in _GROUPED else 0
    if any(line.skew for line in lines):
        spare += math.ceil(max(line.skew for line in lines) * per_frame * bytes_ / samples)
    _check_size(path, size, needed, f"{header.n_samples} frames of {per_frame} samples, format {storage_format}", spare)


def _check_size(path: str, size: int, needed: int, what: str, spare: int = 0) -> None:
    if needed <= size <= needed + spare and size:
        return
    name = os.path.basename(path)
    problem = "is empty" if not size else "is cut short" if size < needed else "is longer than its header says"
    raise EcgqaError(
        f"{name} {problem}",
        expected=f"{needed} bytes ({what})",
        found=f"{size} bytes",
        fix="fetch or copy the record again" if size < needed else "check the header: it lies about channels or length",
    )


def _regular_size(path: str, what: str) -> int:
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, what, error) from None
    if not stat.S_ISREG(found.st_mode):
        raise EcgqaError(
            f"{path} is not a file",
            expected=what,
            found="a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or device",
        )
    return found.st_size


def read_regular_file(path: str, what: str, at_most: int | None = None) -> bytes:
    """All bytes of a regular file; raises EcgqaError if it is absent, unreadable, a folder, a pipe or a device."""
    size = _regular_size(path, what)  # before opening: opening a pipe would wait for ever
    if at_most is not None and size > at_most:
        raise EcgqaError(
            f"{path} is too large to be {what}", expected=f"at most {at_most} bytes", found=f"{size} bytes"
        )
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            data = os.read(descriptor, min(size + 1, _READ_AT_ONCE))
            if len(data) == _READ_AT_ONCE or len(data) < size:
                parts = [data]
                while part := os.read(descriptor, _READ_AT_ONCE):
                    parts.append(part)
                data = b"".join(parts)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(path, what, error) from None
    return data


def _unreadable(path: str, what: str, error: Exception) -> EcgqaError:
    if isinstance(error, FileNotFoundError):
        folder = os.path.dirname(path) or "."
        found = f"the folder {folder} has no such file" if os.path.isdir(folder) else f"no folder {folder}"
        return EcgqaError(f"no such file: {path}", expected=what, found=found)
    if isinstance(error, PermissionError):
        return EcgqaError(f"no permission to read {path}", expected=what, fix=f"chmod u+r '{path}'")
    reason = getattr(error, "strerror", None) or str(error)
    return EcgqaError(f"{path[:200]!r} cannot be read: {reason}", expected=what)
