"""The steps of a run, complete enough to replay it offline."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class AnswerState(StrEnum):
    """How sure an answer is. Only the first two are successes."""

    VERIFIED = "verified"  # a check found it right
    SUPPORTED = "supported"  # its quote answers, by the calibrated score
    UNSURE = "unsure"  # the closest text is no answer for certain
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry of a shortlist. `score` orders the list, higher first.

    `why` is "link", "memory", "index" (a passage of the site index) or "verdict" (a person named it). `heading` and
    `excerpt`: where on the page the best passage stands, and its words that match best.
    """

    url: str
    title: str
    score: float
    why: str
    heading: str = ""
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """Words that are literally on a page, a line per block, with the digest of the page's content.

    `heading`: the headings above them. `highlight`: the sentences, rows or lines in them that answer.
    """

    text: str
    url: str
    body_digest: str
    heading: str = ""
    highlight: str = ""

    @property
    def answer(self) -> str:
        """The words that answer, when no model writes from them."""
        return self.highlight or self.text


@dataclass(frozen=True, slots=True)
class Step:
    """One visit: the shortlist, the pick and what picked it, and the answer of the site.

    `picked_by` is "model", "fallback" (the model's pick was unusable), "start", "only" (one choice, no call) or
    "ranked" (the first of the shortlist was so far ahead of the second that no call was made).
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

    `answer_state`: how sure the answer is. `answer_score`: how likely the best quote answers, 0 to 1; None when
    nothing was quoted. `is_quoted`: the answer is the best quote, word for word.

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
    answer_state: str = ""
    answer_score: float | None = None
    is_quoted: bool = False
