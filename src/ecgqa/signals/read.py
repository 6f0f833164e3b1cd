"""One ECG from a WFDB record: twelve leads in canonical order as int16, with gain, rate, time and what looks wrong."""

# ruff: noqa: PTH118, PTH120
# os.path and os.read: a Path object costs more here than parsing the header.
from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from ecgqa.errors import EcgqaError
from ecgqa.records import INVALID_SAMPLE, LEADS
from ecgqa.signals.leads import LeadOrder, lead_order
from ecgqa.signals.wfdb_header import Header, Segment, check_file_name, parse_header
from ecgqa.signals.wfdb_samples import MAX_DECODED_SAMPLES, Samples, read_regular_file, read_samples

MAX_HEADER_BYTES: Final = 1 << 24
CLIPPED_RUN_MS: Final = 60.0
"""A lead that stays this long exactly at its greatest or least value was cut off by the recorder's range …"""
CLIPPED_FROM_MV: Final = 2.0
"""… if it swings at least this far: slow waves are as flat on top, and PTB-XL holds some wandering ends constant."""


@dataclass(frozen=True, slots=True, eq=False)
class Ecg:
    """A twelve-lead ECG in digital units: millivolts = digital / gain_per_mv."""

    digital: npt.NDArray[np.int16]
    """(12, n_samples), C order, leads in `LEADS` order, baseline removed; INVALID_SAMPLE where nothing was recorded."""
    gain_per_mv: npt.NDArray[np.float64]
    """(12,) digital units per millivolt, all positive."""
    fs_hz: float
    recorded_at: datetime | None = None
    comments: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    """What looks wrong, as "problem:where": flat, invalid, clipped, missing, coarser, default-gain, checksum, initial
    (where = a lead), extra (a channel that is none of the twelve leads), default-rate:fs_hz."""

    @property
    def n_samples(self) -> int:
        """Samples per lead."""
        return int(self.digital.shape[1])

    def millivolts(self) -> npt.NDArray[np.float32]:
        """(12, n_samples) in millivolts; NaN where nothing was recorded."""
        values = (self.digital / self.gain_per_mv[:, None]).astype(np.float32)
        if any(flag.startswith(("invalid:", "missing:")) for flag in self.flags):
            values[self.digital == INVALID_SAMPLE] = np.nan
        return values


