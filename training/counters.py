"""Counters that cost the same at ten rows and at ten million, and that writers do not wait for.

Each is the sum of 16 slots. The open runs of each lane are counted by triggers, so that no path to a run can forget
them; outcomes and ingests are counted here, in the transaction that writes them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from django.db.models import F, Sum

from training.models import CounterSlot, Run

ENDINGS = ("success", "failure")
# Which successes are counted towards windows: `ingested.verified`, `ingested.supported`.
COUNTED = (Run.AnswerState.VERIFIED, Run.AnswerState.SUPPORTED)
SLOTS = 16


def add_counts(**by_name: int) -> None:
    """Adds to counters within the caller's transaction; names are written with `__` for the dot.

    In name order, and once for each name, so that two transactions never wait for each other in a circle.
    """
    for name in sorted(name for name, amount in by_name.items() if amount):
        # Any slot will do: two writers at the same moment rarely take the same one.
        slot = {"name": name.replace("__", "."), "slot": random.randrange(SLOTS)}  # noqa: S311  nothing secret
        rows = CounterSlot.objects.filter(**slot)
        if not rows.update(count=F("count") + by_name[name]):
            # Two transactions may make the slot at once; both then add to the one row.
            CounterSlot.objects.bulk_create([CounterSlot(**slot)], ignore_conflicts=True)
            rows.update(count=F("count") + by_name[name])


def read_kept() -> dict[str, int]:
    """The value of every counter that was ever written, by name. One query."""
    return dict(CounterSlot.objects.values_list("name").annotate(total=Sum("count")))


def read_counters() -> dict[str, int]:
    """The counters of outcomes and ingests; zero for one that was never written."""
    return sum_counters(read_kept())


def sum_counters(kept: Mapping[str, int]) -> dict[str, int]:
    """The counters of outcomes and ingests, totals included, from the values that are kept."""

    def count(name: str) -> int:
        return int(kept.get(name, 0))

    ended = {f"{what}.{how}": count(f"{what}.{how}") for what in ("outcomes", "ingested") for how in ENDINGS}
    totals = {f"{what}.total": sum(ended[f"{what}.{how}"] for how in ENDINGS) for what in ("outcomes", "ingested")}
    counted = {f"ingested.{state}": count(f"ingested.{state}") for state in COUNTED}
    return {**ended, **totals, **counted, "ingested.counted": sum(counted.values())}


def count_by_lane(kept: Mapping[str, int]) -> dict[str, int]:
    """The open runs of each lane that has any, from the values that are kept."""
    by_lane = {str(lane): int(kept.get(f"open.{lane}", 0)) for lane in Run.Lane}
    return {lane: count for lane, count in by_lane.items() if count}
