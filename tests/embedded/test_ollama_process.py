"""The embedded Ollama that a command starts for itself ends with the command, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.embedded.ollama_process import ROOT

COMMAND = "from lealife.embedded.ollama_process import ensure_ollama; print(ensure_ollama(), flush=True); input()"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_a_command_that_is_killed(tmp_path: Path, number: int):
    environment = {**os.environ, "LEALIFE_DATA": str(tmp_path)}
    environment.pop("OLLAMA_HOST", None)
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert command.stdout is not None
        assert command.stdout.readline().startswith(b"http://127.0.0.1:")
        (server,) = psutil.Process(command.pid).children()
        command.send_signal(number)
        command.wait(timeout=10)
        server.wait(timeout=10)
    finally:
        command.kill()
        command.communicate()
    assert not psutil.pid_exists(server.pid)
    assert not (tmp_path / "ollama" / "address").exists()
