"""Graceful shutdown: one flag, shared with every forked worker, that ends loops at their next turn."""

from __future__ import annotations

import multiprocessing

# Made when the cluster's main process imports this module, before workers are forked, so that all of them share it.
# A plain byte, not an Event: a worker killed while reading an Event would keep its lock, and the others would hang.
_draining = multiprocessing.RawValue("b", 0)


def start_draining() -> None:
    """Stops new picks from now on; runs in flight finish."""
    _draining.value = 1


def is_draining() -> bool:
    """Whether this process or its parent has been asked to stop."""
    return bool(_draining.value)
