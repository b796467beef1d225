from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.dashboard.live.snapshot import take_snapshot
from training.coordinator import reverse_stop, start_training, stop_training
from training.models import Run, TrainingOutcome


@pytest.fixture
def empty_page(browser: Client) -> str:
    return browser.get("/training/").content.decode()


def test_unknown_is_shown_as_unknown_and_not_as_zero(empty_page: str) -> None:
    assert "No active model tags reported" in empty_page
    assert "recent success 0/0 (—)" in empty_page
    assert "No cycles yet" in empty_page
    assert "No outcome has been sealed yet." in empty_page
    assert "No model tag is live yet" in empty_page


def test_a_busy_system_is_shown_as_it_is(browser: Client, busy: Run) -> None:
    page = browser.get("/training/").content.decode()
    assert "lealife-controller:w1 and lealife-task:w0 are live" in page
    assert "lealife-controller:w0 → lealife-controller:w1" in page
    assert "The one that runs" in page
    assert f'href="/runs/{busy.pk}/"' in page
    assert "showing 10/13 (max 10)" in page
    assert "queue 6/6 | curriculum 6/6 (max 10 each)" in page
    assert "<code>training_ui</code> share 3/6" in page
    assert "no_route" in page


def test_the_page_holds_no_inline_script_or_style(browser: Client, busy: Run) -> None:
    for address in ("/", "/training/", "/runs/", f"/runs/{busy.pk}/", "/tasks/new/"):
        response = browser.get(address)
        page = response.content.decode()
        assert " style=" not in page
        assert "<style" not in page
        assert page.count("<script") == page.count("<script src=")
        assert "script-src 'self'" in response["Content-Security-Policy"]


@pytest.mark.parametrize(("key", "most"), [("training", 19), ("home", 19)])
def test_a_snapshot_costs_as_many_queries_after_a_hundred_outcomes_more(
    key: str, most: int, busy: Run, make_outcomes: Callable[[int], TrainingOutcome]
) -> None:
    make_outcomes(50)  # the window is full, before and after
    take_snapshot(key, now=timezone.now())  # makes the rows that a new installation lacks
    with CaptureQueriesContext(connection) as few:
        take_snapshot(key, now=timezone.now())
    make_outcomes(100)
    with CaptureQueriesContext(connection) as many:
        take_snapshot(key, now=timezone.now())
    assert len(many) == len(few) <= most


def test_no_query_of_a_snapshot_counts_all_outcomes(busy: Run) -> None:
    ran: list[str] = []

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        ran.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        take_snapshot("training", now=timezone.now())
        take_snapshot("home", now=timezone.now())
    counts = [sql for sql in ran if "count(" in sql.lower() and ("training_outcomes" in sql or "run_learning" in sql)]
    assert counts
    assert all("LIMIT 2000" in sql for sql in counts)


def test_two_looks_at_the_same_state_have_the_same_fingerprint(busy: Run) -> None:
    first = take_snapshot("training", now=timezone.now())
    second = take_snapshot("training", now=timezone.now())
    assert first.generated_at < second.generated_at
    assert first.fingerprints == second.fingerprints


def test_only_the_panels_that_changed_have_another_fingerprint(busy: Run) -> None:
    before = take_snapshot("training", now=timezone.now())
    Run.objects.filter(pk=busy.pk).update(pages=3)
    after = take_snapshot("training", now=timezone.now())
    assert after.changed_since(before.fingerprints) == ["cycles"]


def test_a_stop_that_a_daemon_reversed_is_said_only_while_it_is_true(browser: Client, empty_page: str) -> None:
    said = "</strong> started the loop again after a Stop by ada (page)"
    assert said not in empty_page
    start_training(by=command_line("ada"), origin="page")
    stop_training(by=command_line("ada"), origin="page")
    assert said not in browser.get("/training/").content.decode()
    reverse_stop(daemon="training_daemon on host-7", origin="TRAINING_DAEMON_START_IF_STOPPED")
    assert f"<strong>training_daemon on host-7{said}" in browser.get("/training/").content.decode()
    stop_training(by=command_line("bob"), origin="page")
    assert said not in browser.get("/training/").content.decode()


def test_a_setting_is_shown_with_its_unit_and_bounds(empty_page: str) -> None:
    assert '<dd>3 <span class="sub">failed attempts</span></dd>' in empty_page
    assert "before disablement. (1–100 failed attempts)</p>" in empty_page
