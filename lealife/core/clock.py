"""A clock for work that takes a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta


def go_on_from(now: datetime) -> Callable[[], datetime]:
    """A clock that shows `now` and goes on from there.

    Work that takes seconds on a busy machine must not judge or write leases by the time at which it began.
    """
    began = time.monotonic()
    return lambda: now + timedelta(seconds=time.monotonic() - began)
