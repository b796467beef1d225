"""Every process that `scripts/up` starts is killed outright, one after the other, under load.

Part of the soak; alone: `pytest -m kills`. It takes two to three minutes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

import httpx
import psutil
import psycopg
import pytest

from lealife.core.places import BASE_DIR
from lealife.embedded.postgres import find_postmaster

pytestmark = [pytest.mark.soak, pytest.mark.kills, pytest.mark.timeout(900)]
BACK_WITHIN_S = 15.0
STARTS_WITHIN_S = 120.0
# After the last kill: runs whose worker died are found by their lapsed leases.
SETTLES_WITHIN_S = 90.0
AUDIT = """
from benchmarks.chaos.audit import find_bad_counters, find_bad_cycles, find_chain_breaks, find_open
print([*find_bad_cycles(), *find_open(), *find_bad_counters(), *find_chain_breaks()])
"""
TRAINING = (
    "SELECT 'sources', status, not_before > now() AS rests, count(*) FROM training_trainingsource GROUP BY 2, 3",
    "SELECT 'runs', lane, status, error_code, count(*) FROM training_run GROUP BY 2, 3, 4",
    "SELECT 'outcome', error_code, now() - created_at FROM training_outcomes ORDER BY id DESC LIMIT 8",
    "SELECT 'frontier', state, not_before > now() AS rests, count(*) FROM learning_frontierpage GROUP BY 2, 3",
    "SELECT 'coordinator', enabled, holder, now() - last_tick_at, last_error FROM training_coordinator",
)
# How a child of the supervisor is known by its command line, and called in its sentences.
NAMES = {
    "lealife.embedded.ollama": "embedded Ollama",
    "pydoc_site.py": "demo site",
    "worker": "workers",
    "daphne": "dashboard",
}


@dataclass
class Installation:
    """`manage.py up` on a data folder of its own."""

    process: subprocess.Popen[bytes] | None
    data: Path
    port: int
    output: Path
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/lealife?host={self.data}/postgres"

    def find(self, name: str) -> psutil.Process | None:
        """The child of the supervisor that goes by this name."""
        if name == "embedded PostgreSQL":
            pid = find_postmaster(self.data / "postgres")
            return psutil.Process(pid) if pid else None
        for child in psutil.Process(self.process.pid).children():
            line = child.cmdline() if child.status() != psutil.STATUS_ZOMBIE else []
            if any(NAMES.get(PurePath(word).name) == name for word in line):
                return child
        return None

    def find_below_workers(self, *, guard: bool) -> psutil.Process | None:
        """The queue's guard below the workers' main process, or the newest of the processes below the guard."""
        with contextlib.suppress(psutil.Error):
            main = self.find("workers")
            for below in main.children() if main else ():
                working = [child for child in below.children() if child.status() != psutil.STATUS_ZOMBIE]
                if working:
                    return below if guard else max(working, key=lambda child: child.create_time())
        return None

    def count_reincarnated(self) -> int:
        """How often the queue's guard has said that it replaced a process of its own."""
        return sum("reincarnated" in line for line in self.read_output())

    def read_output(self) -> list[str]:
        return self.output.read_text().splitlines()

    def answers(self, path: str) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=3).status_code == 200
        except httpx.HTTPError:
            return False

    def ask(self, sql: str) -> int:
        with psycopg.connect(self.url, connect_timeout=3) as link:
            return link.execute(sql).fetchone()[0]

    def describe_training(self) -> str:
        """What waits, what runs and how the last runs ended, for a failure's message."""
        with psycopg.connect(self.url, connect_timeout=3) as link:
            return "\n".join(str(row) for sql in TRAINING for row in link.execute(sql).fetchall())

    def is_ollama_up(self) -> bool:
        try:
            address = (self.data / "ollama" / "address").read_text().strip()
            return httpx.get(f"{address}/api/version", timeout=3).status_code == 200
        except (OSError, httpx.HTTPError):
            return False

    def has_beaten(self) -> bool:
        """Whether a worker that was started since the last look at the clock says that it works."""
        try:
            workers = self.find("workers")
            pids = {child.pid for child in workers.children(recursive=True)} if workers else set()
            with psycopg.connect(self.url, connect_timeout=3) as link:
                rows = link.execute("SELECT name FROM training_workerheartbeat").fetchall()
            return any(int(name.rpartition(":")[2]) in pids for (name,) in rows)
        except (psycopg.Error, psutil.Error):
            return False

    def is_demo_up(self) -> bool:
        try:
            address = self.ask("SELECT base_url FROM training_host LIMIT 1")
            return httpx.get(str(address), timeout=3).status_code == 200
        except (psycopg.Error, httpx.HTTPError):
            return False


