"""One run: its trajectory, answer, evidence, and what served it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from lealife.dashboard.tag_view import shorten_digest
from lealife.lib.errors import NotFound
from training.models import Run, Step, TrainingCycle

# Of a long quote so many words at either end are enough to find it.
POINTER_WORDS = 6


@dataclass(frozen=True, slots=True)
class OfferView:
    """One entry of a shortlist; `why` is link or memory."""

    url: str
    title: str
    score: float | None
    why: str
    picked: bool


@dataclass(frozen=True, slots=True)
class StepView:
    """One page visit; latency in milliseconds, tokens as the server counted them."""

    index: int
    url: str
    final_url: str
    title: str
    status_code: int
    picked_by: str
    shortlist: tuple[OfferView, ...]
    from_memory: bool
    latency_ms: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    served_digest: str
    error_code: str
    error: str

    @property
    def short_digest(self) -> str:
        """Twelve hex digits."""
        return shorten_digest(self.served_digest)

    @property
    def picked_place(self) -> int | None:
        """The pick's place in the shortlist, from 1; None when it was not on it."""
        return next((place for place, offer in enumerate(self.shortlist, 1) if offer.picked), None)

    @property
    def address(self) -> str:
        """Where the visit ended."""
        return self.final_url or self.url

    @property
    def link(self) -> str:
        """The address when a browser may follow it."""
        return link_address(self.address)


@dataclass(frozen=True, slots=True)
class QuoteView:
    """Words that are literally on a page."""

    text: str
    url: str

    @property
    def link(self) -> str:
        """The address when a browser may follow it, with the quote to be highlighted there."""
        link = link_address(self.url)
        return f"{link.partition('#')[0]}#:~:text={point_at(self.text)}" if link else ""


@dataclass(frozen=True, slots=True)
class MemoryView:
    """A memory item that the run was given; `used` when the run went to its page."""

    id: int
    kind: str
    url: str
    title: str
    used: bool


@dataclass(frozen=True, slots=True)
class ServedView:
    """A role's tag, the digest routing claimed and the digest that answered."""

    role: str
    tag: str
    digest: str
    served_digest: str
    state: str  # green: the same | red: another | unknown: nothing was served

    @property
    def short_digest(self) -> str:
        """Twelve hex digits."""
        return shorten_digest(self.digest)

    @property
    def short_served_digest(self) -> str:
        """Twelve hex digits."""
        return shorten_digest(self.served_digest)


@dataclass(frozen=True, slots=True)
class RunPanel:
    """A run and everything that is known of it."""

    id: int
    lane: str
    status: str
    prompt: str
    host: str
    host_url: str
    requested_by: str
    source_id: int | None
    source_title: str | None
    answer: str
    quotes: tuple[QuoteView, ...]
    verifier: str
    error_code: str
    error: str
    served: tuple[ServedView, ...]
    memories: tuple[MemoryView, ...]
    withheld: int
    steps: tuple[StepView, ...]
    pages: int
    pages_target: int
    controller_calls: int
    max_calls: int
    invalid_picks: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seconds: float | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in Run.TERMINAL


@dataclass(frozen=True, slots=True)
class RunPage:
    """The one panel of `/runs/{id}/`."""

    run: RunPanel
    generated_at: datetime


def build_run_page(*, run_id: int, now: datetime) -> RunPage:
    """Reads one run with its steps. Three queries. Raises NotFound."""
    run = Run.objects.select_related("host").filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    cycle = TrainingCycle.objects.select_related("source").filter(run_id=run_id).first()
    steps = run.steps.defer("snapshot").order_by("index")
    panel = RunPanel(
        id=run.pk,
        lane=run.lane,
        status=run.status,
        prompt=run.prompt,
        host=run.host.name,
        host_url=run.host.base_url,
        requested_by=run.requested_by,
        source_id=cycle.source_id if cycle else None,
        source_title=cycle.source.title if cycle else None,
        answer=run.answer,
        quotes=tuple(QuoteView(str(item.get("text", "")), str(item.get("url", ""))) for item in run.quotes),
        verifier=run.verifier,
        error_code=run.error_code,
        error=run.error,
        served=(
            _view_served("controller", run.controller_tag, run.controller_digest, run.served_controller_digest),
            _view_served("task", run.task_tag, run.task_digest, run.served_task_digest),
        ),
        memories=tuple(_view_memory(item, used=run.memory_used) for item in run.memories),
        withheld=len(run.memory_withheld),
        steps=tuple(_view_step(step) for step in steps),
        pages=run.pages,
        pages_target=run.pages_target,
        controller_calls=run.controller_calls,
        max_calls=run.max_calls,
        invalid_picks=run.invalid_picks,
        prompt_tokens=run.prompt_tokens,
        cached_tokens=run.cached_tokens,
        completion_tokens=run.completion_tokens,
        seconds=run.duration_ms / 1000 if run.finished_at else None,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
    )
    return RunPage(run=panel, generated_at=now)


def link_address(url: str) -> str:
    """The URL when it is http or https, else nothing: addresses are page data, and `javascript:` is one too."""
    return url if url.startswith(("http://", "https://")) else ""


def point_at(text: str) -> str:
    """A text fragment that finds `text` on its page: all of a short quote, the first and last words of a long one."""
    words = text.split()
    ends = [words] if len(words) <= 2 * POINTER_WORDS else [words[:POINTER_WORDS], words[-POINTER_WORDS:]]
    # The hyphen is the one mark that the fragment's own grammar needs and `quote` leaves alone.
    return ",".join(quote(" ".join(part), safe="").replace("-", "%2D") for part in ends)


def _view_served(role: str, tag: str, digest: str, served: str) -> ServedView:
    state = "unknown" if not served or not digest else "green" if served == digest else "red"
    return ServedView(role, tag, digest, served, state)


def _view_memory(item: dict[str, Any], *, used: list[int]) -> MemoryView:
    return MemoryView(
        id=item["id"],
        kind=str(item.get("kind", "")),
        url=str(item.get("url", "")),
        title=str(item.get("title", "")),
        used=item["id"] in used,
    )


def _view_step(step: Step) -> StepView:
    return StepView(
        index=step.index,
        url=step.url,
        final_url=step.final_url,
        title=step.title,
        status_code=step.status_code,
        picked_by=step.picked_by,
        shortlist=tuple(
            OfferView(
                url=str(offer.get("url", "")),
                title=str(offer.get("title", "")),
                score=offer.get("score"),
                why=str(offer.get("why", "")),
                picked=offer.get("url") == step.url,
            )
            for offer in step.shortlist
        ),
        from_memory=bool(step.recalled),
        latency_ms=step.latency_ms,
        prompt_tokens=step.prompt_tokens,
        cached_tokens=step.cached_tokens,
        completion_tokens=step.completion_tokens,
        served_digest=step.served_digest,
        error_code=step.error_code,
        error=step.error,
    )
