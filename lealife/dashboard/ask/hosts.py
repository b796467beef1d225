"""What is known about each host, for users who want to ask about one."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from lealife.core.row_count import RowCount
from lealife.dashboard.rows import fill_row
from learning.index.models import HostIndex, IndexedPage
from learning.models import CurriculumTask, FrontierPage, MemoryItem
from training.models import Host

HOSTS_MAX = 50
# Rows are counted only up to this number; a host with more is well known.
COUNT_MAX = 2_000


@dataclass(frozen=True, slots=True)
class HostFacts:
    """A host. `passages` is the size of its index; what else is counted is at most 2,001.

    `pages` are its known addresses, of which `waiting` are still to be read; `indexed` are its pages in the index,
    `memories` the memory items that runs are given, and `cases` the questions that people judged.
    """

    id: int
    name: str
    base_url: str
    is_seeded: bool
    pages: int
    waiting: int
    indexed: int
    passages: int
    memories: int
    cases: int

    @property
    def pages_words(self) -> str:
        """The count, as it is shown."""
        return show_count(self.pages)

    @property
    def is_counted(self) -> bool:
        """Whether its known addresses are all counted."""
        return self.pages <= COUNT_MAX

    @property
    def indexed_counted(self) -> int:
        """How many pages in the index were counted."""
        return min(self.indexed, COUNT_MAX)

    @property
    def read(self) -> int:
        """Known addresses that were read, or cannot be."""
        return self.pages - self.waiting

    @property
    def reading_words(self) -> str:
        """How far the host is read."""
        if not self.pages:
            return "no page known yet"
        if not self.is_counted:
            return f"{self.pages_words} pages known"
        return f"{self.read:,} of {self.pages:,} page{'' if self.pages == 1 else 's'} read"

    @property
    def memories_words(self) -> str:
        """The count, as it is shown."""
        return show_count(self.memories)

    @property
    def cases_words(self) -> str:
        """How many questions people judged; empty for none."""
        return f"{show_count(self.cases)}\N{NO-BREAK SPACE}case{'' if self.cases == 1 else 's'}" if self.cases else ""


def read_host_facts(among: QuerySet[Host] | None = None) -> tuple[HostFacts, ...]:
    """The first 50 hosts by name, of those in use or `among` others.

    One query, at a cost that does not grow with what is known.
    """
    pages = FrontierPage.objects.filter(host=OuterRef("pk"))
    indexed = IndexedPage.objects.filter(host=OuterRef("pk"))
    memories = MemoryItem.objects.filter(host=OuterRef("pk"), status=MemoryItem.Status.TRUSTED)
    cases = CurriculumTask.objects.cases().filter(host=OuterRef("pk"))
    chosen = Host.objects.filter(enabled=True) if among is None else among
    hosts = chosen.annotate(
        pages=RowCount(pages.order_by()[: COUNT_MAX + 1]),
        waiting=RowCount(pages.filter(state=FrontierPage.State.KNOWN).order_by()[: COUNT_MAX + 1]),
        indexed=RowCount(indexed.order_by()[: COUNT_MAX + 1]),
        passages=Coalesce(Subquery(HostIndex.objects.filter(host=OuterRef("pk")).values("passages")[:1]), 0),
        memories=RowCount(memories.order_by()[: COUNT_MAX + 1]),
        cases=RowCount(cases.order_by()[: COUNT_MAX + 1]),
    )
    shown = hosts.only("name", "base_url", "seed_curriculum").order_by("name")[:HOSTS_MAX]
    return tuple(fill_row(HostFacts, host, is_seeded=host.seed_curriculum) for host in shown)


def show_count(count: int) -> str:
    """A count that ends one past the limit, as it is shown."""
    return f"{count:,}" if count <= COUNT_MAX else f"more than {COUNT_MAX:,}"
