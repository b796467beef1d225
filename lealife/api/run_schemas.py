"""Schemas of the API about one run."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import Field

from lealife.api.schemas import STORABLE, Check, Input, Title
from training.agent.task import TEXT_MAX
from training.operator_verdicts import NOTE_MAX

# What browsers and servers take.
ADDRESS_MAX = 2_000
AnswerState = Literal["verified", "supported", "unsure", "not_found", ""]


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


class QuoteOut(Schema):
    """A passage that is literally on a page, a line per block; `digest` is the sha256 of the page's content.

    `heading`: the headings above it. `highlight`: the sentences, rows or lines in it that answer. Both may be empty.
    """

    text: str
    url: str
    digest: str
    heading: str = ""
    highlight: str = ""


class TaskSummaryOut(TaskQueuedOut):
    """A task in a list. `answer_state`: how sure its answer is; empty until it has ended, or when it broke down."""

    answer_state: AnswerState
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
    """Whether the run's answer was right, and why; the note is for people and never becomes memory.

    When it was wrong, `right_url` and `right_text` may say which page of the host is right, and its words that answer.
    """

    right: Annotated[bool, Field(strict=True)]
    note: Annotated[str, Field(max_length=NOTE_MAX), STORABLE] = ""
    right_url: Annotated[str, Field(max_length=ADDRESS_MAX), STORABLE] = ""
    right_text: Annotated[str, Field(max_length=TEXT_MAX), STORABLE] = ""


class VerdictOut(Schema):
    """A person's verdict on a run's answer. `effect`: ids of the memory items that it changed, by new status.

    `changes` says in sentences what it changed. `case` is the task of the host's question set that the question is by
    this verdict, and `case_split` whether it is for training (`train`) or held out (`evaluation`); null without one.
    """

    id: int
    run: int
    right: bool
    note: str
    right_url: str
    right_text: str
    by: str
    at: datetime
    effect: dict[str, list[int]]
    changes: list[str]
    case: int | None
    case_split: Literal["train", "evaluation", "reserve"] | None


class TaskOut(TaskSummaryOut):
    """A task with its answer and the evidence for it.

    `answer` is empty unless the task succeeded. Of another task, `quotes` are the closest text that was read, and
    `draft` is what would have been its answer had no check refused it, written or quoted: neither is an answer. `draft`
    is empty where the quotes were too unsure to write from. `answer_score`: how likely the best quote answers, 0 to 1;
    null without quotes. `is_quoted`: the answer is the page's own words. `answer_schema`: the JSON schema to
    which the answer is written.
    """

    answer: str
    answer_score: float | None
    is_quoted: bool
    draft: str
    answer_schema: dict[str, Any] | None
    quotes: list[QuoteOut]
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
