"""The list of runs: filters that stay in the address, and pages that cost the same however far back."""

from __future__ import annotations

import pytest
from django.test import Client

from lealife.dashboard.runs import listing
from lealife.dashboard.runs.listing import RunFilter, read_runs
from training.models import Host, Run


def make_run(host: Host, **changes) -> Run:
    values = {"lane": "standard", "host": host, "prompt": "What is it?", "pages_target": 3, "max_calls": 5}
    return Run.objects.create(**values | changes)


def list_ids(query: str = "", *, before: int | None = None) -> list[int]:
    parts = dict(part.split("=") for part in query.split("&") if part)
    return [row.id for row in read_runs(chosen=RunFilter.from_query(parts), before=before).rows]


def test_runs_are_listed_by_lane_and_paged_by_id(browser: Client, host: Host) -> None:
    runs = [make_run(host, prompt=f"Question {number:02d}") for number in range(30)]
    make_run(host, lane="evaluation", prompt="Held out")
    page = browser.get("/runs/?lane=standard").content.decode()
    assert "Question 29" in page
    assert "Question 04" not in page
    assert "Held out" not in page
    older = browser.get(f"/runs/?lane=standard&before={runs[5].pk}").content.decode()
    assert "Question 04" in older
    assert "Question 29" not in older


def test_a_list_of_runs_takes_nonsense_for_the_beginning(browser: Client, host: Host) -> None:
    make_run(host)
    nonsense = ("?before=x", "?before=-3", "?lane=nowhere", "?status=%00&lane=%ff", "?before=" + "9" * 40)
    for query in nonsense:
        assert "What is it?" in browser.get(f"/runs/{query}").content.decode()


def test_each_filter_narrows_the_list_and_all_of_them_together(host: Host) -> None:
    other = Host.objects.create(name="other", base_url="http://127.0.0.1:9/other/")
    failed = make_run(host, status="failed")
    elsewhere = make_run(other)
    tagged = make_run(host, controller_tag="lealife-controller:c2", served_controller_digest="sha256:abcd1234")
    task = make_run(host, task_tag="lealife-task:t1", served_task_digest="sha256:abff", prompt="100 % of Foxes_x")
    assert list_ids("status=failed") == [failed.pk]
    assert list_ids("host=other") == [elsewhere.pk]
    assert list_ids("tag=lealife-controller:c2") == [tagged.pk]
    assert list_ids("tag=lealife-task:t1") == [task.pk]
    assert list_ids("tag=sha256:abcd") == [tagged.pk]
    assert list_ids("tag=ab") == [task.pk, tagged.pk]
    assert list_ids("q=foxes_X") == [task.pk]
    assert list_ids("q=% of") == [task.pk]
    assert list_ids("tag=ab&q=what&host=manual&lane=standard") == [tagged.pk]
    assert list_ids("host=nowhere") == []


def test_a_filter_stays_in_every_link_and_field(browser: Client, host: Host) -> None:
    for number in range(27):
        make_run(host, status="failed", prompt=f"A & B {number}")
    page = browser.get("/runs/?status=failed&host=manual&q=A+%26+B&lane=standard").content.decode()
    assert "?lane=standard&amp;status=failed&amp;host=manual&amp;q=A+%26+B&amp;before=" in page
    assert "?lane=training&amp;status=failed&amp;host=manual&amp;q=A+%26+B" in page
    assert 'value="A &amp; B"' in page
    assert "<option selected>failed</option>" in page
    assert '<input type="hidden" name="lane" value="standard">' in page


def test_an_empty_list_says_why_it_is_empty(browser: Client, host: Host) -> None:
    assert "No runs yet" in browser.get("/runs/").content.decode()
    run = make_run(host)
    assert "No run matches" in browser.get("/runs/?q=nothing").content.decode()
    assert "No older runs" in browser.get(f"/runs/?before={run.pk}").content.decode()


def test_a_filter_that_matches_nothing_looks_at_so_many_runs_and_says_how_far(
    browser: Client, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOOK", 5)
    wanted = make_run(host, prompt="The one")
    runs = [make_run(host) for _ in range(8)]
    found = read_runs(chosen=RunFilter(q="the one"), before=None)
    assert (found.rows, found.looked_back_to, found.next_before) == ((), runs[3].pk, runs[3].pk)
    assert f"Looked back to run {runs[3].pk}" in browser.get("/runs/?q=the+one").content.decode()
    further = read_runs(chosen=RunFilter(q="the one"), before=found.next_before)
    assert ([row.id for row in further.rows], further.next_before) == ([wanted.pk], None)


def test_a_list_costs_three_queries_whatever_it_shows(host: Host, django_assert_num_queries) -> None:
    for size in (1, 30):
        for _ in range(size):
            make_run(host)
        for chosen, queries in ((RunFilter(), 2), (RunFilter(lane="standard"), 2), (RunFilter(q="what", tag="x"), 3)):
            with django_assert_num_queries(queries):
                read_runs(chosen=chosen, before=None)
