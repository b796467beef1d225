"""What a whole installation needs, looked at now: each part with its state and, where it is not well, what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from lealife.health import name_suspects
from lealife.model_health import DOWN, check_models
from lealife.pipeline.bell import has_wedged, read_queue_depth
from lealife.pipeline.browsers import runs_scripts
from lealife.storage import MIB, describe_scarcity, find_database_fault, find_disk_fault, read_free_bytes
from promotion.routing import read_routing
from training.agent.web.chromium_browser import find_chromium
from training.coordinator import read_loop
from training.heartbeats import is_fresh, read_last_beat
from training.model_faults import read_faults
from training.runtime_settings import read_settings

WELL, WARNING, FAULT = "well", "warning", "fault"
# Leases and heartbeats of several machines are compared with each other's clocks.
CLOCK_MOST_S = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of the installation: `state` is well, warning or fault; `said` is a sentence or two."""

    part: str
    state: str
    said: str


def examine() -> list[Finding]:
    """Every part in turn. Without a database only that and the disk are looked at. Asks each model server to chat."""
    database = _look_at_database()
    if database.state == FAULT:
        return [database, _look_at_disk()]
    return [database, *(look() for look in LOOKS)]


def _look_at_database() -> Finding:
    fault = find_database_fault()
    if fault:
        return Finding("database", FAULT, f"{fault} Check DATABASE_URL.")
    waiting = _count_migrations()
    if waiting:
        return Finding("database", FAULT, f"{waiting} migrations are missing. Run: manage.py migrate")
    return Finding("database", WELL, "It takes writes, and all migrations are there.")


def _count_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _look_at_disk() -> Finding:
    free = read_free_bytes()
    if fault := find_disk_fault(free):
        return Finding("disk", FAULT, f"{fault} Make room; runs end until there is some.")
    if scarce := describe_scarcity(free):
        return Finding("disk", WARNING, scarce)
    return Finding("disk", WELL, f"{free // MIB:,} MiB are free.")


def _look_at_clock() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [there] = cursor.fetchone()
    return judge_clock(here=timezone.now(), there=there)


def judge_clock(*, here: datetime, there: datetime) -> Finding:
    """This machine's clock against the database's. Pure."""
    ahead = (here - there).total_seconds()
    if abs(ahead) <= CLOCK_MOST_S:
        return Finding("clock", WELL, "It agrees with the database's.")
    side = "ahead of" if ahead > 0 else "behind"
    return Finding("clock", FAULT, f"It is {abs(ahead):.0f} s {side} the database's. Set both machines' clocks by NTP.")


def _look_at_workers() -> Finding:
    now = timezone.now()
    beat = read_last_beat(now=now)
    depth = read_queue_depth()
    if has_wedged(last_beat_at=beat):
        return Finding("workers", FAULT, f"{depth} bells wait and no worker answers. Run: manage.py worker")
    if beat is None or not is_fresh(beat, now=now):
        return Finding("workers", FAULT, "None reports. Run: manage.py worker, or scripts/up for everything")
    return Finding("workers", WELL, f"One reported at {beat:%H:%M:%S} UTC; {depth} bells wait.")


def _look_at_training() -> Finding:
    loop = read_loop(now=timezone.now())
    return Finding("training", WELL if loop.state in ("running", "stopped") else FAULT, loop.reason)


def _look_at_tags() -> Finding:
    routing = read_routing()
    missing = [role for role in ("controller", "task") if getattr(routing, role) is None]
    if missing:
        return Finding("tags", FAULT, f"There is no active {' and no active '.join(missing)} tag. A worker makes them.")
    names = [tag.name for tag in (routing.controller, routing.task) if tag]
    return Finding("tags", WELL, f"{' and '.join(names)} are active.")


def _look_at_models() -> Finding:
    health = check_models(name_suspects(routing=read_routing(), failed=read_faults()))
    state = FAULT if health.state == DOWN else WARNING if health.reasons else WELL
    return Finding("models", state, " ".join(health.reasons) or "Every model server serves the active tags.")


def _look_at_browser() -> Finding:
    if not runs_scripts(read_settings()):
        return Finding("browser", WELL, "Pages are read without scripts, so no browser is needed.")
    path = find_chromium()
    if path is None:
        return Finding("browser", FAULT, "Chromium is chosen and not installed. Install it, or choose the engine http.")
    return Finding("browser", WELL, f"{path} runs the scripts of pages.")


LOOKS: tuple[Callable[[], Finding], ...] = (
    _look_at_disk,
    _look_at_clock,
    _look_at_workers,
    _look_at_training,
    _look_at_tags,
    _look_at_models,
    _look_at_browser,
)
