"""A world at work for pictures: always the same rows, hours of them, whose ages are counted from now."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from django.utils import timezone

from lealife.core.actors import command_line
from lealife.core.digest import digest_value
from lealife.run_actions import judge_run
from learning.corrections import MISLED_WHY, NAMED_WHY
from learning.index.models import HostIndex, IndexedPage
from learning.ingest import count_ingest
from learning.models import FrontierPage, MemoryItem, RunLearningOutcome
from promotion.models import ModelTag
from promotion.recipes import base_recipe
from tests.browser.rows import BLOCKS, HEADING, PASSAGE, TOPICS, World, digest_tag, make_run, make_steps
from tests.browser.trials import SWITCHES, make_evaluation, make_switches
from tests.guards import behind_guards
from training.campaigns import create_campaign
from training.chain_check import check_chain
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
from training.runtime_settings import apply_settings
from training.seals import seal_outcomes

OUTCOMES = 240
SITES = ("PostgreSQL manual", "Python documentation", "Django documentation")


def build_world() -> None:
    """Writes the whole world into an empty database."""
    now = timezone.now()
    hosts = [
        Host.objects.create(name=name, base_url=f"https://docs.example/{number}/", last_served_at=now)
        for number, name in enumerate(SITES, 1)
    ]
    statuses = ("retired", "retired", "active", "candidate", "rejected")
    world = World(
        now=now,
        chance=random.Random(11),
        hosts=hosts,
        controllers=[make_tag("controller", number, status) for number, status in enumerate(statuses)],
        task_tag=make_tag("task", 0, "active"),
    )
    outcomes = [make_outcome(world, number) for number in range(OUTCOMES)]
    make_switches(world, outcomes)
    make_evaluation(world)
    make_waiting(world)
    make_memory(world, outcomes[-1])
    make_index(world)
    make_answers(world)
    make_verdicts()
    make_running(world)
    while seal_outcomes():
        pass
    check_chain(now=now)
    settings = {"training_max_active_runs": 3, "recent_host_window": 2}
    apply_settings(changes=settings, version=None, by=command_line("ada"), origin="training_ui")
    read_coordinator()
    Coordinator.objects.update(
        enabled=True, holder="worker-1", lease_until=now + timedelta(hours=1), last_tick_at=now, last_launch_at=now
    )
    WorkerHeartbeat.objects.create(name="worker-1", last_beat_at=now, doing="running")


def make_tag(role: str, number: int, status: str) -> ModelTag:
    """A tag of window `number`."""
    name = f"lealife-{role}:w{number}"
    return ModelTag.objects.create(
        role=role,
        name=name,
        digest=digest_tag(name),
        base="smollm2:135m",
        recipe=base_recipe(role=role, base="smollm2:135m").to_json(),
        status=status,
        created_at=timezone.now() - timedelta(hours=12),
    )


def make_outcome(world: World, number: int) -> TrainingOutcome:
    """Outcome `number` of the history: more succeed, in fewer calls, the later they are."""
    part = number / OUTCOMES
    at = world.now - timedelta(minutes=1.5 * (OUTCOMES - number))
    success = world.chance.random() < 0.35 + 0.5 * part
    tag = world.controllers[sum(number >= switch for switch in SWITCHES)]
    calls = max(1, round(world.chance.gauss(4.6 - 2.2 * part, 0.7)))
    host = world.hosts[number % len(world.hosts)]
    title = f"Which page says how {TOPICS[number % len(TOPICS)]} works?"
    code = "" if success else world.chance.choice(("no_route", "verification_failed", "budget_spent"))
    source = TrainingSource.objects.create(
        kind="curriculum", title=title, prompt=title, host=host, status="done", queued_from="curriculum"
    )
    served = {"controller_tag": tag.name, "task_tag": world.task_tag.name, "controller_calls": calls, "pages": calls}
    served |= {"answer_state": "verified" if success else ""}
    run = make_run(world, lane="training", prompt=title, host=host, at=at, success=success, error_code=code, **served)
    cycle = TrainingCycle.objects.create(
        source=source, run=run, status=run.status, error_code=code, opened_at=at, finished_at=at
    )
    outcome = TrainingOutcome.objects.create(
        cycle=cycle,
        run=run,
        source=source,
        host=host,
        lane="training",
        success=success,
        is_counted=success,
        error_code=code,
        created_at=at,
        served_controller_digest=tag.digest,
        served_task_digest=world.task_tag.digest,
        **served,
    )
    RunLearningOutcome.objects.create(outcome=outcome, success=success, is_counted=success, ingested_at=at)
    add_counts(**{"outcomes__success" if success else "outcomes__failure": 1}, **count_ingest(outcome))
    return outcome


def make_waiting(world: World) -> None:
    """Both queues, and a campaign that is half way."""
    for number in range(24):
        topic = TOPICS[number % len(TOPICS)]
        TrainingSource.objects.create(
            kind="queue" if number % 2 else "curriculum",
            title=f"Where is {topic} explained?",
            prompt=f"Where is {topic} explained?",
            host=world.hosts[number % len(world.hosts)],
            queued_from="training_ui" if number % 4 == 1 else "api" if number % 2 else "curriculum",
        )
    campaign = create_campaign(
        title="Locks, twenty times",
        prompt="Which lock does an UPDATE take on a row?",
        host=world.hosts[0],
        check_spec=None,
        pages_target=None,
        size=20,
        queued_from="training_ui",
        by=command_line("ada"),
    )
    ids = list(TrainingSource.objects.filter(campaign=campaign).values_list("pk", flat=True)[:11])
    TrainingSource.objects.filter(pk__in=ids).update(status="done", claimed_at=world.now, finished_at=world.now)
    TrainingSource.objects.filter(pk__in=ids[:2]).update(status="failed")


def make_memory(world: World, outcome: TrainingOutcome) -> None:
    """What was learned, most of it trusted."""
    MemoryItem.objects.bulk_create(
        MemoryItem(
            host=world.hosts[number % len(world.hosts)],
            kind=("page", "route", "exemplar", "pitfall")[number % 4],
            key=digest_value(number),
            status="quarantined" if number % 5 == 0 else "trusted",
            title=TOPICS[number % len(TOPICS)],
            first_outcome=outcome,
        )
        for number in range(320)
    )


def make_index(world: World) -> None:
    """Pages of two sites in the index; the second site is still being read."""
    for host, read, known in zip(world.hosts, (380, 140), (0, 85), strict=False):
        pages = [(f"{host.base_url}{number}.html", digest_value(number)) for number in range(read + known)]
        FrontierPage.objects.bulk_create(
            FrontierPage(host=host, url=url, url_digest=digest, state="read" if place < read else "known")
            for place, (url, digest) in enumerate(pages)
        )
        IndexedPage.objects.bulk_create(
            IndexedPage(host=host, url=url, url_digest=digest) for url, digest in pages[:read]
        )
        HostIndex.objects.create(host=host, passages=8 * read)


def make_answers(world: World) -> None:
    """Questions of an operator's, one in each state; the newest is supported."""
    nothing_near = "quotes: 3 pages were read (VACUUM; row locks), and no passage was close enough to be quoted"
    too_little = "supported: the closest text answers with 31% at most, and 50% are needed"
    nowhere = {"answer_state": "not_found", "error_code": "not_found", "error": nothing_near, "verifier": "quotes"}
    unsure = {"answer_state": "unsure", "error_code": "unsure", "error": too_little, "answer_score": 0.31}
    make_answer(world, success=False, quotes=0, **nowhere)
    make_answer(world, success=False, **unsure)
    expected = {"expected_urls": [f"{world.hosts[0].base_url}{TOPICS[1]}.html"]}
    why = {"misled": MISLED_WHY, "named": NAMED_WHY}
    told = [
        {"id": 0, "kind": kind, "url": f"{world.hosts[0].base_url}{topic}.html", "title": topic, "why": why[kind]}
        for kind, topic in zip(("named", "misled"), TOPICS, strict=False)
    ]
    found = {"verifier": "expected_url", "check_spec": expected, "memories": told}
    make_answer(world, answer_state="verified", answer_score=0.91, is_quoted=True, quotes=1, **found)
    make_answer(world, answer_state="supported", answer_score=0.83)


