"""The audit: the tables against each other, and against what the stub servers logged on their own."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, F
from django.utils import timezone

from benchmarks.chaos import model, site
from benchmarks.chaos.effects import EffectLog, Request
from learning.models import MemoryItem, RunLearningOutcome
from learning.uplift import read_standing
from training.chain_check import check_chain, read_chain_check
from training.counters import read_counters
from training.models import ChainCheck, Run, Step, TrainingCycle, TrainingOutcome, TrainingSource
from training.runtime_settings import read_settings
from training.slots import read_slots

Status = TrainingSource.Status


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant and what breaks it: nothing, when it holds."""

    invariant: str
    broken: tuple[str, ...]


def audit_tables() -> list[Finding]:
    """What must be true of the tables once everything has drained."""
    return [
        Finding("sources lost", tuple(find_lost_sources())),
        Finding("cycles without exactly one outcome", tuple(find_bad_cycles())),
        Finding("runs and cycles left open", tuple(find_open())),
        Finding("outcomes not ingested exactly once", tuple(find_bad_ingests())),
        Finding("counters that are not COUNT(*)", tuple(find_bad_counters())),
        Finding("breaks in the chain of outcomes", tuple(find_chain_breaks())),
    ]


def audit_effects(log: EffectLog) -> list[Finding]:
    """What must be true of the tables and of the servers' own log, taken together."""
    visits, chats = log.read_requests(server=site.NAME), log.read_requests(server=model.NAME)
    return [
        Finding("steps whose page was never requested", tuple(find_unvisited_steps(visits))),
        Finding("runs with tokens that no model was asked for", tuple(find_unasked_runs(chats))),
        Finding("requests outside of any run of their host", tuple(find_stray_visits(visits))),
        Finding("model calls outside of any run of their question", tuple(find_stray_chats(chats))),
        Finding("runs that met on a host", tuple(find_meetings(visits))),
    ]


def find_lost_sources() -> list[str]:
    """Sources that are neither done nor disabled by their own retry budget."""
    budget = read_settings().retry_budget
    spent = TrainingSource.objects.filter(status=Status.DISABLED, failed_attempts__gte=budget)
    lost = TrainingSource.objects.exclude(status=Status.DONE).exclude(pk__in=spent)
    return [f"source {pk} is {status}" for pk, status in lost.values_list("pk", "status")]


def find_bad_cycles() -> list[str]:
    """Cycles with no outcome or with two, outcomes that say other than their run, and done sources without one
    success."""
    counted = TrainingCycle.objects.annotate(n=Count("outcome")).exclude(n=1)
    bad = [f"cycle {pk} has {n} outcomes" for pk, n in counted.values_list("pk", "n")]
    told = TrainingOutcome.objects.values_list("run_id", "success", "run__status", "cycle__status")
    bad += [
        f"run {run} is {run_status}, its cycle {cycle_status}, its outcome {success}"
        for run, success, run_status, cycle_status in told
        if {run_status, cycle_status} != {"succeeded" if success else "failed"}
    ]
    done = TrainingSource.objects.filter(status=Status.DONE, cycles__outcome__success=True)
    once = set(done.annotate(n=Count("cycles__outcome")).filter(n=1).values_list("pk", flat=True))
    every = TrainingSource.objects.filter(status=Status.DONE).values_list("pk", flat=True)
    return bad + [f"source {pk} is done without exactly one success" for pk in every if pk not in once]


def find_open() -> list[str]:
    """Runs that hold a slot and cycles without an end."""
    runs = Run.objects.exclude(status__in=Run.TERMINAL).values_list("pk", "status")
    cycles = TrainingCycle.objects.filter(status=TrainingCycle.Status.OPEN).values_list("pk", flat=True)
    return [f"run {pk} is {status}" for pk, status in runs] + [f"cycle {pk} is open" for pk in cycles]


def find_bad_ingests() -> list[str]:
    """Outcomes without an ingest, items that count an outcome more or less often than once."""
    ingested = RunLearningOutcome.objects.values("outcome_id")
    missing = TrainingOutcome.objects.exclude(pk__in=ingested).values_list("pk", flat=True)
    doubled = ingested.annotate(n=Count("pk")).filter(n__gt=1).values_list("outcome_id", flat=True)
    untrue = MemoryItem.objects.annotate(n=Count("evidence")).exclude(n=F("sightings"))
    failed = RunLearningOutcome.objects.exclude(error="").values_list("outcome_id", "error")
    return [
        *(f"outcome {pk} is not ingested" for pk in missing),
        *(f"outcome {pk} is ingested twice" for pk in doubled),
        *(f"item {pk} counts {seen} of {n} sightings" for pk, seen, n in untrue.values_list("pk", "sightings", "n")),
        *(f"outcome {pk} could not be ingested: {error}" for pk, error in failed),
    ]


def find_bad_counters() -> list[str]:
    """Counters that say other than counting does."""
    outcomes, ingests = TrainingOutcome.objects, RunLearningOutcome.objects
    counted = {
        "outcomes.total": outcomes.count(),
        "outcomes.success": outcomes.filter(success=True).count(),
        "outcomes.failure": outcomes.filter(success=False).count(),
        "ingested.total": ingests.count(),
        "ingested.success": ingests.filter(success=True).count(),
        "ingested.counted": ingests.filter(is_counted=True, outcome__is_counted=True).count(),
        "open runs": Run.objects.open().count(),
    }
    told = {**read_counters(), "open runs": read_slots().running_total}
    items = MemoryItem.objects.values_list("kind", "status").annotate(n=Count("pk")).order_by()
    for kind in MemoryItem.Kind.values:
        for status in MemoryItem.Status.values:
            counted[f"{kind}/{status}"], told[f"{kind}/{status}"] = 0, 0
    counted |= {f"{kind}/{status}": n for kind, status, n in items}
    told |= read_standing().counts
    return [f"{name} is {told[name]}, not {count}" for name, count in counted.items() if told[name] != count]


