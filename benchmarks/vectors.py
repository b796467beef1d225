"""What vectors cost: passages a second, memory while loaded and after, and what a chat next to them waits.

The embedded model server is one of its own, on a temporary folder.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.measurement import Measurement, at_least, at_most
from lealife.core.places import BASE_DIR

PASSAGES, WORDS, AT_ONCE = 192, 180, 32
LEAST_PER_CORE_S, MOST_RATIO, MOST_LOADED_MB, MOST_UNLOADED_MB = 7.5, 1.5, 150.0, 15.0
CHAT, EMBED = "smollm2:135m", "all-minilm"
STARTS_WITHIN_S = 60.0
# The server looks once a second for weights that no tag uses.
UNLOADS_WITHIN_S = 3.0
_WORDS_OF = BASE_DIR / "docs" / "explanation" / "code.md"


def measure_vectors(*, rounds: int, passages: int = PASSAGES) -> list[Measurement]:
    """Four claims. In each round chats are timed alone and while other requests embed. Raises RuntimeError."""
    draw = random.Random(1)  # noqa: S311  no secret
    words = [word for word in _WORDS_OF.read_text(encoding="utf-8").split() if word.isalpha()]

    def write(count: int) -> str:
        return " ".join(draw.choice(words) for _ in range(count))

    with start_server() as (process, http):
        _chat(http, write(80))
        before = _read_pss(process)
        _embed(http, [write(WORDS)])
        began, used = time.monotonic(), _read_cpu(process)
        for _ in range(0, passages, AT_ONCE):
            _embed(http, [write(WORDS) for _ in range(AT_ONCE)])
        seconds, cpu = time.monotonic() - began, _read_cpu(process) - used
        loaded = _read_pss(process) - before
        # Before the chats, which fill a cache of their own.
        _embed(http, ["x"], keep_alive=0)
        time.sleep(UNLOADS_WITHIN_S)
        unloaded = _read_pss(process) - before
        alone, beside = [], []
        for _ in range(rounds):
            alone.append(_time(lambda: _chat(http, write(80))))
            with _embedding(http, lambda: [write(WORDS) for _ in range(AT_ONCE)]):
                beside.append(_time(lambda: _chat(http, write(80))))
    count = -(-passages // AT_ONCE) * AT_ONCE
    setup = f"{count} passages of {WORDS} words, {AT_ONCE} a request: {count / seconds:.1f} a second by the clock"
    ratio = statistics.median(beside) / statistics.median(alone)
    return [
        at_least("a core embeds many passages", count / cpu, LEAST_PER_CORE_S, "passages a CPU second", setup),
        at_most(
            "a chat hardly waits for vectors",
            ratio,
            MOST_RATIO,
            "times as long as alone",
            f"medians of {rounds}: {statistics.median(beside):.2f} s against {statistics.median(alone):.2f} s",
        ),
        at_most("the model for vectors is small", loaded / 1e6, MOST_LOADED_MB, "MB PSS", setup),
        at_most(
            "its memory comes back",
            unloaded / 1e6,
            MOST_UNLOADED_MB,
            "MB PSS",
            f"{UNLOADS_WITHIN_S:g} s after it was unloaded",
        ),
    ]


@contextmanager
def start_server() -> Iterator[tuple[psutil.Process, httpx.Client]]:
    """An embedded model server and a connection to it; it ends at the end. Raises RuntimeError if it does not start."""
    with tempfile.TemporaryDirectory(prefix="vectors-") as folder:
        command = [sys.executable, "-m", "lealife.embedded.ollama", "--port", "0", "--data", folder]
        process = subprocess.Popen(command, cwd=BASE_DIR)  # noqa: S603  our own command
        try:
            address = _wait_for(Path(folder) / "address", process)
            with httpx.Client(base_url=address, timeout=300, trust_env=False) as http:
                yield psutil.Process(process.pid), http
        finally:
            process.terminate()
            process.wait(timeout=10)


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> str:
    ends = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < ends and process.poll() is None:
        if path.exists():
            return path.read_text().strip()
        time.sleep(0.1)
    raise RuntimeError("The model server did not start; what it said is on standard error.")


@contextmanager
def _embedding(http: httpx.Client, make: Callable[[], list[str]]) -> Iterator[None]:
    """One request after the other embeds meanwhile."""
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            _embed(http, make())

    worker = threading.Thread(target=work)
    worker.start()
    time.sleep(0.5)
    try:
        yield
    finally:
        ended.set()
        worker.join()


def _embed(http: httpx.Client, texts: list[str], **more: Any) -> None:
    http.post("/api/embed", json={"model": EMBED, "input": texts, **more}).raise_for_status()


def _chat(http: httpx.Client, question: str) -> None:
    messages = [{"role": "user", "content": question}]
    options = {"temperature": 0, "num_predict": 24}
    body = {"model": CHAT, "messages": messages, "stream": False, "options": options}
    http.post("/api/chat", json=body).raise_for_status()


def _time(call: Callable[[], None]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def _read_pss(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)


def _read_cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
