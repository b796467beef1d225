"""A tick that takes longer than a lease, as on a machine that has other things to do."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from lealife.pipeline import stages
from lealife.pipeline.stages import Sweeper
from tests.factories import make_source
from training.claims import claim_next_source
from training.models import Host, Run
from training.models.runs import LEASE
from training.runs import begin_run

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_that_was_begun_during_a_slow_tick_is_not_taken_for_a_lapsed_one(host: Host, monkeypatch):
    began = timezone.now()
    late = began + 2 * LEASE + timedelta(seconds=1)
    begun: list[Run] = []

    def begin_another(now: datetime) -> int:
        make_source(host, queued_at=began)
        claim = claim_next_source(now=now, canary=None)
        assert claim is not None
        begun.append(begin_run(run=claim.run, worker="another", now=now))
        return 0

    monkeypatch.setattr(stages, "go_on_from", lambda now: lambda: late)
    monkeypatch.setattr(stages, "launch_queued", begin_another)
    Sweeper().tick(began)
    [run] = begun
    run.refresh_from_db()
    assert (run.status, run.lease_until) == (Run.Status.RUNNING, late + LEASE)