def make_verdicts() -> None:
    """The verified answer is judged right; the unsure one wrong, with the page that is right."""
    by = {"by": command_line("ada"), "origin": "page"}
    verified, unsure = (Run.objects.filter(answer_state=state).latest("pk") for state in ("verified", "unsure"))
    judge_run(run_id=verified.pk, right=True, **by)
    step = unsure.steps.latest("index")
    judge_run(run_id=unsure.pk, right=False, note="It asks what the index is built over.", right_url=step.url, **by)


def make_answer(world: World, *, quotes: int = 2, success: bool = True, **values: Any) -> None:
    """A question with its quotes, asked three minutes ago."""
    first, second, _ = BLOCKS
    answer = PASSAGE if values.get("is_quoted") else "A partial index is built over a subset of a table."
    run = make_run(
        world,
        lane="standard",
        prompt="What is a partial index built over?",
        host=world.hosts[0],
        at=world.now - timedelta(minutes=3),
        success=success,
        requested_by="ada",
        controller_tag=world.controllers[2].name,
        task_tag=world.task_tag.name,
        controller_calls=2,
        pages=3,
        **{"verifier": "supported", "answer": answer if quotes else "", **values},
    )
    make_steps(run, count=3)
    steps = run.steps.all()[:quotes]
    highlights = (PASSAGE, second)
    kept = [
        {
            "text": "\n".join(BLOCKS) if not place else f"{first}\n{second}",
            "url": step.url,
            "digest": step.snapshot_id,
            "heading": HEADING,
            "highlight": highlights[place],
        }
        for place, step in enumerate(steps)
    ]
    with behind_guards():
        Run.objects.filter(pk=run.pk).update(quotes=kept)


def make_running(world: World) -> None:
    """A training run that executes now."""
    host = world.hosts[1]
    source = TrainingSource.objects.create(
        kind="queue", title="How are generators closed?", prompt="Find it.", host=host, status="claimed"
    )
    run = Run.objects.create(
        lane="training",
        status="running",
        host=host,
        prompt=source.prompt,
        pages_target=3,
        max_calls=5,
        started_at=world.now,
        controller_tag=world.controllers[2].name,
        task_tag=world.task_tag.name,
    )
    TrainingCycle.objects.create(source=source, run=run)
