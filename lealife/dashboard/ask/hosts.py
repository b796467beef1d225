"""What is known about each host, for users who want to ask about one."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import OuterRef

from lealife.core.row_count import RowCount
from lealife.dashboard.rows import fill_row
from learning.models import FrontierPage, MemoryItem
from training.models import Host

HOSTS_MAX = 50
# Rows are counted only up to this number; a host with more is well known.
COUNT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class HostFacts:
    """An enabled host, with counts of its known addresses and of memory items for runs, each at most 1,001."""

    id: int
    name: str
    base_url: str
    is_seeded: bool
    pages: int
    memories: int

    @property
    def pages_words(self) -> str:
        """The count, as it is shown."""
        return _show(self.pages)

    @property
    def memories_words(self) -> str:
        """The count, as it is shown."""
        return _show(self.memories)


def read_host_facts() -> tuple[HostFacts, ...]:
    """The first 50 enabled hosts by name. One query, at a cost that does not grow with what is known."""
    pages = FrontierPage.objects.filter(host=OuterRef("pk"))
    memories = MemoryItem.objects.filter(host=OuterRef("pk"), status=MemoryItem.Status.TRUSTED)
    hosts = Host.objects.filter(enabled=True).annotate(
        pages=RowCount(pages.order_by()[: COUNT_MAX + 1]),
        memories=RowCount(memories.order_by()[: COUNT_MAX + 1]),
    )
    shown = hosts.only("name", "base_url", "seed_curriculum").order_by("name")[:HOSTS_MAX]
    return tuple(fill_row(HostFacts, host, is_seeded=host.seed_curriculum) for host in shown)


def _show(count: int) -> str:
    return f"{count:,}" if count <= COUNT_MAX else f"more than {COUNT_MAX:,}"
