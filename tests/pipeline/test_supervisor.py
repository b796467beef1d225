"""The supervisor: children that crash come back, and at the end nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lealife.supervisor import Child, Supervisor

ROOT = Path(__file__).resolve().parents[2]
SHELL = "/bin/sh"

# Holds a port, and has a child of its own as the queue's main process has workers.
HOLDS_A_PORT = """
import os, pathlib, socket, subprocess, sys, time
listener = socket.create_server(("127.0.0.1", 0))
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
told = pathlib.Path(sys.argv[1])
told.with_suffix(".new").write_text(f"{os.getpid()} {worker.pid} {listener.getsockname()[1]}")
told.with_suffix(".new").rename(told)
time.sleep(60)
"""

SUPERVISES = """
import sys
from lealife.supervisor import Child, Supervisor
supervisor = Supervisor(say=lambda sentence: print(sentence, flush=True))
supervisor.catch_signals()
for number in (1, 2):
    supervisor.start(Child(f"child {number}", [sys.executable, "-c", sys.argv[1], sys.argv[1 + number]]))
try:
    supervisor.run(poll_s=0.05)
finally:
    supervisor.stop()
"""


def wait_until(true: Callable[[], object], *, seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether the process lives; one that has ended and waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z" if stat.parent.exists() else True
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_listening(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(say=said.append)
    yield supervisor
    supervisor.stop()


def start_shell(supervisor: Supervisor, script: str, **options) -> Child:
    child = Child("the child", [SHELL, "-c", script], **options)
    supervisor.start(child)
    return child


def test_a_crashed_child_is_named_and_restarted(supervisor, said):
    child = start_shell(supervisor, "exec sleep 60")
    first = child.process.pid
    os.kill(first, signal.SIGKILL)
    assert supervisor.run(until=lambda: child.process.pid != first, poll_s=0.02)
    assert said == ["the child was killed by SIGKILL; it is restarted in 0.5 s."]
    assert is_running(child.process.pid)


def test_a_child_that_keeps_crashing_is_restarted_with_growing_pauses(supervisor, said):
    start_shell(supervisor, "exit 3")
    supervisor.run(until=lambda: len(said) == 3, poll_s=0.02)
    assert said == [f"the child ended with exit code 3; it is restarted in {pause} s." for pause in ("0.5", "1", "2")]


def test_a_restarted_child_leaves_nothing_of_its_first_session(supervisor, tmp_path):
    told = tmp_path / "pid"
    child = start_shell(supervisor, f"sleep 60 & echo $! > {told}.new; mv {told}.new {told}; wait")
    wait_until(told.exists)
    orphan, first = int(told.read_text()), child.process.pid
    os.kill(first, signal.SIGKILL)
    supervisor.run(until=lambda: child.process.pid != first, poll_s=0.02)
    wait_until(lambda: not is_running(orphan))


def test_a_child_that_needs_its_standard_input_keeps_it_also_after_a_restart(supervisor):
    child = start_shell(supervisor, "exec cat", keep_stdin_open=True)
    for _ in range(2):
        before = child.process.pid
        assert not child.has_ended()
        os.kill(before, signal.SIGKILL)
        supervisor.run(until=lambda before=before: child.process.pid != before, poll_s=0.02)
    assert is_running(child.process.pid)


def test_a_child_is_asked_first_and_may_finish_what_it_does(supervisor, tmp_path):
    done, ready = tmp_path / "done", tmp_path / "ready"
    child = start_shell(supervisor, f"trap 'sleep 0.3; echo > {done}; exit 0' TERM; echo > {ready}; sleep 60 & wait")
    wait_until(ready.exists)
    child.stop()
    assert done.exists()
    assert child.process.returncode == 0


def test_only_the_main_process_is_signalled_so_that_its_workers_finish(supervisor, tmp_path):
    told, ready = tmp_path / "told", tmp_path / "ready"
    worker = f"trap 'echo TERM >> {told}; exit' TERM; echo > {ready}; sleep 0.5; echo finished >> {told}"
    child = start_shell(supervisor, f"({worker}) & trap 'wait; exit 0' TERM; wait")
    wait_until(ready.exists)
    child.stop()
    assert told.read_text() == "finished\n"


def test_a_child_that_ignores_the_signal_is_killed(supervisor, tmp_path):
    ready = tmp_path / "ready"
    child = start_shell(supervisor, f"trap '' TERM; echo > {ready}; while :; do sleep 0.1; done", stop_within_s=0.3)
    wait_until(ready.exists)
    began = time.monotonic()
    child.stop()
    assert time.monotonic() - began < 4
    assert child.process.returncode == -signal.SIGKILL


def test_the_last_started_child_ends_first(said, tmp_path):
    supervisor, order = Supervisor(say=said.append), tmp_path / "order"
    for name in ("one", "two"):
        ready = tmp_path / name
        script = f"trap 'echo {name} >> {order}; exit' TERM; echo > {ready}; sleep 60 & wait"
        supervisor.start(Child(name, [SHELL, "-c", script]))
        wait_until(ready.exists)
    supervisor.stop()
    assert order.read_text().split() == ["two", "one"]


def test_run_ends_when_it_is_enough(supervisor):
    assert supervisor.run(until=lambda: True)


# As a process of its own.


@contextmanager
def run_supervisor(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int], list[int]]]:
    """A supervisor with two children: its process, the pids of all below it, and the ports they hold."""
    told = [folder / "one", folder / "two"]
    command = [sys.executable, "-c", SUPERVISES, HOLDS_A_PORT, *map(str, told)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: all(path.exists() for path in told), seconds=20)
        words = [list(map(int, path.read_text().split())) for path in told]
        yield process, [pid for main, worker, _ in words for pid in (main, worker)], [port for _, _, port in words]
    finally:
        process.kill()
        process.wait(timeout=10)
        for path in told:
            for pid in map(int, path.read_text().split()[:2]):
                if is_running(pid):
                    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_and_no_process_or_port_is_left(tmp_path, number):
    with run_supervisor(tmp_path) as (process, pids, ports):
        assert all(map(is_running, pids))
        assert all(map(is_listening, ports))
        process.send_signal(number)
        assert process.wait(timeout=15) == 0
        wait_until(lambda: not any(map(is_running, pids)))
        assert not any(map(is_listening, ports))


def test_a_second_signal_changes_nothing(tmp_path):
    with run_supervisor(tmp_path) as (process, pids, _):
        process.terminate()
        process.terminate()
        assert process.wait(timeout=15) == 0
        wait_until(lambda: not any(map(is_running, pids)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_a_supervisor_that_is_killed_outright_takes_its_children_with_it(tmp_path):
    with run_supervisor(tmp_path) as (process, pids, ports):
        process.kill()
        mains = pids[::2]
        wait_until(lambda: not any(map(is_running, mains)))
        wait_until(lambda: not any(map(is_listening, ports)))