def find_chain_breaks() -> list[str]:
    """Outcomes that are not sealed, and the first row that does not follow from the one before."""
    # From the first row on, whatever was walked before.
    ChainCheck.objects.all().delete()
    check_chain(now=timezone.now(), limit=TrainingOutcome.objects.count())
    chain = read_chain_check()
    unsealed = TrainingOutcome.objects.filter(seal=None).values_list("pk", flat=True)
    broken = [] if chain.broken_at is None else [chain.fault]
    return [*broken, *(f"outcome {pk} is not sealed" for pk in unsealed)]


def find_unvisited_steps(visits: Iterable[Request]) -> list[str]:
    """Recorded visits, and pages of successes, that the site was not asked for during the run."""
    asked: dict[str, list[Request]] = defaultdict(list)
    for visit in visits:
        asked[f"{visit.host}{visit.path.removeprefix('/')}"].append(visit)
    missing = []
    for step in Step.objects.filter(status_code=200).select_related("run").order_by("pk"):
        began, stored = step.run.started_at.timestamp(), step.created_at.timestamp()
        matching = [visit for visit in asked[step.url] if began <= visit.began <= stored]
        if matching:
            # Each request answers for one step only.
            asked[step.url].remove(matching[-1])
        else:
            missing.append(f"run {step.run_id}, step {step.index}: {step.url}")
    short = Run.objects.filter(status=Run.Status.SUCCEEDED).annotate(n=Count("steps")).exclude(n__gte=F("pages"))
    return missing + [f"run {pk} succeeded with {pages} pages and {n} steps" for pk, pages, n in _read(short)]


def _read(runs) -> Iterable[tuple[int, int, int]]:
    return runs.values_list("pk", "pages", "n")


def find_unasked_runs(chats: Iterable[Request]) -> list[str]:
    """Finished runs with tokens whose question no model was asked during the run."""
    asked: dict[str, list[float]] = defaultdict(list)
    for chat in chats:
        asked[chat.mark].append(chat.began)
    bad = []
    for run in Run.objects.filter(completion_tokens__gt=0):
        began, ended = run.started_at.timestamp(), run.finished_at.timestamp()
        calls = sum(began <= moment <= ended for moment in asked[site.read_mark(run.prompt)])
        # A pick each controller call, and one answer.
        if calls < run.controller_calls + 1:
            bad.append(f"run {run.pk} tells of {run.controller_calls} picks and an answer, the model of {calls} calls")
    return bad


def find_stray_visits(visits: Iterable[Request]) -> list[str]:
    """Requests that no run of their host can have made: before its beginning, after its end, or between two."""
    held: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for address, _, began, ended in read_spans():
        held[address].append((began, ended))
    stray = []
    for visit in visits:
        if not any(began <= visit.began <= ended for began, ended in held[visit.host]):
            since = min((visit.began - ended for _, ended in held[visit.host] if ended < visit.began), default=math.inf)
            stray.append(f"{visit.host}{visit.path.removeprefix('/')}, {since:.3f} s after the last run before it")
    return stray


def find_stray_chats(chats: Iterable[Request]) -> list[str]:
    """Model calls that no run of their question can have made."""
    held: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for _, prompt, began, ended in read_spans():
        held[site.read_mark(prompt)].append((began, ended))
    return [
        f"question {chat.mark} at {chat.began:.3f}"
        for chat in chats
        if chat.mark and not any(began <= chat.began <= ended for began, ended in held[chat.mark])
    ]


def read_spans() -> list[tuple[str, str, float, float]]:
    """Address of the host, prompt, beginning and end of every run that was begun and has ended."""
    runs = Run.objects.filter(started_at__isnull=False, finished_at__isnull=False)
    told = runs.values_list("host__base_url", "prompt", "started_at", "finished_at")
    return [(address, prompt, began.timestamp(), ended.timestamp()) for address, prompt, began, ended in told]


def find_meetings(visits: Iterable[Request]) -> list[str]:
    """Two runs on one host at the same time, from the site's log alone: each run has connections of its own.

    A connection lasts from its first request's beginning to its last one's end.
    """
    spans: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for visit in visits:
        began, ended = spans[visit.host].get(visit.peer, (visit.began, visit.ended))
        spans[visit.host][visit.peer] = (min(began, visit.began), max(ended, visit.ended))
    met = []
    for host, peers in spans.items():
        met += [f"{host}: {first} and {second}" for first, second in find_overlaps(list(peers.values()))]
    return met


def find_overlaps(spans: Sequence[tuple[float, float]]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Spans that began before one that began earlier had ended, each with the one that lasted longest."""
    overlaps, lasting = [], (-math.inf, -math.inf)
    for span in sorted(spans):
        if span[0] < lasting[1]:
            overlaps.append((lasting, span))
        lasting = max(lasting, span, key=lambda each: each[1])
    return overlaps
