"""Faults of model servers: which of them failed in a chat, so that health looks closer at those."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from training.models import ModelServerFault

HOST_MAX = 300


def note_fault(*, host: str, now: datetime) -> None:
    """Notes that the server failed in a chat just now. One statement, so that many workers may note it at once."""
    ModelServerFault.objects.bulk_create(
        [ModelServerFault(host=host[:HOST_MAX], at=now)],
        update_conflicts=True,
        unique_fields=["host"],
        update_fields=["at"],
    )


def read_faults() -> frozenset[str]:
    """Servers that have failed and were not found well since. One query."""
    return frozenset(ModelServerFault.objects.values_list("host", flat=True))


def forget_faults(hosts: Iterable[str], *, before: datetime) -> None:
    """These servers were found well by a look that began at `before`; what failed since then stays noted."""
    ModelServerFault.objects.filter(host__in=list(hosts), at__lt=before).delete()
