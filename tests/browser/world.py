"""A world at work for pictures: always the same rows, hours of them, whose ages are counted from now."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from lealife.lib.digest import digest_bytes, digest_value
from learning.models import CurriculumTask, MemoryItem, RunLearningOutcome
from promotion.models import (
    Evaluation,
    EvaluationArm,
    EvaluationPair,
    EvaluationTask,
    LiveApply,
    ModelTag,
    PageFreeze,
    PromotionWindow,
)
from training.campaigns import create_campaign
from training.coordinator import read_coordinator
from training.counters import add_counts
from training.models import (
    Coordinator,
    Host,
    Run,
    Step,
    TrainingCycle,
    TrainingOutcome,
    TrainingSource,
    WorkerHeartbeat,
)
from training.runs import keep_snapshot
from training.runtime_settings import apply_settings

OUTCOMES, SWITCHES, PAIRS = 240, (90, 170), 22
SITES = ("PostgreSQL manual", "Python documentation", "Django documentation")
TOPICS = ("VACUUM", "partial indexes", "LISTEN", "row locks", "generators", "context managers", "QuerySet.update")
PASSAGE = "Partial indexes are built over a subset of a table; the subset is defined by a conditional expression."


@dataclass(frozen=True, slots=True)
class World:
    """What the rows are made of."""

    now: datetime
    chance: random.Random
    hosts: list[Host]
    controllers: list[ModelTag]
    task_tag: ModelTag


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
    make_answer(world)
    make_running(world)
    settings = {"training_max_active_runs": 3, "recent_host_window": 2}
    apply_settings(changes=settings, version=None, by="ada", origin="training_ui")
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
        digest=f"sha256:{digest_value(name)}",
        base="smollm2:135m",
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
        error_code=code,
        created_at=at,
        served_controller_digest=tag.digest,
        served_task_digest=world.task_tag.digest,
        **served,
    )
    RunLearningOutcome.objects.create(outcome=outcome, success=success, ingested_at=at)
    ended = "success" if success else "failure"
    add_counts(**{f"outcomes__{ended}": 1, f"ingested__{ended}": 1})
    return outcome


def make_run(world: World, *, success: bool, at: datetime, **values: Any) -> Run:
    """A finished run."""
    return Run.objects.create(
        **{
            "status": "succeeded" if success else "failed",
            "pages_target": 3,
            "max_calls": 5,
            "duration_ms": 1000 + world.chance.randrange(4000),
            "verifier": "expected_url" if success else "",
            "created_at": at,
            "started_at": at,
            "finished_at": at,
            **values,
        }
    )


def make_switches(world: World, outcomes: list[TrainingOutcome]) -> None:
    """Two live applies, the windows that they closed, and a rejection."""
    for number, place in enumerate(SWITCHES):
        before, after = world.controllers[number : number + 2]
        LiveApply.objects.create(
            role="controller",
            from_tag=before,
            from_digest=before.digest,
            to_tag=after,
            to_digest=after.digest,
            after_outcome_id=outcomes[place].pk,
            applied_by="gate",
            reason="The canary passed.",
            applied_at=outcomes[place].created_at,
        )
    succeeded = TrainingOutcome.objects.filter(success=True).count()
    states = ("applied", "applied", "rejected", "evaluating")
    for number, state in enumerate(states, 1):
        PromotionWindow.objects.create(
            number=number,
            watermark=succeeded - 41 - 30 * (len(states) - number),
            size=30,
            attempts_before=0,
            attempts=48,
            state=state,
            reason="4 wins, 9 losses: the candidate is worse." if state == "rejected" else "",
            reached_at=world.now - timedelta(hours=len(states) - number, minutes=9),
            closed_at=None if state == "evaluating" else world.now - timedelta(hours=len(states) - number),
        )


def make_evaluation(world: World) -> None:
    """The evaluation of the open window, 22 pairs into its budget."""
    candidate, baseline = world.controllers[3], world.controllers[2]
    evaluation = Evaluation.objects.create(
        window=PromotionWindow.objects.get(state="evaluating"),
        candidate=candidate,
        candidate_digest=candidate.digest,
        baseline=baseline,
        baseline_digest=baseline.digest,
        candidate_number=4,
        alpha=0.01,
        pair_budget=60,
        seed=7,
        freeze=PageFreeze.objects.create(memory_digest="frozen"),
        settings_digest="settings",
        wins=9,
        losses=2,
        ties=11,
    )
    results = ["win"] * 9 + ["loss"] * 2 + ["tie"] * 11
    world.chance.shuffle(results)
    for index, result in enumerate(results[:PAIRS]):
        topic = TOPICS[index % len(TOPICS)]
        task = CurriculumTask.objects.create(
            host=world.hosts[0],
            split="evaluation",
            expected_url=f"{world.hosts[0].base_url}{index}.html",
            page_digest=digest_value(index),
            passage=PASSAGE,
            prompt=f"Which page says how {topic} works, case {index}?",
        )
        EvaluationTask.objects.create(evaluation=evaluation, index=index, task=task)
        arms = {arm: make_arm(world, task, arm=arm, result=result) for arm in ("candidate", "baseline")}
        EvaluationPair.objects.create(
            evaluation=evaluation,
            index=index,
            candidate_arm=arms["candidate"],
            baseline_arm=arms["baseline"],
            candidate_first=index % 2 == 0,
            result=result,
        )


def make_arm(world: World, task: CurriculumTask, *, arm: str, result: str) -> EvaluationArm:
    """One tag's run on one held-out task."""
    success = result == "tie" or (result == "win") == (arm == "candidate")
    tag = world.controllers[3 if arm == "candidate" else 2]
    run = make_run(
        world,
        lane="evaluation",
        prompt=task.prompt,
        host=task.host,
        at=world.now - timedelta(minutes=8),
        success=success,
        controller_tag=tag.name,
        controller_calls=3,
        pages=3,
        error_code="" if success else "no_route",
    )
    make_steps(run, count=2)
    return EvaluationArm.objects.create(
        inputs_digest=digest_value([arm, task.pk]), run=run, success=success, controller_calls=3
    )


