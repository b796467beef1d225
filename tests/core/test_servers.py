"""PostgreSQL as others run it: behind a pooler, and for a role that is no superuser."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from lealife.core.places import BASE_DIR

# One whole cycle, and whether its run is counted as open in between.
ONE_CYCLE = """
from tests.factories import begin_claimed, finish, make_host, make_source
from training.models import CounterSlot, TrainingOutcome
from training.coordinator import start_training
def count(name):
    return sum(CounterSlot.objects.filter(name=name).values_list("count", flat=True))
make_source(make_host())
run = begin_claimed()
assert count("open.training") == 1, count("open.training")
finish(run)
assert count("open.training") == 0, count("open.training")
assert count("outcomes.success") == TrainingOutcome.objects.count() == 1
"""


def run_manage(url: str, *arguments: str, given: str = "") -> None:
    """Runs a manage.py command on the database of `url`; fails with what it said."""
    done = subprocess.run(
        [sys.executable, str(BASE_DIR / "manage.py"), *arguments],
        cwd=BASE_DIR,
        env={**os.environ, "DATABASE_URL": url},
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr, done.stderr[-2000:]


@pytest.fixture
def plain_role() -> Iterator[str]:
    """URL of a new database whose owner may do nothing beyond it."""
    name = f"plain_{secrets.token_hex(4)}"
    try:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
            server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(name)))
            server.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege:
        pytest.skip("The server of DATABASE_URL lets us make no role.")
    parts = conninfo_to_dict(os.environ["DATABASE_URL"])
    host, port = parts.get("host", ""), parts.get("port", "")
    yield f"postgresql://{name}:x@/{name}?host={host}" + (f"&port={port}" if port else "")
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_a_database_owner_who_is_no_superuser_migrates_and_runs_a_cycle(plain_role):
    run_manage(plain_role, "migrate", "--verbosity", "0")
    run_manage(plain_role, "shell", "--no-imports", "--verbosity", "0", "--command", ONE_CYCLE)


@pytest.fixture
def pooler(tmp_path: Path, plain_role: str) -> Iterator[str]:
    """The URL of `plain_role`'s database through PgBouncer in session mode, otherwise as it comes."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed.")
    parts = conninfo_to_dict(plain_role)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    settings = tmp_path / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n{parts['dbname']} = host={parts['host']} user={parts['user']} password=x\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npool_mode = session\n"
        "unix_socket_dir =\n"
    )
    command = [program, str(settings)]
    if os.geteuid() == 0:
        # It refuses to work as root; the embedded server's own user may enter the folder of its socket.
        owner = Path(str(parts["host"])).owner()
        for folder in (tmp_path, *list(tmp_path.parents)[:2]):
            folder.chmod(0o755)
        command[1:1] = ["-u", owner]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ends = time.monotonic() + 10
    with socket.socket() as caller:
        while caller.connect_ex(("127.0.0.1", port)) and time.monotonic() < ends:
            time.sleep(0.05)
    yield f"postgresql://{parts['user']}:x@127.0.0.1:{port}/{parts['dbname']}"
    child.terminate()
    child.wait(timeout=10)


def test_a_pooler_in_session_mode_carries_migrations_and_a_cycle(pooler):
    run_manage(pooler, "migrate", "--verbosity", "0")
    run_manage(pooler, "shell", "--no-imports", "--verbosity", "0", "--command", ONE_CYCLE)
