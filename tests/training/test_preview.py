"""The preview names exactly what the next claim takes, in whatever state the queue is."""

from __future__ import annotations

import random

import pytest

from lealife.core.actors import command_line
from tests.factories import begin_claimed, finish, later, make_curriculum_source, make_host, make_source, preview_next
from training.campaigns import create_campaign
from training.claims import claim_next_source
from training.models import Host, TrainingSource

MODES = {"queue": "queue_pending", "curriculum": "curriculum_fallback"}


def scramble(seed: int, settle) -> random.Random:
    """A random queue: hosts, kinds, priorities, rests, a campaign, a running run, any lane mode."""
    chance = random.Random(seed)
    settle(
        source_lane_mode=chance.choice(["hybrid", "queued_only", "automatic_only"]),
        curriculum_fallback=chance.random() < 0.7,
        campaign_lock=chance.random() < 0.4,
        recent_host_window=chance.randrange(4),
        training_max_active_runs=8,
        global_max_concurrent_runs=20,
    )
    hosts = [
        make_host(
            enabled=chance.random() < 0.85,
            last_served_at=later(minutes=-chance.randrange(90)) if chance.random() < 0.5 else None,
        )
        for _ in range(chance.randint(1, 5))
    ]
    for _ in range(chance.randrange(12)):
        make = chance.choice([make_source, make_curriculum_source])
        make(
            chance.choice(hosts),
            queued_at=later(minutes=-chance.randrange(120)),
            priority=chance.randint(-5, 5),
            not_before=later(minutes=chance.randint(-30, 30)) if chance.random() < 0.3 else None,
            status=chance.choice(["pending"] * 5 + ["disabled", "done"]),
        )
    if chance.random() < 0.5 and (enabled := [host for host in hosts if host.enabled]):
        create_campaign(
            title="",
            prompt="Which page?",
            host=chance.choice(enabled),
            check_spec=None,
            pages_target=None,
            size=chance.randint(1, 4),
            queued_from="api",
            by=command_line("ada"),
        )
        if chance.random() < 0.5:
            started = TrainingSource.objects.filter(campaign__isnull=False).first()
            TrainingSource.objects.filter(pk=started.pk).update(status="done", claimed_at=later(minutes=-1))
    return chance


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(60))
def test_the_preview_names_what_is_then_claimed(seed, settle):
    chance = scramble(seed, settle)
    for minute in range(8):
        now = later(minutes=minute * 4)
        preview = preview_next(now=now)
        claim = claim_next_source(now=now)
        if claim is None:
            # Nothing can be claimed: the preview names nothing, or what waits for its host.
            assert preview.source is None or preview.sentence.startswith("Next, when its host is free")
            continue
        assert (preview.source.pk, preview.selection_mode) == (claim.source_id, MODES[claim.source.kind])
        assert preview.sentence.startswith("Next, on ")
        if chance.random() < 0.7:
            finish(begin_claimed(claim, now=now), success=chance.random() < 0.5, now=now)


def test_the_preview_names_the_locked_campaigns_host(settle, host):
    settle(campaign_lock=True)
    create_campaign(
        title="",
        prompt="Which?",
        host=host,
        check_spec=None,
        pages_target=None,
        size=2,
        queued_from="api",
        by=command_line("ada"),
    )
    finish(begin_claimed())
    assert preview_next(now=later(minutes=1)).host_lock == host.name


def test_the_preview_says_what_is_next_in_a_sentence(host):
    make_source(host, title="Queues")
    assert preview_next(now=later(minutes=1)).sentence == f"Next, on {host.name}: Queues"
    assert Host.objects.get().last_served_at is None