def make_steps(run: Run, *, count: int) -> None:
    """Pages that the run visited, each with its shortlist and a snapshot."""
    base = run.host.base_url
    for index in range(count):
        topic = TOPICS[(run.pk + index) % len(TOPICS)]
        body = f"<html><title>{topic}</title><h1>{topic}</h1><p>{PASSAGE}</p></html>".encode()
        shortlist = [
            {"url": f"{base}{name}.html", "title": name, "score": round(0.9 - 0.2 * place, 2), "why": "link"}
            for place, name in enumerate(TOPICS[:4])
        ]
        Step.objects.create(
            run=run,
            index=index,
            url=f"{base}{topic}.html",
            final_url=f"{base}{topic}.html",
            title=topic,
            status_code=200,
            snapshot=keep_snapshot(body, digest=digest_bytes(body), media_type="text/html"),
            shortlist=shortlist,
            picked_by="controller" if index else "start",
            latency_ms=240 + 30 * index,
            prompt_tokens=310,
            cached_tokens=260,
            completion_tokens=18,
        )


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
        by="ada",
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


def make_answer(world: World) -> None:
    """A question of an operator's, answered with a quote."""
    run = make_run(
        world,
        lane="standard",
        prompt="What is a partial index built over?",
        host=world.hosts[0],
        at=world.now - timedelta(minutes=3),
        success=True,
        requested_by="ada",
        controller_tag=world.controllers[2].name,
        task_tag=world.task_tag.name,
        controller_calls=2,
        pages=3,
        answer="A partial index is built over a subset of a table.",
        verifier="quotes",
    )
    make_steps(run, count=3)
    first = run.steps.first()
    Run.objects.filter(pk=run.pk).update(quotes=[{"text": PASSAGE, "url": first.url, "found": True}])


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
