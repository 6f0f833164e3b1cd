"""Many readers of a local server at once, each on a connection of its own, by the plainest client there is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from urllib.parse import urlsplit


def read_together(
    server: str, paths: Sequence[str], *, n_readers: int, n_each: int, timeout_s: float = 120
) -> list[float]:
    """Seconds of every request: `n_readers` ask for `n_each` of `paths` in turn, each waiting for its answer.

    Raises AssertionError for any answer that is not 200 and whole.
    """
    return asyncio.run(_all(server, paths, n_readers, n_each, timeout_s))


async def _all(server: str, paths: Sequence[str], n_readers: int, n_each: int, timeout_s: float) -> list[float]:
    parts = urlsplit(server)
    assert parts.hostname and parts.port
    async with asyncio.timeout(timeout_s):
        readers = [_one(parts.hostname, parts.port, paths, first, n_each) for first in range(n_readers)]
        return [seconds for found in await asyncio.gather(*readers) for seconds in found]


async def _one(host: str, port: int, paths: Sequence[str], first: int, n_each: int) -> list[float]:
    reader, writer = await asyncio.open_connection(host, port)
    found = []
    for number in range(n_each):
        path = paths[(first + number) % len(paths)]
        started = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), (path, head[:80])
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body = await reader.readexactly(int(length.split(b":")[1]))
        assert body, path
        found.append(time.perf_counter() - started)
    writer.close()
    return found
