"""Saved task definitions: written once, queued as often as wanted."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from ninja import Router, Status

from lealife.api.schemas import (
    Before,
    DefinitionChangesIn,
    DefinitionIn,
    DefinitionListOut,
    DefinitionOut,
    DefinitionQueuedOut,
    Limit,
    QueueIn,
    RowId,
    declare_responses,
    fill_schema,
)
from lealife.auth import ActorRequest, allow
from lealife.core.errors import NotFound
from lealife.core.paging import read_page
from training.definitions import (
    annotate_pending,
    disable_definition,
    enable_definition,
    queue_definition,
    read_state,
    save_definition,
)
from training.models import TaskDefinition
from training.tasks import bind_answer

ORIGIN = "api"
router = Router(tags=["definitions"])


@router.get("", response=declare_responses(200, DefinitionListOut))
def list_definitions(
    request: HttpRequest,
    limit: Limit = 20,
    before: Before = None,
) -> DefinitionListOut:
    """Saved task definitions with the number of sources that wait for each, newest first."""
    rows = annotate_pending(TaskDefinition.objects.select_related("host"))
    page = read_page(rows, before=before, size=limit)
    return DefinitionListOut(definitions=[describe_row(row) for row in page.rows], next_before=page.next_before)


@router.post("", response=declare_responses(201, DefinitionOut, 404, 409), auth=allow(save_definition))
def create_definition(request: ActorRequest, body: DefinitionIn) -> Status:
    """Saves a definition. With a host it is enabled; without one it waits, disabled, until it has one."""
    row = save_definition(changes=read_changes(body), by=request.auth, origin=ORIGIN)
    return Status(201, describe_definition(row.pk))


@router.get("/{definition_id}", response=declare_responses(200, DefinitionOut, 404), url_name="definition")
def read_definition(request: HttpRequest, definition_id: RowId) -> DefinitionOut:
    """One definition."""
    return describe_definition(definition_id)


@router.patch("/{definition_id}", response=declare_responses(200, DefinitionOut, 404, 409), auth=allow(save_definition))
def change_definition(request: ActorRequest, definition_id: RowId, body: DefinitionChangesIn) -> DefinitionOut:
    """Changes the fields that are sent. Sources queued earlier do not change."""
    save_definition(definition_id=definition_id, changes=read_changes(body), by=request.auth, origin=ORIGIN)
    return describe_definition(definition_id)


@router.post(
    "/{definition_id}/actions/queue/",
    response=declare_responses(201, DefinitionQueuedOut, 404, 409),
    auth=allow(queue_definition),
)
def queue(request: ActorRequest, definition_id: RowId, body: QueueIn) -> Status:
    """Queues one run of a definition, or a campaign of `size`; 409 while it is disabled or its host archived."""
    queued = queue_definition(definition_id=definition_id, size=body.size, queued_from=ORIGIN, by=request.auth)
    href = reverse("api:campaign", kwargs={"campaign_id": queued.campaign_id}) if queued.campaign_id else None
    return Status(201, fill_schema(DefinitionQueuedOut, queued, href=href))


@router.post(
    "/{definition_id}/actions/enable/",
    response=declare_responses(200, DefinitionOut, 404, 409),
    auth=allow(enable_definition),
)
def enable(request: ActorRequest, definition_id: RowId) -> DefinitionOut:
    """Enables a definition, so that it can be queued; 409 while it has no host."""
    enable_definition(definition_id=definition_id, by=request.auth, origin=ORIGIN)
    return describe_definition(definition_id)


@router.post(
    "/{definition_id}/actions/disable/",
    response=declare_responses(200, DefinitionOut, 404, 409),
    auth=allow(disable_definition),
)
def disable(request: ActorRequest, definition_id: RowId) -> DefinitionOut:
    """Disables a definition, so that it cannot be queued. Sources queued earlier still run."""
    disable_definition(definition_id=definition_id, by=request.auth, origin=ORIGIN)
    return describe_definition(definition_id)


def read_changes(body: DefinitionIn | DefinitionChangesIn) -> dict[str, Any]:
    """The fields that the body sets, under the names that the action uses."""
    sent = body.model_dump(exclude_unset=True)
    if "check" in sent or "answer_schema" in sent:
        sent["check_spec"] = bind_answer(sent.pop("check", None), answer_schema=sent.pop("answer_schema", None))
    return sent


def describe_definition(definition_id: int) -> DefinitionOut:
    """A definition as JSON. Raises NotFound."""
    rows = TaskDefinition.objects.filter(pk=definition_id)
    row = annotate_pending(rows).select_related("host").first()
    if row is None:
        raise NotFound(f"There is no task definition {definition_id}.")
    return describe_row(row)


def describe_row(row: Any) -> DefinitionOut:
    """A row that carries its pending count as JSON."""
    return fill_schema(
        DefinitionOut,
        row,
        host=row.host.name if row.host else None,
        check=row.check_spec,
        state=read_state(row),
        href=reverse("api:definition", kwargs={"definition_id": row.pk}),
    )
