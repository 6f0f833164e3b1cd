"""The JSON text of one shard of the published layout: bytes to rows and back, every departure named."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any, Final, NoReturn

import polars as pl

from ecgqa.errors import EcgqaError

KEYS: Final = (
    "template_id",
    "question_id",
    "sample_id",
    "question_type",
    "attribute_type",
    "question",
    "answer",
    "ecg_id",
    "attribute",
)
"""The keys of a released sample, in their order (README of ECG-QA 1.0.2)."""

PATH_KEY: Final = "ecg_path"
"""The key that the published mapping step appends."""

SHARD_SCHEMA: Final = pl.Schema(
    {
        "template_id": pl.Int16(),
        "question_id": pl.Int32(),
        "sample_id": pl.Int64(),
        "question_type": pl.String(),
        "attribute_type": pl.String(),
        "question": pl.String(),
        "answer": pl.List(pl.String()),
        "ecg_id": pl.List(pl.Int64()),
        "attribute": pl.List(pl.String()),
    }
)

MAX_BYTES: Final = 1 << 30
"""Larger files are refused: a released shard of 10,000 samples has 4 MB, the largest split in one file 110 MB."""

_INTEGERS: Final = {"template_id": 2**15 - 1, "question_id": 2**31 - 1, "sample_id": 2**63 - 1}
_TEXTS: Final = ("question_type", "attribute_type", "question")

# The released formatting, byte for byte: json.dump(..., indent=4) of integers, of printable ASCII strings without
# escapes, and of lists of them. What matches needs no further check of its structure; anything else is parsed in full.
_INTEGER: Final = rb"(?:0|[1-9][0-9]{0,17}+)"
_STRING: Final = rb'"[ !#-\[\]-~]*+"'
_STRINGS: Final = rb"(?:\[\]|\[\n {12}" + _STRING + rb"(?:,\n {12}" + _STRING + rb")*+\n {8}\])"
_ESCAPED: Final = rb'"(?:[ !#-\[\]-~]|\\(?:["\\bfnrt]|u[0-9a-f]{4}))*+"'  # paths may hold letters beyond ASCII
_PATHS: Final = rb"\[\n {12}" + _ESCAPED + rb"(?:,\n {12}" + _ESCAPED + rb")*+\n {8}\]"
_ECG_IDS: Final = rb"\[\n {12}(" + _INTEGER + rb"(?:,\n {12}" + _INTEGER + rb")?+)\n {8}\]"
SAMPLE_PATTERN: Final = re.compile(
    rb" {4}\{\n"
    + b"".join(rb' {8}"' + key.encode() + rb'": ' + _INTEGER + rb",\n" for key in _INTEGERS)
    + b"".join(rb' {8}"' + key.encode() + rb'": ' + _STRING + rb",\n" for key in _TEXTS)
    + rb' {8}"answer": '
    + _STRINGS
    + rb',\n {8}"ecg_id": '
    + _ECG_IDS
    + rb',\n {8}"attribute": (?:null|'
    + _STRINGS
    + rb')(,\n {8}"ecg_path": '
    + _PATHS
    + rb")?+\n {4}\}(,\n|\n\])"
)
"""One sample in the released formatting. Groups: ECG ids, an ecg_path already there, and what follows the sample."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One departure from the published structure: which file, which sample (position and id, if known), which key."""

    file: str
    sample: str
    key: str
    message: str
    expected: str = ""
    found: str = ""

    def error(self, n_more: int = 0) -> EcgqaError:
        where = ", ".join(part for part in (self.file, self.sample, f"key {self.key!r}" if self.key else "") if part)
        more = f" (and {n_more} more such problems)" if n_more else ""
        return EcgqaError(
            f"{where}: {self.message}{more}",
            expected=self.expected or None,
            found=self.found or None,
            fix="ecgqa questions check FOLDER lists everything wrong with a dataset",
        )


@dataclass
class Shard:
    """The samples of one file that could be read, and what is wrong with the others."""

    frame: pl.DataFrame
    """Columns of SHARD_SCHEMA, one row per readable sample, in file order."""
    problems: list[Problem] = field(default_factory=list)
    extra_keys: frozenset[str] = frozenset()
    released_format: bool = True
    """True when the bytes are formatted exactly as the release is."""

    def raise_first(self) -> None:
        """Raise EcgqaError for the first problem, if there is one."""
        if self.problems:
            raise self.problems[0].error(len(self.problems) - 1)


