"""The text of a WFDB header (.hea) as typed values, with the defaults that the WFDB format prescribes.

Source: header(5) of the WFDB Applications Guide. What the format leaves open is decided here: a gain of 0 or none means
200 units per millivolt, no baseline means the ADC zero, no rate means 250 Hz, no number of samples means "to the end of
the file"; a file name may not lead out of the record's folder.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from ecgqa.errors import EcgqaError

DEFAULT_GAIN_PER_MV: Final = 200.0
DEFAULT_RATE_HZ: Final = 250.0
MAX_CHANNELS: Final = 4096
MAX_SAMPLES: Final = 1 << 40
"""Beyond any recording; a greater number in a header is damage, not data."""

_PER_MV: Final = {
    "mv": 1.0, "millivolt": 1.0, "millivolts": 1.0,
    "uv": 1e3, "µv": 1e3, "μv": 1e3, "microvolt": 1e3, "microvolts": 1e3,
    "v": 1e-3, "volt": 1e-3, "volts": 1e-3,
    "nv": 1e6, "nanovolt": 1e6, "nanovolts": 1e6,
}  # fmt: skip
"""How many of each unit make a millivolt (both the micro sign and the Greek mu are in use)."""

_FORMAT: Final = re.compile(r"(\d{1,4})(?:x(\d{1,9}))?(?::(\d{1,12}))?(?:\+(\d{1,15}))?")
_GAIN: Final = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?:\((-?\d{1,18})\))?(?:/(\S+))?")
_INTEGER: Final = re.compile(r"-?\d{1,18}")


class SignalLine(NamedTuple):
    """One channel of a record, as its header describes it."""

    file_name: str
    format: int
    samples_per_frame: int
    skew: int
    byte_offset: int
    gain: float
    """ADC units per `units`."""
    gain_is_default: bool
    baseline: int
    units: str
    initial: int | None
    checksum: int | None
    name: str

    def gain_per_mv(self) -> float:
        """ADC units per millivolt; raises EcgqaError if the channel is not in a unit of voltage."""
        per_mv = _PER_MV.get(self.units.lower())
        if per_mv is None:
            raise EcgqaError(
                f"lead {self.name} is in {self.units!r}, not a unit of voltage",
                expected="mV, uV, V or nV",
                found=self.units,
            )
        return self.gain * per_mv


class Segment(NamedTuple):
    """One part of a multi-segment record; the name "~" stands for a gap."""

    name: str
    n_samples: int


class Header(NamedTuple):
    """A record as its header describes it: either `signals` or `segments` is filled."""

    n_channels: int
    fs_hz: float
    rate_is_default: bool
    n_samples: int | None
    recorded_at: datetime | None
    signals: tuple[SignalLine, ...]
    segments: tuple[Segment, ...]
    comments: tuple[str, ...]


def parse_header(text: str) -> Header:
    """The header in `text`; raises EcgqaError, which names the line, where it breaks the format."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    comments: list[str] = []
    lines: list[str] = []
    for line in text.split("\n"):
        line = line.strip()
        if line.startswith("#"):
            comments.append(line[1:].strip())
        elif line:
            lines.append(line)
    if not lines:
        raise EcgqaError("the header is empty", expected="a WFDB header (record line, then one line per channel)")
    n_segments, n_channels, fs_hz, rate_is_default, n_samples, recorded_at = _record_line(lines[0])
    body = lines[1:]
    n_expected = n_channels if n_segments is None else n_segments
    if len(body) != n_expected:
        what = "channels" if n_segments is None else "segments"
        raise EcgqaError(
            "the header contradicts itself",
            expected=f"{n_expected} {what}, as its first line says",
            found=f"{len(body)} lines of {what}",
        )
    signals: tuple[SignalLine, ...] = ()
    segments: tuple[Segment, ...] = ()
    if n_segments is None:
        signals = tuple([_signal_line(line) for line in body])
    else:
        segments = tuple([_segment_line(line) for line in body])
    return Header(n_channels, fs_hz, rate_is_default, n_samples, recorded_at, signals, segments, tuple(comments))


def _record_line(line: str) -> tuple[int | None, int, float, bool, int | None, datetime | None]:
    tokens = line.split()
    if len(tokens) < 2:
        raise _malformed(line, "record name, number of channels, sampling rate, number of samples")
    _, slash, n_segments_token = tokens[0].partition("/")
    n_segments = _count(n_segments_token, line, "segments", MAX_CHANNELS * 1024) if slash else None
    n_channels = _count(tokens[1], line, "channels", MAX_CHANNELS)
    fs_hz, rate_is_default = DEFAULT_RATE_HZ, True
    if len(tokens) > 2:
        rate = re.split(r"[/(]", tokens[2], maxsplit=1)[0]
        try:
            fs_hz, rate_is_default = float(rate), False
        except ValueError:
            raise _malformed(line, "a sampling rate in Hz") from None
        if not (math.isfinite(fs_hz) and fs_hz > 0):
            raise EcgqaError("the header has no usable sampling rate", expected="a rate above 0 Hz", found=rate)
    n_samples: int | None = None
    if len(tokens) > 3:
        # 0 means "unspecified" in the format, as a missing number does.
        n_samples = _count(tokens[3], line, "samples", MAX_SAMPLES, least=0) or None
    recorded_at = _moment(tokens[4], tokens[5]) if len(tokens) > 5 else None
    return n_segments, n_channels, fs_hz, rate_is_default, n_samples, recorded_at


