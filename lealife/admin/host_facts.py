"""Facts about one host for its page in admin, and what archiving and forgetting it would do, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Case, CharField, Count, Exists, Model, OuterRef, Q, Value, When

from lealife.core.row_count import RowCount
from lealife.dashboard.ask.hosts import COUNT_MAX, HostFacts, read_host_facts, show_count
from lealife.dashboard.rows import fill_row
from lealife.dashboard.runs.error_words import explain_error
from learning.index.vectors import read_model_number
from learning.models import CurriculumTask, FrontierPage, IndexedPassage, MemoryItem
from promotion.models import Evaluation, EvaluationTask
from training.models import Campaign, Host, Run, TaskDefinition, TrainingOutcome, TrainingSource

# Rows are counted only up to these numbers, the newest first.
TASKS_MAX = 10_000
OUTCOMES_SEARCHED, OUTCOMES_SHOWN = 5_000, 100


@dataclass(frozen=True, slots=True)
class Fact:
    """What stands on the page: `model` is the table whose rows of this host the label leads to."""

    label: str
    lines: tuple[str, ...]
    model: type[Model] | None = None


@dataclass(frozen=True, slots=True)
class HostUse:
    """What depends on a host, each counted to 2,001: sources and questions that wait, runs that have begun, campaigns
    with sources that wait, saved definitions, held-out tasks of an open evaluation, and memory of every status.
    """

    waiting: int
    questions: int
    running: int
    campaigns: int
    definitions: int
    evaluated: int
    items: int


def read_facts(host: Host) -> tuple[Fact, ...]:
    """What is known of a host and where it is used. Seven queries, at a cost that does not grow with history."""
    known, use = _read_known(host), read_use(host)
    return (
        Fact("Crawl", (_say_crawl(host, known),)),
        Fact("Pages", _count_pages(host), FrontierPage),
        Fact("Passages", (_count_passages(host, known),)),
        Fact("Memory", (f"{_say(use.items, 'item')}, {known.memories_words} of them trusted.",), MemoryItem),
        Fact("Tasks", _count_tasks(host), CurriculumTask),
        Fact("Lately", (_count_successes(host),), TrainingOutcome),
        Fact("Waiting", (_say_waiting(use),), TrainingSource),
        Fact("Definitions", (f"{_say(use.definitions, 'saved definition')}.",), TaskDefinition),
    )


def read_use(host: Host) -> HostUse:
    """What depends on a host. One query."""
    of_host = {"host": OuterRef("pk")}
    waiting = TrainingSource.objects.pending()
    counted = {
        "waiting": waiting.filter(**of_host),
        "questions": Run.objects.queued().filter(**of_host),
        "running": Run.objects.open().filter(**of_host),
        "campaigns": Campaign.objects.filter(Exists(waiting.filter(campaign=OuterRef("pk"))), **of_host),
        "definitions": TaskDefinition.objects.filter(**of_host),
        "evaluated": EvaluationTask.objects.filter(
            evaluation__verdict=Evaluation.Verdict.PENDING, task__host=OuterRef("pk")
        ),
        "items": MemoryItem.objects.filter(**of_host),
    }
    counts = {name: RowCount(rows.order_by()[: COUNT_MAX + 1]) for name, rows in counted.items()}
    return fill_row(HostUse, Host.objects.annotate(**counts).get(pk=host.pk))


def foretell_archive(host: Host) -> list[str]:
    """What archiving the host would do."""
    use, known = read_use(host), _read_known(host)
    lines = [
        (use.waiting, "source waits and will not be claimed.", "sources wait and will not be claimed."),
        (use.questions, "question waits and will not be answered.", "questions wait and will not be answered."),
        (use.definitions, "saved definition cannot be queued.", "saved definitions cannot be queued."),
        (use.running, "run has begun and goes on to its end.", "runs have begun and go on to their end."),
        (use.evaluated, "task of an open evaluation is still asked.", "tasks of an open evaluation are still asked."),
    ]
    kept = f"{_say(use.items, 'memory item')} and {_say_passages(known)} stay, and so does all evidence."
    last = "Nothing else of it is read, asked, offered or recalled until it is back in use."
    return [*(_choose(*line) for line in lines if line[0]), kept, last]


def foretell_unarchive(host: Host) -> list[str]:
    """What bringing the host back would do."""
    use = read_use(host)
    lines = [
        (use.waiting, "source waits and may be claimed at once.", "sources wait and may be claimed at once."),
        (use.questions, "question waits and will be answered.", "questions wait and will be answered."),
    ]
    return [*(_choose(*line) for line in lines if line[0]), "It is read, asked, offered and recalled again."]


def foretell_forget(host: Host) -> list[str]:
    """What forgetting the host would do."""
    use, known = read_use(host), _read_known(host)
    again = "Its pages are read again: archive it first if it is to stay forgotten."
    if not host.seed_curriculum:
        again = "Runs that visit its pages learn of them again: archive it first if it is to stay forgotten."
    if not host.enabled:
        again = "What it says is learned again once it is back in use."
    return [
        f"{_say(use.items, 'memory item')} and {_say_passages(known)} are deleted.",
        "Runs, outcomes, kept pages, tasks and judged questions stay.",
        again,
    ]


def _read_known(host: Host) -> HostFacts:
    return read_host_facts(Host.objects.filter(pk=host.pk))[0]


def _say_crawl(host: Host, known: HostFacts) -> str:
    if not host.enabled:
        return "Nothing is read: the host is archived."
    if not host.seed_curriculum:
        return "Only runs read its pages: Seed curriculum is off."
    if not known.pages:
        return "The start page will be read soon."
    if known.waiting:
        return f"{_say(known.waiting, 'page')} still to be read."
    return "All known pages were read or cannot be. They are looked at again, less often while they do not change."


def _count_pages(host: Host) -> tuple[str, ...]:
    """How many of the host's pages, which are 2,000 at most, are in each state, and why some are not read."""
    State = FrontierPage.State
    rows = FrontierPage.objects.filter(host=host).order_by().values_list("state", "error_code")
    counts = {(state, code): count for state, code, count in rows.annotate(count=Count("pk"))}
    of_state = {name: sum(count for (state, _), count in counts.items() if state == name) for name in State.values}
    lines = [
        f"{_say(sum(of_state.values()), 'page')} known: {of_state[State.READ]:,} read, "
        f"{of_state[State.KNOWN]:,} to be read, {of_state[State.UNREADABLE]:,} unreadable."
    ]
    words = {State.UNREADABLE: "unreadable", State.KNOWN: "not read yet"}
    for (state, code), count in sorted(counts.items(), key=lambda item: -item[1]):
        if code and state in words and (why := explain_error(code)):
            lines.append(f"{count:,} {words[State(state)]} ({code}): {why.meaning}")
    return tuple(lines)


