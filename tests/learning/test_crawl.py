"""The crawl: which pages of a host are read, in which order, and what becomes of those that fail."""

from __future__ import annotations

import pytest

from learning.curriculum.seeding import DEPTH_MAX, FRONTIER_MAX, crawl_host, find_unread_host
from learning.missing import learn_missing_page, read_missing_digest
from learning.models import CurriculumTask, FrontierPage, MemoryItem
from tests.factories import START, later, make_curriculum_source, make_host, make_html
from tests.learning.sites import SENTENCE, Shelf, SoftShelf, crawl, pages_of, read_all
from training.models import Host


def test_of_a_page_that_may_not_be_kept_only_the_links_are_taken(host):
    closed = b'<meta name="robots" content="noindex">' + make_html("Closed", SENTENCE, links=[f"{host.base_url}open"])
    pages = {
        "": make_html("Start", links=[f"{host.base_url}closed"]),
        "closed": closed,
        "open": make_html("Open", SENTENCE),
    }
    crawl(host, pages)
    read = {entry.url.removeprefix(host.base_url): entry for entry in FrontierPage.objects.all()}
    assert {path: entry.state for path, entry in read.items()} == {"": "read", "closed": "read", "open": "read"}
    assert (read["closed"].snapshot_id, read["closed"].passage_keys) == (None, [])
    assert {task.expected_url for task in CurriculumTask.objects.all()} == {f"{host.base_url}open"}


def test_a_page_past_what_is_read_is_set_aside(host):
    crawl(host, {"": b"<b>" * 300_000})
    assert FrontierPage.objects.get().state == "unreadable"
    assert FrontierPage.objects.get().error_code == "too_large"


def test_the_crawl_is_breadth_first(host):
    base = host.base_url
    pages = {
        "": make_html("Start", links=[f"{base}a", f"{base}b"]),
        "a": make_html("a", links=[f"{base}a1", f"{base}a2"]),
        "b": make_html("b", links=[f"{base}b1"]),
        "a1": make_html("a1", links=[f"{base}deep"]),
        "a2": make_html("a2"),
        "b1": make_html("b1"),
        "deep": make_html("deep"),
    }
    assert crawl(host, pages).asked == ["", "a", "b", "a1", "a2", "b1", "deep"]


def test_the_crawl_goes_no_deeper_than_its_bound(host):
    chain = [f"d{number}" for number in range(DEPTH_MAX + 4)]
    pages = {"": make_html("Start", links=[f"{host.base_url}d0"])}
    pages |= {
        name: make_html(name, links=[f"{host.base_url}{after}"])
        for name, after in zip(chain, [*chain[1:], ""], strict=True)
    }
    assert crawl(host, pages).asked == ["", *chain[:DEPTH_MAX]]


def test_the_frontier_holds_no_more_than_its_bound(host):
    links = [f"{host.base_url}p{number}" for number in range(FRONTIER_MAX + 500)]
    crawl(host, {"": make_html("Start", links=links)}, visits=1)
    assert FrontierPage.objects.count() == FRONTIER_MAX


def test_one_visit_reads_at_most_the_given_number_of_pages(host):
    pages = pages_of(host, count=9)
    find_unread_host(now=later(days=1))
    shelf = Shelf(host, pages)
    crawl_host(host=host, browser=shelf, now=later(days=1), pages=1)
    assert crawl_host(host=host, browser=shelf, now=later(days=1), pages=4) == 4
    assert len(shelf.asked) == 5


def test_a_page_is_read_once(host):
    base = host.base_url
    loop = {"": make_html("Start", links=[f"{base}a"]), "a": make_html("a", links=[base, f"{base}a#b"])}
    assert crawl(host, loop).asked == ["", "a"]


