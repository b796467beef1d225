"""Graceful shutdown: one flag, inherited by every forked worker, that ends loops at their next turn."""

from __future__ import annotations

import multiprocessing

# Made when the cluster's main process imports it, before workers are forked: all of them share it.
_draining = multiprocessing.Event()


def start_draining() -> None:
    """No new picks from here on; runs in flight finish."""
    _draining.set()


def is_draining() -> bool:
    """Whether this process or its parent was told to stop."""
    return _draining.is_set()
