"""Runs by several processes, ten thousand in the soak, judged only by the stub host's own log of requests."""

from __future__ import annotations

import http.client
import itertools
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from benchmarks.chaos import site as stub_site
from benchmarks.chaos.audit import audit_tables, find_overlaps
from benchmarks.chaos.crowd import Crowd
from benchmarks.chaos.effects import EffectLog, Request
from benchmarks.chaos.site import open_site, path_of, prompt_of
from benchmarks.chaos.world import make_hosts
from lealife.core.actors import command_line
from lealife.pipeline.stages import drain
from training.campaigns import create_campaign
from training.claims import claim_next_source
from training.models import Host, Run, TrainingSource
from training.runs import Result, begin_next_run, finish_run
from training.runtime_settings import apply_settings
from training.seals import seal_outcomes

pytestmark = pytest.mark.django_db(transaction=True)
PROCESSES = 4
HOSTS = 6
DIVERSE_PER_HOST = [20, pytest.param(1_400, marks=pytest.mark.soak)]
LOCKED_CAMPAIGNS = 8
LOCKED_PER_CAMPAIGN = [6, pytest.param(200, marks=pytest.mark.soak)]
# Long enough for a second run to be seen at the same time, on this host or another, in seconds.
SITE_TAKES_S = 0.01
IDLE_S = 0.005
INGEST_EVERY = 20


@pytest.fixture
def log(tmp_path: Path) -> EffectLog:
    return EffectLog(tmp_path / "effects.jsonl")


@pytest.fixture
def hosts(log: EffectLog, transactional_db: None) -> Iterator[list[Host]]:
    """Hosts of a site that is a process of its own."""
    site = open_site(hosts=HOSTS, log=log, takes_s=SITE_TAKES_S)
    server = Crowd({"site": site.serve})
    server.fork("site")
    yield make_hosts(site.addresses)
    server.end()
    site.stop()


def queue_campaign(host: Host, *, number: int, size: int) -> None:
    create_campaign(
        title=f"Bells {number}",
        prompt=prompt_of(0, mark=str(number)),
        host=host,
        check_spec=None,
        pages_target=1,
        size=size,
        queued_from="tests",
        by=command_line("tests"),
    )


def work_lightly() -> None:
    """Claims, begins, visits its host once, finishes and now and then ingests, until nothing waits."""
    doors: dict[str, http.client.HTTPConnection] = {}
    for turn in itertools.count(1):
        claim_next_source(now=timezone.now())
        run = begin_next_run(worker=f"light:{os.getpid()}", now=timezone.now())
        if run is not None:
            visit(run, doors)
            finish_run(
                run_id=run.pk,
                fence=run.fence,
                result=Result(success=True, verifier="quotes", pages=1),
                served_controller="sha256:c",
                served_task="sha256:t",
                now=timezone.now(),
            )
        elif not TrainingSource.objects.filter(status__in=["pending", "claimed"]).exists():
            break
        else:
            time.sleep(IDLE_S)
        if turn % INGEST_EVERY == 0:
            drain("ingest")
    drain("ingest")


def visit(run: Run, doors: dict[str, http.client.HTTPConnection]) -> None:
    """One real request that says whose it is."""
    address = run.host.base_url
    if address not in doors:
        doors[address] = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    doors[address].request("GET", f"/{path_of(0)}?{stub_site.read_mark(run.prompt)}/{run.pk}")
    assert doors[address].getresponse().read()


def work_together(log: EffectLog) -> list[Request]:
    """All processes until all is done; what the site was asked."""
    crowd = Crowd({"light": work_lightly})
    for _ in range(PROCESSES):
        crowd.fork("light")
    crowd.wait(within_s=400)
    assert crowd.broken == 0
    while seal_outcomes():
        pass
    assert [finding for finding in audit_tables() if finding.broken] == []
    return log.read_requests(server=stub_site.NAME)


def read_campaign(request: Request) -> int:
    return int(request.mark.partition("/")[0])


def find_meetings(requests: list[Request]) -> list[object]:
    """Requests of two runs on one host at the same time."""
    spans = defaultdict(list)
    for request in requests:
        spans[request.host].append((request.began, request.ended))
    return [met for host in spans.values() for met in find_overlaps(host)]


@pytest.mark.timeout(500)
@pytest.mark.parametrize("per_host", DIVERSE_PER_HOST)
def test_no_host_ever_sees_two_runs_at_a_time(hosts, log, per_host, record_property):
    for number, host in enumerate(hosts):
        queue_campaign(host, number=number, size=per_host)
    requests = work_together(log)
    assert len({request.mark for request in requests}) == len(requests) == HOSTS * per_host
    assert find_meetings(requests) == []
    # Different hosts were served at the same time, else it would be no wonder.
    at_once = find_overlaps([(request.began, request.ended) for request in requests])
    assert at_once
    record_property("runs", len(requests))
    record_property("requests_at_once_on_different_hosts", len(at_once))


@pytest.mark.timeout(500)
@pytest.mark.parametrize("size", LOCKED_PER_CAMPAIGN)
def test_under_the_campaign_lock_one_campaign_drains_before_the_next_begins(hosts, log, size, record_property):
    apply_settings(changes={"campaign_lock": True}, version=None, by=command_line("tests"), origin="tests")
    # Two campaigns a host at most: neither a host nor a campaign is served twice at once.
    for number in range(LOCKED_CAMPAIGNS):
        queue_campaign(hosts[number % HOSTS], number=number, size=size)
    requests = work_together(log)
    assert len({request.mark for request in requests}) == len(requests) == LOCKED_CAMPAIGNS * size
    assert find_meetings(requests) == []
    in_order = [read_campaign(request) for request in requests]
    turns = [campaign for campaign, _ in itertools.groupby(in_order)]
    assert sorted(turns) == list(range(LOCKED_CAMPAIGNS)), "a campaign had two turns"
    # Not even their requests overlap: on all hosts together there is never more than one.
    assert find_overlaps([(request.began, request.ended) for request in requests]) == []
    record_property("runs", len(requests))
    record_property("campaigns", len(turns))
