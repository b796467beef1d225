"""Facts: the small figures of a snapshot, read in one query as columns beside the runtime settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import models

from lealife.core.statements import run_statement
from lealife.pipeline.bell import COUNT_WAITING
from promotion.tags import UNUSED
from training.coordinator import read_coordinator
from training.counters import READ_ALL, count_by_lane, sum_counters
from training.definitions import derive_state
from training.heartbeats import DAEMON
from training.models import Coordinator, RuntimeSettings, RuntimeSettingsChange
from training.runtime_settings import read_settings

Row = TypeVar("Row", bound=models.Model)
HALF_HOUR = timedelta(minutes=30)
# A half-hour count reads at most this many of the newest rows; a full reading is shown as "2,000+".
NEWEST = 2_000
# Of the newest hundred saved definitions those with the most pending sources are shown.
DEFINITIONS_LOOKED_AT, DEFINITIONS_SHOWN = 100, 5


# The two half-hour counts look at the newest rows only, so that history is never read.
_COLUMNS = f"""
    SELECT to_json(settings) AS settings,
        (SELECT json_object_agg(name, total)
            FROM ({READ_ALL}) AS counters) AS counted,
        ARRAY(SELECT last_beat_at FROM training_workerheartbeat WHERE doing <> '{DAEMON}'
            ORDER BY last_beat_at DESC) AS beats,
        (SELECT json_build_object(
                'queue', count(*) FILTER (WHERE kind = 'queue'),
                'queue_training_ui', count(*) FILTER (WHERE kind = 'queue' AND queued_from = 'training_ui'),
                'curriculum', count(*) FILTER (WHERE kind = 'curriculum'))
            FROM training_trainingsource WHERE status = 'pending') AS pending,
        ARRAY(SELECT to_json(saved) FROM (
            SELECT definition.id AS definition_id, definition.title, definition.enabled, host.name AS host,
                host.enabled AS host_enabled,
                (SELECT count(*) FROM training_trainingsource AS source
                    WHERE source.definition_id = definition.id AND source.status = 'pending') AS pending
            FROM (SELECT * FROM training_taskdefinition ORDER BY id DESC LIMIT {DEFINITIONS_LOOKED_AT}) AS definition
            LEFT JOIN training_host AS host ON host.id = definition.host_id
            ORDER BY pending DESC, definition.title LIMIT {DEFINITIONS_SHOWN}) AS saved) AS definitions,
        (SELECT count(*) FROM training_host WHERE enabled) AS hosts,
        (SELECT count(*) FROM (SELECT opened_at FROM training_trainingcycle ORDER BY id DESC LIMIT {NEWEST}) AS newest
            WHERE opened_at >= %(since)s::timestamptz) AS consumed,
        (SELECT count(*) FROM (SELECT ingested_at FROM run_learning_outcomes ORDER BY id DESC LIMIT {NEWEST}) AS newest
            WHERE ingested_at >= %(since)s::timestamptz) AS ingested,
        (SELECT row FROM training_outcome_seals ORDER BY row DESC LIMIT 1) AS sealed,
        (SELECT json_build_object('verified_rows', verified_rows, 'broken_at', broken_at, 'chain_fault', fault)
            FROM training_chaincheck WHERE id = 1) AS chain,
        (SELECT count(*) FROM promotion_liveapply WHERE canary_id IS NOT NULL) AS live_applies,
        (SELECT count(*) FROM promotion_modeltag WHERE status = ANY(%(unused)s::text[])) AS unused_tags,
        ARRAY(SELECT id FROM training_host WHERE last_served_at IS NOT NULL
            ORDER BY last_served_at DESC LIMIT settings.recent_host_window) AS recent_hosts,
        (SELECT to_json(coordinator) FROM training_coordinator AS coordinator) AS loop,
        ARRAY(SELECT to_json(change) FROM training_runtimesettingschange AS change
            ORDER BY version DESC LIMIT 5) AS newest_changes,
        ({COUNT_WAITING}) AS queue_depth,
        (SELECT opened_at FROM training_trainingcycle ORDER BY id DESC LIMIT 1) AS launched,
        ARRAY(SELECT host FROM training_modelserverfault) AS failed_servers
    FROM training_runtimesettings AS settings
