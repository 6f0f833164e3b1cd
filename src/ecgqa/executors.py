"""The one seam through which work is spread: a concurrent.futures.Executor over processes or a cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

from ecgqa.errors import EcgqaError

Task = TypeVar("Task")
Result = TypeVar("Result")


class InlineExecutor(Executor):
    """Runs each task at once, in this process: for little work, and for debugging."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def usable_processors() -> int:
    """Processors that this process may use (not all of them in a container or under taskset)."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def leave_interrupts_to_parent() -> None:
    """Initialises a worker process: Ctrl-C is the parent's to handle, which then stops its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def open_executor(cluster: str | None = None, workers: int | None = None) -> Iterator[Executor]:
    """An executor that lives as long as the block.

    cluster: None for processes of this machine, the address of a Dask scheduler (tcp://host:8786), or "local" for a
        Dask cluster of processes on this machine. Needs ecgqa[cluster]. A worker that dies is replaced, its tasks run
        again elsewhere.
    workers: number of local processes (default: one per processor); 1 works in this process.

    Raises EcgqaError where the scheduler cannot be reached, or where Dask is not installed.
    """
    if workers is not None and workers < 1:
        raise EcgqaError(f"{workers} workers", expected="at least 1")
    workers = workers or os.cpu_count() or 1
    if cluster is not None:
        with _dask_client(cluster, workers) as client:
            yield client.get_executor(pure=False)
    elif workers == 1:
        yield InlineExecutor()
    else:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        # Forked children would inherit the locks of threads that numpy and polars have running.
        executor = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)


@contextmanager
def _dask_client(cluster: str, workers: int) -> Iterator[Any]:
    try:
        distributed: Any = import_module("distributed")
    except ModuleNotFoundError:
        raise EcgqaError("--cluster needs Dask", fix='pip install "ecgqa[cluster]"') from None
    if cluster == "local":
        with (
            distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=50
            ) as local,
            distributed.Client(local) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(cluster, timeout="10s")
    except (OSError, TimeoutError, ValueError) as error:
        raise EcgqaError(
            f"no Dask scheduler answers at {cluster}",
            expected="local, or the address that dask scheduler prints, e.g. tcp://192.168.0.10:8786",
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
        ) from None
    with client:
        yield client


def as_they_finish(
    executor: Executor, function: Callable[[Task], Result], tasks: Iterable[Task], ahead: int | None = None
) -> Iterator[Result]:
    """`function(task)` for every task, each result as it comes, in any order.

    At most `ahead` tasks are in flight (None: all at once). What has not begun is cancelled when the caller stops or a
    task fails; results that are there at that moment still come before the error.
    """
    running: set[Future[Result]] = set()
    try:
        for task in tasks:
            running.add(executor.submit(function, task))
            if ahead is not None and len(running) >= ahead:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(finished, key=_has_failed):
                    yield future.result()
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in sorted(finished, key=_has_failed):
                yield future.result()
    finally:
        for future in running:
            future.cancel()


def _has_failed(future: Future[Any]) -> bool:
    return future.cancelled() or future.exception() is not None


def run_tasks(
    executor: Executor,
    function: Callable[..., Result],
    tasks: Sequence[tuple[Any, ...]],
    done: Callable[[int], object] | None = None,
) -> list[Result]:
    """`function(*task)` for every task, the results in the order of the tasks, however they were spread.

    `done(position)` is called as each task ends. The first error ends the run. Raises EcgqaError if a local worker
    process is killed.
    """
    futures = {executor.submit(function, *task): position for position, task in enumerate(tasks)}
    results: dict[int, Result] = {}
    try:
        for future in as_completed(futures):
            results[futures[future]] = future.result()
            if done is not None:
                done(futures[future])
    except BrokenProcessPool:
        raise EcgqaError(
            "a worker process was killed", expected="enough memory for every worker", fix="take fewer --workers"
        ) from None
    except BaseException as error:
        for future in futures:
            future.cancel()
        if type(error).__name__ == "KilledWorker":  # Dask: several workers in turn died over the same task
            raise EcgqaError(
                "the cluster's workers keep dying", expected="enough memory for every worker", found=str(error)[:200]
            ) from None
        raise
    return [results[position] for position in range(len(tasks))]
