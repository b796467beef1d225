"""Sweeps over one lapsed run: one wins, the others pass on."""

from __future__ import annotations

import threading
import time
from datetime import datetime

from django.db import connection

from tests.factories import begin_claimed, later, make_host, make_source
from training.claims import LEASE
from training.models import TrainingOutcome
from training.models.runs import RunQuerySet
from training.runs import fail_lapsed_runs

LAPSED = later(seconds=LEASE.total_seconds() + 1)


def test_a_sweep_that_is_overtaken_while_it_looks_leaves_the_run_to_the_other(race, settle, monkeypatch):
    make_source(make_host())
    begin_claimed()
    late, lapsed, looks = threading.Event(), RunQuerySet.lapsed, []

    def look_slowly(queryset: RunQuerySet, *, now: datetime) -> RunQuerySet:
        found = lapsed(queryset, now=now)
        if threading.current_thread().name != "late":
            return found
        looks.append(now)
        # The second look locks the row. It has read the row by then, and waits here before it locks.
        return found if len(looks) == 1 else found.extra(where=["pg_advisory_xact_lock(4711) IS NOT NULL"])

    def sweep_late() -> int:
        threading.current_thread().name = "late"
        late.wait(timeout=10)
        return fail_lapsed_runs(now=LAPSED)

    def sweep_first() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(4711)")
            late.set()
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"
            for _ in range(200):
                cursor.execute(waiting)
                if cursor.fetchone()[0]:
                    break
                time.sleep(0.02)
            try:
                return fail_lapsed_runs(now=LAPSED)
            finally:
                cursor.execute("SELECT pg_advisory_unlock(4711)")

    monkeypatch.setattr(RunQuerySet, "lapsed", look_slowly)
    assert race(sweep_late, sweep_first) == [0, 1]
    assert TrainingOutcome.objects.count() == 1
