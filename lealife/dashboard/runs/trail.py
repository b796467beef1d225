"""A run's trajectory: for each visit the shortlist, the entry that was picked, what picked it and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.rows import fill_row, fill_texts
from training.models import Step

PICKED_BY = {
    "start": "the page where every run of this host starts",
    "model": "picked by the controller model",
    "fallback": "the model's pick was invalid, so the first of the shortlist was taken",
    "only": "the only page on the shortlist, so no call was needed",
    "ranked": "the first of the shortlist, far ahead of the second, so the model was not asked",
}
WHY = {
    "link": "a link on the page",
    "memory": "recalled from memory",
    "index": "found in the site index",
    "verdict": "named by a person for a question like this",
}


@dataclass(frozen=True, slots=True)
class OfferView:
    """One entry of a shortlist; `why` is link, memory, index or verdict.

    `heading` and `excerpt` say where on the page its best passage stands, and which words in it match best.
    """

    url: str
    title: str
    score: float | None
    why: str
    heading: str
    excerpt: str
    picked: bool

    @property
    def why_words(self) -> str:
        """Where the entry comes from, in words."""
        return WHY.get(self.why, self.why)


@dataclass(frozen=True, slots=True)
class RecalledView:
    """A memory item behind a step's shortlist."""

    id: int
    title: str


@dataclass(frozen=True, slots=True)
class StepView:
    """One page visit; latency in milliseconds, `after_s` seconds after the run's start, tokens as the server counted.

    `snapshot` is the content's digest when the page was kept. `picked_by` is start, model, fallback (the model's pick
    was invalid), only (one page on the shortlist) or ranked (the first was far ahead); the last two ask no model.
    """

    index: int
    url: str
    final_url: str
    title: str
    status_code: int
    snapshot: str
    picked_by: str
    shortlist: tuple[OfferView, ...]
    recalled: tuple[RecalledView, ...]
    after_s: float | None
    latency_ms: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    served_digest: str
    error_code: str
    error: str

    @property
    def picked_words(self) -> str:
        """In words, what chose this page and why."""
        return PICKED_BY.get(self.picked_by, self.picked_by)

    @property
    def picked_place(self) -> int | None:
        """The pick's place in the shortlist, from 1; None when it was not on it."""
        return next((place for place, offer in enumerate(self.shortlist, 1) if offer.picked), None)

    @property
    def pick(self) -> OfferView | None:
        """The shortlist's entry that was picked."""
        return next((offer for offer in self.shortlist if offer.picked), None)

    @property
    def is_redirect(self) -> bool:
        """Whether the visit ended at another address than it went to."""
        return bool(self.final_url) and self.final_url != self.url

    @property
    def address(self) -> str:
        """Where the visit ended."""
        return self.final_url or self.url

    @property
    def link(self) -> str:
        """The address when a browser may follow it."""
        return link_address(self.address)


def view_step(step: Step, *, started_at: datetime | None, titles: Mapping[int, str]) -> StepView:
    """A step as a frozen value; `titles` are those of the run's recalled items, by id."""
    return fill_row(
        StepView,
        step,
        snapshot=step.snapshot_id or "",
        shortlist=tuple(
            fill_texts(OfferView, offer, score=offer.get("score"), picked=offer.get("url") == step.url)
            for offer in step.shortlist
        ),
        recalled=tuple(RecalledView(pk, titles.get(pk, "")) for pk in step.recalled),
        after_s=(step.created_at - started_at).total_seconds() if started_at else None,
    )


def link_address(url: str) -> str:
    """The URL when it is http or https, else "": page data may also contain `javascript:` addresses."""
    return url if url.startswith(("http://", "https://")) else ""
