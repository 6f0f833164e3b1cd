"""One published file over HTTP to one whole, verified file on disk, whatever the network does in between.

A file is written to `.name.partial` and renamed when its length and digest are right, so what bears its own name is
whole. Large files are resumed by byte range (RFC 9110, section 14), guarded by `If-Range` where no digest is known.
"""

from __future__ import annotations

import email.utils
import hashlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from ecgqa import __version__
from ecgqa.sources.catalogue import Mirror
from ecgqa.sources.partial import (
    CannotWrite,
    forget,
    note_of,
    partial_of,
    read_note,
    tidy,
    validator,
    write_note,
    writing,
)

CHUNK_BYTES = 1 << 16
RESUME_FROM_BYTES = 1 << 20
"""A partial file is worth resuming from this size; below, starting over costs less than keeping a note."""
MAX_REDIRECTS = 5
MAX_WAIT_S = 120.0
FAILURES_TO_DEMOTE = 5
ABSENT = (403, 404, 410)
"""403 too: the open S3 bucket answers so for a key that does not exist."""
WORTH_RETRYING = (408, 425, 429, 500, 502, 503, 504)


class Stopped(Exception):
    """The run is being stopped; the file in hand is left partial."""


class NotPublished(Exception):
    """Every mirror says that it does not have this file."""


class CannotFetch(Exception):
    """The file could not be had in spite of all attempts; the message says why, for each kind of trouble once."""


class _Trouble(Exception):
    """One attempt failed. `wait_s`: what the server asked for; `again`: whether the same mirror may do better."""

    def __init__(self, reason: str, *, wait_s: float | None = None, again: bool = True) -> None:
        self.wait_s, self.again = wait_s, again
        super().__init__(reason)


