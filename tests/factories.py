"""Rows for tests, made through the product's own functions where it has them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from lealife.core.digest import digest_bytes
from learning.models import FrontierPage
from training.agent.reading.page import parse_page
from training.agent.task import SuccessCheck
from training.agent.trajectory import Choice
from training.agent.trajectory import Step as AgentStep
from training.agent.verifier import is_telling
from training.claims import claim_next_source
from training.models import Host, Run, TrainingCycle, TrainingOutcome, TrainingSource
from training.models.sources import queue_rank
from training.preview import NextSource, choose_preview
from training.runs import Result, begin_run, finish_run, keep_snapshot, queue_run, record_step
from training.selection_state import read_for_claim

# A clock that tests move by hand; aware, and far from any real lease.
START = datetime(2030, 1, 1, tzinfo=UTC)
PASSAGE = "The quick brown fox jumps over the lazy dog near the river bank."
_numbers = itertools.count(1)


def later(**amount: float) -> datetime:
    """`START` plus a `timedelta` of these arguments."""
    return START + timedelta(**amount)


def make_host(**changes: Any) -> Host:
    """An enabled host with a name and an address of its own."""
    number = next(_numbers)
    return Host.objects.create(
        **{
            "name": f"host-{number}",
            "base_url": f"http://127.0.0.1:9/{number}/",
            "may_be_private": True,
            "politeness_delay_ms": 0,
            **changes,
        }
    )


def make_source(host: Host, *, queued_at: datetime = START, **changes: Any) -> TrainingSource:
    """A pending source; `queued_at` stands in for the moment of its queueing."""
    source = TrainingSource.objects.create(
        host=host, **{"title": f"source {next(_numbers)}", "prompt": "Which page says so?", **changes}
    )
    rank = queue_rank(queued_at=queued_at, priority=source.priority)
    TrainingSource.objects.filter(pk=source.pk).update(queue_rank=rank)
    source.queue_rank = rank
    return source


def make_curriculum_source(host: Host, **changes: Any) -> TrainingSource:
    """A pending source of the curriculum."""
    return make_source(host, kind=TrainingSource.Kind.CURRICULUM, queued_from="curriculum", **changes)


def queue_standard(host: Host) -> Run:
    """A question that waits for a worker."""
    return queue_run(lane="standard", prompt="Which page?", host=host, check_spec=None, pages_target=None, by="ada")


def make_html(title: str, *paragraphs: str, links: Iterable[str] = ()) -> bytes:
    """A small page."""
    anchors = "".join(f'<li><a href="{link}">{link}</a></li>' for link in links)
    body = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return f"<html><head><title>{title}</title></head><body>{body}<ul>{anchors}</ul></body></html>".encode()


def make_step(*, url: str, body: bytes = b"", index: int = 0, **changes: Any) -> AgentStep:
    """One visit as the agent reports it."""
    values: dict[str, Any] = {
        "index": index,
        "url": url,
        "final_url": url,
        "title": "A page",
        "status": 200,
        "body_digest": digest_bytes(body) if body else "",
        "body": body,
        "media_type": "text/html",
        "shortlist": (),
        "pick": url,
        "picked_by": "start",
        "recalled": (),
        "latency_ms": 5,
        "prompt_tokens": 0,
        "cached_tokens": 0,
        "completion_tokens": 0,
        "served_digest": "",
        "error_code": "",
        "error": "",
    }
    return AgentStep(**{**values, **changes})


def make_choices(*urls: str) -> tuple[Choice, ...]:
    """A shortlist of these addresses, best first."""
    return tuple(Choice(url=url, title=url, score=1.0 / place, why="link") for place, url in enumerate(urls, 1))


def make_crawled(host: Host, *, url: str, body: bytes) -> FrontierPage:
    """A page that the curriculum's own crawl has read."""
    page = parse_page(body=body, media_type="text/html", url=url, site=host.as_site())
    return FrontierPage.objects.create(
        host=host,
        url=url,
        url_digest=digest_bytes(url.encode()),
        depth=1,
        state=FrontierPage.State.READ,
        snapshot=keep_snapshot(body, digest=digest_bytes(body), media_type="text/html"),
        content_digest=page.content_digest,
    )


def preview_next(*, now: datetime) -> NextSource:
    """What the next claim would take."""
    preview = choose_preview(read_for_claim(), now=now)
    return preview.describe(TrainingSource.objects.select_related("host").filter(pk=preview.source_id).first())


def begin_claimed(claim: TrainingCycle | None = None, *, worker: str = "worker", now: datetime = START) -> Run:
    """Claims the next source when none is given, and begins its run."""
    claim = claim or claim_next_source(now=now)
    assert claim is not None
    return begin_run(run=Run.objects.select_related("host").get(pk=claim.run_id), worker=worker, now=now)


def finish(run: Run, *, success: bool = True, now: datetime = START, **result: Any) -> Run:
    """Finishes a begun run under its fence."""
    sure = {"answer_state": "supported"} if success else {"error_code": "no_route"}
    values = {**sure, **result}
    finish_run(
        run_id=run.pk,
        fence=run.fence,
        result=Result(success=success, **values),
        served_controller="sha256:c",
        served_task="sha256:t",
        now=now,
    )
    return Run.objects.select_related("host").get(pk=run.pk)


def make_outcome(
    host: Host,
    *,
    steps: Iterable[AgentStep] = (),
    success: bool = True,
    now: datetime = START,
    check_spec: dict[str, Any] | None = None,
    **result: Any,
) -> TrainingOutcome:
    """A whole cycle of a new source: claimed, begun, its steps recorded, finished.

    With a `check_spec` the checks that decided are the ones that it names, and a success is verified.
    """
    make_source(host, queued_at=now, check_spec=check_spec or {})
    if check_spec:
        names = {"expected_urls": "expected_url"}
        result = {"verifier": "+".join(names.get(name, name) for name in check_spec), **result}
        if success and is_telling(SuccessCheck.from_json(check_spec)):
            result = {"answer_state": "verified", **result}
    run = begin_claimed(now=now)
    for step in steps:
        record_step(run_id=run.pk, fence=run.fence, step=step, now=now)
    finish(run, success=success, now=now, **result)
    return TrainingOutcome.objects.get(run=run)
