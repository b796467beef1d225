"""Which tasks may be trained on: apps that know of tasks that must not be add a check when they are loaded."""

from __future__ import annotations

from collections.abc import Callable

from training.models import Host

Check = Callable[[Host, str], None]
_checks: list[Check] = []


def add_check(check: Check) -> None:
    """From now on `check` is given the host and the prompt of each task that a person queues; it raises Conflict."""
    if check not in _checks:
        _checks.append(check)


def check_admitted(*, host: Host, prompt: str) -> None:
    """Raises Conflict when the task must not be trained on.

    Called within the transaction that queues the task, before it locks a source.
    """
    for check in _checks:
        check(host, prompt)