def test_a_failed_page_is_requested_again_later_and_the_crawl_continues(host):
    base = host.base_url
    crawl(host, {"": make_html("Start", links=[f"{base}gone", f"{base}there"]), "there": make_html("there")})
    states = {page.url.removeprefix(base): (page.state, page.error_code) for page in FrontierPage.objects.all()}
    assert states == {"": ("read", ""), "gone": ("known", "fetch_failed"), "there": ("read", "")}
    gone = FrontierPage.objects.get(url=f"{base}gone")
    assert not FrontierPage.objects.due(now=later(days=1)).filter(pk=gone.pk).exists()
    assert FrontierPage.objects.due(now=later(days=1, hours=2)).filter(pk=gone.pk).exists()


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_a_page_that_a_busy_site_does_not_give_now_is_asked_for_again(host, status):
    crawl(host, {"": make_html("Start")}, status=status)
    assert FrontierPage.objects.get().state == "known"


def test_a_site_that_is_away_at_first_gets_its_curriculum_later(host):
    crawl(host, {})
    assert find_unread_host(now=later(days=1)) is None
    assert find_unread_host(now=later(days=1, minutes=5)) == host


def test_the_host_of_which_fewest_pages_were_read_comes_next(host):
    FrontierPage.objects.create(host=host, url=f"{host.base_url}a", url_digest="a", state="read")
    fresh = make_host(name="fresh", base_url="http://fresh.test/")
    assert find_unread_host(now=later(minutes=1)) == fresh


def test_a_page_with_bytes_that_postgres_cannot_hold_is_read_all_the_same(host):
    FrontierPage.objects.create(host=host, url=f"{host.base_url}odd", url_digest="o", depth=1)
    crawl(
        host,
        {"": b"x", "odd": b"This plain text \x00 holds a byte that no table of ours can keep in a text."},
        media_type="text/plain",
    )
    assert set(FrontierPage.objects.values_list("state", flat=True)) == {"read"}


def test_known_missing_pages_are_kept_while_the_site_is_down(host):
    read_all(host, SoftShelf(host, {"": make_html("Start")}))
    known = read_missing_digest(host.pk)
    learn_missing_page(host=host, browser=Shelf(host, {}), now=later(days=9))
    assert read_missing_digest(host.pk) == known != ""


def test_a_run_that_met_the_missing_page_of_a_site_learns_no_page(host):
    from learning.ingest import ingest_outcome
    from tests.factories import make_outcome, make_step

    shelf = SoftShelf(host, {"": make_html("Start")})
    read_all(host, shelf)
    steps = [
        make_step(url=url, body=shelf.fetch(url).body, index=index)
        for index, url in enumerate(f"{host.base_url}dead{number}" for number in range(3))
    ]
    ingest_outcome(outcome_id=make_outcome(host, steps=steps).pk, now=START)
    assert set(MemoryItem.objects.values_list("kind", flat=True)) == {"pitfall"}


def test_a_site_is_read_through_whatever_waits_in_the_queue(host):
    for _ in range(100):
        make_curriculum_source(host)
    pages = pages_of(host, count=5)
    assert set(crawl(host, pages).asked) == set(pages)


@pytest.mark.parametrize("changes", [{"enabled": False}, {"seed_curriculum": False}])
def test_a_host_that_wants_no_curriculum_is_not_crawled(host, changes):
    Host.objects.update(**changes)
    assert find_unread_host(now=later(days=1)) is None


def test_a_host_whose_frontier_is_read_has_no_page_to_read(host):
    crawl(host, {"": make_html("Start")})
    assert find_unread_host(now=later(days=1)) is None


def test_the_crawl_trusts_what_a_run_had_seen_alone(host):
    from learning.ingest import ingest_outcome
    from tests.factories import make_outcome, make_step

    pages = pages_of(host, count=1)
    outcome = make_outcome(host, steps=[make_step(url=f"{host.base_url}page0", body=pages["page0"])])
    ingest_outcome(outcome_id=outcome.pk, now=START)
    assert MemoryItem.objects.get().status == "quarantined"
    crawl(host, pages)
    assert MemoryItem.objects.get().status == "trusted"
