"""The same questions, byte by byte, in one process, on several, and on a Dask cluster that loses a worker."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from concurrent.futures import Executor
from pathlib import Path

import pytest
from oracle import cohort

from ecgqa.attributes.vocabulary import ptbxl_vocabulary
from ecgqa.errors import EcgqaError
from ecgqa.executors import InlineExecutor, open_executor, run_tasks
from ecgqa.questions.build import build_questions
from ecgqa.questions.facts import gather_facts
from ecgqa.questions.facts_files import load_facts, save_facts
from ecgqa.questions.released import write_dataset
from ecgqa.questions.sampling import Limits
from ecgqa.questions.splits import split_by_patient
from ecgqa.records import QUESTIONS
from ecgqa.tables import write_table

TABLE, RECORDS = cohort(700, seed=21)


def digest(executor: Executor | None, folder: Path) -> dict[str, str]:
    """Digest of every file of the dataset that is built by way of `executor`."""
    limits = Limits().scaled(0.2)
    built = build_questions(TABLE, RECORDS, seed=5, limits=limits, executor=executor, work=folder / "facts")
    assert not (folder / "facts").exists()
    write_dataset(built.questions, folder / "q", answers=built.answers, split_ecgs=built.split_ecgs)
    write_table(built.questions, folder / "q" / "questions.parquet", QUESTIONS)
    files = sorted(path for path in (folder / "q").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return digest(None, tmp_path_factory.mktemp("here"))


def test_facts_come_back_from_files(tmp_path: Path) -> None:
    facts = gather_facts(TABLE, RECORDS, ptbxl_vocabulary())
    parts = split_by_patient(facts, 0)
    again, rows = load_facts(save_facts(facts, parts, tmp_path / "größe"))
    assert again.vocabulary == facts.vocabulary and again.views.keys() == facts.views.keys()
    for name, view in facts.views.items():
        assert again.views[name].options == view.options
        for kind in ("holds", "known", "uncertain"):
            one, other = getattr(again.views[name], kind), getattr(view, kind)
            assert (one is None) == (other is None) and (one is None or (one == other).all())
    assert all((rows[split] == part).all() for split, part in parts.items())


def test_local_processes_give_the_same_bytes(expected: dict[str, str], tmp_path: Path) -> None:
    with open_executor(workers=2) as executor:
        assert digest(executor, tmp_path) == expected
    assert len(expected) > 10


@pytest.mark.slow
def test_a_dask_cluster_that_loses_a_worker_gives_the_same_bytes(expected: dict[str, str], tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (the extra [cluster])")
    killed: list[int] = []
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50, local_directory=str(tmp_path)
        ) as cluster,
        distributed.Client(cluster) as watcher,
    ):

        def kill_one_at_work() -> None:
            pids = watcher.run(os.getpid)
            for _ in range(600):
                busy = [address for address, tasks in watcher.processing().items() if tasks]
                if busy:
                    os.kill(pids[busy[0]], signal.SIGKILL)
                    killed.append(pids[busy[0]])
                    return
                time.sleep(0.05)

        killer = threading.Thread(target=kill_one_at_work)
        killer.start()
        with open_executor(cluster.scheduler_address) as executor:
            found = digest(executor, tmp_path / "dask")
        killer.join()
        assert killed and killed[0] not in watcher.run(os.getpid).values()
    assert found == expected


def _fail(number: int) -> int:
    if number == 2:
        raise EcgqaError("two", fix="three")
    return number * number


def _die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_results_keep_the_order_of_the_tasks_and_errors_come_through() -> None:
    done: list[int] = []
    assert run_tasks(InlineExecutor(), pow, [(3, 2), (2, 2), (5, 2)], done.append) == [9, 4, 25]
    assert sorted(done) == [0, 1, 2]
    with pytest.raises(EcgqaError, match="two") as error:
        run_tasks(InlineExecutor(), _fail, [(1,), (2,)])
    assert error.value.fix == "three"


def test_a_killed_local_process_is_told() -> None:
    with open_executor(workers=2) as executor, pytest.raises(EcgqaError, match="worker process was killed"):
        run_tasks(executor, _die, [(1,), (2,)])


def test_one_worker_is_this_process() -> None:
    with open_executor(workers=1) as executor:
        assert run_tasks(executor, os.getpid, [()]) == [os.getpid()]
    with pytest.raises(EcgqaError, match="workers"), open_executor(workers=-1):
        pass


def test_an_unknown_scheduler_is_told() -> None:
    pytest.importorskip("distributed", reason="Dask is not installed (the extra [cluster])")
    with pytest.raises(EcgqaError, match="no Dask scheduler"), open_executor("carrier-pigeon://roof"):
        pass
