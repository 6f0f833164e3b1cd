"""A real HTTP server on this machine that serves a dictionary of files and misbehaves on request."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass
class Fault:
    """What to do wrong with one request. Faults of a path are used up one a request, in order."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None  # instead of the file, with a length that fits
    cut: int | None = None  # close the connection politely after so many bytes of the body
    reset: bool = False  # with cut: close it with a TCP reset
    ignore_range: bool = False
    ignore_if_range: bool = False
    wrong_range: bool = False  # answer with 206 and the first bytes, whatever range was asked for
    drip_s: float = 0.0  # so many seconds between single bytes
    hang_s: float = 0.0  # so long before the answer begins


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    status: int


class FaultyServer:
    """`files` maps a path without leading slash to its bytes; `requests` is the log; usable as a context manager."""

    def __init__(self, files: dict[str, bytes] | None = None, *, delay_s: float = 0.0) -> None:
        self.files = dict(files or {})
        self.faults: dict[str, list[Fault]] = {}
        self.etags: dict[str, str] = {}
        self.requests: list[Request] = []
        self.connections = 0
        self.delay_s = delay_s
        self.ranges = True
        self.chunked = False
        self.throttle_s = 0.0  # pause between blocks of 16 KiB
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                with server.lock:
                    server.connections += 1

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                server._answer(self)

            def do_GET(self) -> None:
                server._answer(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:  # clients that go away are part of the game
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> FaultyServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2)

    def publish(self) -> None:
        """Write SHA256SUMS.txt for all files served."""
        lines = [
            f"{hashlib.sha256(body).hexdigest()} {path}\n"
            for path, body in sorted(self.files.items())
            if path != "SHA256SUMS.txt"
        ]
        self.files["SHA256SUMS.txt"] = "".join(lines).encode()

    def count(self, path: str | None = None) -> int:
        """Requests so far, of one path or of all."""
        with self.lock:
            return sum(1 for request in self.requests if path in (None, request.path))

    def asked(self) -> list[str]:
        with self.lock:
            return [request.path for request in self.requests]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = unquote(handler.path).lstrip("/")
        with self.lock:
            pending = self.faults.get(path) or []
            fault = pending.pop(0) if pending else Fault()
            request = Request(handler.command, path, dict(handler.headers), 0)
            self.requests.append(request)
        if self.delay_s:
            time.sleep(self.delay_s)
        if fault.hang_s:
            time.sleep(fault.hang_s)
        body = self.files.get(path)
        status, headers = 200, dict(fault.headers)
        if fault.status:
            status, body = fault.status, fault.body or b"trouble"
        elif fault.body is not None:
            body = fault.body
        elif body is None:
            status, body = 404, b"not here"
        etag = self.etags.get(path, '"' + hashlib.md5(body).hexdigest() + '"')
        wanted = handler.headers.get("Range", "")
        guard = handler.headers.get("If-Range")
        fresh = guard is None or guard == etag or fault.ignore_if_range
        if status == 200:
            headers.setdefault("ETag", etag)
            if wanted and self.ranges and fresh and not fault.ignore_range:
                start = int(wanted.removeprefix("bytes=").split("-")[0])
                if fault.wrong_range:
                    start = 0
                if start >= len(body):
                    status, body = 416, b""
                else:
                    headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                    status, body = 206, body[start:]
        request.status = status
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if self.chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        else:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command == "HEAD":
            return
        self._send(handler, body, fault)

    def _send(self, handler: BaseHTTPRequestHandler, body: bytes, fault: Fault) -> None:
        out = handler.wfile
        whole = fault.cut is None
        body = body if whole else body[: fault.cut]
        if fault.drip_s:
            for value in body:
                out.write(bytes([value]))
                out.flush()
                time.sleep(fault.drip_s)
        else:
            for start in range(0, len(body), 16384):
                block = body[start : start + 16384]
                out.write(b"%x\r\n%s\r\n" % (len(block), block) if self.chunked else block)
                if self.throttle_s:
                    out.flush()
                    time.sleep(self.throttle_s)
            if self.chunked and whole:
                out.write(b"0\r\n\r\n")
        out.flush()
        if not whole:
            handler.close_connection = True
            if fault.reset:
                linger = struct.pack("ii", 1, 0)
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                handler.connection.close()
