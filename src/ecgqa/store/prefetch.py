"""Running an iterator ahead of its consumer in a background thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Full, Queue
from typing import TypeVar

Item = TypeVar("Item")

_END = object()
_POLL_S = 0.1


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def prefetched(items: Iterator[Item], ahead: int) -> Iterator[Item]:
    """Iterate over `items` with up to `ahead` of them made in advance; 0 makes each when it is asked for.

    An exception of `items` is raised where the consumer waits for it. Closing the iterator stops the thread.
    """
    if ahead <= 0:
        yield from items
        return
    queue: Queue[object] = Queue(maxsize=ahead)
    stopped = threading.Event()

    def put(item: object) -> bool:
        while not stopped.is_set():
            try:
                queue.put(item, timeout=_POLL_S)
                return True
            except Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_END)
        except BaseException as error:  # it belongs to the consumer, whatever it is
            put(_Raised(error))

    thread = threading.Thread(target=work, name="ecgqa-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item = queue.get()
            if item is _END:
                return
            if isinstance(item, _Raised):
                raise item.error
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
