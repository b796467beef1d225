"""Looks at the parts of an installation now: the state of each and, where it is not well, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from lealife.core.gateway import ModelUnavailable
from lealife.dashboard.probes import check_database, find_unreadiness
from lealife.health import DOWN, HEALTHY, derive_health, name_suspects
from lealife.model_health import check_models
from lealife.pipeline.bell import read_queue_depth
from lealife.pipeline.browsers import runs_scripts
from lealife.pipeline.pool import get_pool
from lealife.storage import read_free_bytes
from promotion.routing import read_routing
from training.agent.web.chromium_browser import find_chromium
from training.coordinator import read_loop
from training.heartbeats import is_fresh, read_last_beat
from training.models import RuntimeSettings

WELL, WARNING, FAULT = "well", "warning", "fault"
# Each machine compares the leases and heartbeats of the others with its own clock. The shortest lease lasts 15 s.
CLOCK_MOST, CLOCK_FAR = timedelta(seconds=1), timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `state` is well, warning or fault; `said` is a sentence or two."""

    part: str
    state: str
    said: str


def examine() -> list[Finding]:
    """The findings, in order. Asks every model server for a few words, so it may take long.

    Where the database is not ready nothing else can be looked at.
    """
    _, migrated = check_database()
    if reason := find_unreadiness(migrated=migrated):
        return [Finding("database", FAULT, reason)]
    ready = Finding("database", WELL, "It takes writes, and all migrations are applied.")
    return [ready, _look_at_clock(), _look_at_tags(), *_look_at_system(), _look_at_browser()]


def _look_at_clock() -> Finding:
    before = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [there] = cursor.fetchone()
    return judge_clock(before=before, there=there, after=timezone.now())


def judge_clock(*, before: datetime, there: datetime, after: datetime) -> Finding:
    """This machine's clock against the database's, which was read between two readings of this one. Pure."""
    apart = max(before - there, there - after)
    if apart <= CLOCK_MOST:
        return Finding("clock", WELL, "It agrees with the database's.")
    side = "ahead of" if there < before else "behind"
    state = FAULT if apart > CLOCK_FAR else WARNING
    return Finding("clock", state, f"It is {apart.total_seconds():.0f} s {side} the database's. Set both by NTP.")


def _look_at_tags() -> Finding:
    names = [tag.name for tag in (read_routing().controller, read_routing().task) if tag]
    if len(names) < 2:
        return Finding("tags", FAULT, "A role has no active tag yet. A worker makes it once a model server answers.")
    return Finding("tags", WELL, f"{' and '.join(names)} are active.")


def _look_at_system() -> list[Finding]:
    """What health says of workers, training, model servers and disk; every model server is asked for a few words."""
    now = timezone.now()
    beat = read_last_beat(now=now)
    try:
        hosts = get_pool().hosts
    except ModelUnavailable:
        hosts = ()  # The check below says so.
    health = derive_health(
        loop=read_loop(now=now),
        fresh_workers=int(is_fresh(beat, now=now)) if beat else 0,
        last_beat_at=beat,
        models=check_models(name_suspects(routing=read_routing(), failed=hosts)),
        queue_depth=read_queue_depth(),
        free_bytes=read_free_bytes(),
        now=now,
    )
    if health.state == HEALTHY:
        return [Finding("system", WELL, "Workers report, and every model server answers.")]
    state = FAULT if health.state == DOWN else WARNING
    found = [Finding("system", state, reason) for reason in health.reasons]
    if health.worker == DOWN:
        found.append(Finding("system", state, "Start workers with manage.py worker, or all with scripts/up."))
    return found


def _look_at_browser() -> Finding:
    row = RuntimeSettings.objects.first()
    if row is None or not runs_scripts(row):
        return Finding("browser", WELL, "Pages are read without scripts, so none is needed.")
    path = find_chromium()
    if path is None:
        remedy = "Install it where workers run, or set the engine to http and turn Headful and Autostart off."
        return Finding("browser", FAULT, f"Chromium is chosen, and this machine has none. {remedy}")
    return Finding("browser", WELL, f"{path} is installed.")
