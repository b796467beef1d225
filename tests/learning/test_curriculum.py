"""Curriculum: verifiable tasks from the site itself; held-out pages are never trained on."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as some

from learning.curriculum import (
    DEPTH_MAX,
    EVALUATION_SHARE,
    FRONTIER_MAX,
    PENDING_ENOUGH,
    choose_passages,
    crawl_host,
    find_hungry_host,
    passage_key,
    split_of,
)
from learning.models import CurriculumTask, FrontierPage, MemoryItem
from tests.factories import (
    START,
    begin_claimed,
    finish,
    later,
    make_curriculum_source,
    make_host,
    make_html,
)
from training.agent.browser import Page
from training.agent.errors import AgentError, ErrorCode
from training.models import Host, TrainingSource

SENTENCE = "Number {} of these sentences says something that no other page has ever said."


class Shelf:
    """A site in memory, fetched as any browser fetches; what is not on it fails to come."""

    def __init__(
        self, host: Host, pages: dict[str, bytes], *, status: int = 200, media_type: str = "text/html"
    ) -> None:
        self.host, self.pages, self.status, self.media_type = host, pages, status, media_type
        self.asked: list[str] = []

    def fetch(self, url: str) -> Page:
        path = url.removeprefix(self.host.base_url)
        self.asked.append(path)
        if path not in self.pages:
            raise AgentError(ErrorCode.FETCH_FAILED, f"{url} did not come.")
        return Page.of(url=url, final_url=url, status=self.status, media_type=self.media_type, body=self.pages[path])


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


def crawl(host: Host, pages: dict[str, bytes], *, visits: int = 30, **shelf) -> Shelf:
    """Crawls until the frontier is empty, or `visits` pages were read."""
    found = Shelf(host, pages, **shelf)
    assert find_hungry_host(now=later(days=1)) == host
    while visits > 0 and (read := crawl_host(host=host, browser=found, now=later(days=1), pages=1).pages):
        visits -= read
    return found


def pages_of(host: Host, *, count: int) -> dict[str, bytes]:
    """A start page that links to `count` pages, each with a few statements of its own."""
    names = [f"page{number}" for number in range(count)]
    leaves = {name: make_html(name, *[SENTENCE.format(f"{name}-{line}") for line in range(3)]) for name in names}
    return {"": make_html("Start", links=[f"{host.base_url}{name}" for name in names]), **leaves}


def test_a_crawl_makes_tasks_that_name_the_page_that_answers(host):
    crawl(host, pages_of(host, count=12))
    tasks = list(CurriculumTask.objects.all())
    assert len(tasks) >= 12
    for task in tasks:
        assert task.check_spec == {"expected_urls": [task.expected_url]}
        assert task.passage in task.prompt
        assert task.split == split_of(task.expected_url)


def test_training_tasks_are_queued_and_held_out_ones_are_not(host):
    crawl(host, pages_of(host, count=20))
    train, held = (CurriculumTask.objects.filter(split=split) for split in ("train", "evaluation"))
    assert train.exists() and held.exists()
    assert not train.filter(source=None).exists()
    assert not held.exclude(source=None).exists()
    prompts = set(TrainingSource.objects.values_list("prompt", flat=True))
    assert prompts == set(train.values_list("prompt", flat=True))
    assert prompts.isdisjoint(held.values_list("prompt", flat=True))


def test_postgres_refuses_to_queue_a_held_out_task(host):
    source = make_curriculum_source(host)
    with pytest.raises(IntegrityError, match="held_out_tasks_are_never_queued"), transaction.atomic():
        CurriculumTask.objects.create(
            host=host, split="evaluation", expected_url="u", page_digest="d", passage="p", prompt="?", source=source
        )


@given(some.text(max_size=40))
def test_the_split_depends_on_the_page_alone(path):
    url = f"http://127.0.0.1/{path}"
    assert split_of(url) == split_of(url)


def test_about_three_pages_in_ten_are_held_out():
    held = sum(split_of(f"http://127.0.0.1/{number}") == "evaluation" for number in range(4_000))
    assert abs(held / 4_000 - EVALUATION_SHARE) < 0.03


def test_no_task_asks_for_the_start_page(host):
    crawl(host, {"": make_html("Start", SENTENCE.format("start"))})
    assert not CurriculumTask.objects.exists()


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


def test_one_visit_reads_no_more_pages_than_it_was_told(host):
    pages = pages_of(host, count=9)
    find_hungry_host(now=later(days=1))
    shelf = Shelf(host, pages)
    crawl_host(host=host, browser=shelf, now=later(days=1), pages=1)
    assert crawl_host(host=host, browser=shelf, now=later(days=1), pages=4).pages == 4
    assert len(shelf.asked) == 5


def test_a_page_is_read_once(host):
    base = host.base_url
    loop = {"": make_html("Start", links=[f"{base}a"]), "a": make_html("a", links=[base, f"{base}a#b"])}
    assert crawl(host, loop).asked == ["", "a"]


def test_a_page_that_does_not_come_is_asked_for_again_later_and_the_crawl_goes_on(host):
    base = host.base_url
    crawl(host, {"": make_html("Start", links=[f"{base}gone", f"{base}there"]), "there": make_html("there")})
    states = {page.url.removeprefix(base): (page.state, page.error_code) for page in FrontierPage.objects.all()}
    assert states == {"": ("read", ""), "gone": ("known", "fetch_failed"), "there": ("read", "")}
    gone = FrontierPage.objects.get(url=f"{base}gone")
    assert not FrontierPage.objects.due(now=later(days=1)).filter(pk=gone.pk).exists()
    assert FrontierPage.objects.due(now=later(days=1, hours=2)).filter(pk=gone.pk).exists()


def test_a_site_that_is_away_at_first_gets_its_curriculum_later(host):
    crawl(host, {})
    assert find_hungry_host(now=later(days=1)) is None
    assert find_hungry_host(now=later(days=1, minutes=5)) == host


def test_a_host_that_was_never_served_is_seeded_first(host):
    Host.objects.filter(pk=host.pk).update(last_served_at=START)
    fresh = make_host(name="fresh", base_url="http://fresh.test/")
    assert find_hungry_host(now=later(minutes=1)) == fresh


def test_a_page_that_says_it_is_missing_makes_no_task(host):
    FrontierPage.objects.create(host=host, url=f"{host.base_url}gone", url_digest="g", depth=1)
    crawl(host, {"": make_html("x"), "gone": make_html("Gone", SENTENCE.format("404"))}, status=404)
    assert not CurriculumTask.objects.exists()
    assert set(FrontierPage.objects.values_list("state", "error_code")) == {("unreadable", "fetch_failed")}


def test_a_page_with_bytes_that_postgres_cannot_hold_is_read_all_the_same(host):
    FrontierPage.objects.create(host=host, url=f"{host.base_url}odd", url_digest="o", depth=1)
    crawl(
        host,
        {"": b"x", "odd": b"This plain text \x00 holds a byte that no table of ours can keep in a text."},
        media_type="text/plain",
    )
    assert set(FrontierPage.objects.values_list("state", flat=True)) == {"read"}


def test_a_passage_that_two_pages_say_is_withdrawn(host):
    pages = pages_of(host, count=2)
    pages["page1"] = pages["page0"]
    crawl(host, pages)
    assert set(CurriculumTask.objects.values_list("ambiguous", flat=True)) <= {True}
    assert set(TrainingSource.objects.values_list("status", flat=True)) <= {"cancelled"}
    assert not CurriculumTask.objects.filter(expected_url=f"{host.base_url}page1").exists()


def name_of_split(host: Host, split: str, *, but: str = "") -> str:
    return next(
        name for number in range(99) if (name := f"n{number}") != but and split_of(f"{host.base_url}{name}") == split
    )


def make_twins(host: Host, first: bytes, second: bytes) -> tuple[Shelf, str]:
    """A site whose second page, read later, says what the first says; the crawl has read the first."""
    name = name_of_split(host, "train")
    pages = {
        "": make_html("Start", links=[f"{host.base_url}{name}", f"{host.base_url}twin"]),
        name: first,
        "twin": second,
    }
    return crawl(host, pages, visits=2), name


def read_rest(host: Host, shelf: Shelf) -> None:
    crawl_host(host=host, browser=shelf, now=later(days=1))


def test_a_passage_that_differs_only_in_case_is_withdrawn_too(host):
    text = SENTENCE.format("one")
    shelf, _ = make_twins(host, make_html("a", text), make_html("b", text.upper()))
    assert TrainingSource.objects.get().status == "pending"
    read_rest(host, shelf)
    assert CurriculumTask.objects.get(passage=text).ambiguous
    assert TrainingSource.objects.get().status == "cancelled"


def test_a_task_withdrawn_while_it_runs_is_not_tried_again(host):
    text = SENTENCE.format("one")
    shelf, _ = make_twins(host, make_html("a", text), make_html("b", text))
    run = begin_claimed(now=later(days=2))
    read_rest(host, shelf)
    finish(run, success=False, now=later(days=2))
    assert TrainingSource.objects.get().status == "cancelled"


def test_a_host_is_hungry_until_enough_waits(host):
    assert find_hungry_host(now=later(days=1)) == host
    for _ in range(PENDING_ENOUGH):
        make_curriculum_source(host)
    assert find_hungry_host(now=later(days=1)) is None


@pytest.mark.parametrize("changes", [{"enabled": False}, {"seed_curriculum": False}])
def test_a_host_that_wants_no_curriculum_is_not_crawled(host, changes):
    Host.objects.update(**changes)
    assert find_hungry_host(now=later(days=1)) is None


def test_a_host_whose_frontier_is_read_is_not_hungry(host):
    crawl(host, {"": make_html("Start")})
    assert find_hungry_host(now=later(days=1)) is None


def test_the_crawl_trusts_what_a_run_had_seen_alone(host):
    from learning.ingest import ingest_outcome
    from tests.factories import make_outcome, make_step

    pages = pages_of(host, count=1)
    outcome = make_outcome(host, steps=[make_step(url=f"{host.base_url}page0", body=pages["page0"])])
    ingest_outcome(outcome_id=outcome.pk, now=START)
    assert MemoryItem.objects.get().status == "quarantined"
    crawl(host, pages)
    assert MemoryItem.objects.get().status == "trusted"


@pytest.mark.parametrize(
    ("passage", "taken"),
    [
        ("Ten plain words stand here and say what they mean.", True),
        ("Too short to ask for.", False),
        ("word " * 40, False),
        ("x = {'a': [1, 2, 3], 'b': (4, 5)}; y = x['a'][0] + 3 * 4", False),
        ("He said “ten plain words stand here” and then he left us.", False),
    ],
)
def test_only_statements_are_asked_for(passage, taken):
    assert choose_passages([passage], count=1) == ([passage] if taken else [])


def test_a_passage_has_one_key_whatever_its_case():
    assert passage_key("Straße") == passage_key("STRASSE")
    assert -(2**63) <= passage_key("x") < 2**63
