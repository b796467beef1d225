"""What is known of each host, for whoever wants to ask about one."""

from __future__ import annotations

from dataclasses import dataclass

from lealife.core.statements import run_statement

HOSTS_MAX = 50
# Rows are counted up to here and no further, whatever there is: a host with more is well known.
COUNT_MAX = 1_000
_READ = """
    SELECT host.id, host.name, host.base_url, host.seed_curriculum,
        (SELECT count(*) FROM (
            SELECT FROM learning_frontierpage AS page WHERE page.host_id = host.id
            LIMIT %(most)s::int + 1) AS found),
        (SELECT count(*) FROM (
            SELECT FROM memory_items AS item WHERE item.host_id = host.id AND item.status = 'trusted'
            LIMIT %(most)s::int + 1) AS found)
    FROM training_host AS host WHERE host.enabled ORDER BY host.name LIMIT %(hosts)s::int
"""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """An enabled host: addresses of it that are known, and memory that a run may be given, each 1,001 at most."""

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
    return tuple(HostFacts(*row) for row in run_statement(_READ, {"most": COUNT_MAX, "hosts": HOSTS_MAX}))


def _show(count: int) -> str:
    return f"{count:,}" if count <= COUNT_MAX else f"more than {COUNT_MAX:,}"
