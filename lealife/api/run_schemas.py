"""Schemas of the API about one run."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import Field

from lealife.api.schemas import STORABLE, Check, Input, Title
from training.operator_verdicts import NOTE_MAX


class TaskQueuedOut(Schema):
    """A task that will be run."""

    id: int
    status: str
    href: str


class TagOut(Schema):
    """A tag, the digest that routing claimed, and the digest that the server answered with; empty until known."""

    tag: str
    claimed_digest: str
    served_digest: str


class PageOut(Schema):
    """One page visit."""

    url: str
    title: str
    status: int
    error_code: str


class TaskSummaryOut(TaskQueuedOut):
    """A task in a list."""

    prompt: str
    host: str
    created_at: datetime
    finished_at: datetime | None
    error_code: str


class TaskListOut(Schema):
    """Newest first; `next_before` asks for the page after this one."""

    tasks: list[TaskSummaryOut]
    next_before: int | None


class TrainIn(Input):
    """How a run becomes a training source. Without a check, one is made from the run's own evidence."""

    title: Title = ""
    check: Check | None = None


class VerdictIn(Input):
    """Whether the run's answer was right, and why; the note is for people and never becomes memory."""

    right: Annotated[bool, Field(strict=True)]
    note: Annotated[str, Field(max_length=NOTE_MAX), STORABLE] = ""


class VerdictOut(Schema):
    """A person's verdict on a run's answer. `effect`: ids of the memory items that it changed, by new status."""

    id: int
    run: int
    right: bool
    note: str
    by: str
    at: datetime
    effect: dict[str, list[int]]


class TaskOut(TaskSummaryOut):
    """A task with its answer and the evidence for it."""

    answer: str
    quotes: list[dict[str, Any]]
    pages: list[PageOut]
    controller: TagOut
    task: TagOut
    recalled: list[dict[str, Any]]
    memory_used: list[int]
    verifier: str
    error: str
    controller_calls: int
    duration_ms: int
    verdict: VerdictOut | None
