"""A system at work, in rows: what the pages are looked at with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from learning.ingest import count_ingest
from learning.models import RunLearningOutcome
from promotion.models import LiveApply, ModelTag
from promotion.recipes import base_recipe
from training.coordinator import read_coordinator
from training.counters import add_counts
from training.models import (
    Coordinator,
    Host,
    Run,
    TrainingCycle,
    TrainingOutcome,
    TrainingSource,
    WorkerHeartbeat,
)


@pytest.fixture
def staff(db: None) -> User:
    """Somebody who may see the pages and do everything on them."""
    return User.objects.create_superuser("ada", password="a long enough one")


@pytest.fixture
def browser(staff: User) -> Client:
    """A signed-in staff member's browser."""
    client = Client()
    client.force_login(staff)
    return client


@pytest.fixture
def host(db: None) -> Host:
    """A website; no test fetches anything from it."""
    return Host.objects.create(name="manual", base_url="http://127.0.0.1:9/", may_be_private=True)


@pytest.fixture
def make_outcomes(host: Host) -> Callable[[int], TrainingOutcome]:
    """Makes n finished training cycles, every third a failure, all ingested; returns the newest outcome."""

    def make(count: int) -> TrainingOutcome:
        now = timezone.now()
        tag = ModelTag.objects.filter(role="controller", status="active").first()
        name, digest = (tag.name, tag.digest) if tag else ("", "")
        for number in range(count):
            success = number % 3 != 0
            source = TrainingSource.objects.create(
                kind="curriculum", title=f"Lesson {number}", prompt="Which page?", host=host, status="done"
            )
            run = Run.objects.create(
                lane="training",
                status="succeeded" if success else "failed",
                answer_state="verified" if success else "",
                host=host,
                prompt=source.prompt,
                pages_target=3,
                max_calls=5,
                pages=2,
                controller_calls=2,
                duration_ms=1500,
                controller_tag=name,
                error_code="" if success else "no_route",
                started_at=now,
                finished_at=now,
            )
            cycle = TrainingCycle.objects.create(
                source=source, run=run, status=run.status, error_code=run.error_code, finished_at=now
            )
            outcome = TrainingOutcome.objects.create(
                cycle=cycle,
                run=run,
                source=source,
                host=host,
                lane="training",
                success=success,
                answer_state="verified" if success else "",
                is_counted=success,
                controller_tag=name,
                served_controller_digest=digest,
                controller_calls=2,
            )
            RunLearningOutcome.objects.create(outcome=outcome, success=success, is_counted=success)
            add_counts(**{"outcomes__success" if success else "outcomes__failure": 1}, **count_ingest(outcome))
        return outcome

    return make


def make_tag(role: str, **changes: Any) -> ModelTag:
    """A tag with the recipe that every installation begins with."""
    recipe = base_recipe(role=role, base="base").to_json()
    return ModelTag.objects.create(role=role, base="base", recipe=recipe, **changes)


@pytest.fixture
def busy(host: Host, make_outcomes: Callable[[int], TrainingOutcome]) -> Run:
    """Tags live after a switch, outcomes, a waiting queue, a run that is executing: returns that run."""
    now = timezone.now()
    old = make_tag("controller", name="lealife-controller:w0", digest="sha256:00", status="retired")
    live = make_tag("controller", name="lealife-controller:w1", digest="sha256:11", status="active")
    make_tag("task", name="lealife-task:w0", digest="sha256:22", status="active")
    newest = make_outcomes(12)
    LiveApply.objects.create(
        role="controller",
        from_tag=old,
        to_tag=live,
        to_digest=live.digest,
        after_outcome_id=newest.pk - 6,
        applied_by="gate",
        reason="canary passed",
    )
    for number in range(12):
        TrainingSource.objects.create(
            kind="queue" if number % 2 else "curriculum",
            title=f"Waiting {number}",
            prompt="Find it.",
            host=host,
            queued_from="training_ui" if number % 4 == 1 else "api",
        )
    source = TrainingSource.objects.create(
        kind="queue", title="The one that runs", prompt="Find it.", host=host, status="claimed"
    )
    run = Run.objects.create(
        lane="training", status="running", host=host, prompt=source.prompt, pages_target=3, max_calls=5, started_at=now
    )
    TrainingCycle.objects.create(source=source, run=run)
    read_coordinator()
    Coordinator.objects.update(
        enabled=True, holder="worker-1", lease_until=now + timedelta(hours=1), last_tick_at=now, last_launch_at=now
    )
    WorkerHeartbeat.objects.create(name="worker-1", last_beat_at=now + timedelta(minutes=10), doing="running")
    return run