@lru_cache(maxsize=4096)
def _format_token(token: str) -> tuple[int, int, int, int] | None:
    match = _FORMAT.fullmatch(token)
    if match is None:
        return None
    number, per_frame, skew, offset = match.groups()
    return int(number), int(per_frame or 1), int(skew or 0), int(offset or 0)


@lru_cache(maxsize=65_536)
def _gain_token(token: str) -> tuple[float, int | None, str] | None:
    match = _GAIN.fullmatch(token)
    if match is None:
        return None
    gain, baseline, units = match.groups()
    if not math.isfinite(float(gain)):
        return None
    return float(gain), None if baseline is None else int(baseline), units or "mV"


def _signal_line(line: str) -> SignalLine:
    tokens = line.split(None, 8)
    parsed_format = _format_token(tokens[1]) if len(tokens) > 1 else None
    if parsed_format is None:
        raise _malformed(line, "file name, storage format, gain … of a channel")
    file_name = tokens[0]
    check_file_name(file_name)
    number, per_frame, skew, byte_offset = parsed_format
    if per_frame < 1:
        raise _malformed(line, "at least one sample per frame")
    gain, baseline, units = 0.0, None, "mV"
    if len(tokens) > 2:
        parsed_gain = _gain_token(tokens[2])
        if parsed_gain is None:
            raise _malformed(line, "a gain such as 1000(0)/mV")
        gain, baseline, units = parsed_gain
    zero, initial, checksum, name = _last_fields(tokens)
    if baseline is None:
        baseline = zero or 0
    if abs(baseline) >= 1 << 31:
        raise _malformed(line, "a baseline within 32 bits")
    return SignalLine(
        file_name, number, per_frame, skew, byte_offset,
        gain or DEFAULT_GAIN_PER_MV, not gain, baseline, units, initial, checksum, name,
    )  # fmt: skip


def _last_fields(tokens: list[str]) -> tuple[int | None, int | None, int | None, str]:
    """ADC zero, initial value, checksum and name out of: resolution, zero, initial, checksum, block size, name.

    All of them may be absent from the end. Some writers leave numbers out and give a name all the same: then the name
    begins at the first thing that is no number.
    """
    if len(tokens) == 9:
        try:
            _, zero, initial, checksum, _ = map(int, tokens[3:8])
            return zero, initial, checksum, tokens[8]
        except ValueError:
            pass
    numbers: list[int | None] = []
    name = ""
    for position in range(3, len(tokens)):
        token = tokens[position]
        if position == 8:
            name = token
        elif len(token) < 19 and token.lstrip("-").isdecimal():
            numbers.append(int(token))
        else:
            name = " ".join(tokens[position:])
            break
    numbers += [None] * (5 - len(numbers))
    return numbers[1], numbers[2], numbers[3], name


def _segment_line(line: str) -> Segment:
    tokens = line.split()
    if len(tokens) < 2:
        raise _malformed(line, "segment name and number of samples")
    if tokens[0] != "~":
        check_file_name(tokens[0])
    return Segment(tokens[0], _count(tokens[1], line, "samples", MAX_SAMPLES, least=0))


@lru_cache(maxsize=4096)
def check_file_name(name: str) -> None:
    """Refuse a file named in a header that is not a plain file beside it (the format allows no folders)."""
    if "/" in name or "\\" in name or "\0" in name or ":" in name or name in (".", "..", "-", "~"):
        raise EcgqaError(
            f"the header names a file outside its own folder: {name[:80]!r}",
            expected="the name of a file beside the header",
            fix="do not use this record, or repair its header",
        )


def _moment(time: str, date: str) -> datetime | None:
    """Start of the recording; None where the fields are not a time and a date (no reason to refuse the signal)."""
    try:
        day = datetime.strptime(date, "%d/%m/%Y")
        parts = [float(part) for part in time.split(":")]
        hours, minutes, seconds = [0.0] * (3 - len(parts)) + parts
        moment = day + timedelta(hours=hours, minutes=minutes, seconds=seconds)
    except (ValueError, OverflowError):
        return None
    return moment


def _count(token: str, line: str, what: str, greatest: int, least: int = 1) -> int:
    if _INTEGER.fullmatch(token) is None:
        raise _malformed(line, f"a number of {what}")
    value = int(token)
    if not least <= value <= greatest:
        raise EcgqaError(
            f"the header claims {value} {what}", expected=f"between {least} and {greatest}", found=line[:120]
        )
    return value


def _malformed(line: str, expected: str) -> EcgqaError:
    return EcgqaError("a line of the header breaks the WFDB format", expected=expected, found=repr(line[:120]))