class _Corrupt(_Trouble):
    """The body arrived whole but is not the published file."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A verified file: its size in bytes, SHA-256, where it came from, and how much an earlier run had left."""

    size: int
    sha256: str
    mirror: str
    resumed_from: int = 0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try. All times in seconds."""

    attempts: int = 5
    connect_s: float = 10.0
    silence_s: float = 30.0
    backoff_s: float = 0.5
    slowest_bytes_per_s: float = 512.0
    slow_window_s: float = 30.0


class Transport:
    """Fetches files from the first mirror that delivers. Safe to use from several threads: each has its connections."""

    def __init__(
        self,
        mirrors: Sequence[Mirror],
        *,
        patience: Patience | None = None,
        stop: threading.Event | None = None,
        on_bytes: Callable[[int], None] = lambda n: None,
    ) -> None:
        self.mirrors = list(mirrors)
        self.patience = patience or Patience()
        self.stop = stop or threading.Event()
        self.retries = 0
        self._on_bytes = on_bytes
        self._failures = [0] * len(self.mirrors)
        self._lock = threading.Lock()
        self._local = threading.local()
        self._jitter = random.Random()  # spreads retries of several machines; no result depends on it

    def fetch(self, path: str, target: Path, sha256: str | None = None) -> Fetched:
        """Fetch the published file `path` to `target`; `sha256` is its published digest where there is one.

        Raises NotPublished, CannotFetch, CannotWrite or Stopped; then `target` is as it was before.
        """
        absent: set[int] = set()
        reasons: dict[str, None] = {}
        corrupt = 0
        for attempt in range(self.patience.attempts):
            wait_s: float | None = None
            for index in self._order():
                if index in absent:
                    continue
                if self.stop.is_set():
                    raise Stopped
                mirror = self.mirrors[index]
                try:
                    fetched = self._attempt(mirror, path, target, sha256)
                except (Stopped, CannotWrite):
                    tidy(target)
                    raise
                except NotPublished:
                    absent.add(index)
                    self._count_failure(index)
                    continue
                except _Trouble as trouble:
                    reasons[f"{mirror.name}: {trouble}"] = None
                    corrupt += isinstance(trouble, _Corrupt)
                    if corrupt > 1:  # the same wrong bytes twice: asking on will not change them
                        raise CannotFetch("; ".join(reasons)) from None
                    if not trouble.again:
                        absent.add(index)
                    self._count_failure(index)
                    wait_s = max(wait_s or 0.0, trouble.wait_s) if trouble.wait_s is not None else wait_s
                    continue
                self._failures[index] = 0
                return fetched
            if len(absent) == len(self.mirrors):
                break
            if attempt + 1 < self.patience.attempts:
                with self._lock:
                    self.retries += 1
                    spread = self._jitter.uniform(0.5, 1.0)
                pause = self.patience.backoff_s * 2**attempt * spread
                if self.stop.wait(min(max(pause, wait_s or 0.0), MAX_WAIT_S)):
                    raise Stopped
        if not reasons:
            raise NotPublished(path)
        raise CannotFetch("; ".join(reasons))

    def first_answering(self, path: str, timeout_s: float = 5.0) -> Mirror | None:
        """The first mirror that says it has `path`; nothing is downloaded."""
        for index in self._order():
            mirror = self.mirrors[index]
            try:
                response = self._open("HEAD", mirror.url_of(path), {}, (timeout_s, timeout_s))
            except (_Trouble, NotPublished):
                continue
            with response:
                if response.status_code == 200:
                    return mirror
        return None

    def _order(self) -> list[int]:
        """Mirrors as listed, those that failed several times in a row last."""
        return sorted(range(len(self.mirrors)), key=lambda i: (self._failures[i] >= FAILURES_TO_DEMOTE, i))

    def _count_failure(self, index: int) -> None:
        with self._lock:
            self._failures[index] += 1

    def _session(self) -> Any:
        session = getattr(self._local, "session", None)
        if session is None:
            import requests  # type: ignore[import-untyped,unused-ignore]

            session = self._local.session = requests.Session()
            session.headers.update({"User-Agent": f"ecgqa/{__version__}", "Accept-Encoding": "identity"})
        return session

    def _open(self, method: str, url: str, headers: dict[str, str], timeout: tuple[float, float]) -> Any:
        """Send one request, follow redirects to http(s) only, and turn every failure to connect into _Trouble."""
        import requests

        for _ in range(MAX_REDIRECTS + 1):
            try:
                response = self._session().request(
                    method, url, headers=headers, timeout=timeout, stream=True, allow_redirects=False
                )
            except requests.exceptions.Timeout:
                raise _Trouble("no answer in time") from None
            except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
                raise _Trouble(f"not a usable address: {error}", again=False) from None
            except (requests.exceptions.RequestException, OSError, HTTPException) as error:
                raise _Trouble(_plain(error)) from None
            location = response.headers.get("Location")
            if response.status_code not in (301, 302, 303, 307, 308) or not location:
                return response
            response.close()
            target = urljoin(url, location)
            scheme = urlsplit(target).scheme
            if scheme not in ("http", "https") or (scheme == "http" and url.startswith("https:")):
                raise _Trouble(f"redirects to {target!r}, which is not followed", again=False)
            url = target
        raise _Trouble("redirects in a circle", again=False)

    def _attempt(self, mirror: Mirror, path: str, target: Path, sha256: str | None) -> Fetched:
        partial = partial_of(target)
        note = note_of(partial)
        url = mirror.url_of(path)
        headers: dict[str, str] = {}
        offset, digest = 0, hashlib.sha256()
        with writing():
            partial.parent.mkdir(parents=True, exist_ok=True)
            guard = read_note(note)
            have = partial.stat().st_size if guard and partial.exists() else 0
        if guard and have:
            same_place = guard.get("url") == url and guard.get("validator")
            # With a published digest a spliced file cannot pass, so another mirror may go on where one stopped.
            if (sha256 and guard.get("sha256") == sha256) or same_place:
                headers["Range"] = f"bytes={have}-"
                if same_place:
                    headers["If-Range"] = guard["validator"]
                offset = have
        response = self._open("GET", url, headers, (self.patience.connect_s, self.patience.silence_s))
        with response:
            status = response.status_code
            if status in ABSENT:
                with suppress(Exception):
                    response.raw.drain_conn()
                raise NotPublished(path)
            if status == 416:  # the partial is not a beginning of this file
                forget(partial, note)
                raise _Trouble("the server has no such byte range")
            if status not in (200, 206):
                wait_s = _retry_after(response.headers.get("Retry-After"))
                raise _Trouble(f"HTTP {status}", wait_s=wait_s, again=status in WORTH_RETRYING)
            if status == 206 and not _continues(response.headers.get("Content-Range", ""), offset):
                forget(partial, note)
                raise _Trouble("the server sent another byte range than asked for")
            if status == 206 and not sha256 and validator(response.headers) != guard.get("validator"):
                forget(partial, note)
                raise _Trouble("the file changed on the server since the last attempt")
            if status == 200:
                offset = 0
            encoded = response.headers.get("Content-Encoding", "identity") not in ("identity", "")
            length = response.headers.get("Content-Length", "")
            expected = offset + int(length) if length.isdecimal() and not encoded else None
            if offset:
                with writing(), partial.open("rb") as stream:
                    while block := stream.read(1 << 20):
                        digest.update(block)
                self._on_bytes(offset)
            elif expected is None or expected >= RESUME_FROM_BYTES:
                with writing():
                    partial.unlink(missing_ok=True)
                    write_note(note, url, sha256, response.headers)
            elif guard:
                forget(partial, note)
            size = self._receive(response, partial, offset, digest, encoded, expected)
        if expected is not None and size != expected:
            self._on_bytes(-size)
            raise _Trouble(f"the connection ended after {size:,} of {expected:,} bytes")
        found = digest.hexdigest()
        if (sha256 and found != sha256.lower()) or (size and _is_html(partial, path)):
            html = _is_html(partial, path)
            self._on_bytes(-size)
            forget(partial, note)
            if offset:  # perhaps only what an earlier run had left was wrong
                raise _Trouble("the resumed bytes do not match the published checksum")
            raise _Corrupt(
                "sent a web page instead of the file" if html else "the bytes do not match the published checksum"
            )
        with writing():
            partial.replace(target)
            note.unlink(missing_ok=True)
        return Fetched(size, found, mirror.name, resumed_from=offset)

    def _receive(
        self, response: Any, partial: Path, offset: int, digest: Any, encoded: bool, expected: int | None
    ) -> int:
        """Append the body to `partial` from `offset`; returns the size reached."""
        raw, size = response.raw, offset
        counted = offset
        window_start, window_bytes = time.monotonic(), 0
        with writing():
            stream = partial.open("r+b" if offset else "wb")
        try:
            with stream:
                with writing():
                    stream.seek(offset)
                while expected is None or size < expected:
                    if self.stop.is_set():
                        raise Stopped
                    try:
                        # read1 returns what has come in; read would wait for a full block, at any crawl
                        block = raw.read1(CHUNK_BYTES, decode_content=encoded)
                    except Exception as error:
                        if isinstance(error, Stopped | MemoryError):
                            raise
                        raise _Trouble(f"{_plain(error)} after {size:,} bytes") from None
                    if not block:
                        break
                    with writing():
                        stream.write(block)
                    digest.update(block)
                    size += len(block)
                    self._on_bytes(len(block))
                    counted = size
                    window_bytes += len(block)
                    elapsed = time.monotonic() - window_start
                    if elapsed >= self.patience.slow_window_s:
                        if window_bytes < self.patience.slowest_bytes_per_s * elapsed:
                            raise _Trouble(f"only {window_bytes / elapsed:.0f} bytes/s")
                        window_start, window_bytes = time.monotonic(), 0
                with writing():
                    stream.truncate(size)
            with suppress(Exception):
                raw.drain_conn()  # lets the connection be used again for the next file
        except _Trouble:
            self._on_bytes(-counted)
            raise
        return size


def _continues(content_range: str, offset: int) -> bool:
    return content_range.replace("bytes", "").strip().startswith(f"{offset}-")


def _retry_after(text: str | None) -> float | None:
    """Seconds that a Retry-After header asks to wait; it holds seconds or a date."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _is_html(partial: Path, path: str) -> bool:
    """Whether a login page or an error page came with status 200 in the place of a data file."""
    if path.endswith((".html", ".htm")):
        return False
    with writing(), partial.open("rb") as stream:
        head = stream.read(256).lstrip().lower()
    return head.startswith((b"<!doctype html", b"<html"))


def _plain(error: BaseException) -> str:
    """The innermost reason of a network error, without the wrappings of the libraries."""
    text = f"{type(error).__name__} {error}"
    for mark, reason in (
        ("NameResolution", "the name cannot be resolved (no network?)"),
        ("getaddrinfo", "the name cannot be resolved (no network?)"),
        ("ReadTimeout", "no data in time"),
        ("timed out", "no data in time"),
        ("Connection refused", "connection refused"),
        ("CERTIFICATE", "its certificate cannot be verified"),
        ("SSL", "no secure connection"),
        ("ProxyError", "the proxy refuses"),
        ("unreachable", "the network is unreachable"),
        ("IncompleteRead", "the connection ended early"),
        ("reset", "the connection was reset"),
        ("RemoteDisconnected", "the server closed the connection"),
        ("Connection aborted", "the connection was aborted"),
        ("Connection broken", "the connection broke"),
    ):
        if mark in text:
            return reason
    return text[:200]
