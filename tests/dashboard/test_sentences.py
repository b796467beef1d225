"""Figures and sentences say what is so."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.dashboard.live.snapshot import take_snapshot
from lealife.dashboard.runs.error_words import explain_error
from training.agent.errors import AgentError, ErrorCode
from training.agent.task import Site
from training.agent.web.guard import check_address
from training.agent.web.http_browser import HttpBrowser
from training.agent.web.robots import Robots
from training.campaigns import cancel_campaign, create_campaign, read_progress
from training.coordinator import start_training
from training.models import Host, Run, TrainingSource
from training.runtime_settings import apply_settings
from training.sources import queue_source

TASK = {"title": "Prices", "prompt": "Which page names it?", "check_spec": None, "pages_target": None}


def read_page(browser: Client, address: str = "/training/") -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", browser.get(address).content.decode()).split())


def settle(**changes: int) -> None:
    apply_settings(changes=changes, version=None, by=command_line("tests"), origin="tests")


def test_more_training_than_the_ceiling_allows_is_shown_as_the_ceiling_and_said(browser: Client) -> None:
    settle(training_max_active_runs=99, global_max_concurrent_runs=6, reserved_control_slots=2)
    page = read_page(browser)
    assert "training 0/4" in page
    assert "/99" not in page
    assert page.count("Training Max Active Runs is 99, but the ceiling is 4: 6 runs at once, 2 of them reserved.") == 3
    panels = take_snapshot("training", now=timezone.now()).panels
    assert [panels[name].slots.training_cap for name in ("state", "lanes", "controls")] == [4, 4, 4]


def test_a_cap_below_the_ceiling_needs_no_words(browser: Client) -> None:
    settle(training_max_active_runs=3, global_max_concurrent_runs=6, reserved_control_slots=2)
    page = read_page(browser)
    assert "training 0/3" in page
    assert "but the ceiling is" not in page


def test_a_campaign_that_was_cancelled_is_not_complete(browser: Client, host: Host) -> None:
    campaign = create_campaign(**TASK, host=host, size=5, queued_from="tests", by=command_line("ada"))
    done = TrainingSource.objects.order_by("id")[:2].values("id")
    TrainingSource.objects.filter(id__in=done).update(status="done", finished_at=timezone.now())
    cancel_campaign(campaign_id=campaign.pk, by=command_line("ada"), origin="tests")
    progress = read_progress(campaign.pk)
    assert (progress.ended, progress.percent, progress.cancelled) == (2, 40, 3)
    assert progress.finished_at is not None
    page = read_page(browser)
    assert "Progress: 2/5 (40%) , 3 cancelled" in page.replace("(40%), 3", "(40%) , 3")


@pytest.mark.parametrize("enabled", [True, False])
def test_the_next_action_is_introduced_once(browser: Client, busy: Run, enabled: bool) -> None:
    from promotion.models import PromotionWindow

    if enabled:
        start_training(by=command_line("ada"), origin="tests")
    for state in ("collecting", "building", "evaluating"):
        PromotionWindow.objects.exclude(state__in=PromotionWindow.CLOSED).update(state=state)
        panels = take_snapshot("training", now=timezone.now()).panels
        assert "Next:" not in panels["proof"].next_action
        assert panels["proof"].window.sentence not in panels["proof"].next_action
        assert panels["headline"].next_action.count("Next:") <= 1


def test_a_rest_that_is_over_reads_as_now(browser: Client, host: Host) -> None:
    source = queue_source(**TASK, host=host, queued_from="tests", by=command_line("ada"))
    for minutes, words in ((-2, "may be picked again now"), (3, "may be picked again in 2 min")):
        not_before = timezone.now() + timedelta(minutes=minutes, seconds=-30)
        TrainingSource.objects.filter(pk=source.pk).update(not_before=not_before)
        assert words in read_page(browser, "/training/sources/?status=pending")


def catch(act) -> str:
    with pytest.raises(AgentError) as caught:
        act()
    assert caught.value.code == ErrorCode.BLOCKED_BY_POLICY
    return caught.value.message


def test_an_alias_is_advised_only_where_it_helps() -> None:
    site = Site(name="here", base_url="http://127.0.0.1:9/")
    outside = catch(lambda: check_address("http://elsewhere.example/", site=site))
    closed = catch(lambda: Robots.read(status=200, body=b"User-agent: *\nDisallow: /").check("http://127.0.0.1:9/a"))
    with HttpBrowser(site=site) as browser:
        private = catch(lambda: browser.fetch("http://127.0.0.1:9/"))
    advice = {
        sentence: explain_error("blocked_by_policy", sentence=sentence) for sentence in (outside, closed, private)
    }
    assert "aliases" in advice[outside].remedy
    assert "robots.txt" in advice[closed].meaning
    assert "may be private" in advice[private].remedy
    for sentence in (closed, private, ""):
        words = explain_error("blocked_by_policy", sentence=sentence)
        assert words is not None
        assert "alias" not in words.remedy


def test_what_a_run_has_read_and_asked_is_unknown_until_it_is_over(browser: Client, busy: Run, host: Host) -> None:
    values = {"host": host, "prompt": "What is it?", "pages_target": 3, "max_calls": 5}
    running = Run.objects.create(lane="standard", status="running", **values)
    over = Run.objects.create(lane="standard", status="failed", finished_at=timezone.now(), **values)
    page = browser.get("/runs/").content.decode()
    rows = {key: re.search(f'data-key="run-{key}".*?</tr>', page, re.DOTALL)[0] for key in (running.pk, over.pk)}
    figures = {key: re.findall(r'data-label="(?:Pages|Calls)">(.*?)</td>', row) for key, row in rows.items()}
    assert figures == {running.pk: ['<span class="unknown">—</span>'] * 2, over.pk: ["0", "0"]}
    cycles = re.search('id="cycles".*?</section>', browser.get("/training/").content.decode(), re.DOTALL)[0]
    opened = re.findall(r'data-label="(?:Pages|Calls|Duration)">(.*?)</td>', cycles)[:3]
    assert opened == ['<span class="unknown">—</span>'] * 3
