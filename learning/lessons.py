"""Lessons: what one outcome teaches, drawn from the pages it saw and the steps it took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from lealife.core.digest import digest_value
from learning.missing import GONE, GONE_FOR_GOOD, PASSING_STATUSES, read_missing_digest, says_missing
from learning.models import MemoryItem
from training.agent.errors import AgentError
from training.agent.reading.evidence import ReadPage
from training.agent.reading.page import ParsedPage, parse_page
from training.agent.reading.text import squeeze
from training.agent.task import Site, SuccessCheck, Task
from training.agent.trajectory import Quote
from training.agent.verifier import Gathered, check_gathered
from training.agent.web.address import canonical_url
from training.agent.web.browser import ERRORS_FROM
from training.models import PageSnapshot, Step, TrainingOutcome

EXTRACT_CHARACTERS = 600
PITFALL_CODES = {"fetch_failed", "blocked_by_policy", "not_html", "too_large", "redirect_loop"}
NOT_FOUND = 404
# 0 stands for no answer at all.
NO_ANSWER = PASSING_STATUSES | {0}
# Checks that can tell a right answer from a wrong one. Quotes and pages are only counted, a schema is only a shape.
TELLING_CHECKS = frozenset({"expected_url", "expected_text", "pattern"})


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing an outcome teaches: `key` says what makes it the same item next time.

    `content_hash` is of what the page says, `snapshot_digest` names the kept page. `is_checked`: a check vouches
    for it, or an outcome that counts without one. `page` is the reading that a page lesson comes from.
    """

    kind: str
    key: str
    url: str
    title: str
    text: str
    content_hash: str
    searched: str
    data: dict[str, Any] = field(default_factory=dict)
    snapshot_digest: str = ""
    is_checked: bool = False
    page: ParsedPage | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """One step of a run, read: `page` when one came, `gone_status` (404 or 410) when there is none any more.

    `is_closed`: the site asks that nothing of the page be kept; `page` is None then. `asked` is the address that the
    run went to, `url` the one that answered.
    """

    step: Step
    asked: str
    url: str
    page: ParsedPage | None
    gone_status: int = 0
    is_closed: bool = False


def item_key(kind: str, *parts: object) -> str:
    """The key of an item: sha256 over its kind and what makes it one."""
    return digest_value([kind, *[str(part) for part in parts]])


def is_checked(outcome: TrainingOutcome) -> bool:
    """Whether a check could tell the outcome's answer right or wrong, other than by counting quotes."""
    return not TELLING_CHECKS.isdisjoint(outcome.verifier.split("+"))


def read_visits(outcome: TrainingOutcome) -> list[Visit]:
    """The steps of an outcome's run, in order, each page parsed once."""
    steps = Step.objects.filter(run=outcome.run_id).order_by("index").prefetch_related("snapshot")
    if not steps:
        return []
    site, missing = outcome.host.as_site(), read_missing_digest(outcome.host_id)
    visits = []
    for step in steps:
        asked, url = canonical_url(step.url), canonical_url(step.final_url or step.url)
        page, gone, is_closed = None, step.status_code if step.status_code in GONE else 0, False
        if step.snapshot is not None and not step.error_code and step.status_code < ERRORS_FROM:
            page = _read_snapshot(step.snapshot, url=url, site=site)
            if page is not None and page.noindex:
                page, is_closed = None, True
            elif page is not None and says_missing(page, missing_digest=missing):
                page, gone = None, NOT_FOUND
        visits.append(Visit(step, asked, url, page, gone, is_closed))
    return visits


def _read_snapshot(snapshot: PageSnapshot, *, url: str, site: Site) -> ParsedPage | None:
    try:
        return parse_page(body=snapshot.body, media_type=snapshot.media_type, url=url, site=site)
    except AgentError:
        return None


def find_vouched(outcome: TrainingOutcome, visits: Iterable[Visit]) -> frozenset[str]:
    """The addresses whose page passes the run's check by itself: another page of the run vouches for nothing.

    Without a check that tells, a supported outcome that counts vouches for the page of its best quote, and no other
    outcome for any.
    """
    if not outcome.success:
        return frozenset()
    if not is_checked(outcome):
        return _find_supported(outcome, visits) if outcome.is_counted else frozenset()
    # How many pages were read and which shape the answer has says nothing about one page.
    check = replace(SuccessCheck.from_json(outcome.run.check_spec), min_pages=0, json_schema=None)
    task = Task(prompt="", site=outcome.host.as_site(), check=check, pages_target=1, max_calls=1)
    vouched = set()
    for visit in visits:
        if visit.page is None:
            continue
        digest = visit.step.snapshot_id or ""
        quotes = tuple(
            Quote(quote["text"], quote["url"], digest)
            for quote in outcome.run.quotes
            if canonical_url(quote["url"]) == visit.url
        )
        evidence = ReadPage(visit.page, frozenset({visit.asked, visit.url}), digest)
        if check_gathered(task=task, gathered=Gathered(pages=(evidence,), quotes=quotes), threshold=1.0).success:
            vouched.add(visit.url)
    return frozenset(vouched)


