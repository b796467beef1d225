"""What the lists of admin cost with a long history: each of them, and a search for a text and for a number in it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median

from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from benchmarks.cycles import prepare_cycles
from benchmarks.database import open_database
from benchmarks.history import write_history, write_memory
from benchmarks.measurement import Measurement, at_most

FINISHED, LEASED = 1_000_000, 1_000
MOST_MS, MOST_QUERIES = 250.0, 12
# A list may read this many rows by sequential scan: the small tables whole, the newest rows of a large one.
MOST_ROWS_READ = 20_000
SEARCHES = ("page says", "123456")
# How many of the worst are named.
SHOWN = 4


@dataclass(frozen=True, slots=True)
class Look:
    """One list or search of admin: milliseconds, queries, and rows that were read by sequential scan."""

    name: str
    ms: float
    queries: int
    rows_read: int


def measure_lists(*, finished: int = FINISHED, rounds: int = 5) -> list[Measurement]:
    """Every list of admin and two searches in each that has a search, with so many outcomes, runs and memory items.

    Three claims, each about the worst of them.
    """
    with open_database():
        prepare_cycles()
        write_history(finished=finished, leased=min(LEASED, finished))
        write_memory(finished)
        with connection.cursor() as cursor:
            # As autovacuum leaves the tables.
            cursor.execute("VACUUM (ANALYZE)")
        client = Client(headers={"host": "127.0.0.1"})
        client.force_login(User.objects.create_superuser("bench"))
        looks = [_look(client, name, address, rounds=rounds) for name, address in _list_addresses()]
    setup = f"{len(looks)} lists and searches, {finished:,} outcomes, runs and memory items; median of {rounds}"
    return [
        _judge("a list of admin", looks, "ms", most=MOST_MS, setup=setup),
        _judge("queries of a list", looks, "queries", most=MOST_QUERIES, setup=setup),
        _judge("rows that a list reads in sequence", looks, "rows_read", most=MOST_ROWS_READ, setup=setup),
    ]


def _judge(claim: str, looks: Sequence[Look], figure: str, *, most: float, setup: str) -> Measurement:
    worst = sorted(looks, key=attrgetter(figure), reverse=True)[:SHOWN]
    names = "; ".join(f"{each.name} {getattr(each, figure):,.0f}" for each in worst)
    unit = "ms" if figure == "ms" else ""
    return at_most(f"{claim}, the most", getattr(worst[0], figure), most, unit, f"{names}. {setup}")


def _list_addresses() -> Iterator[tuple[str, str]]:
    """Each list with its name, and the searches in it."""
    for model, model_admin in admin.site._registry.items():
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        address = reverse(f"admin:{name}_changelist")
        yield name, address
        if model_admin.search_fields:
            for term in SEARCHES:
                yield f"{name}, search for “{term}”", f"{address}?q={term.replace(' ', '+')}"


def _look(client: Client, name: str, address: str, *, rounds: int) -> Look:
    before = _count_rows_read()
    with CaptureQueriesContext(connection) as queries:
        _get(client, name, address)
        asked = len(queries)
    rows_read = _count_rows_read() - before
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        _get(client, name, address)
        times.append(1000 * (time.perf_counter() - began))
    return Look(name, median(times), asked, rows_read)


def _get(client: Client, name: str, address: str) -> None:
    status = client.get(address).status_code
    if status != 200:
        raise RuntimeError(f"{name} answered {status}.")


def _count_rows_read() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables")
        [rows] = cursor.fetchone()
    return int(rows)
