"""What an idle stack costs: CPU and memory of everything that `manage.py up` starts, while training is stopped.

The stack is one of its own, on data of its own in a temporary folder, so that nothing of this installation is touched.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.measurement import Measurement, at_most
from lealife.core.places import BASE_DIR
from lealife.demo import find_free_port
from lealife.embedded.postgres import find_postmaster

MINUTES = 10.0
CPU_MOST_PERCENT, PSS_MOST_MB = 3.0, 1_200.0
# The stack first trains for this long, so that all processes have loaded what they need for work.
WORK_MINUTES = 2.0
# The last runs end within this time.
SETTLE_S = 60.0
PORTS = range(8100, 8200)
STARTS_WITHIN_S = 180.0
_STOP_TRAINING = (
    "from lealife.core.actors import system; from training.coordinator import stop_training; "
    "stop_training(by=system('benchmark'), origin='idle')"
)


@dataclass(frozen=True, slots=True)
class Usage:
    """One process: its name for people, CPU seconds so far and proportional set size in bytes."""

    name: str
    cpu_s: float
    pss: int


def measure_idle(*, minutes: float = MINUTES, work_minutes: float = WORK_MINUTES) -> list[Measurement]:
    """Starts a stack, lets it train for `work_minutes`, stops training and watches it for `minutes`; two claims.

    Memory is read every minute, and the largest sum counts: the model server frees its weights after five idle
    minutes. Raises RuntimeError when the stack does not start.
    """
    with start_stack() as (stack, data):
        time.sleep(work_minutes * 60)
        _stop_training(data)
        time.sleep(SETTLE_S)
        began = time.monotonic()
        looks = [read_usage(stack, data)]
        while (left := began + minutes * 60 - time.monotonic()) > 0:
            time.sleep(min(60.0, left))
            looks.append(read_usage(stack, data))
        seconds = time.monotonic() - began
    first, last = looks[0], looks[-1]
    # A process that was started meanwhile counts from its start; one that has ended is not counted.
    percent = {
        pid: 100 * (use.cpu_s - (first[pid].cpu_s if pid in first else 0)) / seconds for pid, use in last.items()
    }
    largest = max(looks, key=lambda look: sum(use.pss for use in look.values()))
    megabytes = {pid: use.pss / 1e6 for pid, use in largest.items()}
    setup = f"{len(last)} processes, {seconds / 60:.1f} minutes idle after {work_minutes:g} minutes of training"
    return [
        at_most(
            "an idle stack hardly uses the processor",
            sum(percent.values()),
            CPU_MOST_PERCENT,
            "% of one core",
            f"{setup}: {_list_shares(percent, last, digits=2)}",
        ),
        at_most(
            "an idle stack is small",
            sum(megabytes.values()),
            PSS_MOST_MB,
            "MB PSS",
            f"{setup}: {_list_shares(megabytes, largest, digits=0)}",
        ),
    ]


@contextmanager
def start_stack() -> Iterator[tuple[psutil.Process, Path]]:
    """`manage.py up` on a free port and new data; yields its process and its data folder. It ends at the end.

    Raises RuntimeError when the dashboard does not answer in time.
    """
    with _make_folder() as data:
        port = find_free_port(PORTS)
        command = [sys.executable, str(BASE_DIR / "manage.py"), "up", "--port", str(port)]
        process = subprocess.Popen(command, env=_environment(data), start_new_session=True)  # noqa: S603  our own command
        try:
            _wait_for_dashboard(process, port)
            yield psutil.Process(process.pid), data
        finally:
            process.terminate()
            process.wait(timeout=120)


def read_usage(stack: psutil.Process, data: Path) -> dict[int, Usage]:
    """What each process of the stack uses, by its pid. PostgreSQL counts too, although it is no child of it."""
    processes = [stack, *stack.children(recursive=True)]
    if postmaster := find_postmaster(data / "postgres"):
        server = psutil.Process(postmaster)
        processes += [server, *server.children(recursive=True)]
    usages = {}
    for process in processes:
        # It may end while we look at it.
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            usages[process.pid] = Usage(_name(process), times.user + times.system, process.memory_full_info().pss)
    return usages


def _name(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    names = {
        "daphne": "dashboard",
        "lealife.embedded.ollama": "model server",
        "pydoc": "demo site",
        "manage.py worker": "workers",
        "manage.py up": "supervisor",
        "postgres": "PostgreSQL",
    }
    return next((name for part, name in names.items() if part in command), process.name())


def _list_shares(figures: dict[int, float], usages: dict[int, Usage], *, digits: int) -> str:
    """Each kind of process with its number and the sum of its figures, the largest first."""
    kinds: dict[str, list[float]] = {}
    for pid, figure in figures.items():
        kinds.setdefault(usages[pid].name, []).append(figure)
    ranked = sorted(kinds.items(), key=lambda kind: sum(kind[1]), reverse=True)
    return ", ".join(f"{name} ({len(each)}) {sum(each):.{digits}f}" for name, each in ranked)


def _wait_for_dashboard(process: subprocess.Popen[bytes], port: int) -> None:
    ends = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < ends and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.5)
    raise RuntimeError("The stack did not start; what it said is on standard error.")


def _stop_training(data: Path) -> None:
    command = [sys.executable, str(BASE_DIR / "manage.py"), "shell", "-c", _STOP_TRAINING]
    subprocess.run(command, env=_environment(data), check=True)  # noqa: S603  our own command


def _environment(data: Path) -> dict[str, str]:
    """This environment, but with the embedded servers and other data."""
    named = {"DATABASE_URL", "OLLAMA_HOST"}
    return {name: value for name, value in os.environ.items() if name not in named} | {"LEALIFE_DATA": str(data)}


@contextmanager
def _make_folder() -> Iterator[Path]:
    """A folder that the embedded PostgreSQL may use: root's lies where another user gets through."""
    above = "/var/lib/lealife" if os.geteuid() == 0 else None
    if above:
        Path(above).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f"idle-{secrets.token_hex(2)}-", dir=above, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)