"""  # noqa: S608  constants of our own, and placeholders


@dataclass(frozen=True, slots=True)
class Waiting:
    """Pending sources by kind and origin; hosts that may be visited."""

    queue: int
    queue_training_ui: int
    curriculum: int
    hosts: int


@dataclass(frozen=True, slots=True)
class DefinitionCount:
    """A saved task definition: ready or what keeps it from being queued, and how many of its sources wait."""

    id: int
    title: str
    state: str
    pending: int


@dataclass(frozen=True, slots=True)
class Facts:
    """`beats` are the workers' last heartbeats, newest first; `by_lane` counts the open runs of each lane;
    `live_applies` counts the switches that passed the gate.
    """

    settings: RuntimeSettings
    counters: dict[str, int]
    beats: tuple[datetime, ...]
    by_lane: dict[str, int]
    waiting: Waiting
    definitions: tuple[DefinitionCount, ...]  # most pending first
    consumed_30m: int
    ingested_30m: int
    sealed_rows: int
    verified_rows: int  # of the sealed ones, walked again
    broken_at: int | None  # the first row that does not follow from the one before
    chain_fault: str  # what is wrong with the chain, in a sentence
    live_applies: int
    unused_tags: int
    queue_depth: int  # bells that wait
    launched_at: datetime | None  # the newest cycle's, whoever picked it
    failed_servers: tuple[str, ...]  # model servers that failed in a chat and were not found well since
    recent_hosts: tuple[int, ...]  # newest first
    coordinator: Coordinator
    changes: tuple[RuntimeSettingsChange, ...]  # the newest five

    @property
    def backlog(self) -> int:
        """Outcomes that are not ingested yet."""
        return max(0, self.counters["outcomes.total"] - self.counters["ingested.total"])


def read_facts(*, now: datetime) -> Facts:
    """Every small figure at `now` (aware UTC). One query; each column is an indexed read of its own."""
    values = {"since": now - HALF_HOUR, "unused": list(UNUSED), "now": now}
    # As text: building these columns with the query compiler takes five times as long as running them.
    row = _read_row(values)
    if row is None or row["loop"] is None:
        read_settings()
        read_coordinator()
        row = _read_row(values) or {}
    counted = row["counted"] or {}
    return Facts(
        settings=_load_row(RuntimeSettings, row["settings"]),
        counters=sum_counters(counted),
        beats=tuple(row["beats"]),
        by_lane=count_by_lane(counted),
        waiting=Waiting(**row["pending"], hosts=row["hosts"]),
        definitions=tuple(_count_definition(**saved) for saved in row["definitions"]),
        consumed_30m=row["consumed"],
        ingested_30m=row["ingested"],
        sealed_rows=row["sealed"] or 0,
        **(row["chain"] or {"verified_rows": 0, "broken_at": None, "chain_fault": ""}),
        live_applies=row["live_applies"],
        unused_tags=row["unused_tags"],
        queue_depth=row["queue_depth"],
        launched_at=row["launched"],
        failed_servers=tuple(row["failed_servers"]),
        recent_hosts=tuple(row["recent_hosts"]),
        coordinator=_load_row(Coordinator, row["loop"]),
        changes=tuple(_load_row(RuntimeSettingsChange, change) for change in row["newest_changes"]),
    )


# The columns of the query, in its order.
_NAMES = (
    *("settings", "counted", "beats", "pending", "definitions", "hosts", "consumed", "ingested", "sealed", "chain"),
    *("live_applies", "unused_tags", "recent_hosts", "loop", "newest_changes", "queue_depth", "launched"),
    "failed_servers",
)


def _read_row(values: dict[str, Any]) -> dict[str, Any] | None:
    rows = run_statement(_COLUMNS, values)
    return dict(zip(_NAMES, rows[0], strict=True)) if rows else None


def _count_definition(*, definition_id: int, title: str, pending: int, **switches: Any) -> DefinitionCount:
    return DefinitionCount(definition_id, title, derive_state(**switches), pending)


def _load_row(model: type[Row], columns: dict[str, Any]) -> Row:
    return model(**{field.name: field.to_python(columns[field.column]) for field in model._meta.concrete_fields})