def read_bytes(path: Path, where: str | None = None) -> bytes:
    """The bytes of a shard; EcgqaError if it cannot be read or is too large to be one."""
    where = where or str(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise EcgqaError(
                f"{where} is too large to be a shard of questions",
                expected=f"at most {MAX_BYTES:,} bytes",
                found=f"{size:,} bytes",
                fix="split it into files of 10,000 samples",
            )
        return path.read_bytes()
    except OSError as error:
        raise EcgqaError(f"{where} cannot be read: {error.strerror or error}") from None


def parse_shard(data: bytes, where: str) -> Shard:
    """The samples in the bytes of one shard. Never raises for bad contents: it lists them as problems.

    Released formatting is recognised by one scan and read by polars; everything else is parsed and checked value by
    value, which takes about five times as long.
    """
    released = released_samples(data)
    if released is not None:
        try:
            frame = pl.read_json(io.BytesIO(data), schema=SHARD_SCHEMA)
        except (pl.exceptions.PolarsError, OverflowError, ValueError):
            frame = None  # an id beyond its column's range: the full parse names it
        # beyond its range polars yields null, so a null outside "attribute" also asks for the full parse
        if frame is not None and not any(frame[key].null_count() for key in KEYS if key != "attribute"):
            mapped = b'\n        "ecg_path": [' in data
            return Shard(frame, extra_keys=frozenset([PATH_KEY] if mapped else []))
    return _parse_in_full(data, where)


def released_samples(data: bytes) -> list[re.Match[bytes]] | None:
    """One match of SAMPLE_PATTERN per sample if `data` has the released formatting throughout, else None."""
    if not data.startswith(b"[\n"):
        return None
    matches: list[re.Match[bytes]] = []
    position, end, match_at = 2, len(data), SAMPLE_PATTERN.match
    while position < end:
        match = match_at(data, position)
        if match is None:
            return None
        matches.append(match)
        position = match.end()
        if match[3] == b"\n]":
            return matches if position == end else None
    return None


class _DuplicateKeys(dict[str, Any]):
    """A JSON object in which a key occurs twice; `twice` names it."""

    twice = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    marked = _DuplicateKeys(pairs)
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            marked.twice = key
            break
        seen.add(key)
    return marked


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def load_json(data: bytes) -> Any:
    """Parse JSON strictly (UTF-8, no byte order mark, no NaN or Infinity); ValueError says what is wrong."""
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise ValueError("the file begins with a byte order mark: save it as plain UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte {error.start:,} is 0x{data[error.start]:02x}") from None
    if not text.strip():
        raise ValueError("the file is empty")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        cut = " (the file looks cut off)" if error.pos >= len(text.rstrip()) - 1 or "Unterminated" in error.msg else ""
        raise ValueError(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}{cut}") from None
    except RecursionError:
        raise ValueError("nested too deeply to be a list of samples") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}".splitlines()[0]) from None


def load_samples(data: bytes, where: str) -> list[Any]:
    """The JSON list in `data`; raises EcgqaError if it is no JSON list. Its elements are not checked."""
    samples = _load_list(data, where)
    if isinstance(samples, Problem):
        raise samples.error()
    return samples


def check_samples(samples: Sequence[Any], where: str) -> list[Problem]:
    """What is wrong with the structure of parsed samples."""
    problems: list[Problem] = []
    for position, sample in enumerate(samples):
        _check_sample(sample, position, where, problems)
    return problems


def _load_list(data: bytes, where: str) -> list[Any] | Problem:
    try:
        samples = load_json(data)
    except ValueError as error:
        return Problem(where, "", "", str(error), expected="a JSON list of samples")
    if not isinstance(samples, list):
        return Problem(where, "", "", "is no list of samples", "a JSON list of objects", _kind(samples))
    return samples


def _parse_in_full(data: bytes, where: str) -> Shard:
    empty = pl.DataFrame(schema=SHARD_SCHEMA)
    samples = _load_list(data, where)
    if isinstance(samples, Problem):
        return Shard(empty, [samples], released_format=False)
    problems: list[Problem] = []
    good: list[dict[str, Any]] = []
    extra: set[str] = set()
    for position, sample in enumerate(samples):
        before = len(problems)
        _check_sample(sample, position, where, problems)
        if len(problems) == before:
            good.append(sample)
            if len(sample) > len(KEYS):
                extra.update(sample.keys() - set(KEYS))
    columns = {key: [sample[key] for sample in good] for key in KEYS}
    frame = pl.DataFrame(columns, schema=SHARD_SCHEMA, strict=True) if good else empty
    # The scan leaves out escapes and ids of 19 digits, which released formatting may hold; compare in full if likely.
    likely = not problems and (data.startswith(b'[\n    {\n        "template_id": ') or not samples)
    as_released = likely and json.dumps(samples, indent=4).encode() == data
    return Shard(frame, problems, frozenset(extra), as_released)


