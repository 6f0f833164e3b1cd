"""Serving the page: a socket, the addresses it is reached by, and the browser that opens it."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
import webbrowser
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from ecgqa.errors import EcgqaError
from ecgqa.explorer.guard import is_loopback, is_wildcard

if TYPE_CHECKING:
    from starlette.types import ASGIApp

MAX_CONNECTIONS: Final = 512
CLOSE_IDLE_S: Final = 15


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises EcgqaError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        raise EcgqaError(
            f"the page cannot be served at {host}:{port}: {getattr(error, 'strerror', None) or error}",
            fix="ecgqa explore STORE --port 0 takes a free port",
        ) from None
    return listener


def new_token(host: str) -> str | None:
    """None where only this machine can reach the page, else a token that a visitor must know."""
    return None if is_loopback(host) else secrets.token_urlsafe(24)


def address(listener: socket.socket, host: str, token: str | None) -> str:
    """The address to open in a browser."""
    port = listener.getsockname()[1]
    name = socket.gethostname() if is_wildcard(host) else host
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port}/" + (f"?token={quote(token)}" if token else "")


def has_windows() -> bool:
    """Whether this session can show a browser's window; without, `webbrowser` would take over the terminal."""
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))


def serve(app: ASGIApp, listener: socket.socket, *, open_at: str | None = None) -> None:
    """Serve until interrupted; `open_at`: an address to open in the visitor's browser once the page answers."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=CLOSE_IDLE_S,
        timeout_graceful_shutdown=2,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=64 << 10,
    )
    server = uvicorn.Server(config)

    async def run() -> None:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if open_at is not None and has_windows() and not serving.done():
            asyncio.get_running_loop().run_in_executor(None, webbrowser.open, open_at)
        await serving

    asyncio.run(run())
