"""Schemas of the API's requests and answers."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, TypeVar

from ninja import Query, Schema
from pydantic import AfterValidator, ConfigDict, Field

from promotion.models import Role
from training.campaigns import SIZE_MAX
from training.models.sources import PRIORITY_MAX, PRIORITY_MIN
from training.settings_catalogue import SETTINGS, Setting
from training.tasks import PAGES_MAX, PROMPT_MAX, bind_answer

Out = TypeVar("Out", bound=Schema)
ROW_ID_MAX = 2**63 - 1
CHECK_MAX = 20_000
# What every endpoint may refuse with.
ALWAYS = (400, 401, 403, 405, 413, 422, 429, 503)


def check_storable(text: str) -> str:
    """Text that Postgres can hold. Raises ValueError for NUL and for half of a surrogate pair."""
    if "\x00" in text:
        raise ValueError("The text holds a NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("The text holds half of a surrogate pair.") from None
    return text


def check_json(value: dict[str, Any]) -> dict[str, Any]:
    """A JSON object that Postgres can hold, at most 20,000 characters long. Raises ValueError otherwise."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except RecursionError:
        raise ValueError("The object is nested too deeply.") from None
    except ValueError:
        raise ValueError("NaN and infinity are not allowed.") from None
    if len(text) > CHECK_MAX:
        raise ValueError(f"The object has {len(text):,} characters as JSON; {CHECK_MAX:,} are allowed.")
    if "\\u0000" in text:
        raise ValueError("The text holds a NUL character.")
    check_storable(text)
    return value


STORABLE = AfterValidator(check_storable)
RowId = Annotated[int, Field(ge=1, le=ROW_ID_MAX)]
# How a list is read page by page.
Limit = Annotated[int, Query(ge=1, le=100)]
Before = Annotated[RowId | None, Query(description="Only rows with a smaller id.")]
Prompt = Annotated[str, Field(min_length=1, max_length=PROMPT_MAX), STORABLE]
Title = Annotated[str, Field(max_length=200), STORABLE]
HostName = Annotated[str, Field(max_length=500, description="The host's name or URL."), STORABLE]
# Strict: true is no number of runs, and "3" is text.
PagesTarget = Annotated[int, Field(ge=1, le=PAGES_MAX, strict=True)]
CampaignSize = Annotated[int, Field(ge=1, le=SIZE_MAX, strict=True)]
Check = Annotated[
    dict[str, Any],
    AfterValidator(check_json),
    Field(description="The success check: expected_urls, expected_text, pattern, json_schema, min_pages, in_answer."),
]
AnswerSchema = Annotated[
    dict[str, Any],
    AfterValidator(check_json),
    Field(
        description="The JSON schema that the answer is written to: type, properties, required, enum, items. "
        "It is no proof: each text and number in the answer must still stand in the quotes."
    ),
]


class Input(Schema):
    """A request body. Unknown fields are refused, not ignored, so that spelling mistakes are noticed."""

    model_config = ConfigDict(extra="forbid")


class FieldError(Schema):
    """The error in one field."""

    field: str
    message: str


class Problem(Schema):
    """RFC 9457 problem details; further members depend on the code."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError] | None = None


def fill_schema(kind: type[Out], row: object, /, **given: Any) -> Out:
    """A schema whose fields are the row's attributes of the same names, or `given`."""
    named = (name for name in kind.model_fields if name not in given)
    return kind(**{name: getattr(row, name) for name in named}, **given)


def declare_responses(status: int, schema: Any, *problems: int) -> dict[Any, Any]:
    """The response map of an endpoint: its success, the refusals that all endpoints share, and its own `problems`."""
    return {status: schema, (*ALWAYS, *problems): Problem}


class TaskIn(Input):
    """A question about a website."""

    prompt: Prompt
    host: HostName | None = None
    check: Check | None = None
    answer_schema: AnswerSchema | None = None
    pages_target: PagesTarget | None = None

    def read_task(self) -> dict[str, Any]:
        """What was sent, by the names that the actions use. Raises InvalidInput for an unusable schema."""
        task = self.model_dump()
        task["check_spec"] = bind_answer(task.pop("check"), answer_schema=task.pop("answer_schema"))
        return task


