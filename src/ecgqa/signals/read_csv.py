"""One ECG from a CSV file: a line that names the leads, then one line per sample."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from ecgqa.errors import EcgqaError
from ecgqa.records import INVALID_SAMPLE, LEADS
from ecgqa.signals.leads import canonical_lead
from ecgqa.signals.read import Ecg
from ecgqa.signals.wfdb_samples import read_regular_file

MAX_BYTES: Final = 64 << 20
MAX_COLUMNS: Final = 64
MAX_HEADER_CHARACTERS: Final = 4096
GAIN_PER_MV: Final = 1000.0
"""Samples are kept to the microvolt …"""
_MOST_MV: Final = 32.0
"""… unless they reach beyond this many millivolts, where they are kept more coarsely and flagged."""
_PER_MV: Final = {"mv": 1.0, "uv": 1e3, "µv": 1e3, "μv": 1e3, "v": 1e-3}
_TIMES_PER_S: Final = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e3, "msec": 1e3, "": 1.0}
_COLUMN: Final = re.compile(r"\s*(.*?)\s*(?:[\[(]\s*([^\])]*?)\s*[\])])?\s*")
_EXAMPLE: Final = "time_s,I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6"


def read_csv_ecg(source: str | Path | bytes, *, fs_hz: float | None = None, unit: str = "mV") -> Ecg:
    """Read a twelve-lead ECG from CSV (comma, semicolon or tab separated), a path or the bytes of the file.

    The first line names the columns: the twelve leads in any order and spelling, with a unit in brackets where it is
    not `unit` ("V1 (uV)"); further columns are ignored, but for one called time, time_s or time (ms), which gives the
    sampling rate where `fs_hz` does not. Empty cells and NaN are samples that do not exist.

    Raises EcgqaError for a missing or doubled lead, cells that are no numbers, uneven times, no known rate, or a file
    beyond 64 MB.
    """
    data = source if isinstance(source, bytes) else read_regular_file(str(source), "a CSV record", MAX_BYTES)
    if len(data) > MAX_BYTES:
        raise EcgqaError("the CSV record is too large", expected=f"at most {MAX_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise EcgqaError("the CSV record is no text", expected=f"lines such as {_EXAMPLE}") from None
    head, _, body = text.lstrip("\n").partition("\n")
    if len(head) > MAX_HEADER_CHARACTERS:
        raise EcgqaError("the first line is too long to name columns", expected=_EXAMPLE, found=f"{head[:60]!r} …")
    separator = max(",;\t", key=head.count)
    names = [name.strip().strip('"') for name in head.split(separator)]
    if len(names) > MAX_COLUMNS:
        raise EcgqaError("too many columns", expected=f"at most {MAX_COLUMNS}", found=f"{len(names)}")
    if not body.strip():
        raise EcgqaError("the CSV record holds no samples", expected="one line per sample after the names")
    columns, time_s = _columns(names)
    values = _numbers(body, separator, len(names))
    millivolts = np.empty((len(LEADS), values.shape[0]))
    for place, lead in enumerate(LEADS):
        position, own_unit = columns[lead]
        millivolts[place] = values[:, position] / _per_mv(own_unit or unit, lead)
    rate = fs_hz if fs_hz is not None else _rate(values, time_s)
    if not (np.isfinite(rate) and 1 <= rate <= 100_000):
        raise EcgqaError(f"a sampling rate of {rate:g} Hz cannot be meant", expected="1 to 100,000 Hz")
    return _ecg(millivolts, float(rate))


def _columns(names: list[str]) -> tuple[dict[str, tuple[int, str]], tuple[int, float] | None]:
    """Position and unit of each lead; position and ticks per second of the time column."""
    found: dict[str, tuple[int, str]] = {}
    time_s = None
    for position, name in enumerate(names):
        match = _COLUMN.fullmatch(name)
        plain, unit = (match[1], match[2] or "") if match else (name, "")
        lead = canonical_lead(plain)
        if lead in found:
            raise EcgqaError(f"lead {lead} occurs twice", found=", ".join(names)[:200])
        if lead is not None:
            found[lead] = (position, unit)
        elif plain.lower() in ("time", "time_s", "time_ms", "t", "seconds"):
            tick = unit.lower() or ("ms" if plain.lower().endswith("_ms") else "s")
            if tick not in _TIMES_PER_S:
                raise EcgqaError(f"the time is in {unit[:20]!r}", expected="s or ms")
            time_s = (position, _TIMES_PER_S[tick])
    missing = [lead for lead in LEADS if lead not in found]
    if missing:
        raise EcgqaError(
            f"the CSV record has no lead {', '.join(missing)}", expected=_EXAMPLE, found=", ".join(names)[:200]
        )
    return found, time_s


def _per_mv(unit: str, lead: str) -> float:
    try:
        return _PER_MV[unit.lower()]
    except KeyError:
        raise EcgqaError(f"lead {lead} is in {unit[:20]!r}, not a unit of voltage", expected="mV, uV or V") from None


def _numbers(body: str, separator: str, n_columns: int) -> npt.NDArray[np.float64]:
    """(n_samples, n_columns); NaN where a cell is empty or says so."""
    lines = body.strip("\n").count("\n") + 1
    if body.count(separator) != lines * (n_columns - 1):
        raise EcgqaError(
            "the lines do not fit the names",
            expected=f"{n_columns} cells on each of {lines:,} lines",
            fix="export the table again; a decimal comma or a file cut short would do this",
        )
    try:
        frame = pl.read_csv(
            io.BytesIO(body.encode()), has_header=False, separator=separator, quote_char=None, infer_schema=False
        )
        cells = pl.all().str.strip_chars()
        blank = cells.str.to_lowercase().is_in(["", "nan", "na", "null"])
        frame = frame.select(pl.when(blank).then(None).otherwise(cells).name.keep().cast(pl.Float64))
    except (pl.exceptions.PolarsError, ValueError) as error:
        reason = str(error).splitlines()[0][:160]
        raise EcgqaError(f"the CSV record cannot be read: {reason}", expected="numbers, with a decimal point") from None
    return frame.with_columns(pl.all().fill_null(float("nan"))).to_numpy().astype(np.float64)


def _rate(values: npt.NDArray[np.float64], time_s: tuple[int, float] | None) -> float:
    if time_s is None:
        raise EcgqaError(
            "the sampling rate is not known", expected="a column time_s, or the rate given beside the file"
        )
    times = values[:, time_s[0]] / time_s[1]
    if len(times) < 2 or not np.isfinite(times).all():
        raise EcgqaError("the time column has gaps", expected="a time on every line, evenly spaced")
    steps = np.diff(times)
    step = (times[-1] - times[0]) / len(steps)
    if step <= 0 or np.abs(steps - step).max() > 0.6 * step:
        raise EcgqaError("the times are not evenly spaced", expected="a time on every line, evenly spaced")
    rate = 1.0 / step
    return float(round(rate)) if abs(rate - round(rate)) < 0.02 * rate and rate > 20 else float(rate)


def _ecg(millivolts: npt.NDArray[np.float64], fs_hz: float) -> Ecg:
    there: npt.NDArray[np.bool_] = np.isfinite(millivolts)
    reach = np.abs(np.where(there, millivolts, 0)).max(axis=1)
    if reach.max() > 1e6:
        raise EcgqaError("the voltages cannot be meant", found=f"{reach.max():.3g} mV", expected="the right unit, mV")
    gain = np.where(reach > _MOST_MV, 32_000.0 / np.maximum(reach, 1e-9), GAIN_PER_MV)
    scaled = np.rint(np.where(there, millivolts, 0) * gain[:, None])
    digital = np.where(there, scaled, INVALID_SAMPLE).astype(np.int16)
    flags = [f"invalid:{lead}" for lead, row in zip(LEADS, there, strict=True) if not row.all()]
    flags += [f"flat:{lead}" for lead, row in zip(LEADS, digital, strict=True) if row.min() == row.max()]
    flags += [f"coarser:{lead}" for lead, most in zip(LEADS, reach, strict=True) if most > _MOST_MV]
    return Ecg(np.ascontiguousarray(digital), gain, fs_hz, flags=tuple(flags))
