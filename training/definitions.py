"""Saved task definitions: written, enabled, and queued once or as a campaign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, OuterRef, ProtectedError, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.errors import Conflict, InvalidInput, NotFound
from lealife.core.transition import move
from training.audit import record_audit
from training.campaigns import check_size, create_campaign
from training.models import TaskDefinition, TrainingSource
from training.sources import check_title, queue_source
from training.tasks import check_pages_target, check_prompt, check_success_check, find_named_host

READY, NO_HOST, DISABLED, HOST_ARCHIVED = "ready", "no host", "disabled", "host archived"
# What a definition is made of, as a blank form has it.
BLANK: dict[str, Any] = {"title": "", "prompt": "", "host": None, "check_spec": None, "pages_target": None}


@dataclass(frozen=True, slots=True)
class Queued:
    """What a definition was queued as: one source, or a campaign of `size` sources."""

    title: str
    size: int
    source_id: int | None = None
    campaign_id: int | None = None

    @property
    def sentence(self) -> str:
        if self.campaign_id is None:
            return f"Queued “{self.title}” as source {self.source_id}."
        return f"Queued campaign {self.campaign_id}: “{self.title}”, {self.size:,} run{'' if self.size == 1 else 's'}."


@requires("training.manage_definition")
def save_definition(
    *, changes: Mapping[str, Any], by: Actor, origin: str, definition_id: int | None = None
) -> TaskDefinition:
    """Writes a new definition, or changes one; `changes` are by the names in `BLANK`.

    A new one with a host is enabled, one without waits disabled for it. What it has queued before keeps the task
    that it was queued with. Raises InvalidInput or NotFound with the field, Conflict when the title is taken.
    """
    given = BLANK | dict(changes) if definition_id is None else changes
    cleaned = {name: _clean(name, value) for name, value in given.items()}
    with transaction.atomic():
        if definition_id is None:
            row = TaskDefinition(created_by=by.name, enabled=cleaned["host"] is not None)
        else:
            row = _lock_definition(definition_id)
        changed = sorted(name for name, value in cleaned.items() if row.pk is None or getattr(row, name) != value)
        if not changed:
            return row
        for name in changed:
            setattr(row, name, cleaned[name])
        if row.enabled and row.host is None:
            raise InvalidInput(f"“{row.title}” is enabled and needs its host: disable it first.", field="host")
        if row.host is not None and not {"host", "check_spec"}.isdisjoint(changed):
            # Refuse it now, not when it is queued.
            check_success_check(row.check_spec, host=row.host)
        row.updated_by = by.name
        _write(row, changed)
        record_audit(
            actor=by,
            origin=origin,
            action="save definition" if definition_id is None else "change definition",
            subject=f"definition {row.pk}",
            details={"fields": changed},
        )
        announce("sources")
    return row


@requires("training.queue_source")
def queue_definition(*, definition_id: int, size: int = 1, queued_from: str, by: Actor) -> Queued:
    """Queues a definition: one source, or a campaign of `size` (2–10,000).

    Raises InvalidInput for another size, NotFound, and Conflict with the reason when it is not ready.
    """
    check_size(size)
    with transaction.atomic():
        row = _lock_definition(definition_id)
        _check_ready(row)
        task: dict[str, Any] = {name: getattr(row, name) for name in BLANK}
        task |= {"queued_from": queued_from, "by": by, "definition": row}
        if size == 1:
            return Queued(title=row.title, size=1, source_id=queue_source(**task).pk)
        return Queued(title=row.title, size=size, campaign_id=create_campaign(**task, size=size).pk)


@requires("training.manage_definition")
def enable_definition(*, definition_id: int, by: Actor, origin: str) -> None:
    """Lets a definition be queued. Raises Conflict while it has no host."""
    with transaction.atomic():
        row = _lock_definition(definition_id)
        if row.host is None:
            raise Conflict(explain_state(NO_HOST, title=row.title), field="host")
        _switch(row, enabled=True, by=by, origin=origin)


@requires("training.manage_definition")
def disable_definition(*, definition_id: int, by: Actor, origin: str) -> None:
    """Keeps a definition from being queued; what it has queued goes on."""
    with transaction.atomic():
        _switch(_lock_definition(definition_id), enabled=False, by=by, origin=origin)


@requires("training.manage_definition")
def delete_definition(*, definition_id: int, by: Actor, origin: str) -> None:
    """Deletes a definition that was never queued. Raises Conflict otherwise: what was queued refers to it."""
    with transaction.atomic():
        row = _lock_definition(definition_id)
        try:
            row.delete()
        except ProtectedError:
            raise Conflict(f"“{row.title}” has been queued before and cannot be deleted. Disable it instead.") from None
        record_audit(
            actor=by,
            origin=origin,
            action="delete definition",
            subject=f"definition {definition_id}",
            details={"title": row.title},
        )
        announce("sources")


def read_state(row: TaskDefinition) -> str:
    """Whether a definition can be queued, or what keeps it from that; needs its `host` loaded."""
    if row.host is None:
        return NO_HOST
    if not row.enabled:
        return DISABLED
    return READY if row.host.enabled else HOST_ARCHIVED


def explain_state(state: str, *, title: str, host: str = "") -> str:
    """Why a definition in this state is not queued, in one sentence; empty when it is ready."""
    return {
        NO_HOST: f"“{title}” has no host yet. Staff must give it one in admin before it can be enabled.",
        DISABLED: f"“{title}” is disabled.",
        HOST_ARCHIVED: f"“{title}” cannot be queued: host {host} is archived.",
    }.get(state, "")


def annotate_pending(rows: QuerySet[TaskDefinition]) -> QuerySet[TaskDefinition]:
    """The rows with `pending`: how many of their sources wait, one index range each, whatever ran before."""
    waiting = TrainingSource.objects.pending().order_by().filter(definition=OuterRef("pk"))
    counted = waiting.values("definition").annotate(n=Count("id")).values("n")
    return rows.annotate(pending=Coalesce(Subquery(counted), 0))


def _clean(name: str, value: Any) -> Any:
    match name:
        case "title":
            if cleaned := check_title(value, prompt=""):
                return cleaned
            raise InvalidInput("The title is empty. Enter the name that lists show.", field="title")
        case "prompt":
            return check_prompt(value)
        case "host":
            return find_named_host(value) if value else None
        case "check_spec":
            return check_success_check(value)
        case "pages_target":
            return check_pages_target(value)
    raise InvalidInput(f"A task definition has no {name!r}.", field=name)


def _lock_definition(definition_id: int) -> TaskDefinition:
    # Only the definition, and weaker than a delete's lock: sources that refer to it are written meanwhile.
    rows = TaskDefinition.objects.select_for_update(of=("self",), no_key=True).select_related("host")
    row = rows.filter(pk=definition_id).first()
    if row is None:
        raise NotFound(f"There is no task definition {definition_id}.", field="definition")
    return row


def _check_ready(row: TaskDefinition) -> None:
    reason = explain_state(read_state(row), title=row.title, host=row.host.name if row.host else "")
    if reason:
        raise Conflict(reason, field="definition")


def _write(row: TaskDefinition, changed: list[str]) -> None:
    try:
        # A savepoint: when the row is refused, the caller's transaction stays usable.
        with transaction.atomic():
            row.save(update_fields=[*changed, "updated_by", "updated_at"] if row.pk else None)
    except IntegrityError:
        raise Conflict(f"There is already a task definition “{row.title}”.", field="title") from None


def _switch(row: TaskDefinition, *, enabled: bool, by: Actor, origin: str) -> None:
    word = "enabled" if enabled else "disabled"
    move(
        TaskDefinition.objects.filter(pk=row.pk, enabled=not enabled),
        refused=f"“{row.title}” is already {word}.",
        enabled=enabled,
        updated_by=by.name,
        updated_at=timezone.now(),
    )
    record_audit(
        actor=by,
        origin=origin,
        action=f"{'enable' if enabled else 'disable'} definition",
        subject=f"definition {row.pk}",
    )
    announce("sources")