def _count_passages(host: Host, known: HostFacts) -> str:
    # Vectors by an older model count as none: they are not compared.
    without = IndexedPassage.objects.filter(host=host, vector_by__lt=max(read_model_number(), 1))
    lacking = without.order_by()[: COUNT_MAX + 1].count()
    if lacking > COUNT_MAX:
        return f"{_say_passages(known)}; more than {COUNT_MAX:,} of them wait for their vectors."
    return f"{_say_passages(known)}, {max(0, known.passages - lacking):,} of them with vectors."


def _count_tasks(host: Host) -> tuple[str, ...]:
    standing = Case(
        When(gone_at__isnull=False, then=Value("gone")),
        When(replaced_at__isnull=False, then=Value("replaced")),
        When(ambiguous=True, then=Value("ambiguous")),
        When(~Q(split=CurriculumTask.Split.TRAIN), then=Value("held out")),
        When(streak__gte=CurriculumTask.MASTERED, then=Value("mastered")),
        default=Value("to be learned"),
        output_field=CharField(),
    )
    newest = CurriculumTask.objects.filter(host=host).order_by("-id").values("pk")[:TASKS_MAX]
    tasks = CurriculumTask.objects.filter(pk__in=newest).annotate(standing=standing)
    of_kind: dict[str, list[str]] = {}
    for kind, state, count in (
        tasks.order_by("kind", "standing").values_list("kind", "standing").annotate(count=Count("pk"))
    ):
        of_kind.setdefault(kind, []).append(f"{count:,} {state}")
    return tuple(f"{kind}: {', '.join(states)}" for kind, states in of_kind.items()) or ("None yet.",)


def _count_successes(host: Host) -> str:
    # No index holds a host's outcomes by time, so they are looked for among the newest of all hosts.
    newest = TrainingOutcome.objects.order_by("-id").values("pk")[:OUTCOMES_SEARCHED]
    own = TrainingOutcome.objects.filter(host=host, pk__in=newest).order_by("-id")
    found = list(own.values_list("success", flat=True)[:OUTCOMES_SHOWN])
    if not found:
        return f"None of the newest {OUTCOMES_SEARCHED:,} outcomes is of this host."
    return f"Successes: {sum(found)} of its last {_say(len(found), 'outcome')}."


def _say_waiting(use: HostUse) -> str:
    campaigns = f", of {_say(use.campaigns, 'campaign')}" if use.campaigns else ""
    return f"{_say(use.waiting, 'source')}{campaigns}; {_say(use.questions, 'question')}."


def _say_passages(known: HostFacts) -> str:
    # The index keeps its size, so that it need not be counted.
    return f"{known.passages:,} passage{'' if known.passages == 1 else 's'} of {_say(known.indexed, 'page')}"


def _say(count: int, noun: str) -> str:
    return _choose(count, noun, f"{noun}s")


def _choose(count: int, one: str, many: str) -> str:
    return f"1 {one}" if count == 1 else f"{show_count(count)} {many}"
