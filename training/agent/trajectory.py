"""The steps of a run, complete enough to replay it offline."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry of a shortlist. `why` is "link" or "memory"; `score` orders the list, higher first."""

    url: str
    title: str
    score: float
    why: str


@dataclass(frozen=True, slots=True)
class Quote:
    """Words that are literally on a page, with the digest of the page's content."""

    text: str
    url: str
    body_digest: str


@dataclass(frozen=True, slots=True)
class Step:
    """One visit: the shortlist, the pick and what picked it, and the answer of the site.

    `picked_by` is "model", "fallback" (the model's pick was unusable), "start" or "only" (one choice, no
    call).
    `recalled` are the memory items behind the shortlist's entries. `error_code` is empty when the page came.
    """

    index: int
    url: str
    final_url: str
    title: str
    status: int
    body_digest: str
    body: bytes = field(repr=False)
    media_type: str
    shortlist: tuple[Choice, ...]
    pick: str
    picked_by: str
    recalled: tuple[int, ...]
    latency_ms: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    served_digest: str
    error_code: str
    error: str


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A finished run. `verifier` names the check that decided; `pages` counts distinct, successfully fetched pages.

    `controller_calls` and `task_replies` count received replies.
    `memory_ids` are the recalled items whose URL was visited. Durations are milliseconds.
    """

    steps: tuple[Step, ...]
    answer: str
    quotes: tuple[Quote, ...]
    success: bool
    error_code: str
    error: str
    verifier: str
    controller_calls: int
    invalid_picks: int
    pages: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    memory_ids: tuple[int, ...]
    duration_ms: int
    controller_digests: tuple[str, ...]
    task_digests: tuple[str, ...]
    task_replies: int = 0