def read_ecg(
    path: str | os.PathLike[str],
    *,
    expected_fs_hz: float | None = None,
    allow_missing_leads: bool = False,
    verify: bool = False,
) -> Ecg:
    """Read a twelve-lead WFDB record.

    `path` names the record, with or without .hea or .dat. Leads are found by name, whatever their order and case;
    units are converted to millivolts; the baseline is removed. Values that then do not fit 16 bits (formats 24 and 32,
    or a baseline far from zero) are halved, with their gain, until they do, and the lead is flagged "coarser".
    A lead that is `allow_missing_leads`-missing is filled with INVALID_SAMPLE and flagged. `verify` also compares each
    lead's checksum and first value with the header (flags "checksum", "initial").

    Raises EcgqaError for everything else that is wrong: files absent, cut short or longer than the header says, a
    header that contradicts itself, unknown or doubled leads, a unit that is no voltage, a rate other than
    `expected_fs_hz`.
    """
    stem = _stem(path)
    try:
        ecg = _read(stem, allow_missing_leads, verify)
    except EcgqaError as error:
        raise _in_record(error, stem) from None
    if expected_fs_hz is not None and abs(ecg.fs_hz - expected_fs_hz) > 1e-6 * expected_fs_hz:
        raise EcgqaError(
            f"{stem} has another sampling rate", expected=f"{expected_fs_hz:g} Hz", found=f"{ecg.fs_hz:g} Hz"
        )
    return ecg


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of a WFDB record, without opening its signals; raises EcgqaError."""
    stem = _stem(path)
    try:
        return _read_header(stem)
    except EcgqaError as error:
        raise _in_record(error, stem) from None


def _stem(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    return text[:-4] if text.endswith((".hea", ".dat")) else text


def _in_record(error: EcgqaError, stem: str) -> EcgqaError:
    if stem in error.message:
        return error
    return EcgqaError(f"{stem}: {error.message}", expected=error.expected, found=error.found, fix=error.fix)


def _read_header(stem: str) -> Header:
    data = read_regular_file(stem + ".hea", "the header of a WFDB record", MAX_HEADER_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # old headers write the micro sign so
    return parse_header(text)


def _read(stem: str, allow_missing_leads: bool, verify: bool, is_segment: bool = False) -> Ecg:
    header = _read_header(stem)
    if header.segments:
        if is_segment:
            raise EcgqaError("a segment is itself cut into segments, which the WFDB format rules out")
        return _read_segments(stem, header, allow_missing_leads, verify)
    order = lead_order(tuple([line.name for line in header.signals]), allow_missing_leads)
    channels = [channel for channel in order.channels if channel is not None]
    samples = read_samples(stem, header, channels)
    return _assemble(header, order, channels, samples, verify)


def _assemble(header: Header, order: LeadOrder, channels: list[int], samples: Samples, verify: bool) -> Ecg:
    leads = LEADS if not order.missing else tuple(lead for lead in LEADS if lead not in order.missing)
    lines = [header.signals[channel] for channel in channels]
    gain = np.array([line.gain_per_mv() for line in lines])
    flags = [f"default-gain:{lead}" for lead, line in zip(leads, lines, strict=True) if line.gain_is_default]
    if header.rate_is_default:
        flags.append("default-rate:fs_hz")
    if verify:
        flags += _verify(samples.raw, leads, header, channels)
    raw = samples.raw
    if raw.shape[1] == 0:
        raise EcgqaError("the record holds no samples")
    low, high = raw.min(axis=1), raw.max(axis=1)
    baseline = [line.baseline for line in lines]
    digital: npt.NDArray[np.int16]
    if raw.dtype == np.int16 and not any(baseline) and min(gain) > 0:
        digital = raw.view(np.int16)
    else:
        digital, coarser = _remove_baseline(samples, baseline, gain, low, high)
        flags += [f"coarser:{leads[row]}" for row in coarser]
        low, high = digital.min(axis=1), digital.max(axis=1)
    flags += _look(digital, low, high, leads, gain, samples.fs_hz)
    if order.missing:
        digital, gain = _fill_missing(digital, gain, leads)
        flags += [f"missing:{lead}" for lead in order.missing]
    flags += [f"extra:{name}" for name in order.extra]
    return Ecg(digital, gain, samples.fs_hz, header.recorded_at, header.comments, tuple(flags))


def _remove_baseline(
    samples: Samples,
    baseline: list[int],
    gain: npt.NDArray[np.float64],
    low: npt.NDArray[np.integer],
    high: npt.NDArray[np.integer],
) -> tuple[npt.NDArray[np.int16], list[int]]:
    """`raw - baseline` as int16 (its gain made positive in place), and the rows that had to be stored more coarsely."""
    raw = samples.raw
    offset = np.array(baseline, dtype=np.int64)
    clear = all(value is None or lowest > value for value, lowest in zip(samples.invalid, low.tolist(), strict=True))
    fits = (low - offset).min() > INVALID_SAMPLE and (high - offset).max() < -INVALID_SAMPLE
    if clear and fits and bool((gain > 0).all()):
        # Every difference fits 16 bits, so that arithmetic that wraps around gives the right result.
        wrapped = offset.astype(np.uint16).view(np.int16)
        return (raw.astype(np.int16) - wrapped[:, None]), []
    digital = np.empty(raw.shape, dtype=np.int16)
    coarser: list[int] = []
    for row, invalid in enumerate(samples.invalid):
        there = np.ones(raw.shape[1], dtype=bool) if invalid is None else raw[row] != invalid
        centred = raw[row].astype(np.int64) - offset[row]
        if gain[row] < 0:
            centred, gain[row] = -centred, -gain[row]
        reach = int(np.abs(centred[there]).max(initial=0))
        halvings = 0
        while reach / 2**halvings > -INVALID_SAMPLE - 1:
            halvings += 1
        if halvings:
            centred = np.rint(centred / 2**halvings)
            gain[row] /= 2**halvings
            coarser.append(row)
        digital[row] = np.where(there, centred, INVALID_SAMPLE)
    return digital, coarser


def _look(
    digital: npt.NDArray[np.int16],
    low: npt.NDArray[np.integer],
    high: npt.NDArray[np.integer],
    leads: tuple[str, ...],
    gain: npt.NDArray[np.float64],
    fs_hz: float,
) -> list[str]:
    """Flags of what the samples themselves show: invalid, flat or clipped leads."""
    flags = []
    run = max(3, round(CLIPPED_RUN_MS / 1000 * fs_hz))
    # A run of that length is met by every run-th sample: a look at those rules most leads out.
    few = digital[:, ::run]
    suspect = ((few == low[:, None]) | (few == high[:, None])).any(axis=1).tolist()
    for row, (lead, least, most) in enumerate(zip(leads, low.tolist(), high.tolist(), strict=True)):
        if least == INVALID_SAMPLE:
            flags.append(f"invalid:{lead}")
            there = digital[row][digital[row] != INVALID_SAMPLE]
            least, most = (int(there.min()), int(there.max())) if there.size else (0, 0)
            if there.size and least == most:
                flags.append(f"flat:{lead}")
        elif least == most:
            flags.append(f"flat:{lead}")
        if suspect[row] and least != most:
            far = CLIPPED_FROM_MV * gain[row]
            for extreme in (least, most):
                if abs(extreme) >= far and _stays_at(digital[row], extreme, run):
                    flags.append(f"clipped:{lead}")
                    break
    return flags


def _stays_at(values: npt.NDArray[np.int16], extreme: int, run: int) -> bool:
    """Whether `values` stays at `extreme` for `run` samples on end."""
    there = values == extreme
    if np.count_nonzero(there) < run:
        return False
    edges = np.flatnonzero(np.diff(np.concatenate(([False], there, [False])).astype(np.int8)))
    return bool((edges[1::2] - edges[::2]).max() >= run)


def _fill_missing(
    digital: npt.NDArray[np.int16], gain: npt.NDArray[np.float64], leads: tuple[str, ...]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float64]]:
    """All twelve leads: those missing hold INVALID_SAMPLE, with the gain of the first lead that is there."""
    rows = [LEADS.index(lead) for lead in leads]
    full = np.full((len(LEADS), digital.shape[1]), INVALID_SAMPLE, dtype=np.int16)
    full[rows] = digital
    full_gain = np.full(len(LEADS), gain[0])
    full_gain[rows] = gain
    return full, full_gain


def _verify(raw: npt.NDArray[np.integer], leads: tuple[str, ...], header: Header, channels: list[int]) -> list[str]:
    """Flags of leads whose checksum (16-bit sum of all samples) or first sample is not the header's."""
    flags = []
    sums = raw.sum(axis=1, dtype=np.int64)
    for row, channel in enumerate(channels):
        line = header.signals[channel]
        if line.samples_per_frame > 1 or line.skew:
            continue  # both are defined on the samples as stored, frame by frame
        if line.initial is not None and raw.shape[1] and int(raw[row, 0]) != line.initial:
            flags.append(f"initial:{leads[row]}")
        if line.checksum is not None and (int(sums[row]) - line.checksum) % 65536:
            flags.append(f"checksum:{leads[row]}")
    return flags


