"""The explorer on a real socket of this machine, in a thread, for as long as a block lasts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from ecgqa.explorer.app import make_app
from ecgqa.explorer.explorer import Explorer
from ecgqa.explorer.serve import address, bind


@contextmanager
def served(explorer: Explorer, *, host: str = "127.0.0.1", token: str | None = None) -> Iterator[str]:
    """Yield the address to open; the server listens on 127.0.0.1 but behaves as if bound to `host`."""
    listener = bind("127.0.0.1", 0)
    app = make_app(explorer, host=host, token=token)
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.started
    try:
        yield address(listener, "127.0.0.1", token)
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