def wait(true: Callable[[], object], *, seconds: float, what: str) -> float:
    """Waits until it is true; returns the seconds it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"{what} within {seconds:g} s"
        time.sleep(0.2)
    return time.monotonic() - began


def allow(seconds: float) -> float:
    """A limit for this machine: with more to do than it has cores it is slower by that much, and says nothing of us."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def start(installation: Installation, *arguments: str) -> None:
    """Starts it on its data; what it says is added to its output."""
    with installation.output.open("ab") as stream:
        installation.process = subprocess.Popen(
            [sys.executable, str(BASE_DIR / "manage.py"), "up", "--port", str(installation.port), *arguments],
            cwd=BASE_DIR,
            env=installation.environment,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    wait(lambda: installation.answers("/readyz"), seconds=STARTS_WITHIN_S, what="up")


@pytest.fixture
def installation(tmp_path) -> Iterator[Installation]:
    parent = Path("/var/lib/lealife") if os.geteuid() == 0 else None
    data = Path(tempfile.mkdtemp(prefix="kills-", dir=parent))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "OLLAMA_HOST")}
    environment = {
        **kept,
        "LEALIFE_DATA": str(data),
        "LEALIFE_WORKERS": "4",
        "LEALIFE_RUN_LEASE_S": "12",
        "LEALIFE_COORDINATOR_LEASE_S": "5",
        "COLUMNS": "200",
    }
    installation = Installation(None, data, port, tmp_path / "output", environment)
    yield installation
    if installation.process is not None:
        installation.process.terminate()
        try:
            installation.process.wait(timeout=90)
        except subprocess.TimeoutExpired:
            installation.process.kill()
    shutil.rmtree(data, ignore_errors=True)


def test_a_machine_that_lost_its_supervisor_and_its_database_starts_again(installation: Installation):
    start(installation, "--no-demo")
    children = psutil.Process(installation.process.pid).children()
    for victim in (installation.process.pid, installation.find("embedded PostgreSQL").pid):
        os.kill(victim, signal.SIGKILL)
    installation.process.wait(timeout=10)
    # The kernel tells them of their parent's death.
    wait(
        lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children),
        seconds=60,
        what="the children's end",
    )
    start(installation, "--no-demo")
    wait(installation.has_beaten, seconds=STARTS_WITHIN_S, what="workers")


def test_every_killed_process_is_reported_and_restarted_and_no_work_is_lost_or_doubled(installation: Installation):
    told = installation
    start(told)
    outcomes = "SELECT count(*) FROM training_outcomes"
    wait(lambda: told.ask(outcomes) > 0, seconds=STARTS_WITHIN_S, what="the first outcome")
    back = {
        "embedded PostgreSQL": lambda: told.answers("/readyz"),
        "embedded Ollama": told.is_ollama_up,
        "demo site": told.is_demo_up,
        "workers": told.has_beaten,
        "dashboard": lambda: told.answers("/readyz"),
    }
    for name, is_back in back.items():
        kill_and_wait(lambda name=name: told.find(name), what=name, is_back=is_back)
        said = [line for line in told.read_output() if line.startswith(f"! {name} ") and "it is restarted" in line]
        assert said, told.output.read_text()
    # Below the workers' main process: the queue's guard, and one that works.
    kill_and_wait(lambda: told.find_below_workers(guard=True), what="the guard", is_back=lambda: True)
    assert any("workers ended" in line for line in told.read_output())
    named = told.count_reincarnated()
    kill_and_wait(
        lambda: told.find_below_workers(guard=False),
        what="one of the guard's",
        is_back=lambda: told.count_reincarnated() > named,
    )
    seen = told.ask(outcomes)
    try:
        wait(lambda: told.ask(outcomes) > seen, seconds=allow(SETTLES_WITHIN_S), what="outcomes after the last kill")
    except AssertionError as error:
        error.add_note("\n".join([told.describe_training(), *told.read_output()[-30:]]))
        raise
    stop_and_settle(told)


def kill_and_wait(find: Callable[[], psutil.Process | None], *, what: str, is_back: Callable[[], object]) -> None:
    """Kills what `find` finds, and waits until it finds another one that does its work."""
    victim = find()
    assert victim is not None, f"{what} does not run"
    os.kill(victim.pid, signal.SIGKILL)

    def is_another() -> bool:
        found = find()
        return found is not None and found.pid != victim.pid

    took = wait(lambda: is_another() and is_back(), seconds=allow(BACK_WITHIN_S), what=f"{what} is back")
    sys.stdout.write(f"{what}: {took:.1f} s\n")


def stop_and_settle(told: Installation) -> None:
    """Stops training, waits until all has ended and been sealed and ingested, and audits the tables."""
    with psycopg.connect(told.url) as link:
        link.execute("UPDATE training_coordinator SET enabled = false")
    left = """
        SELECT (SELECT count(*) FROM training_run WHERE status IN ('claimed', 'running'))
            + (SELECT count(*) FROM training_trainingcycle WHERE status = 'open')
            + (SELECT count(*) FROM training_outcomes) - (SELECT count(*) FROM training_outcome_seals)
            + (SELECT count(*) FROM training_outcomes) - (SELECT count(*) FROM run_learning_outcomes)
    """
    wait(lambda: told.ask(left) == 0, seconds=allow(SETTLES_WITHIN_S), what="all has ended")
    assert told.ask("SELECT count(*) FROM training_trainingcycle") == told.ask("SELECT count(*) FROM training_outcomes")
    done = subprocess.run(
        [sys.executable, str(BASE_DIR / "manage.py"), "shell", "--no-imports", "--verbosity", "0", "-c", AUDIT],
        cwd=BASE_DIR,
        env={**told.environment, "DATABASE_URL": told.url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr[-2000:]
