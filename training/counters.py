"""Counters that cost the same at ten rows and at ten million, and that writers do not wait for.

Each is the sum of 16 slots; a transaction adds to the slot of its number. The open runs of each
lane are counted by triggers, so that no path to a run can forget them.
"""

from __future__ import annotations

from collections.abc import Mapping

from lealife.core.statements import run_statement
from training.models import Run

ENDINGS = ("success", "failure")
READ_ALL = "SELECT name, sum(count)::bigint AS total FROM training_counterslot GROUP BY name"

# The end of a statement that counts the rows of `{rows}`, which have a column `success`: adds to two counters of
# `{what}`. A slot that is there is updated in place; the function makes the one that is missing.
COUNT_ENDINGS = """
    ended AS (
        SELECT '{what}.' || CASE WHEN success THEN 'success' ELSE 'failure' END AS name, count(*) AS amount
        FROM {rows} GROUP BY 1 ORDER BY 1
    ), counted AS (
        UPDATE training_counterslot AS slot SET count = slot.count + ended.amount FROM ended
        WHERE slot.name = ended.name AND slot.slot = txid_current() %% 16 RETURNING slot.name
    ), added AS (
        SELECT training_add_count(name, amount) FROM ended WHERE NOT EXISTS (
            SELECT FROM counted WHERE counted.name = ended.name)
    )
"""
_ADD = "SELECT training_add_count(%(name)s, %(amount)s::bigint)"


def add_counts(**by_name: int) -> None:
    """Adds to counters within the caller's transaction; names are written with `__` for the dot.

    In name order, so that two writers can never wait for each other in a circle.
    """
    for name in sorted(name for name, amount in by_name.items() if amount):
        run_statement(_ADD, {"name": name.replace("__", "."), "amount": by_name[name]})


def read_counters() -> dict[str, int]:
    """Every counter's value; zero for one that was never written."""
    return sum_counters(dict(run_statement(READ_ALL)))


def sum_counters(counted: Mapping[str, int]) -> dict[str, int]:
    """The counters of outcomes and ingests, totals included, from the values that are kept."""

    def count(name: str) -> int:
        return int(counted.get(name, 0))

    ended = {f"{what}.{how}": count(f"{what}.{how}") for what in ("outcomes", "ingested") for how in ENDINGS}
    totals = {f"{what}.total": sum(ended[f"{what}.{how}"] for how in ENDINGS) for what in ("outcomes", "ingested")}
    return {**ended, **totals}


def count_by_lane(counted: Mapping[str, int]) -> dict[str, int]:
    """The open runs of each lane that has any, from the values that are kept."""
    by_lane = {str(lane): int(counted.get(f"open.{lane}", 0)) for lane in Run.Lane}
    return {lane: count for lane, count in by_lane.items() if count}
