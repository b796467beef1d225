"""Curriculum: verifiable tasks from the site itself; held-out pages are never trained on."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as some

from learning.curriculum.seeding import DEPTH_MAX, FRONTIER_MAX, crawl_host, find_unread_host
from learning.curriculum.tasks import EVALUATION_SHARE, choose_passages, passage_key, split_of
from learning.missing import learn_missing_page, read_missing_digest
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
from training.agent.errors import AgentError, ErrorCode
from training.agent.web.browser import Page
from training.models import AuditEntry, Host, TrainingSource

# The curriculum asks each host for one address that cannot exist.
PROBE = "0123456789abcdef-0123456789abcdef.html"
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
        if len(path) == len(PROBE):
            raise AgentError(ErrorCode.FETCH_FAILED, f"{url} does not exist.")
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
    assert find_unread_host(now=later(days=1)) == host
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


def test_one_visit_reads_at_most_the_given_number_of_pages(host):
    pages = pages_of(host, count=9)
    find_unread_host(now=later(days=1))
    shelf = Shelf(host, pages)
    crawl_host(host=host, browser=shelf, now=later(days=1), pages=1)
    assert crawl_host(host=host, browser=shelf, now=later(days=1), pages=4).pages == 4
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


def test_a_later_page_with_the_same_content_gets_no_task_and_the_first_keeps_its_task(host):
    pages = pages_of(host, count=2)
    pages["page1"] = pages["page0"].replace(b"<title>page0", b"<title>page1")
    crawl(host, pages)
    assert set(CurriculumTask.objects.values_list("expected_url", "ambiguous")) == {(f"{host.base_url}page0", False)}
    assert "cancelled" not in TrainingSource.objects.values_list("status", flat=True)


def test_a_page_that_copies_all_others_withdraws_no_task_of_theirs(host):
    pages = pages_of(host, count=12)
    said = [SENTENCE.format(f"page{page}-{line}") for page in range(12) for line in range(3)]
    copies = {f"copy{number}": make_html(f"Copy {number}", *said, SENTENCE.format(number)) for number in range(4)}
    pages[""] = make_html("Start", links=[f"{host.base_url}{name}" for name in [*pages, *copies] if name])
    crawl(host, pages | copies)
    honest = CurriculumTask.objects.exclude(expected_url__contains="copy")
    assert len(set(honest.values_list("expected_url", flat=True))) == 12
    assert not honest.exclude(ambiguous=False, gone_at=None).exists()


def test_a_copy_of_the_site_that_is_read_first_takes_no_task_from_its_pages(host):
    pages = pages_of(host, count=12)
    said = [SENTENCE.format(f"page{page}-{line}") for page in range(12) for line in range(3)]
    pages = {"": b"", "all": make_html("All in one", *said), **pages}
    pages[""] = make_html("Start", links=[f"{host.base_url}{name}" for name in pages if name])
    crawl(host, pages)
    asked = CurriculumTask.objects.asked().exclude(expected_url=f"{host.base_url}all")
    assert len(set(asked.values_list("expected_url", flat=True))) == 12


def frame_of(host: Host, *, count: int) -> dict[str, bytes]:
    """Pages that all say one sentence, beside three of their own."""
    frame = "This sentence stands at the foot of every page of this website, always."
    own = {name: [SENTENCE.format(f"{name}{line}") for line in range(3)] for name in map("p{}".format, range(count))}
    leaves = {name: make_html(name, frame, *said) for name, said in own.items()}
    return {"": make_html("Start", links=[f"{host.base_url}{name}" for name in leaves]), **leaves}


def test_what_every_page_says_is_asked_for_no_more(host):
    crawl(host, frame_of(host, count=8))
    assert CurriculumTask.objects.filter(ambiguous=True).count() == 1
    assert not CurriculumTask.objects.asked().filter(passage__contains="foot of every page").exists()


def test_a_held_out_task_is_never_withdrawn_in_silence(host, monkeypatch):
    monkeypatch.setattr("learning.curriculum.tasks.EVALUATION_SHARE", 1.0)
    crawl(host, frame_of(host, count=8))
    withdrawn = CurriculumTask.objects.get(ambiguous=True, split="evaluation")
    entry = AuditEntry.objects.get(action="withdraw held-out task")
    assert (entry.subject, entry.details["page"]) == (f"task {withdrawn.pk}", withdrawn.expected_url)


def test_one_page_under_several_addresses_gets_the_tasks_of_one(host):
    body = make_html("One", *[SENTENCE.format(line) for line in range(3)])
    names = [f"one?from={number}" for number in range(6)]
    crawl(
        host, {"": make_html("Start", links=[f"{host.base_url}{name}" for name in names]), **dict.fromkeys(names, body)}
    )
    assert CurriculumTask.objects.values("expected_url").distinct().count() == 1


def test_the_missing_page_of_a_site_that_answers_every_address_gives_no_task(host):
    names = [f"dead{number}" for number in range(12)]
    shelf = SoftShelf(host, {"": make_html("Start", links=[f"{host.base_url}{name}" for name in [*names, "live"]])})
    shelf.pages["live"] = make_html("Live", SENTENCE.format("live"))
    read_all(host, shelf)
    assert set(CurriculumTask.objects.values_list("expected_url", flat=True)) == {f"{host.base_url}live"}
    assert FrontierPage.objects.filter(state="unreadable").count() == 12


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


class SoftShelf(Shelf):
    """A site that answers 200 for every address, and names it."""

    def fetch(self, url: str) -> Page:
        name = url.removeprefix(self.host.base_url)
        soft = make_html("Not found", f"Sorry, there is no {name} on this server; try the search of {url}.")
        body = self.pages.get(name, soft)
        return Page.of(url=url, final_url=url, status=200, media_type="text/html", body=body)


def read_all(host: Host, shelf: Shelf) -> None:
    assert find_unread_host(now=later(days=1)) == host
    while crawl_host(host=host, browser=shelf, now=later(days=1)).pages:
        pass


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


def test_a_passage_that_differs_only_in_case_is_a_copy_too(host):
    text = SENTENCE.format("one")
    shelf, _ = make_twins(host, make_html("a", text), make_html("b", text.upper()))
    read_rest(host, shelf)
    assert CurriculumTask.objects.get().passage == text
    assert TrainingSource.objects.get().status == "pending"


def test_a_task_withdrawn_while_it_runs_is_not_tried_again(host):
    pages = frame_of(host, count=8)
    shelf = crawl(host, pages, visits=2)
    source = TrainingSource.objects.first() or pytest.skip("the first page is held out")
    run = begin_claimed(now=later(days=2))
    CurriculumTask.objects.filter(source=source).update(
        passage="This sentence stands at the foot of every page of this website, always."
    )
    read_rest(host, shelf)
    finish(run, success=False, now=later(days=2))
    source.refresh_from_db()
    assert source.status == "cancelled"


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
