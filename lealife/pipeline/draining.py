"""Graceful shutdown: one flag, inherited by every forked worker, that ends loops at their next turn."""

from __future__ import annotations

import multiprocessing

# Made when the cluster's main process imports it, before workers are forked: all of them share it. A bare byte,
# not an Event: a worker killed while it looks at an Event keeps the lock in it, and everybody would wait for ever.
_draining = multiprocessing.RawValue("b", 0)


def start_draining() -> None:
    """No new picks from here on; runs in flight finish."""
    _draining.value = 1


def is_draining() -> bool:
    """Whether this process or its parent was told to stop."""
    return bool(_draining.value)
