"""The quotes of a run: passages of pages, with the words in them that answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lealife.dashboard.runs.frozen_page import name_anchor
from lealife.dashboard.runs.trail import StepView, link_address
from training.models import Run


@dataclass(frozen=True, slots=True)
class QuoteView:
    """A passage that is literally on a page: `before`, `marked` and `after` are its text, a line per block.

    `marked` are the words that answer; without them, as in older runs, the whole text is `before`. `heading` are the
    headings above the passage, or the page's title. `digest` names the kept page, and `anchor` the place on it;
    `digest` is empty when no step of the run kept that content.
    """

    before: str
    marked: str
    after: str
    heading: str
    url: str
    digest: str
    anchor: str

    @property
    def link(self) -> str:
        """The page's address of today, when a browser may follow it."""
        return link_address(self.url)


def view_quotes(run: Run, *, steps: Iterable[StepView]) -> tuple[QuoteView, ...]:
    """The run's quotes, best first; `steps` say which pages were kept, and their titles."""
    return tuple(_view_quotes(run, titles={step.snapshot: step.title for step in steps if step.snapshot}))


def _view_quotes(run: Run, *, titles: Mapping[str, str]) -> Iterable[QuoteView]:
    counts: dict[str, int] = {}
    for quote in run.quotes:
        digest = str(quote.get("digest", ""))
        counts[digest] = counts.get(digest, 0) + 1
        before, marked, after = cut_at(str(quote.get("text", "")), str(quote.get("highlight", "")))
        yield QuoteView(
            before=before,
            marked=marked,
            after=after,
            heading=str(quote.get("heading", "")) or titles.get(digest, ""),
            url=str(quote.get("url", "")),
            digest=digest if digest in titles else "",
            anchor=name_anchor(counts[digest]),
        )


def cut_at(text: str, highlight: str) -> tuple[str, str, str]:
    """The text before the highlight, the highlight, and the text after it; all of it before when it is not there."""
    before, marked, after = text.partition(highlight) if highlight else (text, "", "")
    return before, marked, after