def _read_segments(stem: str, header: Header, allow_missing_leads: bool, verify: bool) -> Ecg:
    """A multi-segment record: its segments end to end, gaps filled with INVALID_SAMPLE."""
    segments = _signal_segments(header)
    total = sum(segment.n_samples for segment in segments)
    if header.n_samples is not None and total != header.n_samples:
        raise EcgqaError(
            "the segments do not add up", expected=f"{header.n_samples} samples", found=f"{total} in all segments"
        )
    if total * len(LEADS) > MAX_DECODED_SAMPLES:
        raise EcgqaError(
            f"the record is too long to decode at once: {total} samples per lead",
            expected=f"at most {MAX_DECODED_SAMPLES // len(LEADS)}",
            fix="read its segments one by one",
        )
    folder = os.path.dirname(stem)
    parts: list[tuple[int, Ecg]] = []
    start = 0
    for segment in segments:
        if segment.name != "~" and segment.n_samples:
            part = _read(os.path.join(folder, segment.name), allow_missing_leads, verify, is_segment=True)
            if part.n_samples != segment.n_samples:
                raise EcgqaError(
                    f"segment {segment.name} has another length than the record says",
                    expected=f"{segment.n_samples} samples",
                    found=f"{part.n_samples}",
                )
            parts.append((start, part))
        start += segment.n_samples
    if not parts:
        raise EcgqaError("the record holds no samples")
    first = parts[0][1]
    for _, part in parts:
        if part.fs_hz != first.fs_hz or not np.array_equal(part.gain_per_mv, first.gain_per_mv):
            raise EcgqaError(
                "the segments differ in gain or sampling rate", fix="read them one by one, as records of their own"
            )
    digital = np.full((len(LEADS), total), INVALID_SAMPLE, dtype=np.int16)
    for start, part in parts:
        digital[:, start : start + part.n_samples] = part.digital
    seen = _look(digital, digital.min(axis=1), digital.max(axis=1), LEADS, first.gain_per_mv, first.fs_hz)
    own = ("flat:", "invalid:", "clipped:")
    kept = [flag for _, part in parts for flag in part.flags if not flag.startswith(own)]
    flags = tuple(dict.fromkeys([*seen, *kept]))
    comments = tuple(dict.fromkeys([*header.comments, *(text for _, part in parts for text in part.comments)]))
    return Ecg(digital, first.gain_per_mv, first.fs_hz, header.recorded_at or first.recorded_at, comments, flags)


def _signal_segments(header: Header) -> tuple[Segment, ...]:
    """Segments that hold signals: in the variable layout the first one, of length 0, only describes the channels."""
    for segment in header.segments:
        if segment.name != "~":
            check_file_name(segment.name)
    first = header.segments[0]
    return header.segments[1:] if first.n_samples == 0 else header.segments