def _find_supported(outcome: TrainingOutcome, visits: Iterable[Visit]) -> frozenset[str]:
    read = {visit.url for visit in visits if visit.page is not None}
    # The score is the first quote's alone.
    return frozenset(canonical_url(quote["url"]) for quote in outcome.run.quotes[:1]) & read


def draw_lessons(outcome: TrainingOutcome, visits: list[Visit], *, vouched: frozenset[str]) -> list[Lesson]:
    """What an outcome teaches: the pages it saw, the page that answered, the situations, the dead ends.

    `vouched` is what `find_vouched` says. Only page evidence and our own step records; neither the prompt nor the
    model's prose becomes memory.
    """
    lessons = [_page_lesson(visit, visit.page) for visit in visits if visit.page is not None]
    lessons += [lesson for visit in visits for lesson in _pitfall_lessons(visit)]
    kept = {visit.step.snapshot_id for visit in visits if visit.page is not None}
    # A site that asks us to keep nothing of a page asks so of its quotes too.
    if outcome.success and all(quote["digest"] in kept for quote in outcome.run.quotes):
        lessons += _route_lessons(outcome, visits, vouched=vouched)
        lessons += _exemplar_lessons(outcome, visits, vouched=vouched)
    return lessons


def _page_lesson(visit: Visit, page: ParsedPage) -> Lesson:
    named = {"canonical": page.canonical} if page.canonical not in ("", visit.url) else {}
    return Lesson(
        kind=MemoryItem.Kind.PAGE,
        key=item_key("page", visit.url),
        url=visit.url,
        title=page.title[:300],
        text=squeeze(page.text[: EXTRACT_CHARACTERS * 2])[:EXTRACT_CHARACTERS],
        content_hash=page.content_digest,
        searched=page.text,
        data=named,
        snapshot_digest=visit.step.snapshot_id or "",
        page=page,
    )


def _pitfall_lessons(visit: Visit) -> Iterable[Lesson]:
    step = visit.step
    if not visit.gone_status and (step.error_code not in PITFALL_CODES or _says_nothing_of_address(step)):
        return
    # What a missing page is called must not depend on whether the site says 404 or says so in words.
    what = str(visit.gone_status or step.error_code)
    # An address that leads to a dead end is as dead as the end.
    for url in dict.fromkeys((visit.asked, visit.url)):
        yield Lesson(
            kind=MemoryItem.Kind.PITFALL,
            key=item_key("pitfall", url, what),
            url=url,
            title=step.error_code or "not_found",
            text=step.error[:EXTRACT_CHARACTERS] or "The site answers with its page for addresses that do not exist.",
            # Two failures of one kind at one address are the same sighting twice.
            content_hash=item_key("pitfall", url, what),
            searched="",
            data={"error_code": step.error_code, "status": visit.gone_status},
            is_checked=visit.gone_status == GONE_FOR_GOOD,
        )


def _says_nothing_of_address(step: Step) -> bool:
    """Whether a fetch failed because the site did not answer, or asked to be left alone for a while."""
    return step.error_code == "fetch_failed" and step.status_code in NO_ANSWER


def _route_lessons(outcome: TrainingOutcome, visits: list[Visit], *, vouched: frozenset[str]) -> list[Lesson]:
    titles = {visit.url: visit.step.title for visit in visits}
    said = _read_said(visits)
    return [
        Lesson(
            kind=MemoryItem.Kind.ROUTE,
            key=item_key("route", url, quote["text"]),
            url=url,
            title=titles.get(url, "")[:300],
            text=quote["text"][:EXTRACT_CHARACTERS],
            content_hash=said.get(url, ""),
            searched=quote["text"],
            data={"path": [visit.step.url for visit in visits if not visit.step.error_code]},
            snapshot_digest=quote["digest"],
            is_checked=url in vouched,
        )
        for quote in outcome.run.quotes
        for url in [canonical_url(quote["url"])]
    ]


def _exemplar_lessons(outcome: TrainingOutcome, visits: list[Visit], *, vouched: frozenset[str]) -> list[Lesson]:
    answered = {canonical_url(quote["url"]): quote for quote in reversed(outcome.run.quotes)}
    said = _read_said(visits)
    lessons = []
    for step in (visit.step for visit in visits):
        choices = [canonical_url(choice["url"]) for choice in step.shortlist]
        right = next((index for index, url in enumerate(choices) if url in answered), None)
        if right is None or len(choices) < 2 or step.snapshot is None:
            continue
        quote = answered[choices[right]]
        lessons.append(
            Lesson(
                kind=MemoryItem.Kind.EXEMPLAR,
                key=item_key("exemplar", outcome.run.prompt, choices),
                url=choices[right],
                title=step.shortlist[right]["title"][:300],
                # It holds as long as these words stand on the page.
                text=quote["text"][:EXTRACT_CHARACTERS],
                content_hash=said.get(choices[right], ""),
                searched="",
                data={"run": outcome.run_id, "step": step.index, "right": right, "size": len(choices)},
                snapshot_digest=quote["digest"],
                is_checked=choices[right] in vouched,
            )
        )
    return lessons


def _read_said(visits: Iterable[Visit]) -> dict[str, str]:
    return {visit.url: visit.page.content_digest for visit in visits if visit.page is not None}
