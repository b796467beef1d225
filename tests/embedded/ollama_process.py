"""The embedded Ollama as a process of its own on a free port, for tests."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lealife.core.gateway import OllamaPool
from lealife.core.ollama_server import ollama

ROOT = Path(__file__).resolve().parents[2]
BASE = "smollm2:135m"
EMBEDDER = "all-minilm:latest"
NOT_PULLABLE = "pull model manifest: file does not exist"
ASK = [{"role": "user", "content": "Tell me about the sea."}]


@dataclass(frozen=True)
class RunningOllama:
    address: str
    process: subprocess.Popen[bytes]
    ready_after_s: float


def copy_tag(pool: OllamaPool, *, source: str, destination: str) -> None:
    """Gives a tag a second name on every server of the pool."""
    for host in pool.hosts:
        with closing(ollama.Client(host)) as client:
            client.copy(source, destination)


@contextmanager
def run_ollama(data: Path, *options: str) -> Iterator[RunningOllama]:
    """Start the server on `data`, wait until it says where it listens, stop it at the end."""
    started = time.monotonic()
    process = start_ollama(data, "--port", "0", *options)
    try:
        while not (data / "address").exists():
            assert process.poll() is None, "the server ended before it listened"
            assert time.monotonic() - started < 30, "the server does not listen after 30 s"
            time.sleep(0.02)
        address = (data / "address").read_text().strip()
        yield RunningOllama(address, process, time.monotonic() - started)
    finally:
        process.terminate()
        process.communicate(timeout=10)


def start_ollama(data: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lealife.embedded.ollama", "--data", str(data), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
