"""Live pages under load: many sockets, a thousand commits a second, and readers that stop reading."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import psutil
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from benchmarks.cycles import queue_sources, run_cycle
from benchmarks.database import open_database
from benchmarks.measurement import Measurement, at_most
from benchmarks.readers import run_readers
from benchmarks.snapshot import furnish
from lealife.core.announce import announce, stop_announcing
from lealife.dashboard.live.snapshot import TTL_S
from training.counters import add_counts, read_counters

# Takes about a minute on two cores.
SOCKETS, STALLED, COMMITS, SECONDS, ROUNDS = 200, 10, 1_000, 4.0, 3
STALENESS_MOST_S, MEMORY_MOST, CLAIMS_LOST_MOST = 1.0, 1.1, 0.05
# Longer than a page may be reused: a commit whose announcement was lost is on the page by then.
SETTLE_S = TTL_S + 1.0
QUEUED = 4_000
_processes = multiprocessing.get_context("fork")


def measure_sockets(
    *, sockets: int = SOCKETS, commits: int = COMMITS, seconds: float = SECONDS, rounds: int = ROUNDS
) -> list[Measurement]:
    """Serves the training page to `sockets` readers while `commits` a second are made and announced; four claims.

    Web process, readers, commits and a worker that claims as fast as it can are processes of their own. Each round
    runs the load without sockets and with them.
    """
    stalled = min(STALLED, sockets // 4)
    rates: dict[str, list[float]] = {"without": [], "with": []}
    made, delays, lost, messages, memory = [], [], 0, 0, []
    with open_database() as name:
        furnish(finished=2_000)
        with serve(name) as (address, web):
            headers = _sign_in(address)
            for _ in range(rounds):
                rates["without"].append(_run_load(commits, seconds).cycles)
                with _open_readers(address, headers, count=sockets, stalled=stalled) as pipe:
                    memory.append(web.memory_info().rss)
                    load = _run_load(commits, seconds)
                    memory.append(web.memory_info().rss)
                    rates["with"].append(load.cycles)
                    made.append(load.commits)
                    time.sleep(SETTLE_S)
                    pipe.send((load.since, load.until, _read_final(address, headers)))
                    strays, found, count = pipe.recv()
                    lost, messages, delays = lost + strays, messages + count, delays + found
            idle = web.memory_info().rss
    # The first two rounds fill what is kept: templates, sockets' buffers.
    full = memory[1::2][: min(2, rounds)][-1]
    grown = memory[-1] / full
    p99 = sorted(delays)[math.ceil(0.99 * len(delays)) - 1]
    fewer = 1 - median(rates["with"]) / median(rates["without"])
    setup = (
        f"{sockets} sockets, {stalled} of them stalled, {median(made):.0f} of {commits} commits/s, "
        f"{rounds} rounds of {seconds:g} s, {messages:,} messages, {os.cpu_count()} cores"
    )
    mb = [f"{size / 2**20:.0f}" for size in (memory[0], *memory[1::2], idle)]
    return [
        at_most("sockets that miss the final state", lost, 0, "", setup),
        at_most("p99 staleness of what a socket shows", p99, STALENESS_MOST_S, "s", setup),
        at_most(
            "the web process's memory at the end",
            grown,
            MEMORY_MOST,
            "times what it was after the second round",
            f"{mb[0]} MB, {', '.join(mb[1:-1])} after the rounds, {mb[-1]} when all had left; {setup}",
        ),
        at_most(
            "claims lost to the sockets",
            fewer,
            CLAIMS_LOST_MOST,
            "of the claims/s without them",
            f"{median(rates['with']):.0f} against {median(rates['without']):.0f} cycles/s by one worker; {setup}",
        ),
    ]


@contextmanager
def serve(database: str) -> Iterator[tuple[str, psutil.Process]]:
    """The web process on a free port, on this database: its address and itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "lealife.asgi:application"],
        env={**os.environ, "DATABASE_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/healthz", process)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310  our own, on loopback
            return
        time.sleep(0.1)
    raise RuntimeError(f"the web process did not answer at {url}")


def _sign_in(address: str) -> dict[str, str]:
    user = get_user_model().objects.create_user("bench", is_staff=True)
    client = Client()
    client.force_login(user)
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    return {"Cookie": cookie, "Origin": address}


@contextmanager
def _open_readers(address: str, headers: dict[str, str], *, count: int, stalled: int) -> Iterator[Any]:
    connection.close()
    stop_announcing()
    ours, theirs = _processes.Pipe()
    url = f"{address.replace('http', 'ws', 1)}/ws/live/"
    readers = _processes.Process(target=run_readers, args=(url, headers, count, stalled, theirs), daemon=True)
    readers.start()
    try:
        if not ours.poll(180) or ours.recv() != "ready":
            raise RuntimeError("The sockets did not open.")
        yield ours
    finally:
        readers.join(20)
        if readers.is_alive():
            readers.kill()


@dataclass(frozen=True, slots=True)
class Load:
    """Commits a second between two times, and a worker's cycles a second meanwhile."""

    commits: float
    since: float
    until: float
    cycles: float


def _run_load(commits: int, seconds: float) -> Load:
    connection.close()
    stop_announcing()
    ready, ended = _processes.Barrier(2), _processes.Queue()
    children = [
        _processes.Process(target=_commit, args=(commits, seconds, ready, ended), daemon=True),
        _processes.Process(target=_claim, args=(seconds, ready, ended), daemon=True),
    ]
    for child in children:
        child.start()
    found = dict(ended.get(timeout=seconds + 120) for _ in children)
    for child in children:
        child.join(30)
    return Load(*found["commits"], found["cycles"])


def _commit(commits: int, seconds: float, ready: Any, ended: Any) -> None:
    with connection.cursor() as cursor:
        # A thousand commits a second, on any disk.
        cursor.execute("SET synchronous_commit = off")
    ready.wait(60)
    since, started, made = time.time(), time.monotonic(), 0
    while (elapsed := time.monotonic() - started) < seconds:
        if made > elapsed * commits:
            time.sleep(0.002)
            continue
        add_counts(outcomes__success=1)
        announce("outcomes")
        made += 1
    _leave(ended, "commits", (made / (time.monotonic() - started), since, time.time()))


def _claim(seconds: float, ready: Any, ended: Any) -> None:
    queue_sources(QUEUED)
    connection.ensure_connection()
    ready.wait(60)
    ends, worked, done = time.monotonic() + seconds, 0.0, 0
    while (started := time.monotonic()) < ends:
        if run_cycle("bench"):
            worked, done = worked + time.monotonic() - started, done + 1
        else:
            # Its clock stands still meanwhile.
            queue_sources(QUEUED)
    _leave(ended, "cycles", done / worked)


def _leave(ended: Any, name: str, measured: Any) -> None:
    # The last announcement goes out within a tenth of a second.
    time.sleep(0.5)
    stop_announcing()
    connection.close()
    ended.put((name, measured))


def _read_final(address: str, headers: dict[str, str]) -> str:
    """The page's fingerprint after the load; it shows every outcome that was counted."""
    request = urllib.request.Request(f"{address}/live/training/?have=", headers=headers)  # noqa: S310  our own
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310  our own, on loopback
        page = json.load(answer)
    shown = page["fragments"]["proof"]["html"].replace(",", "")
    total = read_counters()["outcomes.total"]
    if str(total) not in shown:
        raise RuntimeError(f"The page does not show the {total} outcomes that there are.")
    return page["fingerprint"]
