"""An OpenAI-compatible server on loopback that answers by a script: well, badly, late, or not at all."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Reply = str | dict[str, Any]
"""Text, or what goes wrong: {"status": 429}, {"cut": True}, {"sleep": 5}, {"model": "other"}, {"slow": 0.3}."""


class LlmServer:
    """Serves /v1/chat/completions; `script(prompt, attempt)` says what to do with a prompt asked for the n-th time.

    answered: how often each prompt got a whole, successful reply. keys: the Authorization headers seen.
    """

    def __init__(self, script: Callable[[str, int], Reply], model: str = "test-model") -> None:
        self.script, self.model = script, model
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.keys: set[str] = set()
        self.bodies: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                try:
                    server._serve(self)
                except (OSError, ValueError):  # the client was killed
                    self.close_connection = True

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    super().handle()

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self._http = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> LlmServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        prompt = _text_of(body["messages"][-1]["content"])
        with self._lock:
            self.asked[prompt] += 1
            attempt = self.asked[prompt]
            self.keys.add(handler.headers.get("Authorization", ""))
            if len(self.bodies) < 5:
                self.bodies.append(body)
        reply = self.script(prompt, attempt)
        what = {"text": reply} if isinstance(reply, str) else reply
        time.sleep(what.get("sleep", 0.0))
        status = what.get("status", 200)
        if status != 200:
            content = {"error": {"message": what.get("message", f"scripted {status}"), "type": "scripted"}}
            return _send(handler, status, json.dumps(content).encode())
        text = what.get("text", "")
        usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": max(1, len(text) // 4)}
        usage["total_tokens"] = sum(usage.values())
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": what.get("finish_reason", "stop")}
        data = json.dumps(
            {"id": "x", "object": "chat.completion", "created": 0, "model": what.get("model", self.model),
             "choices": [choice], "usage": usage}
        ).encode()  # fmt: skip
        if what.get("cut"):
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data[: len(data) // 2])
            handler.close_connection = True
            return None
        with self._lock:  # before the last byte is sent: who has the reply finds it counted
            self.answered[prompt] += 1
        if "slow" in what:
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            for start in range(0, len(data), -(-len(data) // 5)):
                handler.wfile.write(data[start : start + -(-len(data) // 5)])
                handler.wfile.flush()
                time.sleep(what["slow"] / 5)
        else:
            _send(handler, 200, data)
        return None


def _send(handler: BaseHTTPRequestHandler, status: int, data: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    if status == 429:
        handler.send_header("Retry-After", "0")
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "[image]") for part in content)