def _check_sample(sample: Any, position: int, where: str, problems: list[Problem]) -> None:
    """Append to `problems` what is wrong with the structure of one sample."""

    def report(key: str, message: str, expected: str = "", value: Any = None, show: bool = True) -> None:
        found = f"{_kind(value)} {_short(value)}" if show else ""
        problems.append(Problem(where, name, key, message, expected, found))

    name = f"sample {position} of the file"
    if not isinstance(sample, dict):
        report("", "is no object", "an object with the keys " + ", ".join(KEYS), sample)
        return
    if type(sample.get("sample_id")) is int:
        name += f" (sample_id {sample['sample_id'] if abs(sample['sample_id']) < 2**64 else 'huge'})"
    if isinstance(sample, _DuplicateKeys):
        report(sample.twice, "occurs twice in one sample", show=False)
    for key in KEYS:
        if key not in sample:
            report(key, "is missing", "the keys " + ", ".join(KEYS), show=False)
    for key, limit in _INTEGERS.items():
        if key in sample and not _is_integer(sample[key], limit):
            report(key, "is no valid id", f"a whole number from 0 to {limit:,}", sample[key])
    for key in _TEXTS:
        if key in sample and not _is_text(sample[key]):
            report(key, "is no text", "a string", sample[key])
    if "answer" in sample and not _is_list_of(sample["answer"], _is_text):
        report("answer", "is no list of answers", "a list of strings", sample["answer"])
    if sample.get("attribute") is not None and not _is_list_of(sample["attribute"], _is_text):
        report("attribute", "is no list of attributes", "a list of strings, or null", sample["attribute"])
    ids = sample.get("ecg_id")
    if "ecg_id" in sample and not (_is_list_of(ids, _is_integer) and isinstance(ids, list) and 1 <= len(ids) <= 2):
        report("ecg_id", "is no list of ECGs", "a list of one or two whole numbers", ids)


def _is_integer(value: Any, limit: int = 2**63 - 1) -> bool:
    return type(value) is int and 0 <= value <= limit


def _is_text(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can write it, UTF-8 and Arrow cannot hold it
        return False
    return True


def _is_list_of(value: Any, is_element: Any) -> bool:
    return isinstance(value, list) and all(is_element(element) for element in value)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "an object")


def _short(value: Any) -> str:
    if value is None or isinstance(value, dict):
        return ""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # integers of thousands of digits, deep nesting
        return ""
    text = text.encode("ascii", "backslashreplace").decode()
    return text if len(text) <= 60 else text[:57] + "..."


def format_shard(rows: Iterable[Sequence[Any]], *, with_paths: bool = False) -> str:
    """The text of a shard: equal to `json.dumps(samples, indent=4)` (the release ends without a newline).

    `rows` are tuples in the order of KEYS, followed by the list of paths if `with_paths`.
    """
    lists: dict[tuple[Any, ...], str] = {}  # answers and attributes are few; ids and paths recur

    def text_of(values: Sequence[Any] | None) -> str:
        if values is None:
            return "null"
        key = tuple(values)
        text = lists.get(key)
        if text is None:
            elements = (encode_basestring_ascii(v) if isinstance(v, str) else str(v) for v in key)
            text = lists[key] = "[\n            " + ",\n            ".join(elements) + "\n        ]" if key else "[]"
        return text

    quote = encode_basestring_ascii
    parts = []
    for row in rows:
        path = f',\n        "ecg_path": {text_of(row[9])}' if with_paths else ""
        parts.append(
            f'    {{\n        "template_id": {row[0]},\n'
            f'        "question_id": {row[1]},\n'
            f'        "sample_id": {row[2]},\n'
            f'        "question_type": {quote(row[3])},\n'
            f'        "attribute_type": {quote(row[4])},\n'
            f'        "question": {quote(row[5])},\n'
            f'        "answer": {text_of(row[6])},\n'
            f'        "ecg_id": {text_of(row[7])},\n'
            f'        "attribute": {text_of(row[8])}{path}\n    }}'
        )
    return "[\n" + ",\n".join(parts) + "\n]" if parts else "[]"
