"""Waiting while Postgres does not answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

from lealife.pipeline.draining import is_draining
from training.models.runs import LEASE

log = logging.getLogger(__name__)
T = TypeVar("T")


def patiently(work: Callable[[], T]) -> T:
    """Repeats reads or writes while Postgres does not answer, for less than a lease; then the sweep takes over.

    An error from a statement that Postgres refuses is raised at once, because a repeat would fail too.
    """
    ends = time.monotonic() + LEASE.total_seconds() * 0.8
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            if connection.in_atomic_block or time.monotonic() > ends or is_draining():
                raise
            log.warning("Postgres does not answer, trying again: %s", error)
            connection.close()
            time.sleep(1)
