"""Actions on training sources: queue, disable, enable, requeue, cancel."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.utils import timezone

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.errors import Conflict, InvalidInput, NotFound
from lealife.core.transition import move
from training.admission import check_admitted
from training.audit import record_audit
from training.models import Host, TaskDefinition, TrainingSource
from training.tasks import (
    check_pages_target,
    check_priority,
    check_prompt,
    check_success_check,
    clean_text,
    find_host,
)

Status = TrainingSource.Status
# What has not started: it may still be corrected or cancelled.
WAITING = (Status.PENDING, Status.DISABLED)
FINISHED = (Status.DONE, Status.FAILED, Status.CANCELLED)


@requires("training.queue_source")
def queue_source(
    *,
    title: str,
    prompt: str,
    host: Host | str | None,
    check_spec: dict[str, Any] | None,
    pages_target: int | None,
    queued_from: str,
    by: Actor,
    priority: int = 0,
    definition: TaskDefinition | None = None,
) -> TrainingSource:
    """Queues one operator prompt for training; `definition` is the saved one that it comes from.

    Raises InvalidInput or NotFound with the field that is wrong, Conflict for a task that must not be trained on.
    """
    cleaned = check_prompt(prompt)
    found = find_host(host, prompt=cleaned)
    source = TrainingSource(
        kind=TrainingSource.Kind.QUEUE,
        title=check_title(title, prompt=cleaned),
        prompt=cleaned,
        host=found,
        check_spec=check_success_check(check_spec, host=found),
        pages_target=check_pages_target(pages_target),
        priority=check_priority(priority),
        queued_from=queued_from,
        queued_by=by.name,
        definition=definition,
    )
    with transaction.atomic():
        check_admitted(host=found, prompt=cleaned)
        source.save()
        record_audit(actor=by, origin=queued_from, action="queue source", subject=f"source {source.pk}")
        announce("sources")
    return source


@requires("training.queue_source")
def correct_source(*, source: TrainingSource, fields: Collection[str], by: Actor, origin: str) -> None:
    """Writes the changed `fields` of a source that still waits.

    Raises InvalidInput with the field that is wrong, Conflict when the source has started meanwhile or its task must
    not be trained on.
    """
    source.prompt = check_prompt(source.prompt)
    with transaction.atomic():
        check_admitted(host=source.host, prompt=source.prompt)
        # The row lock makes a worker's claim wait, or be seen here.
        if not TrainingSource.objects.select_for_update().filter(pk=source.pk, status__in=WAITING).exists():
            raise Conflict(f"Source {source.pk} has already started and can no longer be corrected.")
        source.check_spec = check_success_check(source.check_spec, host=source.host)
        source.pages_target = check_pages_target(source.pages_target)
        source.priority = check_priority(source.priority)
        source.save(update_fields=fields)
        record_audit(
            actor=by,
            origin=origin,
            action="correct source",
            subject=f"source {source.pk}",
            details={"fields": list(fields)},
        )
        announce("sources")


def check_title(title: str, *, prompt: str) -> str:
    """The title, or the prompt's beginning when there is none. Raises InvalidInput past 200 characters."""
    cleaned = clean_text(title) or prompt[:80]
    if len(cleaned) > 200:
        raise InvalidInput(f"A title may have at most 200 characters, not {len(cleaned)}.", field="title")
    return cleaned


@requires("training.disable_source")
def disable_source(*, source_id: int, by: Actor, origin: str) -> None:
    """Takes a waiting source out of the queue until it is enabled again."""
    _move(source_id, (Status.PENDING, Status.FAILED), Status.DISABLED, "disable", by, origin, status_reason=f"by {by}")


@requires("training.disable_source")
def enable_source(*, source_id: int, by: Actor, origin: str) -> None:
    """Puts a disabled source back into the queue with a fresh retry budget."""
    _move(source_id, (Status.DISABLED,), Status.PENDING, "enable", by, origin, failed_attempts=0, status_reason="")


@requires("training.queue_source")
def requeue_source(*, source_id: int, by: Actor, origin: str) -> None:
    """Runs a finished source once more."""
    fresh = {"failed_attempts": 0, "status_reason": "", "finished_at": None}
    _move(source_id, FINISHED, Status.PENDING, "requeue", by, origin, **fresh)


@requires("training.cancel_source")
def cancel_source(*, source_id: int, by: Actor, origin: str) -> None:
    """Cancels a source that has not started."""
    ended = {"finished_at": timezone.now(), "status_reason": f"by {by}"}
    _move(source_id, WAITING, Status.CANCELLED, "cancel", by, origin, **ended)


def _move(
    source_id: int, expected: tuple[str, ...], to: str, action: str, by: Actor, origin: str, **changes: Any
) -> None:
    with transaction.atomic():
        found = TrainingSource.objects.select_related("host").filter(pk=source_id).first()
        if found is None:
            raise NotFound(f"There is no training source {source_id}.")
        if to == Status.PENDING:
            check_admitted(host=found.host, prompt=found.prompt)
        fitting = " or ".join(expected)
        move(
            TrainingSource.objects.filter(pk=source_id, status__in=expected),
            refused=f"Source {source_id} is {found.status}: only {fitting} sources can be changed that way.",
            status=to,
            **changes,
        )
        record_audit(actor=by, origin=origin, action=f"{action} source", subject=f"source {source_id}")
        announce("sources")