class SourceIn(TaskIn):
    """One prompt of an operator to train on."""

    title: Title = ""
    priority: Annotated[int, Field(ge=PRIORITY_MIN, le=PRIORITY_MAX)] = 0


class CampaignIn(TaskIn):
    """One task definition, `size` times."""

    title: Title = ""
    size: CampaignSize


class DefinitionIn(TaskIn):
    """A task that can be queued many times. Without a host it is disabled until it has one."""

    title: Annotated[str, Field(min_length=1, max_length=200), STORABLE]


class DefinitionChangesIn(Input):
    """The fields to change. `host: null` removes the host of a disabled definition."""

    title: Annotated[str, Field(min_length=1, max_length=200), STORABLE] = ""
    prompt: Prompt = ""
    host: HostName | None = None
    check: Check | None = None
    pages_target: PagesTarget | None = None


class QueueIn(Input):
    """How many runs: one source, or a campaign."""

    size: CampaignSize = 1


class SettingsIn(Input):
    """Changed settings, made against `version`."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    changes: Annotated[dict[str, Any], AfterValidator(check_json)]


class RollBackIn(Input):
    """The role to roll back to the tag that served before, and the reason."""

    role: Role
    reason: Annotated[str, Field(min_length=1, max_length=2000), STORABLE]


class HoldIn(Input):
    """The reason for holding promotion."""

    reason: Annotated[str, Field(max_length=2000), STORABLE] = ""


class SteeringOut(Schema):
    """The state of promotion after an action."""

    on_hold: bool
    window: int
    state: str
    size: int
    successes: int
    until_next: int


class DrillOut(Schema):
    """A requested drill of the gate."""

    id: int
    kind: str
    role: str
    state: str


class SourceOut(Schema):
    """A training source."""

    id: int
    kind: str
    title: str
    prompt: str
    host: str
    status: str
    priority: int
    queued_from: str
    failed_attempts: int
    campaign_id: int | None
    definition_id: int | None
    created_at: datetime


class SourceListOut(Schema):
    """Pending sources, newest first; `next_before` asks for the page after this one."""

    sources: list[SourceOut]
    next_before: int | None


class CampaignOut(Schema):
    """A campaign's progress. Its queued sources wait while `host_enabled` is false."""

    id: int
    title: str
    host: str
    host_enabled: bool
    definition_id: int | None
    size: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    disabled: int
    started_at: datetime | None
    finished_at: datetime | None
    cancelled_at: datetime | None
    percent: int
    href: str


class CancelledOut(Schema):
    """How many sources a cancellation took out of the queue."""

    cancelled: int


class RequeuedOut(Schema):
    """How many failed sources are back in the queue."""

    requeued: int


class DefinitionOut(Schema):
    """A saved task definition. `state` is ready, or the reason why it cannot be queued; `pending` counts sources."""

    id: int
    title: str
    prompt: str
    host: str | None
    check: dict[str, Any]
    pages_target: int | None
    enabled: bool
    state: str
    pending: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    href: str


class DefinitionListOut(Schema):
    """Newest first; `next_before` asks for the page after this one."""

    definitions: list[DefinitionOut]
    next_before: int | None


class DefinitionQueuedOut(Schema):
    """The queued source, or the queued campaign, whose progress is at `href`."""

    size: int
    source_id: int | None
    campaign_id: int | None
    href: str | None


class SettingsOut(Schema):
    """The settings that every process uses."""

    version: int
    updated_at: datetime
    updated_by: str
    values: dict[str, Any]
    # Label, unit, bounds and meaning of each value.
    fields: list[Setting] = Field(default_factory=lambda: list(SETTINGS.values()))


class LiveApplyOut(Schema):
    """A switch of the serving tag."""

    id: int
    role: str
    from_tag: str | None
    to_tag: str
    to_digest: str
    applied_by: str
    reason: str
    applied_at: datetime
