"""A world of its own: a database that is made for it and dropped after it, hosts, and questions on them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from benchmarks.chaos.site import BELLS, path_of, prompt_of
from lealife.core.actors import command_line
from training.models import Host
from training.runtime_settings import apply_settings
from training.sources import queue_source

# In seconds: short leases, so that what a killed worker held is soon claimed again; the loop's own tick.
RUN_LEASE_S = 3
COORDINATOR_LEASE_S = 2
TICK_S = 1.0
BY, ORIGIN = command_line("chaos"), "chaos"


@contextmanager
def make_database(url: str) -> Iterator[str]:
    """The URL of a new, empty database on the server of `url`; it is dropped at the end, even while it is used.

    Raises psycopg.Error when the server does not let us.
    """
    name = f"lealife_chaos_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def make_hosts(addresses: Sequence[str]) -> list[Host]:
    """A host for each address, at most so many runs at a time, and a retry budget that kills do not spend."""
    apply_settings(
        changes={
            "training_max_active_runs": len(addresses),
            "global_max_concurrent_runs": len(addresses),
            "reserved_control_slots": 0,
            "recent_host_window": 0,
            "retry_budget": 100,
            "default_pages_target": 1,
            "loop_interval_s": TICK_S,
            "promotion_hold": True,
        },
        version=None,
        by=BY,
        origin=ORIGIN,
    )
    return [
        Host.objects.create(
            name=f"harbour {number}",
            base_url=address,
            may_be_private=True,
            politeness_delay_ms=0,
            seed_curriculum=False,
        )
        for number, address in enumerate(addresses)
    ]


def queue_questions(hosts: Sequence[Host], *, count: int, first: int = 0) -> int:
    """Queues so many questions, host by host in turn, numbered from `first`; returns the next free number."""
    for number in range(first, first + count):
        host, bell = hosts[number % len(hosts)], number // len(hosts) % BELLS
        queue_source(
            title=f"Bell {bell}",
            prompt=prompt_of(bell, mark=str(number)),
            host=host,
            check_spec={"expected_urls": [f"{host.base_url}{path_of(bell)}"]},
            pages_target=1,
            queued_from=ORIGIN,
            by=BY,
        )
    return first + count
