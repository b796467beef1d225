"""The embedded Ollama as a process: where it listens, and how to start one."""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from lealife.core.places import BASE_DIR, data_dir

START_WITHIN_S = 60.0


def ollama_dir() -> Path:
    """Folder of the embedded server: its tags, and the address it listens on."""
    path = data_dir() / "ollama"
    path.mkdir(parents=True, exist_ok=True)
    return path


def read_address() -> str | None:
    """The address that the embedded server of this installation wrote; None when it wrote none."""
    with contextlib.suppress(OSError):
        return (ollama_dir() / "address").read_text().strip() or None
    return None


def is_answering(address: str) -> bool:
    """Whether a server answers there."""
    try:
        return httpx.get(f"{address}/api/version", timeout=2, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def command_line(*, port: int = 0) -> list[str]:
    """The command that runs the embedded server; port 0 takes a free one."""
    return [
        sys.executable,
        "-m",
        "lealife.embedded.ollama",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--data",
        str(ollama_dir()),
    ]


def wait_for_address(*, has_ended: Callable[[], bool], within_s: float = START_WITHIN_S) -> str:
    """The address, once a server answers there. Raises RuntimeError when it ends, or does not answer in time."""
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        if has_ended():
            raise RuntimeError("The embedded Ollama could not start: its last line on standard error says why.")
        address = read_address()
        if address and is_answering(address):
            return address
        time.sleep(0.1)
    raise RuntimeError(f"The embedded Ollama did not answer within {within_s:.0f} s; its log is on standard error.")


def ensure_ollama() -> str:
    """`OLLAMA_HOST`, or the address of the running embedded server. Without one it starts one, which ends with us."""
    named = os.environ.get("OLLAMA_HOST", "").strip()
    if named:
        return named
    address = read_address()
    if address and is_answering(address):
        return address
    (ollama_dir() / "address").unlink(missing_ok=True)
    line = [*command_line(), "--while-stdin"]
    # Its own session, so that Ctrl-C reaches only us. The pipe ends when we are killed.
    process = subprocess.Popen(line, cwd=BASE_DIR, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603  ours
    atexit.register(_stop, process)
    return wait_for_address(has_ended=lambda: process.poll() is not None)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
